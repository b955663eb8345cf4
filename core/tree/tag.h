/*
 * tag - the names in a tag's directory: its steps, their optimizer shards, and whether there are drafts. Each question
 * about one step would read the whole directory, so a question about each step would cost the square of their number,
 * and on a store behind a network each reading takes a round trip or more. What was read last is kept for a moment, as
 * long as the directory is unchanged.
 */
#ifndef CK_TREE_TAG_H
#define CK_TREE_TAG_H

#include "core/tree/private.h"

/* The steps of the tag's directory TAG that have a model, ascending; *OUT is malloc'ed (free()), NULL if *COUNT is 0.
   CK_ERR_SYS. */
int tree_steps(struct ck_tree *tree, const char *tag, uint64_t **out, size_t *count, struct ck_error *err);
/* The ranks of the shards of STEP; as above. */
int tree_ranks(struct ck_tree *tree, const char *tag, uint64_t step, uint64_t **out, size_t *count,
	       struct ck_error *err);
/* Whether there is any. */
bool tree_has_ranks(struct ck_tree *tree, const char *tag, uint64_t step);
/* Whether CK_DRAFT_DIR is in it: without it there is no draft, and nothing retired. True where that can't be read. */
bool tree_has_home(struct ck_tree *tree, const char *tag);
/* How many ordinary directories of the store (plain.h) are in it; 0 where that can't be read. */
size_t tree_plain_dirs(struct ck_tree *tree, const char *tag);

void tree_forget_tag(struct ck_tree *tree);     /* when the tree ends */

#endif
