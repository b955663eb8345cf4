/*
 * count - link counts of the tree's directories.
 */
#ifndef CK_TREE_COUNT_H
#define CK_TREE_COUNT_H

#include "core/tree/private.h"

/* A step's model that nobody has opened yet may or may not have hf/, and shards may or may not be shown joined and cut.
   A link count of 1 says that it isn't known. */
#define COUNT_UNKNOWN ((nlink_t)-1)

/* How many subdirectories a directory shows, for its link count (tree/count.c), or COUNT_UNKNOWN. A stored file that
   nobody has opened yet, and that ends as a zip does, is taken for one that can be shown. ST: the attributes of N's
   path. */
int tree_count_subdirs(struct ck_tree *tree, struct node *n, uint32_t local, const struct stat *st, nlink_t *count,
		       struct ck_error *err);

#endif
