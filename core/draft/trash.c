/* rename(2), unlink(2) and rmdir(2) of what is retired. Implements trash.h. */
#include "core/draft/trash.h"

#include "core/draft/dnode.h"
#include "core/draft/lock.h"
#include "core/draft/publish.h"
#include "core/draft/retire.h"
#include "core/draft/table.h"
#include "core/draft/trigger.h"
#include "core/draft/use.h"
#include "core/tree/hide.h"
#include "core/tree/list.h"
#include "core/tree/store.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What is moved or deleted, and what is held until then. */
struct unit {
	const char *tag;
	enum ck_draft_kind kind;        /* STEP; OPTIM: its shards alone */
	uint64_t step;
	struct draft *shards;   /* those that are being written; NULL: none are */
	struct ck_lock *lock;   /* the tag's */
	struct ck_step_lock held[2];    /* the step's, and that of its shards */
};

static void unit_end(struct ck_drafts *d, struct unit *u)
{
	for (int i = 0; i < 2; i++)
		ck_unlock_step(&u->held[i]);
	if (u->lock)
		ck_lock_drop(u->lock);
	if (u->shards) {
		draft_end(u->shards);
		draft_put(d, u->shards);
	}
}

/* Nobody else changes the step until unit_end, neither in this mount nor in another. */
static int unit_begin(struct ck_drafts *d, struct unit *u, struct ck_error *err)
{
	struct ck_lock *lock = ck_lock_of(d->locks, u->tag);
	int rc = lock ? CK_OK : ck_fail_nomem(err);

	u->held[0].fd = u->held[1].fd = -1;
	if (!rc && draft_get(d, u->tag, CK_DRAFT_OPTIM, u->step, NULL, &u->shards, NULL) == CK_OK) {
		rc = draft_begin_idle(d, u->shards, err);
		if (rc) {
			draft_put(d, u->shards);
			u->shards = NULL;
		}
	}
	if (!rc)
		rc = ck_lock_hold(lock, true, err);
	if (!rc)
		u->lock = lock;
	for (int i = 0; i < 2 && !rc; i++)
		rc = ck_lock_step(lock, u->step, i == 1, &u->held[i], err);
	if (rc)
		unit_end(d, u);
	return rc;
}

/* ---- rename ---- */

bool trash_is_between(const struct ck_place *from, const struct ck_place *to)
{
	return from->kind == CK_PLACE_TRASH || from->kind == CK_PLACE_RETIRED || to->kind == CK_PLACE_TRASH ||
	       to->kind == CK_PLACE_RETIRED;
}

/* Whether NAME in AT, a tag or a step, and RETIRED_NAME in .trash/ stand for the same: *U. */
static bool unit_find(const struct ck_place *at, const char *name, const struct ck_place *trash,
		      const char *retired_name, struct unit *u)
{
	if (trash->kind != CK_PLACE_TRASH || strcmp(at->path, trash->path) != 0 ||
	    !ck_draft_parse(retired_name, &u->kind, &u->step))
		return false;
	u->tag = trash->path;
	if (u->kind == CK_DRAFT_OPTIM)
		return at->kind == CK_PLACE_STEP && at->name.step == u->step && strcmp(name, "optim") == 0;
	return u->kind == CK_DRAFT_STEP && at->kind == CK_PLACE_TAG && strcmp(name, retired_name) == 0;
}

/* A draft of the step that comes back is in its place. */
static bool has_draft(const struct unit *u)
{
	struct ck_names drafts;
	char name[64];
	bool found = false;

	ck_draft_format(CK_DRAFT_STEP, u->step, name, sizeof(name));
	if (ck_store_drafts(u->tag, &drafts, NULL))
		return false;
	for (size_t i = 0; i < drafts.count; i++)
		found |= strcmp(drafts.names[i], name) == 0;
	ck_names_free(&drafts);
	return found;
}

static int retire(struct ck_drafts *d, struct unit *u, bool back, struct ck_error *err)
{
	int rc = unit_begin(d, u, err);

	if (rc)
		return rc;
	if (back && u->kind == CK_DRAFT_STEP && has_draft(u))
		rc = ck_fail(err, CK_ERR_EXIST, "there is a draft of that step");
	else if (back)
		rc = ck_restore(u->tag, u->kind, u->step, err);
	else if (!ck_store_has_model(u->tag, u->step))
		rc = ck_fail(err, CK_ERR_PERM, "only a published step can be retired");
	else
		rc = ck_retire(u->tag, u->kind, u->step, err);
	ck_tree_renamed(d->tree);
	unit_end(d, u);
	return rc;
}

int trash_rename(struct ck_drafts *d, ck_ino parent, const struct ck_place *from, const char *name,
		 const struct ck_place *to, const char *new_name, struct ck_error *err)
{
	bool back = from->kind == CK_PLACE_TRASH;
	struct ck_error why = CK_ERROR_INIT;
	struct unit u = { 0 };
	struct ck_attr attr;
	int rc;

	if (back ? !unit_find(to, new_name, from, name, &u) : !unit_find(from, name, to, new_name, &u))
		return ck_fail(err, CK_ERR_PERM,
			       "expected a step, or its optim, on the way to its tag's .trash under its own name, "
			       "000500 or 000500.optim, or back");
	rc = ck_tree_lookup(d->tree, parent, name, &attr, &why);
	if (rc == CK_ERR_NOENT && !back)
		return ck_fail(err, CK_ERR_PERM, "only a published step can be retired");
	if (rc) {
		ck_error_copy(err, &why);
		return rc;
	}
	rc = retire(d, &u, back, err);
	if (!rc) {
		ck_tree_unhide(d->tree, attr.st.st_ino);
		/* The kernel is told at its next question that this number stands for nothing any more. */
		ck_tree_changed(d->tree, attr.st.st_ino);
	}
	ck_tree_forget(d->tree, attr.st.st_ino, 1);
	return rc;
}

/* ---- unlink and rmdir ---- */

static int check_empty(struct ck_drafts *d, ck_ino ino, struct ck_error *err)
{
	struct ck_dirent entry;
	struct ck_dir *dir;
	int rc = ck_tree_opendir(d->tree, ino, &dir, err);

	if (rc)
		return rc;
	errno = ENOTEMPTY;
	if (ck_dir_entry(dir, 2, &entry))
		rc = ck_fail_sys(err, "rmdir");
	ck_dir_close(dir);
	return rc;
}

int trash_hide(struct ck_drafts *d, ck_ino parent, const char *name, bool dir, struct ck_error *err)
{
	struct ck_attr attr;
	int rc = ck_tree_lookup(d->tree, parent, name, &attr, err);

	if (rc)
		return rc;
	if (dir)
		rc = check_empty(d, attr.st.st_ino, err);
	if (!rc)
		rc = ck_tree_hide(d->tree, attr.st.st_ino, err);
	ck_tree_forget(d->tree, attr.st.st_ino, 1);
	return rc;
}

static int delete_unit(struct ck_drafts *d, struct unit *u, struct ck_error *err)
{
	int rc = unit_begin(d, u, err);

	if (rc)
		return rc;
	rc = ck_retired_delete(u->tag, u->kind, u->step, err);
	/* What was being added to the step that is no more must not come to another of its number. */
	if (!rc && u->shards && u->kind == CK_DRAFT_STEP && !ck_store_has_model(u->tag, u->step)) {
		draft_set_gone(d, u->shards);
		ck_remove_tree(u->shards->dir);
	}
	unit_end(d, u);
	return rc;
}

int trash_delete(struct ck_drafts *d, ck_ino parent, const struct ck_place *place, const char *name,
		 struct ck_error *err)
{
	struct unit u = { .tag = place->path };
	struct ck_attr attr;
	int rc = ck_tree_lookup(d->tree, parent, name, &attr, err);

	if (rc)
		return rc;
	rc = ck_draft_parse(name, &u.kind, &u.step) ? check_empty(d, attr.st.st_ino, err)
						    : ck_fail(err, CK_ERR_NOENT, "no such name");
	if (!rc) {
		rc = delete_unit(d, &u, err);
		/* Where that failed, all is there as before, and shown. */
		ck_tree_unhide(d->tree, attr.st.st_ino);
		ck_tree_changed(d->tree, attr.st.st_ino);
	}
	ck_tree_forget(d->tree, attr.st.st_ino, 1);
	return rc;
}

int trash_remove(struct ck_drafts *d, ck_ino parent, struct ck_error *err)
{
	struct ck_attr attr;
	int rc = ck_tree_lookup(d->tree, parent, CK_TRASH_NAME, &attr, err);

	if (rc)
		return rc;
	rc = check_empty(d, attr.st.st_ino, err);
	ck_tree_forget(d->tree, attr.st.st_ino, 1);
	return rc;
}
