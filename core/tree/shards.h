/*
 * shards - which optimizer shards the steps of a tag have. A look at one step reads the whole directory, so a look at
 * each step would cost the square of their number. What was read last is kept for a moment, as long as the directory is
 * unchanged.
 */
#ifndef CK_TREE_SHARDS_H
#define CK_TREE_SHARDS_H

#include "core/tree/private.h"

/* The ranks of the shards of STEP in the tag's directory TAG, ascending; *OUT is malloc'ed (free()), NULL if *COUNT
   is 0. CK_ERR_SYS. */
int tree_ranks(struct ck_tree *tree, const char *tag, uint64_t step, uint64_t **out, size_t *count,
	       struct ck_error *err);
/* Whether there is any. */
bool tree_has_ranks(struct ck_tree *tree, const char *tag, uint64_t step);

#endif
