/*
 * recover - what a crash leaves in a tag.
 *
 * A publication that had begun is finished or taken back (publish.h), files that were staged and what was being removed
 * go, drafts stay. The caller holds the tag's lock alone: no living mount has anything under way there. In a store that
 * is SHARED by machines (shared.h) it may be a lock of this machine alone: there a publication is dealt with under its
 * lease, and what nobody has touched for a day goes.
 */
#ifndef CK_RECOVER_H
#define CK_RECOVER_H

#include "core/draft/lease.h"

/* The lock of version 0.1.0, which everyone could open. */
#define CK_OLD_LOCK_NAME "lock"

/* Clears leftovers in HOME, which is TAG/.ckptfs. What can't be cleared is a line for SELF's log. */
void ck_recover_tag(const char *tag, const char *home, bool shared, const struct ck_lease_self *self);

#endif
