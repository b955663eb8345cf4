/*
 * remove - what rename.c and remove.c share: which removals are allowed, and how a draft goes.
 */
#ifndef CK_DRAFT_REMOVE_H
#define CK_DRAFT_REMOVE_H

#include "core/draft/private.h"

struct ck_place;

/* A draft goes when its directory is empty. */
int draft_remove(struct ck_drafts *d, const char *tag, enum ck_draft_kind kind, uint64_t step, struct ck_error *err);
/* RC and WHY of a change of NAME in PLACE; CK_ERR_PERM where that is a published step's. */
int draft_or_published(const struct ck_place *place, const char *name, int rc, const struct ck_error *why,
		       struct ck_error *err);

#endif
