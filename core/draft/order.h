/*
 * order - the order in which a draft's files were created, kept in DIR/order: the order of the keys in the file to be.
 */
#ifndef CK_ORDER_H
#define CK_ORDER_H

#include "core/file/dir.h"

/* Notes in DIR/order that the file NAME was made, or that OLD_NAME was renamed; names are relative to DIR/files. */
int ck_order_append(const char *dir, const char *name, struct ck_error *err);
int ck_order_rename(const char *dir, const char *old_name, const char *new_name, struct ck_error *err);

/* fsync of DIR/order, if there is one. */
int ck_order_sync(const char *dir, struct ck_error *err);

/* Sorts NAMES (in the directory DIR/files/SUB) by their files' places in DIR/order; files that aren't in it go behind,
   by name. */
int ck_order_sort(const char *dir, const char *sub, struct ck_names *names, struct ck_error *err);

/* Appends the files of the directory DIR/files/SUB that aren't in DIR/order: a kill came between their creation and its
   note, and what is created from now on is later. */
int ck_order_complete(const char *dir, const char *sub, struct ck_error *err);

#endif
