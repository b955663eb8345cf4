/*
 * plan_same - whether two forms of a model or a shard show the same.
 */
#ifndef CK_PLAN_SAME_H
#define CK_PLAN_SAME_H

#include "core/draft/part.h"
#include "core/pt/checkpoint.h"

/*
 * Whether OTHER shows what CHECKPOINT shows, or where that is NULL what PART holds: the same names, shapes and values.
 * CK_ERR_INVALID names the first tensor that differs.
 */
int plan_same_tensors(struct ck_checkpoint *checkpoint, struct ck_part *part, struct ck_part *other,
		      struct ck_error *err);

#endif
