/*
 * list - the listings of directories.
 */
#ifndef CK_LIST_H
#define CK_LIST_H

#include "core/tree/dir.h"

struct ck_tree;

int ck_tree_opendir(struct ck_tree *tree, ck_ino ino, struct ck_dir **out, struct ck_error *err);

#endif
