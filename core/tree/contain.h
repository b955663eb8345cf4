/*
 * contain - the store's files and directories as options.contain lets them be seen.
 */
#ifndef CK_TREE_CONTAIN_H
#define CK_TREE_CONTAIN_H

#include "core/tree/private.h"

/* ck_file_open() and stat(2) of a path in the store, within options.contain. A file outside the store can't be opened
   (EACCES). A link to it has the attributes of a regular file. */
int tree_open(const struct ck_tree *tree, const char *path, struct ck_file **out, struct ck_error *err);
int tree_stat(const struct ck_tree *tree, const char *path, struct stat *st);
/* CK_ERR_SYS EACCES when the directory of a SOURCE or a TAG must not be looked into. */
int tree_check_inside(const struct ck_tree *tree, const struct node *n, struct ck_error *err);

/* The identity by which this mount knows the file of attributes ST. */
struct ck_ident tree_ident(const struct ck_tree *tree, const struct stat *st);
/* ck_tree_real() of place.h. */
int tree_real(const struct ck_tree *tree, char *path, struct ck_error *err);

#endif
