/*
 * cut - whether a step's optimizer is shown as stored or as options.ranks would have saved it.
 *
 * A step whose shards are being saved must show them as they come: so a step that had no shard when this mount first
 * looked at it is never cut.
 */
#ifndef CK_TREE_CUT_H
#define CK_TREE_CUT_H

#include "core/tree/private.h"

/* NOT: as stored (no option, the stored number, a step being saved); FAILED: it can't be cut, ranks.error says why, and
   the stored shards are shown. */
enum tree_cut { CUT_NOT, CUT_IS, CUT_FAILED };

/* Remembers the first look at STEP in the tag's directory TAG. Whether the step may be cut. */
bool tree_may_cut(struct ck_tree *tree, const char *tag, uint64_t step);

/* The same, and whether it can be: opens the step's model and shards. CK_ERR_SYS, CK_ERR_NOMEM. */
int tree_cut_of(struct ck_tree *tree, const char *tag, uint64_t step, enum tree_cut *cut, struct ck_error *err);

void tree_forget_coming(struct ck_tree *tree);

#endif
