/*
 * attr - attributes of what a node shows.
 */
#ifndef CK_TREE_ATTR_H
#define CK_TREE_ATTR_H

#include "core/tree/private.h"

/* Attributes of the stored thing at the node's path, at most half a second old. CK_ERR_SYS ENOENT
   for a directory that is gone; CK_ERR_STALE for a step: its name may stand for another by now. */
int node_stat(struct ck_tree *tree, struct node *n, struct stat *st, struct ck_error *err);
/* What a stat of the node's path has just found. */
void node_saw(struct ck_tree *tree, struct node *n, const struct stat *st);
int tree_attr(struct ck_tree *tree, struct node *n, uint32_t local, struct ck_attr *out, struct ck_error *err);

#endif
