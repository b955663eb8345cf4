/*
 * plan - what a draft's files amount to: which files the step will have, and from what each is
 * made. Checks everything that can be checked before a byte is written.
 */
#ifndef CK_PLAN_H
#define CK_PLAN_H

#include "core/draft/part.h"

/*
 * Reads the draft whose files lie in DIR/files. KIND OPTIM: complete shards alone (ONLY_RANK >= 0: that one, which must
 * be complete); else a whole step: meta.json, and a model. Of several forms of a model, or of a shard, the stored file
 * is taken, then safetensors; the others must show the same. FLAGS: see above. CK_ERR_INVALID says what is wrong: a
 * name that has no place in a step, nothing or too much of something, a bad file. PLAN must be freed also on failure.
 */
int ck_plan_make(const char *dir, enum ck_draft_kind kind, uint64_t step, int64_t only_rank, unsigned flags,
		 struct ck_plan *plan, struct ck_error *err);
void ck_plan_free(struct ck_plan *plan);

/* Whether the disk has room for the step's files beside those of the draft in DIR. CK_ERR_SYS ENOSPC says how much is
   missing. */
int ck_plan_room(const struct ck_plan *plan, const char *dir, struct ck_error *err);

#endif
