/*
 * dnode_path - where an inode's file lies on disk, and what the kernel is told of it.
 */
#ifndef CK_DRAFT_DNODE_PATH_H
#define CK_DRAFT_DNODE_PATH_H

#include "core/draft/private.h"

/* A descriptor for who asks about a file that is open and, with DEAD, gone; -1. */
int dnode_dup(struct ck_drafts *d, struct dnode *node, bool dead);
/* The path of NODE (with NAME: of that in it), into PATH of PATH_MAX bytes. False with errno ENAMETOOLONG. */
bool dnode_path(struct ck_drafts *d, struct dnode *node, const char *name, char *path);

ck_ino dnode_parent_number(struct ck_drafts *d, const struct dnode *node);      /* 0: it has none */
void dnode_attr(struct ck_drafts *d, const struct dnode *node, const struct stat *st, struct ck_attr *out);

#endif
