/*
 * node - the table of the nodes that the kernel knows or somebody uses, and the cache of what was loaded for them.
 */
#ifndef CK_TREE_NODE_H
#define CK_TREE_NODE_H

#include "core/tree/key.h"

/* Finds or makes the node and counts one reference. NULL when out of memory. */
struct node *node_get(struct ck_tree *tree, const struct node_key *key);
/* The node of an inode number that the kernel holds, without a reference; NULL when it doesn't. */
struct node *node_find(struct ck_tree *tree, ck_ino ino);
void node_put(struct ck_tree *tree, struct node *n, uint64_t count);
struct node *node_root(struct ck_tree *tree, const struct node_key *key);
void node_table_free(struct ck_tree *tree);
/* One more reference to N: for a further name of the node itself (latest, largest, optim, history.tsv). Returns N. */
struct node *node_ref(struct ck_tree *tree, struct node *n);

/* Drops the contents that nobody uses and nobody has asked for in MS milliseconds; how many. */
size_t node_drop_unused(struct ck_tree *tree, int64_t ms);

/* For tree/node_load.c, with the lock held: takes a node into the cache, whose content is now there;
   moves it to the front. */
void content_loaded(struct ck_tree *tree, struct node *n);
void content_used(struct ck_tree *tree, struct node *n);
/* Before a content is loaded, with the lock held: drops those that nobody uses, down to what the cache keeps.
   Returns how many bytes these were. */
size_t content_make_room(struct ck_tree *tree);
/* What a node has, apart from it. */
struct content {
	enum load_state state;
	struct ck_checkpoint *checkpoint;
	struct ck_view *text;
	struct ck_error *error;
	size_t memory;
	struct content *before;
};
/* Takes its content away from a node, out of the cache and to the caller. */
struct content content_take(struct ck_tree *tree, struct node *n);
void content_free(struct content *content);
/* Frees it, if nobody reads it: it is LOAD_NONE then. Returns how many bytes that were. */
size_t content_drop_unread(struct content *content);
/* Makes OLD (taken over) the content that was before NODE's present one, as long as someone reads it. */
void content_keep(struct node *n, struct content *old);

#endif
