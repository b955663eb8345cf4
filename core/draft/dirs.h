/*
 * dirs - what is seen of drafts and of the store's ordinary files: lookup, attributes, listing.
 *
 * The calls are those of tree.h. A directory may be one of the tree's that holds drafts: then only what the tree does
 * not show is found.
 */
#ifndef CK_DRAFT_DIRS_H
#define CK_DRAFT_DIRS_H

#include "core/tree/tree.h"

struct ck_dir;
struct ck_draft_file;
struct ck_drafts;

int ck_drafts_lookup(struct ck_drafts *d, ck_ino parent, const char *name, struct ck_attr *out, struct ck_error *err);
int ck_drafts_getattr(struct ck_drafts *d, ck_ino ino, struct ck_draft_file *file, struct ck_attr *out,
		      struct ck_error *err);

/* The target of an ordinary link of the store. CK_ERR_SYS ELOOP for a link in a draft: somebody else made that. */
int ck_drafts_readlink(struct ck_drafts *d, ck_ino ino, char *buf, size_t size, struct ck_error *err);

/* As ck_tree_getxattr and ck_tree_listxattr: of NAME.rejected, why it was; of the store's ordinary files, the user's
   own. */
int ck_drafts_getxattr(struct ck_drafts *d, ck_ino ino, const char *name, char **value, size_t *len,
		       struct ck_error *err);
int ck_drafts_listxattr(struct ck_drafts *d, ck_ino ino, char **names, size_t *len, struct ck_error *err);

/* Adds the names in INO's directory that the tree doesn't list: drafts, files that are being written, and the store's
   ordinary files. */
int ck_drafts_list(struct ck_drafts *d, ck_ino ino, struct ck_dir *dir, struct ck_error *err);
/* The listing of a draft's directory. */
int ck_drafts_opendir(struct ck_drafts *d, ck_ino ino, struct ck_dir **out, struct ck_error *err);

#endif
