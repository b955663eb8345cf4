#include "core/draft/private.h"

#include "core/draft/plan.h"
#include "core/draft/owner.h"
#include "core/file/real.h"
#include "core/tree/plain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- places ---- */

/* The draft's own directory as an inode. */
static struct dnode *root_of(struct ck_drafts *d, struct draft *draft)
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
int shards_find(struct ck_drafts *d, const struct ck_place *place, const struct ck_owner *maker, struct where *w, struct ck_error *err)
{
	char path[PATH_MAX];
	struct dnode *root;
	struct stat st;
	int rc;

	*w = (struct where){ 0 };
	rc = draft_get(d, place->path, CK_DRAFT_OPTIM, place->name.step, maker, &w->draft, err);
	if (rc)
		return rc;
	atomic_store(&w->draft->within, place->step);
	root = root_of(d, w->draft);
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

/* A tag's or a checkpoints directory, for the ordinary files in it. */
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
	if (place.kind == CK_PLACE_TAG || place.kind == CK_PLACE_SOURCE)
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

/* What the inode of NAME at W is called: an ordinary file in one of the tree's directories has its path for a name. */
static bool node_name(struct ck_drafts *d, const struct where *w, const char *name, char *out)
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

	return node_name(d, w, name, full) ? dnode_get(d, w->draft, w->dir, full, st) : NULL;
}

bool where_moved(struct ck_drafts *d, const struct where *w, const char *name, const struct stat *st)
{
	char full[PATH_MAX];

	if (!node_name(d, w, name, full))
		return false;
	dnode_move(d, st, w->draft, w->dir, full);
	return true;
}

/* A name that a program gives to what it will rename: it begins with a dot, or ends as such names do. */
static bool is_temporary(const char *name)
{
	static const char *const ends[] = { "~", ".tmp", ".temp", ".part", ".swp" };
	size_t len = strlen(name), end;

	if (name[0] == '.')
		return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		end = strlen(ends[i]);
		if (len > end && strcmp(name + len - end, ends[i]) == 0)
			return true;
	}
	return false;
}

/* Whether NAME at W, one of the tree's directories, is an ordinary one of the store's. */
static bool is_plain(const struct where *w, const char *name)
{
	return w->kind == CK_PLACE_TAG ? ck_plain_in_tag(name) : ck_plain_in_source(name);
}

int where_allows(struct ck_drafts *d, ck_ino ino, const struct where *w, const char *name, struct ck_error *err)
{
	struct ck_attr attr;
	uint64_t rank;
	size_t len;
	char stem[32];

	if (w->base && !is_plain(w, name))
		return ck_fail(err, CK_ERR_PERM, "'%.64s' is a name of the mount's own, or almost a step's", name);
	if (ck_is_draft(ino) || w->draft->kind != CK_DRAFT_OPTIM || is_temporary(name))
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

/* ---- lookup and listing ---- */

static int lookup_at(struct ck_drafts *d, struct where *w, const char *name, struct ck_attr *out, struct ck_error *err)
{
	char path[PATH_MAX], full[PATH_MAX];
	struct dnode *node;
	uint64_t moves;
	struct stat st;

	if (w->base && !is_plain(w, name))
		return ck_fail(err, CK_ERR_NOENT, "no such name");
	if (report_is(d, w, name))
		return report_lookup(d, w, out, err);
	do {
		moves = dnode_moves(d);
		if (!where_path(d, w, name, path) || !node_name(d, w, name, full))
			return ck_fail_long_path(err);
		if (ck_real_stat(path, &st) < 0)
			return errno == ENOENT ? ck_fail(err, CK_ERR_NOENT, "no such name") : ck_fail_sys(err, "stat");
		node = dnode_get_unmoved(d, w->draft, w->dir, full, &st, moves);
	} while (!node && dnode_moves(d) != moves);
	if (!node)
		return ck_fail_nomem(err);
	dnode_look_up(d, node);
	dnode_attr(d, node, &st, out);
	dnode_put(d, node);
	return CK_OK;
}

/* The entrance of a draft: its own directory, or optim/ of one for shards. */
static int lookup_entrance(struct ck_drafts *d, struct dnode *node, struct ck_attr *out, struct ck_error *err)
{
	char path[PATH_MAX];
	struct stat st;

	if (!node || !dnode_path(d, node, NULL, path) || ck_real_stat(path, &st) < 0)
		return ck_fail(err, CK_ERR_NOENT, "no such draft");
	dnode_look_up(d, node);
	dnode_attr(d, node, &st, out);
	out->entry_timeout = 0;
	return CK_OK;
}

static int lookup_draft(struct ck_drafts *d, ck_ino parent, const char *tag, enum ck_draft_kind kind, uint64_t step,
			struct ck_attr *out, struct ck_error *err)
{
	struct draft *draft;
	struct dnode *root;
	int rc = draft_get(d, tag, kind, step, NULL, &draft, err);

	if (rc)
		return rc;
	atomic_store(&draft->within, parent);
	root = root_of(d, draft);
	rc = lookup_entrance(d, root, out, err);
	dnode_put(d, root);
	draft_put(d, draft);
	return rc;
}

int ck_drafts_lookup(struct ck_drafts *d, ck_ino parent, const char *name, struct ck_attr *out, struct ck_error *err)
{
	enum ck_draft_kind kind;
	struct ck_place place;
	struct where w;
	uint64_t step;
	int rc;

	out->entry_timeout = 0;
	if (!ck_is_draft(parent)) {
		rc = ck_tree_place(d->tree, parent, &place, err);
		if (rc)
			return rc;
		if (place.kind == CK_PLACE_TAG && ck_draft_parse(name, &kind, &step) && kind != CK_DRAFT_OPTIM)
			return lookup_draft(d, parent, place.path, kind, step, out, err);
		if (place.kind == CK_PLACE_STEP && strcmp(name, "optim") == 0) {
			rc = shards_find(d, &place, NULL, &w, err);
			if (rc)
				return rc;
			rc = lookup_entrance(d, w.dir, out, err);
			where_put(d, &w);
			return rc;
		}
		if (place.kind == CK_PLACE_OTHER || place.kind == CK_PLACE_STEP)
			return ck_fail(err, CK_ERR_NOENT, "no such name");
	}
	rc = where_find(d, parent, NULL, &w, err);
	if (rc)
		return rc;
	rc = lookup_at(d, &w, name, out, err);
	where_put(d, &w);
	return rc;
}

/* Whether the tree lists what is at PATH, in a checkpoints directory: directories, and links to one. */
static bool is_tag(const char *path, const char *name, const struct stat *st)
{
	struct stat target;

	return name[0] != '.' &&
	       (S_ISDIR(st->st_mode) || (S_ISLNK(st->st_mode) && stat(path, &target) == 0 && S_ISDIR(target.st_mode)));
}

/* Every name at W that is to be seen. */
static int list_at(struct ck_drafts *d, const struct where *w, struct ck_dir *dir, struct ck_error *err)
{
	char path[PATH_MAX], base[PATH_MAX];
	struct ck_names names;
	struct stat st;
	int rc;

	if (!where_path(d, w, ".", base))
		return ck_fail_long_path(err);
	rc = ck_list_real_dir(base, &names, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < names.count && !rc; i++) {
		if (report_is(d, w, names.names[i]) || (w->base && !is_plain(w, names.names[i])) || !where_path(d, w, names.names[i], path) ||
		    ck_real_stat(path, &st) < 0 || (w->base && w->kind == CK_PLACE_SOURCE && is_tag(path, names.names[i], &st)))
			continue;
		rc = ck_dir_add(dir, names.names[i], dnode_number(d, &st), st.st_mode & S_IFMT, err);
	}
	ck_names_free(&names);
	return rc ? rc : report_list(d, w, dir, err);
}

static int list_tag(struct ck_drafts *d, const struct ck_place *place, struct ck_dir *dir, struct ck_error *err)
{
	struct ck_names names;
	char path[PATH_MAX];
	struct stat st;
	int rc = ck_store_drafts(place->path, &names, err);

	for (size_t i = 0; !rc && i < names.count; i++)
		if (ck_path_join(path, place->path, CK_DRAFT_DIR) && ck_path_join(path, path, names.names[i]) &&
		    ck_path_join(path, path, "files") && ck_real_stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			rc = ck_dir_add(dir, names.names[i], dnode_number(d, &st), S_IFDIR, err);
	if (!rc)
		ck_names_free(&names);
	return rc;
}

static int list_shards(struct ck_drafts *d, const struct ck_place *place, bool entrance, struct ck_dir *dir,
		       struct ck_error *err)
{
	struct ck_dirent seen;
	struct where w;
	int rc;

	/* A step with published shards lists optim/ itself. */
	for (uint64_t i = 0; entrance && ck_dir_entry(dir, i, &seen); i++)
		if (strcmp(seen.name, "optim") == 0)
			return CK_OK;
	if (shards_find(d, place, NULL, &w, NULL))
		return CK_OK;
	rc = entrance ? ck_dir_add(dir, "optim", w.dir->ino, S_IFDIR, err) : list_at(d, &w, dir, err);
	where_put(d, &w);
	return rc;
}

int ck_drafts_list(struct ck_drafts *d, ck_ino ino, struct ck_dir *dir, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_place place;
	struct where w;
	int rc = ck_tree_place(d->tree, ino, &place, err);

	if (rc)
		return rc;
	if (place.kind == CK_PLACE_STEP || place.kind == CK_PLACE_OPTIM)
		return list_shards(d, &place, place.kind == CK_PLACE_STEP, dir, err);
	if (place.kind == CK_PLACE_TAG)
		rc = list_tag(d, &place, dir, err);
	if (rc || place.kind == CK_PLACE_OTHER || where_find(d, ino, NULL, &w, err))
		return rc;
	rc = list_at(d, &w, dir, &why);
	/* A checkpoints directory that isn't made yet is shown empty. */
	if (rc && !(rc == CK_ERR_SYS && why.sys == ENOENT)) {
		if (err && !err->code)
			*err = why;
	} else {
		rc = CK_OK;
	}
	where_put(d, &w);
	return rc;
}

int ck_drafts_opendir(struct ck_drafts *d, ck_ino ino, struct ck_dir **out, struct ck_error *err)
{
	struct where w;
	ck_ino parent;
	int rc = where_find(d, ino, NULL, &w, err);

	if (rc)
		return rc;
	parent = w.dir ? dnode_parent_number(d, w.dir) : 0;
	rc = ck_dir_new(ino, parent ? parent : CK_ROOT_INO, out, err);
	if (!rc) {
		rc = list_at(d, &w, *out, err);
		if (rc)
			ck_dir_close(*out);
	}
	where_put(d, &w);
	return rc;
}
