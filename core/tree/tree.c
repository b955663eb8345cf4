#include "core/tree/private.h"

#include "core/base/keyname.h"
#include "core/file/real.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Files of at least LARGE bytes are best read in blocks of READ_BLOCK. */
#define LARGE (64 << 20)
#define READ_BLOCK (1 << 20)

int ck_tree_new(const struct ck_tree_options *options, struct ck_tree **out, struct ck_error *err)
{
	static const enum node_type types[] = {
		[CK_LEVEL_BASE] = NODE_BASE, [CK_LEVEL_SOURCE] = NODE_SOURCE, [CK_LEVEL_TAG] = NODE_TAG};
	struct node_key key = { .type = types[options->level], .path = options->store, .parent = CK_ROOT_INO };
	struct ck_tree *tree = calloc(1, sizeof(*tree));
	struct stat st;

	if (!tree)
		return ck_fail_nomem(err);
	if (stat(options->store, &st) == 0) {
		tree->store_dev = st.st_dev;
		tree->store_ino = st.st_ino;
	}
	tree->options = *options;
	tree->store = strdup(options->store);
	tree->moves = ck_moves_new();
	tree->root = tree->store && tree->moves ? node_root(tree, &key) : NULL;
	if (!tree->root) {
		ck_moves_free(tree->moves);
		free(tree->buckets);
		free(tree->store);
		free(tree);
		return ck_fail_nomem(err);
	}
	pthread_mutex_init(&tree->lock, NULL);
	pthread_cond_init(&tree->loaded, NULL);
	*out = tree;
	return CK_OK;
}

void ck_tree_free(struct ck_tree *tree)
{
	if (!tree)
		return;
	node_table_free(tree);
	free(tree->sharded.tag);
	free(tree->sharded.steps);
	pthread_cond_destroy(&tree->loaded);
	pthread_mutex_destroy(&tree->lock);
	free(tree->store);
	ck_moves_free(tree->moves);
	free(tree);
}

void ck_tree_forget(struct ck_tree *tree, ck_ino ino, uint64_t count)
{
	struct node *n = node_find(tree, ino);

	if (n)
		node_put(tree, n, count);
}

int64_t tree_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t ck_tree_thing(struct ck_tree *tree, ck_ino ino, const char *name)
{
	const struct node *n = node_find(tree, ino);

	/* Whatever a stored file is shown as waits for that file. */
	if (!n || n->type > NODE_STEP)
		return n ? n->base : ino;
	return name ? ck_hash(name, strlen(name), ino) : ino;
}

void ck_tree_tidy(struct ck_tree *tree)
{
	if (node_drop_unused(tree, CACHE_MS))
		malloc_trim(0);
}

/* ---- attributes ---- */

/* Whether what stat found now is what the node stands for. */
static bool is_same(const struct ck_tree *tree, const struct node *n, const struct stat *st)
{
	struct ck_ident ident = tree_ident(tree, st);

	return n->ident.ino == 0 || ck_ident_equal(&ident, &n->ident);
}

int node_stat(struct ck_tree *tree, struct node *n, struct stat *st, struct ck_error *err)
{
	const int64_t fresh_ms = (int64_t)(CK_TIMEOUT_CHANGING * 1000);
	int64_t now = tree_now_ms();
	bool identity = n->ident.ino != 0;
	struct stat found = { 0 };      /* no file's */
	struct ck_error why = CK_ERROR_INIT;
	int64_t seen;

	pthread_mutex_lock(&tree->lock);
	*st = n->st;
	seen = n->seen_ms;
	pthread_mutex_unlock(&tree->lock);
	/* A directory's times change with what this mount makes in it, and rsync looks at once. */
	if (seen && now - seen < fresh_ms && n->type >= NODE_STEP)
		return CK_OK;
	if (tree_stat(tree, n->path, &found) < 0 && !(identity && errno == ENOENT))
		ck_fail_sys(&why, "stat");
	else if (!is_same(tree, n, &found))
		ck_error_set(&why, CK_ERR_STALE, "the file was replaced");
	if (why.code) {
		/* A file that is gone or was replaced keeps, for whoever still holds it, the
		   attributes that it had. So does the root: a mount whose store is away can be unmounted. */
		if ((identity || n == tree->root) && seen)
			return CK_OK;
		if (err && !err->code)
			*err = why;
		return (int)why.code;
	}
	*st = found;
	pthread_mutex_lock(&tree->lock);
	n->st = found;
	n->seen_ms = now ? now : 1;
	pthread_mutex_unlock(&tree->lock);
	return CK_OK;
}

static void fill_file(struct stat *st, uint64_t size)
{
	/* cat and cp read in blocks of this size, as network file systems have them. Of pages that are
	   cached one of 1 MiB costs less than the eight that they take by themselves; for a small file
	   to wait for its first MiB costs more. */
	if (size >= LARGE)
		st->st_blksize = READ_BLOCK;
	st->st_mode = S_IFREG | (st->st_mode & 0444);
	st->st_nlink = 1;
	st->st_rdev = 0;
	if ((uint64_t)st->st_size != size) {
		st->st_size = (off_t)size;
		st->st_blocks = (blkcnt_t)((size + 511) / 512);
	}
}

/*
 * A directory that stands for a stored one has its whole mode; one that stands for a stored file is
 * readable and writable where the file is, and searchable where it is readable. That a published step
 * refuses changes is then ours to say (EPERM), and a copy of it can be changed and removed.
 */
static void fill_dir(const struct ck_tree *tree, struct stat *st, nlink_t subdirs)
{
	mode_t mode = st->st_mode & 07777;

	if (!S_ISDIR(st->st_mode)) {
		mode = (mode & 0666) | (mode & 0444) >> 2;
		if (tree->options.read_only)
			mode &= 0555;
	}
	st->st_mode = S_IFDIR | mode;
	st->st_nlink = 2 + subdirs;
	st->st_size = 0;
	st->st_blocks = 0;
	st->st_rdev = 0;
}

static void fill_link(struct stat *st, size_t size)
{
	st->st_mode = S_IFLNK | 0777;
	st->st_nlink = 1;
	st->st_size = (off_t)size;
	st->st_blocks = 0;
	st->st_rdev = 0;
}

int tree_form_of(struct ck_tree *tree, struct node *n, uint32_t local, struct ck_checkpoint **out, enum ck_form *form,
		 size_t *i, struct ck_error *err)
{
	static const enum ck_form forms[] = {
		[LOCAL_SAFETENSORS] = CK_FORM_SAFETENSORS, [LOCAL_TSV] = CK_FORM_TSV, [LOCAL_OUTLINE] = CK_FORM_OUTLINE,
	};
	int rc = node_checkpoint(tree, n, out, err);

	if (rc)
		return rc;
	*i = 0;
	if (local < LOCAL_NPY_0) {
		*form = forms[local];
		return CK_OK;
	}
	*form = local < LOCAL_RAW_0 ? CK_FORM_NPY : CK_FORM_RAW;
	*i = local - (local < LOCAL_RAW_0 ? LOCAL_NPY_0 : LOCAL_RAW_0);
	if (*i < ck_checkpoint_count(*out) && !(*form == CK_FORM_RAW && ck_checkpoint_tensor(*out, *i)->unshown))
		return CK_OK;
	ck_checkpoint_unref(*out);
	return ck_fail(err, CK_ERR_STALE, "no such tensor");
}

static int attr_of_stored(struct ck_tree *tree, struct node *n, uint32_t local, struct stat *st, struct ck_error *err)
{
	struct ck_checkpoint *c;
	enum ck_form form;
	uint64_t size;
	size_t i;
	int rc = tree_form_of(tree, n, local, &c, &form, &i, err);

	if (rc)
		return rc;
	rc = ck_checkpoint_size(c, form, i, &size, err);
	if (!rc)
		fill_file(st, size);
	ck_checkpoint_unref(c);
	return rc;
}

int tree_error_text(struct ck_tree *tree, struct node *n, char *line, size_t size, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	struct ck_view *text = NULL;
	int rc;

	rc = n->type == NODE_META ? node_text(tree, n, &text, &why) : node_checkpoint(tree, n, &c, &why);
	ck_view_unref(text);
	ck_checkpoint_unref(c);
	if (!rc || !node_error_is_shown(&why))
		return ck_fail(err, rc ? (enum ck_code)rc : CK_ERR_NOENT, "no error to show");
	ck_error_line(&why, line, size - 1);
	strcat(line, "\n");
	return CK_OK;
}

static int attr_of_meta(struct ck_tree *tree, struct node *n, struct stat *st, struct ck_error *err)
{
	struct ck_view *text;
	int rc = node_text(tree, n, &text, err);

	if (rc)
		return rc;
	fill_file(st, ck_view_size(text));
	ck_view_unref(text);
	return CK_OK;
}

static int attr_of_link(struct ck_tree *tree, struct node *n, struct stat *st, struct ck_error *err)
{
	char target[NAME_MAX + 1];
	int rc = ck_tree_readlink(tree, ino_of(n, LOCAL_LINK), target, sizeof(target), err);

	if (!rc)
		fill_link(st, strlen(target));
	return rc;
}

/* A source that nanochat hasn't made yet is shown empty, with the attributes of the store. */
static int stat_source(struct ck_tree *tree, struct node *n, struct stat *st, struct ck_error *err)
{
	int rc = node_stat(tree, n, st, NULL);

	return rc && n != tree->root ? node_stat(tree, tree->root, st, err) : rc ? node_stat(tree, n, st, err) : CK_OK;
}

static int attr_of_dir(struct ck_tree *tree, struct node *n, uint32_t local, struct stat *st, struct ck_error *err)
{
	char path[PATH_MAX];
	struct stat tag;
	nlink_t subdirs;
	int rc = tree_check_inside(tree, n, err);

	if (!rc)
		rc = tree_count_subdirs(tree, n, local, &subdirs, err);
	if (rc)
		return rc;
	/* Who may write to the tag may add a shard to its step. */
	if (n->type == NODE_STEP) {
		path_of_tag(n, path);
		if (tree_stat(tree, path, &tag) == 0 && S_ISDIR(tag.st_mode))
			st->st_mode = tag.st_mode;
	}
	fill_dir(tree, st, subdirs);
	return CK_OK;
}

int tree_attr(struct ck_tree *tree, struct node *n, uint32_t local, struct ck_attr *out, struct ck_error *err)
{
	bool stored = n->type == NODE_MODEL || n->type == NODE_OPTIM;
	char line[768];
	mode_t writable;
	int rc;

	*out = (struct ck_attr){ .entry_timeout = CK_TIMEOUT_CHANGING, .attr_timeout = CK_TIMEOUT_CHANGING };
	rc = n->type == NODE_SOURCE ? stat_source(tree, n, &out->st, err) : node_stat(tree, n, &out->st, err);
	if (rc)
		return rc;
	if ((n->type == NODE_SOURCE || n->type == NODE_TAG) && local == LOCAL_LINK) {
		rc = attr_of_link(tree, n, &out->st, err);
	} else if ((stored || n->type == NODE_META) && local == LOCAL_ERROR) {
		rc = tree_error_text(tree, n, line, sizeof(line), err);
		if (!rc)
			fill_file(&out->st, strlen(line));
	} else if (n->type == NODE_META) {
		rc = attr_of_meta(tree, n, &out->st, err);
	} else if (n->type == NODE_FILE || n->type == NODE_NATIVE) {
		writable = n->type == NODE_NATIVE && !tree->options.read_only ? out->st.st_mode & 0222 : 0;
		fill_file(&out->st, n->ident.size);
		out->st.st_mode |= writable;
	} else if (stored && (local == LOCAL_SELF || local == LOCAL_RAW)) {
		fill_dir(tree, &out->st, 0);
	} else if (stored) {
		/* The names in model/ are those of one file's tensors: they never change while the
		   directory is the same. */
		if (local >= LOCAL_NPY_0 && !node_is_young(n))
			out->entry_timeout = CK_TIMEOUT_FIXED;
		rc = attr_of_stored(tree, n, local, &out->st, err);
	} else {
		rc = attr_of_dir(tree, n, local, &out->st, err);
	}
	out->st.st_ino = ino_of(n, local);
	return rc;
}

int ck_tree_getattr(struct ck_tree *tree, ck_ino ino, struct ck_attr *out, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);

	return n ? tree_attr(tree, n, local_of(ino), out, err) : ck_fail(err, CK_ERR_STALE, "unknown inode number");
}

int ck_tree_place(struct ck_tree *tree, ck_ino ino, struct ck_place *out, struct ck_error *err)
{
	static const enum ck_place_kind kinds[] = {
		[NODE_BASE] = CK_PLACE_OTHER,  [NODE_SOURCE] = CK_PLACE_SOURCE, [NODE_TAG] = CK_PLACE_TAG,
		[NODE_STEP] = CK_PLACE_STEP,   [NODE_META] = CK_PLACE_OTHER,    [NODE_MODEL] = CK_PLACE_OTHER,
		[NODE_OPTIM] = CK_PLACE_OTHER, [NODE_FILE] = CK_PLACE_OTHER,    [NODE_NATIVE] = CK_PLACE_NATIVE,
	};
	struct node *n = node_find(tree, ino);

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	out->kind = kinds[n->type];
	out->name = n->name;
	out->step = ino_of(n, LOCAL_SELF);
	out->path[0] = '\0';
	if (out->kind == CK_PLACE_STEP && local_of(ino) == LOCAL_OPTIM)
		out->kind = CK_PLACE_OPTIM;
	else if (local_of(ino) != LOCAL_SELF)
		out->kind = CK_PLACE_OTHER;
	if (out->kind == CK_PLACE_SOURCE)
		strcpy(out->path, n->path);
	else if (out->kind != CK_PLACE_OTHER)
		path_of_tag(n, out->path);
	return out->kind == CK_PLACE_OTHER ? CK_OK : ck_tree_real(tree, out->path, err);
}

struct ck_ident tree_ident(const struct ck_tree *tree, const struct stat *st)
{
	struct ck_ident ident = ck_ident_of(st);

	ck_moves_ident(tree->moves, &ident);
	return ident;
}

int ck_tree_stored(struct ck_tree *tree, ck_ino ino, char *path, bool *view, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);
	uint32_t local = local_of(ino);

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	*view = n->type >= NODE_STEP && n->type != NODE_NATIVE;
	/* The base's sources are ours, and so are the links. */
	if (n->type == NODE_BASE || (!*view && local != LOCAL_SELF))
		return ck_fail(err, CK_ERR_PERM, "it stands for no file or directory of the store");
	strcpy(path, n->path);
	return ck_tree_real(tree, path, err);
}

int ck_tree_utimens(struct ck_tree *tree, const char *path, const struct timespec times[2])
{
	struct stat was, now;
	int rc, error;

	ck_moves_begin(tree->moves);
	rc = ck_real_stat(path, &was);
	if (rc == 0)
		rc = ck_real_utimens(path, times);
	error = errno;
	ck_moves_end(tree->moves, &was, rc == 0 && ck_real_stat(path, &now) == 0 ? &now : NULL);
	errno = error;
	return rc;
}

void ck_tree_changed(struct ck_tree *tree, ck_ino ino)
{
	struct node *n = node_find(tree, ino);

	if (!n)
		return;
	pthread_mutex_lock(&tree->lock);
	/* Long ago. Of a file that was replaced meanwhile the last look still counts. */
	if (n->seen_ms)
		n->seen_ms = 1;
	pthread_mutex_unlock(&tree->lock);
}

int ck_tree_statfs(struct ck_tree *tree, struct statvfs *out, struct ck_error *err)
{
	return statvfs(tree->store, out) < 0 ? ck_fail_sys(err, "statvfs") : CK_OK;
}

bool ck_tree_is_replaced(const struct ck_tree *tree)
{
	struct stat st;

	return stat(tree->store, &st) == 0 && (st.st_dev != tree->store_dev || st.st_ino != tree->store_ino);
}
