/*
 * trash - what programs do in a tag's .trash/, and between it and the tag: rename, unlink, rmdir. On disk: retire.h.
 */
#ifndef CK_DRAFT_TRASH_H
#define CK_DRAFT_TRASH_H

#include "core/draft/private.h"

/* Whether a rename between two places of the mount is one to or from .trash/, or in it. */
bool trash_is_between(const struct ck_place *from, const struct ck_place *to);

/* rename(2) there: TAG/000500 to .trash/000500, TAG/000500/optim to .trash/000500.optim, and back; CK_ERR_PERM for
   anything else. CK_ERR_EXIST; CK_ERR_SYS EBUSY: shards of the step are being written. */
int trash_rename(struct ck_drafts *d, ck_ino parent, const struct ck_place *from, const char *name,
		 const struct ck_place *to, const char *new_name, struct ck_error *err);

/* unlink(2), and with DIR rmdir(2), of NAME in PARENT, a directory of a retired step: takes the name away, and touches
   nothing in the store. */
int trash_hide(struct ck_drafts *d, ck_ino parent, const char *name, bool dir, struct ck_error *err);

/* rmdir(2) of NAME in .trash/: deletes what is retired, once all names in it are taken away. */
int trash_delete(struct ck_drafts *d, ck_ino parent, const struct ck_place *place, const char *name,
		 struct ck_error *err);

/* rmdir(2) of .trash/ in PARENT: it is always there, and goes on where it holds nothing. */
int trash_remove(struct ck_drafts *d, ck_ino parent, struct ck_error *err);

#endif
