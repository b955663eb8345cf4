/*
 * plan_shards - the optimizer shards of a draft.
 */
#ifndef CK_PLAN_SHARDS_H
#define CK_PLAN_SHARDS_H

#include "core/draft/plan_parts.h"

/* Whether NAME in optim/ is only ever shown, of all ranks together: all*, and every .error. */
bool ck_plan_is_shown(const char *name);

/* Adds a part for each complete shard, by rank; with ONLY_RANK >= 0 for that one. */
int plan_optim(struct draft_files *d, enum ck_draft_kind kind, int64_t only_rank);

#endif
