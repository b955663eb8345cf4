/* Lookup and listing in directories that are written to. Implements a part of dirs.h. */
#include "core/draft/dirs.h"

#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/numbers.h"
#include "core/draft/report.h"
#include "core/draft/table.h"
#include "core/draft/where.h"
#include "core/file/follow.h"
#include "core/file/real.h"
#include "core/tree/list.h"
#include "core/tree/store.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static int lookup_at(struct ck_drafts *d, struct where *w, const char *name, struct ck_attr *out, struct ck_error *err)
{
	char path[PATH_MAX], full[PATH_MAX];
	struct dnode *node;
	uint64_t moves;
	struct stat st;

	if (w->base && !where_is_plain(w, name))
		return ck_fail(err, CK_ERR_NOENT, "no such name");
	if (report_is(d, w, name))
		return report_lookup(d, w, out, err);
	do {
		moves = dnode_moves(d);
		if (!where_path(d, w, name, path) || !where_node_name(d, w, name, full))
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
	root = where_root(d, draft);
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
		if (place.kind >= CK_PLACE_STEP && place.kind != CK_PLACE_OPTIM)
			return ck_fail(err, CK_ERR_NOENT, "no such name");
	}
	rc = where_find(d, parent, NULL, &w, err);
	if (rc)
		return rc;
	rc = lookup_at(d, &w, name, out, err);
	where_put(d, &w);
	return rc;
}

/* Whether the tree lists the thing at PATH in a checkpoints directory: a directory, or a link to one. */
static bool is_tag(const char *path, const char *name, const struct stat *st)
{
	struct stat target;

	if (name[0] == '.')
		return false;
	if (S_ISLNK(st->st_mode))
		return ck_follow_stat(path, &target) == 0 && S_ISDIR(target.st_mode);
	return S_ISDIR(st->st_mode);
}

/* Adds every visible name at W. */
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
		const char *name = names.names[i];

		if (report_is(d, w, name) || (w->base && !where_is_plain(w, name)) || !where_path(d, w, name, path) ||
		    ck_real_stat(path, &st) < 0)
			continue;
		if (!w->base || w->kind != CK_PLACE_SOURCE || !is_tag(path, name, &st))
			rc = ck_dir_add(dir, name, dnode_number(d, &st), st.st_mode & S_IFMT, err);
	}
	ck_names_free(&names);
	return rc ? rc : report_list(d, w, dir, err);
}

static int list_tag(struct ck_drafts *d, const struct ck_place *place, struct ck_dir *dir, struct ck_error *err)
{
	struct ck_names names;
	char path[PATH_MAX];
	struct stat st;
	int rc;

	if (!ck_tree_has_home(d->tree, place->path))
		return CK_OK;
	rc = ck_store_drafts(place->path, &names, err);
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
	/* nanochat's other files in a base directory are listed with options.native alone. */
	if (rc || place.kind > CK_PLACE_TAG || (place.kind == CK_PLACE_BASE && !d->native) ||
	    where_find(d, ino, NULL, &w, err))
		return rc;
	rc = list_at(d, &w, dir, &why);
	/* A checkpoints directory that isn't made yet is shown empty. */
	if (rc && !(rc == CK_ERR_SYS && why.sys == ENOENT)) {
		ck_error_copy(err, &why);
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
