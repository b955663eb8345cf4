/* A tree from its beginning to its end, and what is asked of it as a whole. Implements a part of tree.h: lookup.c,
 * attr.c, open.c, choice.c and xattr.c have the rest. */
#include "core/tree/tree.h"

#include "core/base/hash.h"
#include "core/base/keyname.h"
#include "core/tree/cut.h"
#include "core/tree/history.h"
#include "core/tree/joined.h"
#include "core/tree/node.h"
#include "core/tree/private.h"
#include "core/tree/shown.h"
#include "core/tree/tag.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

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
	tree->load_joined = joined_load;
	pthread_mutex_init(&tree->lock, NULL);
	pthread_cond_init(&tree->loaded, NULL);
	*out = tree;
	return CK_OK;
}

void ck_tree_free(struct ck_tree *tree)
{
	if (!tree)
		return;
	node_wait_for_threads(tree);
	node_table_free(tree);
	tree_forget_coming(tree);
	tree_history_free(tree);
	tree_forget_tag(tree);
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

uint64_t ck_tree_thing(struct ck_tree *tree, ck_ino ino, const char *name)
{
	const struct node *n = node_find(tree, ino);

	/* Every view of a stored file waits for that file. */
	if (!n || n->type > NODE_STEP)
		return n ? n->base : ino;
	return name ? ck_hash(name, strlen(name), ino) : ino;
}

void ck_tree_tidy(struct ck_tree *tree)
{
	if (node_drop_unused(tree, CACHE_MS))
		malloc_trim(0);
}

int ck_tree_statfs(struct ck_tree *tree, struct statvfs *out, struct ck_error *err)
{
	return statvfs(tree->store, out) < 0 ? ck_fail_sys(err, "statvfs") : CK_OK;
}
