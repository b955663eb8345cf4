/*
 * trigger - when a draft is published: what a close, a rename and a release mean for it.
 */
#ifndef CK_DRAFT_TRIGGER_H
#define CK_DRAFT_TRIGGER_H

#include "core/draft/private.h"

/* Publishes DRAFT (see publish.h; FLAGS are ck_plan_make's) unless more than OWN_WRITERS of its files, with
   ONLY_RANK >= 0 of that shard's, are open for writing: CK_ERR_SYS EBUSY. What makes it unfit is logged, and told by
   DRAFT.error. */
int draft_publish(struct ck_drafts *d, struct draft *draft, int64_t only_rank, unsigned own_writers, unsigned flags,
		  struct ck_error *err);

/* draft_begin_alone of a draft none of whose files is open for writing: else CK_ERR_SYS EBUSY. */
int draft_begin_idle(struct ck_drafts *d, struct draft *draft, struct ck_error *err);

/* The file NODE was closed or renamed into place: publishes where that is a way to publish, or where the draft waited
   for the last file to be closed. A draft that is unfit or busy is not a failure here. */
int draft_arrived(struct ck_drafts *d, struct dnode *node, unsigned own_writers, struct ck_error *err);
/* A file that could be written to was released, without a close to tell of it: a mapping was the last of it. */
void draft_released(struct ck_drafts *d, struct dnode *node);

#endif
