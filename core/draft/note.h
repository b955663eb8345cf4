/*
 * note - keeps a draft's order (order.h: the order in which its files were made) as programs make and rename files.
 */
#ifndef CK_DRAFT_NOTE_H
#define CK_DRAFT_NOTE_H

#include "core/draft/private.h"

/* fsync of the order of the draft's files, if any came; with WAY also of the directories by which the
   draft is found. */
int draft_sync(struct ck_drafts *d, struct draft *draft, bool way, struct ck_error *err);

/* Notes in the draft's order that the file at PATH was made, or was renamed. Its lock is held, shared at least. */
int draft_note_made(struct draft *draft, const char *path, struct ck_error *err);
int draft_note_moved(struct draft *draft, const char *from, const char *to, struct ck_error *err);

#endif
