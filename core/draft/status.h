/*
 * status - the drafts that a mount has in use, for a person who finds something odd.
 */
#ifndef CK_DRAFT_STATUS_H
#define CK_DRAFT_STATUS_H

#include <stdbool.h>
#include <stddef.h>

struct ck_drafts;

struct ck_draft_status {
	char name[256];         /* "base_checkpoints/d12/000600", from the store on; cut to fit */
	unsigned writers;       /* files that are open for writing */
	bool waiting;           /* complete; published once these are closed */
	char failure[256];      /* why the last try to publish it failed, or "" */
};

/*
 * Fills OUT with at most MAX of the drafts that programs have looked at since the mount and the kernel has not
 * forgotten, and returns how many there are. Takes the drafts' lock, and reads no directory: a draft that nobody has
 * looked at is not among them.
 */
size_t ck_drafts_status(struct ck_drafts *d, struct ck_draft_status *out, size_t max);

/* Why only one machine should write to the store, as far as it was tried; NULL: several may. */
const char *ck_drafts_alone(struct ck_drafts *d);

/* WHY, of SIZE bytes: why the store can't be written to, as far as it was tried; else "". */
void ck_drafts_unable(struct ck_drafts *d, char *why, size_t size);

#endif
