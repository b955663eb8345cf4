/* The changes of a directory but for rename (core/draft/rename.c): mkdir, unlink, rmdir, fsync; draft.h. */
#include "core/draft/private.h"

#include "core/draft/owner.h"
#include "core/draft/plan.h"
#include "core/draft/publish.h"
#include "core/draft/recover.h"
#include "core/file/real.h"
#include "core/tree/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- mkdir ---- */

static int make_dir(const char *path, mode_t mode, struct ck_owner owner, struct ck_error *err)
{
	if (ck_real_mkdir(path, mode & 0777) < 0)
		return errno == EEXIST ? ck_fail(err, CK_ERR_EXIST, "the name is taken") : ck_fail_sys(err, "mkdir");
	/* MODE is what the writer's umask left of it; ours has no say. */
	return ck_give_made(path, owner.uid, owner.gid, mode, err);
}

/* nanochat makes a source's directory when it first saves there. It and its tags are fsynced at once: publishing relies
   on the way to a tag being on disk. */
static int make_source(const char *source, struct ck_owner owner, struct ck_error *err)
{
	char home[PATH_MAX];
	int rc;

	if (ck_real_mkdir(source, 0777) < 0)
		return errno == EEXIST ? CK_OK : ck_fail_sys(err, "mkdir");
	rc = ck_give_made(source, owner.uid, owner.gid, 0755, err);
	return !rc && ck_path_join(home, source, "..") ? ck_real_sync(home, err) : rc;
}

int where_make(const struct where *w, struct ck_owner owner, struct ck_error *err)
{
	return w->base && w->kind == CK_PLACE_SOURCE ? make_source(w->base, owner, err) : CK_OK;
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
	rc = make_source(source, owner, err);
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
	if (place.kind == CK_PLACE_SOURCE && (name[0] != '.' || !ck_plain_in_source(name)))
		return make_tag(d, parent, place.path, name, mode, owner, out, err);
	if (place.kind == CK_PLACE_TAG && !ck_plain_in_tag(name))
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
 * The kernel asks for a name that it has found. In a directory of the tree, where that is not among the drafts' names and
 * is no ordinary one, it is a published step's.
 */
int draft_or_published(const struct ck_place *place, const char *name, int rc, const struct ck_error *why,
		       struct ck_error *err)
{
	bool plain = place->kind == CK_PLACE_TAG ? ck_plain_in_tag(name) : place->kind == CK_PLACE_SOURCE;

	if (place->kind != CK_PLACE_OTHER && !plain && (rc == CK_ERR_NOENT || (rc == CK_ERR_SYS && why->sys == ENOENT)))
		return ck_fail(err, CK_ERR_PERM, "a published step can't be changed");
	if (rc && err && !err->code)
		*err = *why;
	return rc;
}

int native_may_go(struct ck_drafts *d, const char *name, struct ck_error *err)
{
	int rc;

	if (d->may_delete)
		return CK_OK;
	rc = ck_fail(err, CK_ERR_PERM, "a stored checkpoint is removed or renamed only in a mount with -o delete");
	ck_error_file(err, name);
	/* rm -r asks for every file of the store: a line a second tells as much. */
	if (err && atomic_exchange(&d->refused_at, time(NULL)) != time(NULL))
		draft_say(d, err);
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
	/* It is always there; rm -r goes on. */
	if (!dir && report_is(d, &w, name)) {
		draft_end(w.draft);
		where_put(d, &w);
		return CK_OK;
	}
	if (w.base)
		rc = where_allows(d, parent, &w, name, err);
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

/* A tag goes when it holds nothing but our own working directory, and that no draft and nothing staged. Each directory
   goes by rmdir, so that nothing is lost that somebody makes in it meanwhile. */
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
		rc = draft_publish(d, w.draft, -1, 0, 0, err);
	} else {
		rc = where_path(d, &w, ".", path) ? ck_real_sync(path, err)
						  : ck_fail_long_path(err);
		if (!rc && w.draft->kind != DRAFT_PLAIN)
			rc = draft_sync(d, w.draft, true, err);
	}
	where_put(d, &w);
	return rc;
}
