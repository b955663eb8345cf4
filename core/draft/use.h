/*
 * use - who may use a draft at the same time: programs share it, publishing and renaming have it alone.
 */
#ifndef CK_DRAFT_USE_H
#define CK_DRAFT_USE_H

#include "core/draft/private.h"

/* The lock of the draft's tag (lock.h); the store's ordinary files have none. */
int draft_hold(struct draft *draft, struct ck_error *err);
void draft_drop(struct draft *draft);

/* The draft's files changed: what DRAFT.error said is said anew. */
static inline void draft_changed(struct draft *draft) { atomic_fetch_add(&draft->changes, 1); }

/* Shared use: from begin to end the draft isn't published and isn't gone, CK_ERR_STALE; and no other mount takes what
   is in it for leftovers, but for a reader, who may have no right to the tag's lock. CK_ERR_SYS EINTR: who asked gave
   up while another publishes. */
int draft_begin(struct draft *draft, struct ck_error *err);
/* Use by this call alone. The draft may be gone. CK_ERR_SYS EINTR. */
int draft_begin_alone(struct draft *draft, struct ck_error *err);
void draft_end(struct draft *draft);
int draft_begin_read(struct draft *draft, struct ck_error *err);
void draft_end_read(struct draft *draft);

#endif
