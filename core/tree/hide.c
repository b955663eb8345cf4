/* What was removed from retired steps. Implements hide.h. */
#include "core/tree/hide.h"

#include "core/tree/key.h"
#include "core/tree/node.h"

#include <limits.h>
#include <string.h>

int ck_tree_hide(struct ck_tree *tree, ck_ino ino, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);
	uint32_t bit = local_bit(local_of(ino));
	bool first, done;

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	pthread_mutex_lock(&tree->lock);
	first = !n->hidden;
	done = node_grow_bits(&n->hidden, &n->hidden_bytes, bit);
	if (done)
		n->hidden[bit / 8] |= (uint8_t)(1u << bit % 8);
	n->refs += done && first;
	pthread_mutex_unlock(&tree->lock);
	return done ? CK_OK : ck_fail_nomem(err);
}

void ck_tree_unhide(struct ck_tree *tree, ck_ino ino)
{
	const struct node *step = node_find(tree, ino);
	char dir[PATH_MAX];

	if (!step)
		return;
	path_of_tag(step, dir);
	strcat(dir, "/");
	node_unhide(tree, dir);
}
