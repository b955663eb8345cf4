/*
 * links - links and extended attributes that programs make: of the store's ordinary files alone (ordinary.h).
 */
#ifndef CK_DRAFT_LINKS_H
#define CK_DRAFT_LINKS_H

#include "core/draft/owner.h"
#include "core/tree/types.h"

#include <stddef.h>

struct ck_drafts;

/* symlink(2) and link(2). CK_ERR_PERM for others than ordinary files. */
int ck_drafts_symlink(struct ck_drafts *d, ck_ino parent, const char *name, const char *target, struct ck_owner owner,
		      struct ck_attr *out, struct ck_error *err);
int ck_drafts_link(struct ck_drafts *d, ck_ino ino, ck_ino parent, const char *name, struct ck_attr *out,
		   struct ck_error *err);
/* setxattr(2); VALUE NULL removes. CK_ERR_UNSUPPORTED for others than
   ordinary files. */
int ck_drafts_setxattr(struct ck_drafts *d, ck_ino ino, const char *name, const char *value, size_t size, int flags,
		       struct ck_error *err);

#endif
