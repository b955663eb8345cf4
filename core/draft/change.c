#include "core/draft/private.h"

#include "core/draft/owner.h"
#include "core/draft/plan.h"
#include "core/draft/publish.h"
#include "core/draft/recover.h"
#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- mkdir ---- */

static int make_dir(const char *path, mode_t mode, struct ck_owner owner, struct ck_error *err)
{
	if (ck_real_mkdir(path, mode & 0777) < 0)
		return errno == EEXIST ? ck_fail(err, CK_ERR_EXIST, "the name is taken") : ck_fail_sys(err, "mkdir");
	/* MODE is what the writer's umask left of it; ours has no say. */
	return ck_give_made(path, owner.uid, owner.gid, mode, err);
}

static int make_tag(struct ck_drafts *d, ck_ino parent, const char *source, const char *name, mode_t mode,
		    struct ck_owner owner, struct ck_attr *out, struct ck_error *err)
{
	char path[PATH_MAX], home[PATH_MAX];
	int rc;

	if (name[0] == '.' || strcmp(name, "largest") == 0)
		return draft_refuse_tag(d, source, name, err);
	if (!ck_path_join(path, source, name))
		return ck_fail(err, CK_ERR_INVALID, "the path is too long");
	/* nanochat makes a source's directory when it first saves there. Both are fsynced now: publishing
	   relies on the way to a tag being on disk. */
	if (ck_real_mkdir(source, 0777) == 0) {
		rc = ck_give_made(source, owner.uid, owner.gid, 0755, err);
		if (!rc && ck_path_join(home, source, ".."))
			rc = ck_real_sync(home, err);
	} else {
		rc = errno == EEXIST ? CK_OK : ck_fail_sys(err, "mkdir");
	}
	if (!rc)
		rc = make_dir(path, mode, owner, err);
	if (!rc)
		rc = ck_real_sync(source, err);
	return rc ? rc : ck_tree_lookup(d->tree, parent, name, out, err);
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
	/* What we keep beside its files is for those who may write to them. */
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
		rc = where_allows(d, parent, &w, name, err);
		if (!rc)
			rc = where_path(d, &w, name, path) ? make_dir(path, mode, owner, err)
							   : ck_fail(err, CK_ERR_INVALID, "the path is too long");
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
	if (place.kind == CK_PLACE_SOURCE)
		return make_tag(d, parent, place.path, name, mode, owner, out, err);
	if (place.kind == CK_PLACE_TAG)
		return make_draft(d, parent, &place, name, mode, owner, out, err);
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

/* ---- unlink and rmdir ---- */

/*
 * The kernel asks for a name that it has found. In a directory of the tree that is not among the drafts' names, it is a
 * published step's.
 */
static int or_published(ck_ino parent, int rc, const struct ck_error *why, struct ck_error *err)
{
	if (!ck_is_draft(parent) && (rc == CK_ERR_NOENT || (rc == CK_ERR_SYS && why->sys == ENOENT)))
		return ck_fail(err, CK_ERR_PERM, "a published step can't be changed");
	if (rc && err && !err->code)
		*err = *why;
	return rc;
}

/* A file under one of nanochat's own names goes as from a plain directory. */
static int unlink_native(const struct ck_place *place, const char *name, struct ck_error *err)
{
	char path[PATH_MAX];

	if (!ck_path_join(path, place->path, name))
		return ck_fail(err, CK_ERR_INVALID, "the path is too long");
	return ck_real_unlink(path) < 0 ? ck_fail_sys(err, "unlink") : CK_OK;
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
	if (!where_path(d, &w, name, path)) {
		rc = ck_fail(err, CK_ERR_INVALID, "the path is too long");
	} else if (ck_real_stat(path, &st) < 0) {
		rc = ck_fail_sys(err, "stat");
	} else {
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
	if (place.kind == CK_PLACE_TAG && ck_file_name_parse(name, &native))
		return unlink_native(&place, name, err);
	rc = remove_at(d, parent, name, false, &why);
	return or_published(parent, rc, &why, err);
}

/* A draft goes when its directory is empty. */
static int remove_draft(struct ck_drafts *d, const char *tag, enum ck_draft_kind kind, uint64_t step,
			struct ck_error *err)
{
	char path[PATH_MAX];
	struct draft *draft;
	int rc = draft_get(d, tag, kind, step, NULL, &draft, err);

	if (rc)
		return rc;
	rc = ck_lock_hold(draft->tag_lock, false, err);
	if (rc) {
		draft_put(d, draft);
		return rc;
	}
	pthread_rwlock_wrlock(&draft->lock);
	if (!draft_files_path(d, draft, path) || ck_real_rmdir(path) < 0) {
		rc = ck_fail_sys(err, "rmdir");
	} else {
		draft_set_gone(d, draft);
		ck_remove_tree(draft->dir);
	}
	draft_end(draft);
	draft_put(d, draft);
	return rc;
}

/* A tag goes when it holds nothing but our own working directory, and that no draft and nothing staged. Each directory
   goes by rmdir, so that nothing is lost that somebody makes in it meanwhile. */
static int remove_tag(const char *source, const char *name, struct ck_error *err)
{
	char tag[PATH_MAX], home[PATH_MAX], path[PATH_MAX];
	struct ck_names in_tag = { 0 }, in_home = { 0 };
	bool empty;
	int rc;

	if (!ck_path_join(tag, source, name) || !ck_path_join(home, tag, CK_DRAFT_DIR))
		return ck_fail(err, CK_ERR_INVALID, "the path is too long");
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
	return rc ? rc : remove_draft(d, place->path, CK_DRAFT_OPTIM, place->name.step, err);
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
	if (place.kind == CK_PLACE_SOURCE)
		rc = remove_tag(place.path, name, &why);
	else if (place.kind == CK_PLACE_TAG && ck_draft_parse(name, &kind, &step) && kind != CK_DRAFT_OPTIM)
		rc = remove_draft(d, place.path, kind, step, &why);
	else if (place.kind == CK_PLACE_STEP && strcmp(name, "optim") == 0)
		rc = remove_optim(d, &place, &why);
	else
		rc = remove_at(d, parent, name, true, &why);
	return or_published(parent, rc, &why, err);
}

/* ---- rename ---- */

/* Within one draft, as rename(2); then a commit record may have arrived. */
static int rename_at(struct ck_drafts *d, struct where *from, const char *name, struct where *to, const char *new_name,
		     unsigned flags, struct dnode **arrived, struct ck_error *err)
{
	char old_path[PATH_MAX], new_path[PATH_MAX];
	struct ck_error why = CK_ERROR_INIT;
	struct stat moved, replaced;
	struct dnode *node = NULL;

	if (!where_path(d, from, name, old_path) || !where_path(d, to, new_name, new_path))
		return ck_fail(err, CK_ERR_INVALID, "the path is too long");
	if (ck_real_stat(old_path, &moved) < 0)
		return ck_fail_sys(err, "rename");
	if (ck_real_stat(new_path, &replaced) == 0 && replaced.st_ino != moved.st_ino)
		node = dnode_kill(d, &replaced);
	if (ck_real_rename(old_path, new_path, flags) < 0) {
		int rc = ck_fail_sys(err, "rename");

		dnode_revive(d, node);
		dnode_put(d, node);
		return rc;
	}
	dnode_put(d, node);
	dnode_move(d, &moved, to->draft, to->dir, new_name);
	*arrived = dnode_get(d, to->draft, to->dir, new_name, &moved);
	/* The rename is done; without the note the key's place in the order is that of its name. */
	if (draft_note_moved(to->draft, old_path, new_path, &why))
		draft_say(d, &why);
	return CK_OK;
}

/* The temporary name of a staged file becomes one of nanochat's own: checked, and there whole. */
static int rename_staged(struct ck_drafts *d, struct where *w, const char *name, const struct ck_file_name *native,
			 struct ck_error *err)
{
	char path[PATH_MAX];
	struct dnode *node;
	struct stat st;
	int rc;

	if (!where_path(d, w, name, path) || ck_real_stat(path, &st) < 0)
		return ck_fail_sys(err, "rename");
	node = dnode_get(d, w->draft, w->dir, name, &st);
	if (!node)
		return ck_fail_nomem(err);
	/* Whoever has it open still must not change what has been checked. */
	draft_set_published(d, node, true);
	rc = ck_publish_native(w->draft->tag, path, native, err);
	if (!rc)
		dnode_put(d, dnode_kill(d, &st));
	else
		draft_set_published(d, node, false);
	dnode_put(d, node);
	return rc;
}

static int rename_files(struct ck_drafts *d, ck_ino parent, const char *name, ck_ino new_parent, const char *new_name,
			unsigned flags, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct dnode *arrived = NULL;
	struct ck_file_name native;
	struct where from, to;
	int rc = where_find(d, parent, NULL, &from, err);

	if (rc)
		return rc;
	rc = where_find(d, new_parent, NULL, &to, &why);
	/* What isn't there yet is another draft. */
	if (rc && rc != CK_ERR_NOENT) {
		where_put(d, &from);
		if (err && !err->code)
			*err = why;
		return rc;
	}
	rc = CK_OK;
	if (from.draft != to.draft) {
		errno = EXDEV;
		rc = ck_fail_sys(err, "rename");
	} else {
		rc = draft_begin(from.draft, err);
	}
	if (!rc) {
		if (to.draft->kind == DRAFT_STAGED && ck_file_name_parse(new_name, &native)) {
			rc = rename_staged(d, &from, name, &native, err);
		} else {
			rc = where_allows(d, new_parent, &to, new_name, err);
			if (!rc)
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
	int rc = remove_draft(d, place->path, kind, step, &why);

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
		return or_published(parent, rc, &why, err);
	rc = clear_target(d, place, new_name, new_kind, new_step, err);
	if (rc)
		goto out;
	if (kind == CK_DRAFT_PARTIAL && new_kind == CK_DRAFT_STEP && step == new_step) {
		rc = draft_publish(d, draft, -1, 0, err);
		goto out;
	}
	if (!ck_path_join(path, place->path, CK_DRAFT_DIR) || !ck_path_join(path, path, new_name)) {
		rc = ck_fail(err, CK_ERR_INVALID, "the path is too long");
		goto out;
	}
	rc = ck_lock_hold(draft->tag_lock, false, err);
	if (rc)
		goto out;
	pthread_rwlock_wrlock(&draft->lock);
	rc = draft->gone ? ck_fail(err, CK_ERR_STALE, "the draft was published or removed")
			 : draft_move(d, draft, path, new_kind == CK_DRAFT_PARTIAL, new_step, err);
	draft_end(draft);
out:
	draft_put(d, draft);
	return rc;
}

int ck_drafts_rename(struct ck_drafts *d, ck_ino parent, const char *name, ck_ino new_parent, const char *new_name,
		     unsigned flags, struct ck_error *err)
{
	struct ck_place place = { .kind = CK_PLACE_OTHER };
	struct ck_error why = CK_ERROR_INIT;
	struct ck_file_name native;
	enum ck_draft_kind kind;
	uint64_t step;
	int rc = ck_is_draft(parent) ? CK_OK : ck_tree_place(d->tree, parent, &place, err);

	if (rc)
		return rc;
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return ck_fail(err, CK_ERR_INVALID, "only a plain rename, perhaps without replacing");
	if (place.kind == CK_PLACE_TAG && ck_draft_parse(name, &kind, &step)) {
		if (parent == new_parent)
			return rename_draft(d, parent, &place, name, new_name, err);
		errno = EXDEV;
		return ck_fail_sys(err, "rename");
	}
	if (place.kind == CK_PLACE_TAG && ck_file_name_parse(name, &native))
		return ck_fail(err, CK_ERR_PERM, "a published file can't be renamed");
	if (place.kind == CK_PLACE_SOURCE)
		return ck_fail(err, CK_ERR_PERM, "a tag can't be renamed through the mount");
	rc = rename_files(d, parent, name, new_parent, new_name, flags, &why);
	return or_published(parent, rc, &why, err);
}

/* ---- fsync of a directory ---- */

/* Whether fsync of the directory publishes: of a draft's own, or of optim/ of one for shards. */
static bool is_door(struct ck_drafts *d, const struct where *w)
{
	bool door;

	pthread_mutex_lock(&d->lock);
	door = w->draft->kind == CK_DRAFT_OPTIM ||
	       (w->draft->kind == CK_DRAFT_STEP && !w->draft->partial && !w->dir->parent);
	pthread_mutex_unlock(&d->lock);
	return door;
}

int ck_drafts_fsyncdir(struct ck_drafts *d, ck_ino ino, struct ck_error *err)
{
	struct ck_place place;
	char path[PATH_MAX];
	struct where w;
	int rc;

	if (!ck_is_draft(ino)) {
		rc = ck_tree_place(d->tree, ino, &place, err);
		if (rc || place.kind == CK_PLACE_OTHER)
			return rc;
		if (place.kind != CK_PLACE_OPTIM || where_find(d, ino, NULL, &w, NULL))
			return ck_real_sync(place.path, err);
	} else {
		rc = where_find(d, ino, NULL, &w, err);
		if (rc)
			return rc;
	}
	if (is_door(d, &w)) {
		rc = draft_publish(d, w.draft, -1, 0, err);
	} else {
		rc = where_path(d, &w, ".", path) ? ck_real_sync(path, err)
						  : ck_fail(err, CK_ERR_INVALID, "the path is too long");
		if (!rc)
			rc = draft_sync(d, w.draft, true, err);
	}
	where_put(d, &w);
	return rc;
}
