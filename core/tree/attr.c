/* Attributes of what a node shows. Implements attr.h and ck_tree_getattr of tree.h. */
#include "core/tree/attr.h"

#include "core/base/clock.h"
#include "core/pt/forms.h"
#include "core/tree/contain.h"
#include "core/tree/count.h"
#include "core/tree/form.h"
#include "core/tree/history.h"
#include "core/tree/key.h"
#include "core/tree/node.h"
#include "core/tree/node_load.h"
#include "core/tree/there.h"
#include "core/tree/trash.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Files of at least LARGE bytes are best read in blocks of READ_BLOCK. */
#define LARGE (64 << 20)
#define READ_BLOCK (1 << 20)

/* Whether ST, which stat found now, is that of the file that the node stands for. */
static bool is_same(const struct ck_tree *tree, const struct node *n, const struct stat *st)
{
	struct ck_ident ident = tree_ident(tree, st);

	return n->ident.ino == 0 || ck_ident_equal(&ident, &n->ident);
}

void node_saw(struct ck_tree *tree, struct node *n, const struct stat *st)
{
	int64_t now = ck_now_ms();

	pthread_mutex_lock(&tree->lock);
	n->st = *st;
	n->seen_ms = now ? now : 1;
	pthread_mutex_unlock(&tree->lock);
}

int node_stat(struct ck_tree *tree, struct node *n, struct stat *st, struct ck_error *err)
{
	const int64_t fresh_ms = (int64_t)(CK_TIMEOUT_CHANGING * 1000);
	int64_t now = ck_now_ms();
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
		(void)(n->type == NODE_STEP && errno == ENOENT
			       ? ck_fail(&why, CK_ERR_STALE, "the step is no longer there")
			       : ck_fail_sys(&why, "stat"));
	else if (!is_same(tree, n, &found))
		ck_error_set(&why, CK_ERR_STALE, "the file was replaced");
	if (why.code) {
		/* A file that is gone or was replaced keeps the attributes that it had, for programs
		   that still have it open. So does the root: a mount whose store is away can be unmounted. */
		if ((identity || n == tree->root) && seen)
			return CK_OK;
		ck_error_copy(err, &why);
		return (int)why.code;
	}
	*st = found;
	node_saw(tree, n, st);
	return CK_OK;
}

static void fill_file(struct stat *st, uint64_t size)
{
	/* cat and cp read in blocks of this size. From cached pages, one read of 1 MiB costs less than eight of 128
	   KiB, which they take by themselves. For a small file, waiting for the first MiB would cost more. */
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
 * A directory that stands for a stored directory has its whole mode. A directory that stands for a stored file is
 * readable and writable where the file is, and searchable where it is readable. So the mount, not the mode, refuses to
 * change a published step (EPERM), and a copy of the step can be changed and removed.
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

static int attr_of_text(struct ck_tree *tree, struct node *n, struct stat *st, struct ck_error *err)
{
	struct ck_view *text;
	int rc = node_text(tree, n, &text, err);

	if (rc)
		return rc;
	fill_file(st, ck_view_size(text));
	ck_view_unref(text);
	return CK_OK;
}

static int attr_of_link(struct ck_tree *tree, struct node *n, uint32_t local, struct stat *st, struct ck_error *err)
{
	char target[NAME_MAX + 1];
	int rc = ck_tree_readlink(tree, ino_of(n, local), target, sizeof(target), err);

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

	if (!rc && n->type == NODE_STEP && local == LOCAL_OPTIM)
		rc = tree_check_there(tree, n, local, err);
	if (!rc)
		rc = tree_count_subdirs(tree, n, local, st, &subdirs, err);
	if (rc)
		return rc;
	/* Users who may write to the tag may add a shard to its step. */
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
	bool stored = is_checkpoint(n->type);
	char line[768];
	mode_t writable;
	int rc;

	*out = (struct ck_attr){ .entry_timeout = CK_TIMEOUT_CHANGING, .attr_timeout = CK_TIMEOUT_CHANGING };
	rc = n->type == NODE_SOURCE ? stat_source(tree, n, &out->st, err) : node_stat(tree, n, &out->st, err);
	if (rc)
		return rc;
	if (n->type == NODE_TAG && local >= LOCAL_HISTORY) {
		rc = tree_history_attr(tree, n, local, &out->st, err);
		if (!rc)
			fill_file(&out->st, (uint64_t)out->st.st_size);
	} else if (n->type <= NODE_TAG && local != LOCAL_SELF && !(n->type == NODE_TAG && local == LOCAL_TRASH)) {
		rc = attr_of_link(tree, n, local, &out->st, err);
	} else if ((stored || n->type == NODE_META) && local == LOCAL_ERROR) {
		rc = tree_error_text(tree, n, line, sizeof(line), err);
		if (!rc)
			fill_file(&out->st, strlen(line));
	} else if (n->type == NODE_META || n->type == NODE_CUT_FILE) {
		rc = attr_of_text(tree, n, &out->st, err);
	} else if (n->type == NODE_FILE || n->type == NODE_NATIVE || n->type == NODE_HUB) {
		writable = n->type == NODE_NATIVE && !tree->options.read_only ? out->st.st_mode & 0222 : 0;
		fill_file(&out->st, n->ident.size);
		out->st.st_mode |= writable;
	} else if (stored && (local == LOCAL_SELF || local == LOCAL_RAW || local == LOCAL_HF)) {
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
	/* rm asks no question, and what it may do is done. */
	if (node_is_retired(tree, n) && !tree->options.read_only)
		out->st.st_mode |= 0200;
	out->st.st_ino = ino_of(n, local);
	return rc;
}

int ck_tree_getattr(struct ck_tree *tree, ck_ino ino, struct ck_attr *out, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);

	return n ? tree_attr(tree, n, local_of(ino), out, err) : ck_fail(err, CK_ERR_STALE, "unknown inode number");
}
