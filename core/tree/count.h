/*
 * count - link counts of the tree's directories.
 */
#ifndef CK_TREE_COUNT_H
#define CK_TREE_COUNT_H

#include "core/tree/private.h"

/* How many subdirectories a directory shows, for its link count (tree/count.c). A stored file that
   nobody has opened yet, and that ends as a zip does, is taken for one that can be shown. */
int tree_count_subdirs(struct ck_tree *tree, struct node *n, uint32_t local, nlink_t *count, struct ck_error *err);

#endif
