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

/* With the lock held: room for BIT among the *COUNT bytes of *BITS. */
bool node_grow_bits(uint8_t **bits, uint32_t *count, uint32_t bit);

/* Whether what has the number INO was taken out of its directory (hide.h). */
bool node_hides(struct ck_tree *tree, ck_ino ino);
/* All of the nodes with paths that begin with DIR is seen again. */
void node_unhide(struct ck_tree *tree, const char *dir);

/* Drops the contents that nobody uses and nobody has asked for in MS milliseconds; how many. */
size_t node_drop_unused(struct ck_tree *tree, int64_t ms);

#endif
