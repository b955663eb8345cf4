/*
 * use - who may use a draft at the same time: programs share it, publishing and renaming have it alone.
 */
#ifndef CK_DRAFT_USE_H
#define CK_DRAFT_USE_H

#include "core/draft/private.h"

/* The lock of the draft's tag (lock.h); the store's ordinary files have none. */
int draft_hold(struct draft *draft, struct ck_error *err);
void draft_drop(struct draft *draft);

/* The draft's files changed: the text of DRAFT.error is made again. */
static inline void draft_changed(struct draft *draft) { atomic_fetch_add(&draft->changes, 1); }

/* Shared use: from begin to end the draft is neither published nor removed (CK_ERR_STALE: it was before), and no other
   mount takes its files for leftovers. A reader may have no right to the tag's lock, and does without. CK_ERR_SYS
   EINTR: the program gave up while another one published. */
int draft_begin(struct draft *draft, struct ck_error *err);
/* Use by this call alone. The draft may be gone. CK_ERR_SYS EINTR. */
int draft_begin_alone(struct draft *draft, struct ck_error *err);
void draft_end(struct draft *draft);
int draft_begin_read(struct draft *draft, struct ck_error *err);
void draft_end_read(struct draft *draft);

#endif
