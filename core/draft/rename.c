/* rename(2) in the mount: of drafts, of files in them, and of the store's ordinary files; draft.h. */
#include "core/draft/change.h"

#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/log.h"
#include "core/draft/native.h"
#include "core/draft/ordinary.h"
#include "core/draft/note.h"
#include "core/draft/open.h"
#include "core/draft/remove.h"
#include "core/draft/report.h"
#include "core/draft/shared.h"
#include "core/draft/table.h"
#include "core/draft/trash.h"
#include "core/draft/trigger.h"
#include "core/draft/use.h"
#include "core/draft/where.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* renameat2(2), FLAGS 0 or RENAME_NOREPLACE. FROM may be open: no link stands in for the flag. */
static int rename_by(const char *from, const char *to, unsigned flags)
{
	return flags ? ck_rename_new(from, to, false) : ck_real_rename(from, to, 0);
}

/* Within one draft, as rename(2); then a commit record may have arrived. */
static int rename_at(struct ck_drafts *d, struct where *from, const char *name, struct where *to, const char *new_name,
		     unsigned flags, struct dnode **arrived, struct ck_error *err)
{
	char old_path[PATH_MAX], new_path[PATH_MAX];
	struct ck_error why = CK_ERROR_INIT;
	struct stat moved, replaced;
	struct dnode *node = NULL;

	if (!where_path(d, from, name, old_path) || !where_path(d, to, new_name, new_path))
		return ck_fail_long_path(err);
	draft_changed(to->draft);
	if (ck_real_stat(old_path, &moved) < 0)
		return ck_fail_sys(err, "rename");
	if (ck_real_stat(new_path, &replaced) == 0 && replaced.st_ino != moved.st_ino)
		node = dnode_kill(d, &replaced);
	if (rename_by(old_path, new_path, flags) < 0) {
		int rc = ck_fail_sys(err, "rename");

		dnode_revive(d, node);
		dnode_put(d, node);
		return rc;
	}
	dnode_put(d, node);
	where_moved(d, to, new_name, &moved);
	*arrived = where_node(d, to, new_name, &moved);
	/* The rename is done; without the note the key's place in the order is that of its name. */
	if (draft_note_moved(to->draft, old_path, new_path, &why))
		draft_say(d, &why);
	return CK_OK;
}

/* An ordinary file of the store gets one of nanochat's own names, once it is judged (judge.h). */
static int rename_native(struct ck_drafts *d, struct where *w, const char *name, const char *tag,
			 const struct ck_file_name *native, struct ck_error *err)
{
	char path[PATH_MAX];
	struct dnode *node;
	struct stat st;
	int rc;

	rc = native_check_uncut(d, tag, native, err);
	if (rc)
		return rc;
	if (!where_path(d, w, name, path) || ck_real_stat(path, &st) < 0)
		return ck_fail_sys(err, "rename");
	node = where_node(d, w, name, &st);
	if (!node)
		return ck_fail_nomem(err);
	/* A program that still has the file open must not change what has been checked. */
	draft_file_set_published(d, node, true);
	rc = native_publish(tag, path, native, err);
	if (!rc)
		dnode_put(d, dnode_kill(d, &st));
	else
		draft_file_set_published(d, node, false);
	dnode_put(d, node);
	return rc;
}

/* A copy of another draft's DRAFT.error is renamed into place: the draft's own stays. */
static int remove_renamed(struct ck_drafts *d, struct where *from, const char *name, struct ck_error *err)
{
	char path[PATH_MAX];
	struct stat st;

	if (!where_path(d, from, name, path) || ck_real_stat(path, &st) < 0)
		return ck_fail_sys(err, "rename");
	dnode_put(d, dnode_kill(d, &st));
	return ck_real_unlink(path) < 0 ? ck_fail_sys(err, "rename") : CK_OK;
}

static int rename_files(struct ck_drafts *d, ck_ino parent, const char *name, ck_ino new_parent, const char *new_name,
			unsigned flags, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct dnode *arrived = NULL;
	struct ck_file_name native;
	enum ck_draft_kind kind;
	struct where from, to;
	uint64_t step;
	int rc = where_find(d, parent, NULL, &from, err);

	if (rc)
		return rc;
	rc = where_find(d, new_parent, NULL, &to, &why);
	/* A directory that is not made yet belongs to another draft. */
	if (rc && rc != CK_ERR_NOENT) {
		where_put(d, &from);
		ck_error_copy(err, &why);
		return rc;
	}
	/* A directory is not renamed to a step's name either: mv then copies, and makes a draft. */
	if (from.draft != to.draft ||
	    (to.base && to.kind == CK_PLACE_TAG && ck_draft_parse(new_name, &kind, &step) && kind != CK_DRAFT_OPTIM)) {
		errno = EXDEV;
		rc = ck_fail_sys(err, "rename");
	} else {
		rc = ordinary_may_go(d, &from, name, err);
		if (!rc)
			rc = draft_begin(from.draft, err);
	}
	if (!rc && report_is(d, &from, name)) {
		rc = ck_fail(err, CK_ERR_PERM, "DRAFT.error stays in its draft");
		draft_end(from.draft);
	} else if (!rc) {
		if (to.base && to.kind == CK_PLACE_TAG && ck_file_name_parse(new_name, &native)) {
			rc = rename_native(d, &from, name, to.base, &native, err);
		} else {
			rc = from.base ? where_allows(d, parent, &from, name, err) : CK_OK;
			if (!rc)
				rc = where_allows(d, new_parent, &to, new_name, err);
			if (!rc && report_is(d, &to, new_name))
				rc = remove_renamed(d, &from, name, err);
			else if (!rc)
				rc = rename_at(d, &from, name, &to, new_name, flags, &arrived, err);
		}
		draft_end(from.draft);
	}
	if (!rc && arrived)
		rc = draft_arrived(d, arrived, 0, err);
	dnode_put(d, arrived);
	where_put(d, &from);
	where_put(d, &to);
	return rc;
}

/* The draft that a rename would replace: rename(2) replaces an empty directory. */
static int clear_target(struct ck_drafts *d, const struct ck_place *place, const char *name, enum ck_draft_kind kind,
			uint64_t step, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc = draft_remove(d, place->path, kind, step, &why);

	if (rc == CK_ERR_NOENT)
		return CK_OK;
	return rc ? ck_fail(err, CK_ERR_EXIST, "there is a draft of the name %s", name) : CK_OK;
}

/* A draft's directory under another name: 000600.partial to 000600 publishes. */
static int rename_draft(struct ck_drafts *d, ck_ino parent, const struct ck_place *place, const char *name,
			const char *new_name, struct ck_error *err)
{
	enum ck_draft_kind kind, new_kind;
	char path[PATH_MAX];
	struct draft *draft;
	struct ck_attr attr;
	struct ck_error why = CK_ERROR_INIT;
	uint64_t step, new_step;
	int rc;

	if (!ck_draft_parse(name, &kind, &step) || kind == CK_DRAFT_OPTIM)
		return ck_fail(err, CK_ERR_INVALID, "a draft can only be given another step's name");
	if (!ck_draft_parse(new_name, &new_kind, &new_step) || new_kind == CK_DRAFT_OPTIM)
		return draft_refuse_name(d, place->path, new_name, err);
	if (ck_tree_lookup(d->tree, parent, new_name, &attr, NULL) == CK_OK) {
		ck_tree_forget(d->tree, attr.st.st_ino, 1);
		return ck_fail(err, CK_ERR_EXIST, "the step is there already");
	}
	rc = draft_get(d, place->path, kind, step, NULL, &draft, &why);
	if (rc)
		return draft_or_published(place, name, rc, &why, err);
	rc = clear_target(d, place, new_name, new_kind, new_step, err);
	if (rc)
		goto out;
	if (kind == CK_DRAFT_PARTIAL && new_kind == CK_DRAFT_STEP && step == new_step) {
		rc = draft_publish(d, draft, -1, 0, 0, err);
		goto out;
	}
	if (!ck_path_join(path, place->path, CK_DRAFT_DIR) || !ck_path_join(path, path, new_name)) {
		rc = ck_fail_long_path(err);
		goto out;
	}
	rc = draft_begin_alone(draft, err);
	if (rc)
		goto out;
	rc = draft->gone ? ck_fail(err, CK_ERR_STALE, "the draft was published or removed")
			 : draft_move(d, draft, path, new_kind == CK_DRAFT_PARTIAL, new_step, err);
	draft_end(draft);
out:
	draft_put(d, draft);
	return rc;
}

/* A stored file gets another name. Where that is one of nanochat's, too, the file is judged again. */
static int rename_stored(struct ck_drafts *d, const struct ck_place *place, const char *name,
			 const struct ck_file_name *stored, ck_ino new_parent, const char *new_name, unsigned flags,
			 struct ck_error *err)
{
	char from[PATH_MAX], path[PATH_MAX];
	struct ck_file_name native;
	struct where to;
	int rc = native_may_go(d, name, err);

	if (!rc)
		rc = native_check_uncut(d, place->path, stored, err);
	if (!rc)
		rc = where_find(d, new_parent, NULL, &to, err);
	if (rc)
		return rc;
	if (!ck_path_join(from, place->path, name) || !where_path(d, &to, new_name, path)) {
		rc = ck_fail_long_path(err);
	} else if (to.base && to.kind == CK_PLACE_TAG && ck_file_name_parse(new_name, &native)) {
		rc = native_check_uncut(d, to.base, &native, err);
		if (!rc)
			rc = native_publish(to.base, from, &native, err);
	} else if (to.draft->kind != DRAFT_PLAIN) {
		errno = EXDEV;
		rc = ck_fail_sys(err, "rename");
	} else {
		rc = where_allows(d, new_parent, &to, new_name, err);
		if (!rc && rename_by(from, path, flags) < 0)
			rc = ck_fail_sys(err, "rename");
	}
	where_put(d, &to);
	return rc;
}

int ck_drafts_rename(struct ck_drafts *d, ck_ino parent, const char *name, ck_ino new_parent, const char *new_name,
		     unsigned flags, struct ck_error *err)
{
	struct ck_place place = { .kind = CK_PLACE_OTHER }, to = { .kind = CK_PLACE_OTHER };
	struct ck_error why = CK_ERROR_INIT;
	struct ck_file_name native;
	enum ck_draft_kind kind;
	struct ck_attr attr;
	uint64_t step;
	int rc = ck_is_draft(parent) ? CK_OK : ck_tree_place(d->tree, parent, &place, err);

	if (!rc && !ck_is_draft(new_parent))
		rc = ck_tree_place(d->tree, new_parent, &to, err);
	if (rc)
		return rc;
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return ck_fail(err, CK_ERR_INVALID, "only a plain rename, perhaps without replacing");
	if (trash_is_between(&place, &to))
		return trash_rename(d, parent, &place, name, &to, new_name, err);
	if (place.kind == CK_PLACE_TAG && ck_draft_parse(name, &kind, &step) && kind != CK_DRAFT_OPTIM) {
		if (parent == new_parent)
			return rename_draft(d, parent, &place, name, new_name, err);
		errno = EXDEV;
		return ck_fail_sys(err, "rename");
	}
	if (place.kind == CK_PLACE_TAG && ck_file_name_parse(name, &native))
		return rename_stored(d, &place, name, &native, new_parent, new_name, flags, err);
	if (place.kind == CK_PLACE_SOURCE && ck_tree_lookup(d->tree, parent, name, &attr, NULL) == CK_OK) {
		ck_tree_forget(d->tree, attr.st.st_ino, 1);
		return ck_fail(err, CK_ERR_PERM, "a tag can't be renamed through the mount");
	}
	rc = rename_files(d, parent, name, new_parent, new_name, flags, &why);
	return draft_or_published(&place, name, rc, &why, err);
}
