/*
 * ordinary - the store's ordinary files (plain.h): others change them, too, they have links and extended attributes,
 * and those of tokenizer/ are guarded.
 */
#ifndef CK_DRAFT_ORDINARY_H
#define CK_DRAFT_ORDINARY_H

#include "core/draft/owner.h"
#include "core/draft/private.h"

/* Whether ST is of NODE's file. */
bool ordinary_is(const struct dnode *node, const struct stat *st);
/* The PATH (PATH_MAX bytes) and attributes of NODE, of any draft. CK_ERR_STALE: it is gone, or others moved an ordinary
   file away; the kernel looks its name up again. */
int ordinary_stat(struct ck_drafts *d, struct dnode *node, char *path, struct stat *st, struct ck_error *err);
/* Whether the stored file NAME may be removed or get another name: CK_ERR_PERM without -o delete, with a line in the
   log. */
int native_may_go(struct ck_drafts *d, const char *name, struct ck_error *err);
/* Whether NAME at W may be removed or renamed: a file of tokenizer/ only with -o delete. CK_ERR_PERM. */
int ordinary_may_go(struct ck_drafts *d, const struct where *w, const char *name, struct ck_error *err);

#endif
