/* Directories of the mount in which something may be written. Implements where.h; begin with where_find(). */
#include "core/draft/where.h"

#include "core/base/text.h"
#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/lock.h"
#include "core/draft/plan_shards.h"
#include "core/draft/table.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/tree/plain.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The draft's own directory as an inode. */
struct dnode *where_root(struct ck_drafts *d, struct draft *draft)
{
	char path[PATH_MAX];
	struct stat st;

	if (!draft_files_path(d, draft, path) || ck_real_stat(path, &st) < 0)
		return NULL;
	return dnode_get(d, draft, NULL, "", &st);
}

static int make_optim(const struct draft *draft, const char *path, struct ck_owner maker, struct ck_error *err)
{
	int rc = ck_lock_hold(draft->tag_lock, false, err);

	if (rc)
		return rc;
	if (ck_real_mkdir(path, 0755) == 0)
		rc = ck_give_made(path, maker.uid, maker.gid, 0755, err);
	else if (errno != EEXIST)
		rc = ck_fail_sys(err, "mkdir");
	ck_lock_drop(draft->tag_lock);
	return rc;
}

/* The directory optim/ of a draft for a published step's shards. */
int shards_find(struct ck_drafts *d, const struct ck_place *place, const struct ck_owner *maker, struct where *w,
		struct ck_error *err)
{
	char path[PATH_MAX];
	struct dnode *root;
	struct stat st;
	int rc = maker ? ck_tree_check_uncut(d->tree, place->path, place->name.step, err) : CK_OK;

	*w = (struct where){ 0 };
	if (rc)
		return rc;
	rc = draft_get(d, place->path, CK_DRAFT_OPTIM, place->name.step, maker, &w->draft, err);
	if (rc)
		return rc;
	atomic_store(&w->draft->within, place->step);
	root = where_root(d, w->draft);
	if (root && dnode_path(d, root, "optim", path)) {
		if (maker)
			rc = make_optim(w->draft, path, *maker, err);
		if (!rc && ck_real_stat(path, &st) == 0)
			w->dir = dnode_get(d, w->draft, root, "optim", &st);
	}
	dnode_put(d, root);
	if (w->dir)
		return CK_OK;
	draft_put(d, w->draft);
	return rc ? rc : ck_fail(err, CK_ERR_NOENT, "no shards are being written");
}

static int find_in_draft(struct ck_drafts *d, ck_ino ino, struct where *w, struct ck_error *err)
{
	w->dir = dnode_find(d, ino);
	if (!w->dir)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	if (w->dir->dead || w->dir->draft->gone) {
		dnode_put(d, w->dir);
		return ck_fail(err, CK_ERR_STALE, "the directory is gone");
	}
	w->draft = w->dir->draft;
	pthread_mutex_lock(&d->lock);
	w->draft->refs++;
	pthread_mutex_unlock(&d->lock);
	return CK_OK;
}

/* The base, a checkpoints or a tag's directory, for the ordinary files in it. */
static int find_plain(struct ck_drafts *d, const struct ck_place *place, struct where *w, struct ck_error *err)
{
	int rc;

	w->kind = place->kind;
	w->base = strdup(place->path);
	if (!w->base)
		return ck_fail_nomem(err);
	rc = draft_get_plain(d, &w->draft, err);
	if (rc)
		where_put(d, w);
	return rc;
}

int where_find(struct ck_drafts *d, ck_ino ino, const struct ck_owner *maker, struct where *out, struct ck_error *err)
{
	struct ck_place place;
	int rc;

	*out = (struct where){ 0 };
	if (ck_is_draft(ino))
		return find_in_draft(d, ino, out, err);
	rc = ck_tree_place(d->tree, ino, &place, err);
	if (rc)
		return rc;
	if (place.kind == CK_PLACE_OPTIM)
		return shards_find(d, &place, maker, out, err);
	if (place.kind <= CK_PLACE_TAG)
		return find_plain(d, &place, out, err);
	return ck_fail(err, CK_ERR_PERM, "a published step can't be changed");
}

void where_put(struct ck_drafts *d, struct where *w)
{
	dnode_put(d, w->dir);
	if (w->draft)
		draft_put(d, w->draft);
	free(w->base);
	*w = (struct where){ 0 };
}

bool where_path(struct ck_drafts *d, const struct where *w, const char *name, char *path)
{
	char base[PATH_MAX];

	if (w->dir)
		return dnode_path(d, w->dir, name, path);
	if (w->base)
		return ck_path_join(path, w->base, name);
	return draft_files_path(d, w->draft, base) && ck_path_join(path, base, name);
}

/* The name that the inode of NAME at W has: an ordinary file in one of the tree's directories has its path for a name.
   */
bool where_node_name(struct ck_drafts *d, const struct where *w, const char *name, char *out)
{
	if (!w->base)
		return strlen(name) < PATH_MAX && strcpy(out, name);
	if (!where_path(d, w, name, out))
		return false;
	memmove(out, out + 1, strlen(out));
	return true;
}

struct dnode *where_node(struct ck_drafts *d, const struct where *w, const char *name, const struct stat *st)
{
	char full[PATH_MAX];

	return where_node_name(d, w, name, full) ? dnode_get(d, w->draft, w->dir, full, st) : NULL;
}

bool where_moved(struct ck_drafts *d, const struct where *w, const char *name, const struct stat *st)
{
	char full[PATH_MAX];

	if (!where_node_name(d, w, name, full))
		return false;
	dnode_move(d, st, w->draft, w->dir, full);
	return true;
}

/* A name that a program gives to what it will rename: it begins with a dot, or ends as such names do. */
bool where_is_temporary(const char *name)
{
	static const char *const ends[] = { "~", ".temp", ".part", ".swp" };
	/* Python's tempfile and sed -i begin theirs like that. */
	bool is = name[0] == '.' || strstr(name, ".tmp") || strncmp(name, "tmp", 3) == 0 ||
		  strncmp(name, "sed", 3) == 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends) && !is; i++)
		is = ck_ends_with(name, ends[i]);
	return is;
}

/* Whether NAME at W, one of the tree's directories, is an ordinary one of the store's. */
bool where_is_plain(const struct where *w, const char *name)
{
	return ck_plain_name((enum ck_level)w->kind, name);
}

int where_allows(struct ck_drafts *d, ck_ino ino, const struct where *w, const char *name, struct ck_error *err)
{
	struct ck_attr attr;
	uint64_t rank;
	size_t len;
	char stem[32];

	if (w->base && !where_is_plain(w, name))
		return ck_fail(err, CK_ERR_PERM, "'%.64s' is a name of the mount's own, or almost a step's", name);
	if (ck_is_draft(ino) || w->draft->kind != CK_DRAFT_OPTIM || where_is_temporary(name))
		return CK_OK;
	if (ck_plan_is_shown(name))
		return CK_OK;
	if (!ck_rank_parse(name, &rank, &len))
		return ck_fail(err, CK_ERR_PERM, "optim/ of a published step takes rankN/, rankN.json and rankN.pt");
	snprintf(stem, sizeof(stem), "rank%llu.pt", (unsigned long long)rank);
	if (ck_tree_lookup(d->tree, ino, stem, &attr, NULL))
		return CK_OK;
	ck_tree_forget(d->tree, attr.st.st_ino, 1);
	return ck_fail(err, CK_ERR_PERM, "a published shard can't be changed");
}

/* nanochat makes a source's directory when it first saves there. It and its tags are fsynced at once: publishing relies
   on the way to a tag being on disk. */
int where_make_source(const char *source, struct ck_owner owner, struct ck_error *err)
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
	return w->base && w->kind == CK_PLACE_SOURCE ? where_make_source(w->base, owner, err) : CK_OK;
}
