/*
 * successor - what the kernel's inodes of a draft stand for once it is published: the step's directories and files.
 */
#ifndef CK_DRAFT_SUCCESSOR_H
#define CK_DRAFT_SUCCESSOR_H

#include "core/draft/private.h"

/* The draft was published: its directories that the kernel knows become the step's (alias.h). */
void successor_add(struct ck_drafts *d, struct draft *draft);
/* The tree's number of the file that became of NODE; a lookup of it is the caller's. 0: there is none. */
ck_ino successor_of_file(struct ck_drafts *d, struct dnode *node);

#endif
