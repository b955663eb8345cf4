/*
 * where - a directory of the mount in which something may be written, resolved from its inode number.
 */
#ifndef CK_DRAFT_WHERE_H
#define CK_DRAFT_WHERE_H

#include "core/draft/owner.h"
#include "core/draft/private.h"

struct ck_place;

/* Resolves the directory INO to a place in a draft: a directory of a draft; optim/ of a published
   step (its draft is made for MAKER, NULL: not made); the base, a checkpoints or a tag's directory (the store's
   ordinary files). CK_ERR_PERM elsewhere. */
int where_find(struct ck_drafts *d, ck_ino ino, const struct ck_owner *maker, struct where *out, struct ck_error *err);
/* optim/ of the draft for shards of a published step. */
int shards_find(struct ck_drafts *d, const struct ck_place *place, const struct ck_owner *maker, struct where *w,
		struct ck_error *err);
void where_put(struct ck_drafts *d, struct where *w);
bool where_path(struct ck_drafts *d, const struct where *w, const char *name, char *path);
/* The inode of NAME at W, whose attributes are ST; see dnode_get. And NAME was given to it by a rename. */
struct dnode *where_node(struct ck_drafts *d, const struct where *w, const char *name, const struct stat *st);
bool where_moved(struct ck_drafts *d, const struct where *w, const char *name, const struct stat *st);
/* Makes the directory of W where it is nanochat's for a source and isn't there yet. */
int where_make(const struct where *w, struct ck_owner owner, struct ck_error *err);
/* Whether programs call what they will rename like that. */
bool where_is_temporary(const char *name);
/* Whether NAME may be created at W. */
int where_allows(struct ck_drafts *d, ck_ino ino, const struct where *w, const char *name, struct ck_error *err);

/* The name by which the table of inodes knows NAME at W, into OUT of PATH_MAX bytes; see struct dnode. */
bool where_node_name(struct ck_drafts *d, const struct where *w, const char *name, char *out);
/* Whether NAME at W, one of the tree's directories, is an ordinary one of the store's (plain.h). */
bool where_is_plain(const struct where *w, const char *name);
/* The inode of the draft's own directory, a reference; NULL. */
struct dnode *where_root(struct ck_drafts *d, struct draft *draft);
/* Makes the directory of a source, which nanochat makes when it first saves there. */
int where_make_source(const char *source, struct ck_owner owner, struct ck_error *err);

#endif
