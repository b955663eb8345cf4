/* Where an inode number stands in the store. Implements place.h. */
#include "core/tree/place.h"

#include "core/base/clock.h"
#include "core/file/real.h"
#include "core/tree/contain.h"
#include "core/tree/key.h"
#include "core/tree/node.h"
#include "core/tree/tag.h"
#include "core/tree/there.h"
#include "core/tree/trash.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

int ck_tree_real(const struct ck_tree *tree, char *path, struct ck_error *err) { return tree_real(tree, path, err); }

void ck_tree_wrote(struct ck_tree *tree) { atomic_store(&tree->wrote_ms, ck_now_ms()); }

bool ck_tree_has_home(struct ck_tree *tree, const char *tag) { return tree_has_home(tree, tag); }

int ck_tree_place(struct ck_tree *tree, ck_ino ino, struct ck_place *out, struct ck_error *err)
{
	static const enum ck_place_kind kinds[] = {
		[NODE_BASE] = CK_PLACE_BASE,   [NODE_SOURCE] = CK_PLACE_SOURCE, [NODE_TAG] = CK_PLACE_TAG,
		[NODE_STEP] = CK_PLACE_STEP,   [NODE_META] = CK_PLACE_OTHER,    [NODE_MODEL] = CK_PLACE_OTHER,
		[NODE_OPTIM] = CK_PLACE_OTHER, [NODE_FILE] = CK_PLACE_OTHER,    [NODE_NATIVE] = CK_PLACE_NATIVE,
		[NODE_ALL] = CK_PLACE_OTHER,   [NODE_CUT] = CK_PLACE_OTHER,     [NODE_CUT_FILE] = CK_PLACE_OTHER,
		[NODE_HUB] = CK_PLACE_OTHER,
	};
	struct node *n = node_find(tree, ino);
	int rc;

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	out->kind = kinds[n->type];
	out->name = n->name;
	out->step = ino_of(n, LOCAL_SELF);
	out->path[0] = '\0';
	if (out->kind == CK_PLACE_STEP && local_of(ino) == LOCAL_OPTIM)
		out->kind = CK_PLACE_OPTIM;
	else if (out->kind == CK_PLACE_TAG && local_of(ino) == LOCAL_TRASH)
		out->kind = CK_PLACE_TRASH;
	else if (local_of(ino) != LOCAL_SELF)
		out->kind = CK_PLACE_OTHER;
	if (node_is_retired(tree, n))
		out->kind = CK_PLACE_RETIRED;
	if (out->kind == CK_PLACE_STEP || out->kind == CK_PLACE_OPTIM) {
		rc = tree_check_there(tree, n, local_of(ino), err);
		if (rc)
			return rc;
	}
	if (out->kind == CK_PLACE_BASE || out->kind == CK_PLACE_SOURCE)
		strcpy(out->path, n->path);
	else if (out->kind != CK_PLACE_OTHER && out->kind != CK_PLACE_RETIRED)
		path_of_tag(n, out->path);
	return !out->path[0] ? CK_OK : ck_tree_real(tree, out->path, err);
}

int ck_tree_stored(struct ck_tree *tree, ck_ino ino, char *path, bool *view, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);
	uint32_t local = local_of(ino);

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	*view = n->type >= NODE_STEP && n->type != NODE_NATIVE;
	/* The links are ours. */
	if (!*view && local != LOCAL_SELF)
		return ck_fail(err, CK_ERR_PERM,
			       "expected a file or directory of the store, found a name that is only shown");
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
	/* As if it was seen long ago. For a file that was replaced since, the last look still counts. */
	if (n->seen_ms)
		n->seen_ms = 1;
	pthread_mutex_unlock(&tree->lock);
}

void ck_tree_renamed(struct ck_tree *tree)
{
	pthread_mutex_lock(&tree->lock);
	tree->tag.seen_ms = 0;
	pthread_mutex_unlock(&tree->lock);
}

bool ck_tree_is_replaced(const struct ck_tree *tree)
{
	struct stat st;

	return stat(tree->store, &st) == 0 && (st.st_dev != tree->store_dev || st.st_ino != tree->store_ino);
}
