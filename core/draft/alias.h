/*
 * alias - numbers of directories that were a draft's and are a step's now.
 *
 * A shell in a directory of the draft is in the step then: the directories keep the draft's numbers, by which the
 * kernel knows them, until the mount ends. Each is the same as one of the tree's.
 */
#ifndef CK_DRAFT_ALIAS_H
#define CK_DRAFT_ALIAS_H

#include "core/draft/private.h"

/* Whether INO is such a directory's. With the lock held. */
bool alias_has(const struct ck_drafts *d, ck_ino ino);
/* The draft's directory OUTER is the tree's INNER now. Takes over a lookup of INNER. */
void alias_add(struct ck_drafts *d, ck_ino outer, ck_ino inner);
void alias_free_all(struct ck_drafts *d);

#endif
