/*
 * shown - whether a stored file can be shown, for link counts, which must not wait for a slow file.
 */
#ifndef CK_TREE_SHOWN_H
#define CK_TREE_SHOWN_H

#include "core/tree/key.h"

/* As far as may be known without waiting for the file of KEY. A file that nobody has opened yet, and that ends as a zip
   does, is taken for one that can be shown; so is one whose end the store doesn't deliver at once. */
bool node_is_shown(struct ck_tree *tree, const struct node_key *key);

/* Whether the model of KEY has hf/: 1 or 0; -1 where only its file could tell. */
int node_has_hf(struct ck_tree *tree, const struct node_key *key);

/* Whether the shards of KEY, an ALL or a CUT, are shown: 1 or 0; -1 where only their files could tell. */
int node_is_joined(struct ck_tree *tree, const struct node_key *key);

/* Returns once neither a thread of that nor one that loads a node is left. */
void node_wait_for_threads(struct ck_tree *tree);

#endif
