/*
 * numbers - the inode numbers of what is written: which of them the kernel holds, and which stand for one of the
 * tree's.
 */
#ifndef CK_DRAFT_NUMBERS_H
#define CK_DRAFT_NUMBERS_H

#include "core/tree/types.h"

struct ck_drafts;

/*
 * The directories of a step that was published on this mount keep the numbers of its draft until the mount ends. INNER:
 * the tree's number for such a one, which is what every call of the tree and of the drafts wants; OUTER: the number
 * that the kernel knows for one of the tree's. Any other number is its own.
 */
ck_ino ck_drafts_inner(struct ck_drafts *d, ck_ino ino);
ck_ino ck_drafts_outer(struct ck_drafts *d, ck_ino ino);

/* As ck_tree_thing(): the draft that INO is in. */
uint64_t ck_drafts_thing(struct ck_drafts *d, ck_ino ino);

/* Takes back COUNT lookups of INO. */
void ck_drafts_forget(struct ck_drafts *d, ck_ino ino, uint64_t count);

#endif
