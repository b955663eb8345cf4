/* mkdir(2) in the mount: a source, a tag, a draft, a directory in a draft. Implements a part of change.h. */
#include "core/draft/change.h"

#include "core/draft/dirs.h"
#include "core/draft/log.h"
#include "core/draft/numbers.h"
#include "core/draft/table.h"
#include "core/draft/use.h"
#include "core/draft/where.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/tree/plain.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int make_dir(const char *path, mode_t mode, struct ck_owner owner, struct ck_error *err)
{
	if (ck_real_mkdir(path, mode & 0777) < 0)
		return errno == EEXIST ? ck_fail(err, CK_ERR_EXIST, "the name is taken") : ck_fail_sys(err, "mkdir");
	/* MODE is what the writer's umask left of it. The daemon's umask must not change it. */
	return ck_give_made(path, owner.uid, owner.gid, mode, err);
}

static int make_tag(struct ck_drafts *d, ck_ino parent, const char *source, const char *name, mode_t mode,
		    struct ck_owner owner, struct ck_attr *out, struct ck_error *err)
{
	char path[PATH_MAX];
	int rc;

	if (strcmp(name, "largest") == 0)
		return draft_refuse_tag(d, source, name, err);
	if (!ck_path_join(path, source, name))
		return ck_fail_long_path(err);
	rc = where_make_source(source, owner, err);
	if (!rc)
		rc = make_dir(path, mode, owner, err);
	if (!rc)
		rc = ck_real_sync(source, err);
	return rc ? rc : ck_tree_lookup(d->tree, parent, name, out, err);
}

/* mid_checkpoints: the only source that the mount shows only where the store has it. */
static int make_mid(struct ck_drafts *d, ck_ino parent, const char *base, const char *name, struct ck_owner owner,
		    struct ck_attr *out, struct ck_error *err)
{
	char path[PATH_MAX];
	size_t i = 0;
	int rc;

	while (ck_sources[i].always)
		i++;
	if (strcmp(name, ck_sources[i].dir) != 0)
		return ck_fail(err, CK_ERR_PERM, "'%s' is a name of the mount's own: mkdir %s", name,
				       ck_sources[i].dir);
	if (!ck_path_join(path, base, name))
		return ck_fail_long_path(err);
	rc = where_make_source(path, owner, err);
	if (!rc)
		rc = ck_tree_lookup(d->tree, parent, ck_sources[i].name, out, err);
	/* The kernel expects a directory for an answer. Its next look finds the link. */
	out->entry_timeout = 0;
	return rc;
}

static int make_draft(struct ck_drafts *d, ck_ino parent, const struct ck_place *place, const char *name, mode_t mode,
		      struct ck_owner owner, struct ck_attr *out, struct ck_error *err)
{
	enum ck_draft_kind kind;
	char path[PATH_MAX];
	struct draft *draft;
	uint64_t step;
	int rc;

	if (!ck_draft_parse(name, &kind, &step) || kind == CK_DRAFT_OPTIM)
		return draft_refuse_name(d, place->path, name, err);
	if (ck_drafts_lookup(d, parent, name, out, NULL) == CK_OK) {
		ck_drafts_forget(d, out->st.st_ino, 1);
		return ck_fail(err, CK_ERR_EXIST, "the draft is there already");
	}
	rc = draft_get(d, place->path, kind, step, &owner, &draft, err);
	if (rc)
		return rc;
	/* The order and the intent, beside the files, are for everyone who may write to the files. */
	if (draft_files_path(d, draft, path)) {
		rc = ck_give_made(path, owner.uid, owner.gid, mode, err);
		*strrchr(path, '/') = '\0';
		if (!rc)
			rc = ck_give_made(path, owner.uid, owner.gid, mode | 0700, err);
	}
	if (!rc)
		rc = ck_drafts_lookup(d, parent, name, out, err);
	draft_put(d, draft);
	return rc;
}

static int make_at(struct ck_drafts *d, ck_ino parent, const char *name, mode_t mode, struct ck_owner owner,
		   struct ck_attr *out, struct ck_error *err)
{
	char path[PATH_MAX];
	struct where w;
	int rc = where_find(d, parent, &owner, &w, err);

	if (rc)
		return rc;
	rc = draft_begin(w.draft, err);
	if (!rc) {
		draft_changed(w.draft);
		rc = where_allows(d, parent, &w, name, err);
		if (!rc)
			rc = where_make(&w, owner, err);
		if (!rc)
			rc = where_path(d, &w, name, path) ? make_dir(path, mode, owner, err)
							   : ck_fail_long_path(err);
		draft_end(w.draft);
	}
	where_put(d, &w);
	return rc ? rc : ck_drafts_lookup(d, parent, name, out, err);
}

int ck_drafts_mkdir(struct ck_drafts *d, ck_ino parent, const char *name, mode_t mode, struct ck_owner owner,
		    struct ck_attr *out, struct ck_error *err)
{
	struct ck_place place = { .kind = CK_PLACE_OTHER };
	struct where w;
	int rc = ck_is_draft(parent) ? CK_OK : ck_tree_place(d->tree, parent, &place, err);

	if (rc)
		return rc;
	if (place.kind == CK_PLACE_SOURCE && (name[0] != '.' || !ck_plain_name(CK_LEVEL_SOURCE, name)))
		return make_tag(d, parent, place.path, name, mode, owner, out, err);
	if (place.kind == CK_PLACE_TAG && !ck_plain_name(CK_LEVEL_TAG, name))
		return make_draft(d, parent, &place, name, mode, owner, out, err);
	if (place.kind == CK_PLACE_BASE && !ck_plain_name(CK_LEVEL_BASE, name))
		return make_mid(d, parent, place.path, name, owner, out, err);
	if (place.kind != CK_PLACE_STEP || strcmp(name, "optim") != 0)
		return make_at(d, parent, name, mode, owner, out, err);
	/* optim/ of a step that has none: the draft for its shards brings it along. */
	place.kind = CK_PLACE_OPTIM;
	rc = shards_find(d, &place, &owner, &w, err);
	if (rc)
		return rc;
	where_put(d, &w);
	return ck_drafts_lookup(d, parent, name, out, err);
}
