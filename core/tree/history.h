/*
 * history - what the metadata of all steps of a tag says: the text of history.tsv, and the order in which steps are
 * asked for best. It is read when first looked at, and then again only where a file is another one than before.
 *
 * Each text has a number, which is part of history.tsv's inode number: another text is another file to the kernel, so
 * that no page of one is ever taken for the other's. The first text of a tag has the same number after a remount.
 */
#ifndef CK_TREE_HISTORY_H
#define CK_TREE_HISTORY_H

#include "core/tree/private.h"

/*
 * The local number of history.tsv of TAG, as of now: CK_ERR_NOENT without a step; CK_ERR_LIMIT, CK_ERR_SYS.
 * tree_history_known is what was found last, without a look; READ: it was read at some time.
 */
int tree_history_local(struct ck_tree *tree, const struct node *tag, uint32_t *local, struct ck_error *err);
uint32_t tree_history_known(struct ck_tree *tree, const struct node *tag, bool *read, bool *scored);
/* Size, times and mode of the text that LOCAL stands for; *ST is that of the tag's directory before. CK_ERR_STALE: the
   text is another one now, and nobody has the former one open. */
int tree_history_attr(struct ck_tree *tree, const struct node *tag, uint32_t local, struct stat *st,
		      struct ck_error *err);
/* Its bytes; also CK_ERR_STALE while the former text is open. */
int tree_history_open(struct ck_tree *tree, const struct node *tag, uint32_t local, struct ck_view **out,
		      struct ck_error *err);

/* A step with a val_bpb or a val_loss. */
struct history_score {
	bool has_config;        /* and metadata to build the model by */
	bool by_loss;           /* it has no val_bpb */
	double value;
	uint64_t step;
};
/* The Ith of these, those with a model_config first, then those with a val_bpb, then the lowest, then the first. False
   where there are no more. As they were at the last look, tree_history_local. */
bool tree_history_score(struct ck_tree *tree, const struct node *tag, size_t i, struct history_score *out);

void tree_history_free(struct ck_tree *tree);

#endif
