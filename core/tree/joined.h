/*
 * joined - nodes that show all shards of a step: the joined state (ALL), a rank's shard cut for another number of ranks
 * (CUT), and its .pt (CUT_FILE). Such a node's path and identity are those of the first stored shard; the identities of
 * the others and of the model are folded into node->meta, so that a change of any of them makes another node.
 */
#ifndef CK_TREE_JOINED_H
#define CK_TREE_JOINED_H

#include "core/tree/key.h"

/* The key of STEP's node of TYPE and RANK in the tag's directory TAG; PARENT is of optim/. CK_ERR_NOENT without shards;
   CK_ERR_SYS. PATH as for key_of_stored(). */
int key_of_joined(struct ck_tree *tree, const char *tag, uint64_t step, enum node_type type, uint64_t rank,
		  ck_ino parent, char *path, struct node_key *key, struct ck_error *err);

/* Makes the content of such a node: ck_tree.load_joined. CK_ERR_STALE when one of the files was replaced. */
int joined_load(struct ck_tree *tree, struct node *n, struct ck_error *err);

/* Whether the stored files are still those that N stands for. */
bool joined_is_current(struct ck_tree *tree, const struct node *n);

#endif
