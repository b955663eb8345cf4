/* unlink(2) and rmdir(2) in the mount. Implements remove.h and a part of change.h. */
#include "core/draft/remove.h"

#include "core/draft/change.h"
#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/lock.h"
#include "core/draft/log.h"
#include "core/draft/native.h"
#include "core/draft/ordinary.h"
#include "core/draft/publish.h"
#include "core/draft/recover.h"
#include "core/draft/report.h"
#include "core/draft/table.h"
#include "core/draft/trash.h"
#include "core/draft/use.h"
#include "core/draft/where.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/tree/plain.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/*
 * The kernel asks for a name that it has found. In a directory of the tree, a name that is
 * neither a draft's nor an ordinary one is a published step's.
 */
int draft_or_published(const struct ck_place *place, const char *name, int rc, const struct ck_error *why,
		       struct ck_error *err)
{
	bool plain = place->kind == CK_PLACE_SOURCE ||
		     (place->kind <= CK_PLACE_TAG && ck_plain_name((enum ck_level)place->kind, name));

	if (place->kind != CK_PLACE_OTHER && !plain && (rc == CK_ERR_NOENT || (rc == CK_ERR_SYS && why->sys == ENOENT)))
		return ck_fail(err, CK_ERR_PERM, "a published step can't be changed");
	if (rc)
		ck_error_copy(err, why);
	return rc;
}

/* The metadata and shards of a step whose model is gone, and what was being added to it. What is left of them would be
   seen by nobody: the first failure is told, the others are tried all the same. */
static int remove_rest(struct ck_drafts *d, const char *tag, uint64_t step, struct ck_error *err)
{
	struct ck_file_name name;
	struct ck_names names;
	char path[PATH_MAX];
	struct draft *shards;
	int rc = ck_list_real_dir(tag, &names, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < names.count; i++)
		if (ck_file_name_parse(names.names[i], &name) && name.step == step &&
		    (!ck_path_join(path, tag, names.names[i]) || ck_real_unlink(path) < 0) && errno != ENOENT)
			rc = ck_fail_sys(err, "unlink");
	ck_names_free(&names);
	if (draft_get(d, tag, CK_DRAFT_OPTIM, step, NULL, &shards, NULL) == CK_OK) {
		if (draft_begin_alone(shards, NULL) == CK_OK) {
			draft_set_gone(d, shards);
			ck_remove_tree(shards->dir);
			draft_end(shards);
		}
		draft_put(d, shards);
	}
	return rc;
}

/* A step is there exactly when its model is: so that goes first, and takes all that is the step's along. */
static int unlink_native(struct ck_drafts *d, const struct ck_place *place, const char *text,
			 const struct ck_file_name *name, struct ck_error *err)
{
	char path[PATH_MAX];
	int rc = native_may_go(d, text, err);

	if (!rc)
		rc = native_check_uncut(d, place->path, name, err);
	if (rc)
		return rc;
	if (!ck_path_join(path, place->path, text))
		return ck_fail_long_path(err);
	if (ck_real_unlink(path) < 0)
		return ck_fail_sys(err, "unlink");
	return name->kind == CK_FILE_MODEL ? remove_rest(d, place->path, name->step, err) : CK_OK;
}

static int remove_at(struct ck_drafts *d, ck_ino parent, const char *name, bool dir, struct ck_error *err)
{
	char path[PATH_MAX];
	struct dnode *node = NULL;
	struct where w;
	struct stat st;
	int rc = where_find(d, parent, NULL, &w, err);

	if (rc)
		return rc;
	rc = draft_begin(w.draft, err);
	if (rc) {
		where_put(d, &w);
		return rc;
	}
	draft_changed(w.draft);
	/* DRAFT.error is always there: its removal changes nothing, so that rm -r goes on. */
	if (!dir && report_is(d, &w, name)) {
		draft_end(w.draft);
		where_put(d, &w);
		return CK_OK;
	}
	if (w.base)
		rc = where_allows(d, parent, &w, name, err);
	if (!rc && !dir)
		rc = ordinary_may_go(d, &w, name, err);
	if (!rc && (!where_path(d, &w, name, path) || ck_real_stat(path, &st) < 0))
		rc = ck_fail_sys(err, "stat");
	if (!rc) {
		node = dnode_kill(d, &st);
		rc = (dir ? ck_real_rmdir(path) : ck_real_unlink(path)) < 0
			     ? ck_fail_sys(err, dir ? "rmdir" : "unlink")
			     : CK_OK;
	}
	if (rc)
		dnode_revive(d, node);
	dnode_put(d, node);
	draft_end(w.draft);
	where_put(d, &w);
	return rc;
}

int ck_drafts_unlink(struct ck_drafts *d, ck_ino parent, const char *name, struct ck_error *err)
{
	struct ck_place place = { .kind = CK_PLACE_OTHER };
	struct ck_error why = CK_ERROR_INIT;
	struct ck_file_name native;
	int rc = ck_is_draft(parent) ? CK_OK : ck_tree_place(d->tree, parent, &place, err);

	if (rc)
		return rc;
	if (place.kind == CK_PLACE_RETIRED)
		return trash_hide(d, parent, name, false, err);
	if (place.kind == CK_PLACE_TAG && ck_file_name_parse(name, &native))
		return unlink_native(d, &place, name, &native, err);
	rc = remove_at(d, parent, name, false, &why);
	return draft_or_published(&place, name, rc, &why, err);
}

/* A draft goes when its directory is empty. */
int draft_remove(struct ck_drafts *d, const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err)
{
	char path[PATH_MAX];
	struct draft *draft;
	int rc = draft_get(d, tag, kind, step, NULL, &draft, err);

	if (rc)
		return rc;
	rc = draft_begin_alone(draft, err);
	if (rc)
		goto out;
	if (!draft_files_path(d, draft, path) || ck_real_rmdir(path) < 0) {
		rc = ck_fail_sys(err, "rmdir");
	} else {
		draft_set_gone(d, draft);
		ck_remove_tree(draft->dir);
	}
	draft_end(draft);
out:
	draft_put(d, draft);
	return rc;
}

/* Removes a tag that holds nothing, or only our own working directory without a draft or a staged file. Each directory
   goes by rmdir, so that nothing is lost that somebody makes in it at the same time. */
static int remove_tag(const char *source, const char *name, struct ck_error *err)
{
	char tag[PATH_MAX], home[PATH_MAX], path[PATH_MAX];
	struct ck_names in_tag = { 0 }, in_home = { 0 };
	bool empty;
	int rc;

	if (!ck_path_join(tag, source, name) || !ck_path_join(home, tag, CK_DRAFT_DIR))
		return ck_fail_long_path(err);
	rc = ck_list_real_dir(tag, &in_tag, err);
	if (rc)
		return rc;
	empty = in_tag.count == 0;
	if (in_tag.count == 1 && strcmp(in_tag.names[0], CK_DRAFT_DIR) == 0 &&
	    ck_list_real_dir(home, &in_home, NULL) == CK_OK) {
		empty = true;
		for (size_t i = 0; i < in_home.count; i++)
			empty &= strcmp(in_home.names[i], CK_LOCK_NAME) == 0 ||
				 strcmp(in_home.names[i], CK_OLD_LOCK_NAME) == 0 ||
				 strcmp(in_home.names[i], "staged") == 0;
		if (empty && ck_path_join(path, home, "staged"))
			empty = ck_real_rmdir(path) == 0 || errno == ENOENT;
		if (empty)
			ck_lock_remove(home);
	}
	ck_names_free(&in_tag);
	ck_names_free(&in_home);
	if (!empty)
		errno = ENOTEMPTY;
	return !empty || ck_real_rmdir(tag) < 0 ? ck_fail_sys(err, "rmdir") : CK_OK;
}

/* optim/ of a published step, where it stands only for shards that are being written. */
static int remove_optim(struct ck_drafts *d, const struct ck_place *place, struct ck_error *err)
{
	char path[PATH_MAX];
	struct where w;
	int rc = shards_find(d, place, NULL, &w, err);

	if (rc)
		return rc;
	if (!dnode_path(d, w.dir, NULL, path) || ck_real_rmdir(path) < 0)
		rc = ck_fail_sys(err, "rmdir");
	where_put(d, &w);
	return rc ? rc : draft_remove(d, place->path, CK_DRAFT_OPTIM, place->name.step, err);
}

int ck_drafts_rmdir(struct ck_drafts *d, ck_ino parent, const char *name, struct ck_error *err)
{
	struct ck_place place = { .kind = CK_PLACE_OTHER };
	struct ck_error why = CK_ERROR_INIT;
	enum ck_draft_kind kind;
	uint64_t step;
	int rc = ck_is_draft(parent) ? CK_OK : ck_tree_place(d->tree, parent, &place, err);

	if (rc)
		return rc;
	if (place.kind == CK_PLACE_RETIRED)
		return trash_hide(d, parent, name, true, err);
	if (place.kind == CK_PLACE_TRASH)
		return trash_delete(d, parent, &place, name, err);
	if (place.kind == CK_PLACE_TAG && strcmp(name, CK_TRASH_NAME) == 0)
		return trash_remove(d, parent, err);
	if (place.kind == CK_PLACE_SOURCE && name[0] != '.')
		rc = remove_tag(place.path, name, &why);
	else if (place.kind == CK_PLACE_TAG && ck_draft_parse(name, &kind, &step) && kind != CK_DRAFT_OPTIM)
		rc = draft_remove(d, place.path, kind, step, &why);
	else if (place.kind == CK_PLACE_STEP && strcmp(name, "optim") == 0)
		rc = remove_optim(d, &place, &why);
	else
		rc = remove_at(d, parent, name, true, &why);
	return draft_or_published(&place, name, rc, &why, err);
}
