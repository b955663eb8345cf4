/*
 * table - the drafts that the mount knows. There is one struct draft for each directory of TAG/.ckptfs that is in use.
 */
#ifndef CK_DRAFT_TABLE_H
#define CK_DRAFT_TABLE_H

#include "core/draft/owner.h"
#include "core/draft/private.h"

/* The draft TAG/.ckptfs/NAME, a reference. If it isn't there, it is made for MAKER. With MAKER NULL: CK_ERR_NOENT. */
int draft_get(struct ck_drafts *d, const char *tag, enum ck_draft_kind kind, uint64_t step,
	      const struct ck_owner *maker, struct draft **out, struct ck_error *err);
int draft_get_plain(struct ck_drafts *d, struct draft **out, struct ck_error *err);
void draft_put(struct ck_drafts *d, struct draft *draft);
void draft_put_locked(struct ck_drafts *d, struct draft *draft);       /* with D's lock held */

/* The directory that holds the draft's visible files: DIR/files, or DIR itself for staged and plain ones. */
bool draft_files_path(struct ck_drafts *d, const struct draft *draft, char *path);

/* Renames the draft on disk to DIR, where nothing may be. The caller holds its lock exclusively. */
int draft_move(struct ck_drafts *d, struct draft *draft, const char *dir, bool partial, uint64_t step,
	       struct ck_error *err);

#endif
