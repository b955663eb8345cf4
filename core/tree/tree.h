/*
 * tree - the namespace of a mounted store: inode numbers, lookup, listing, attributes, and which
 * view a name shows.
 *
 * Inode numbers. A *node* stands for one thing of the store: a source, a tag, a step, one stored
 * file as it is (FILE), as metadata (META) or as tensors (CKPT). An inode number is the node's
 * base, a 43-bit hash, and 20 bits that count what the node shows: CKPT's directories, its files,
 * tensor I in model/ and in model.raw/. So there is no table with a row per tensor, numbers rise in
 * key order, and they are the same after a remount. Those of a step rise in the order of its listing, as cp -r wants
 * (node_base). The hash of FILE, META and CKPT covers the path
 * and the identity (device, inode, size, mtime) of the stored files that the bytes depend on: a
 * replaced file is another node with other numbers, and what the kernel cached of the old one stays
 * true.
 *
 * Nodes are counted as the kernel counts lookups. A node's content (an open checkpoint, the text of
 * meta.json) is loaded when first needed and kept in a bounded cache.
 *
 * Every call is thread-safe.
 */
#ifndef CK_TREE_H
#define CK_TREE_H

#include "core/tensor/view.h"
#include "core/tree/types.h"

#include <sys/statvfs.h>

struct ck_tree;

int ck_tree_new(const struct ck_tree_options *options, struct ck_tree **out, struct ck_error *err);
void ck_tree_free(struct ck_tree *tree);        /* NULL is allowed */

/* A number for what a call for INO, or for NAME in it, may wait for. Calls with the same number may wait for the same
   thing. NAME may be NULL. */
uint64_t ck_tree_thing(struct ck_tree *tree, ck_ino ino, const char *name);

/* Frees contents that nobody has asked for in a while. To be called now and then. */
void ck_tree_tidy(struct ck_tree *tree);

/* Finds NAME in the directory PARENT and counts one lookup of it. CK_ERR_NOENT; CK_ERR_STALE when
   PARENT is gone; CK_ERR_SYS. On CK_ERR_NOENT OUT->entry_timeout says how long the absence holds. */
int ck_tree_lookup(struct ck_tree *tree, ck_ino parent, const char *name, struct ck_attr *out, struct ck_error *err);

/* Takes back COUNT lookups of INO. */
void ck_tree_forget(struct ck_tree *tree, ck_ino ino, uint64_t count);

int ck_tree_getattr(struct ck_tree *tree, ck_ino ino, struct ck_attr *out, struct ck_error *err);

/* The target of latest, best or largest, NUL-terminated. CK_ERR_NOENT when there is nothing to name any
   more. */
int ck_tree_readlink(struct ck_tree *tree, ck_ino ino, char *buf, size_t size, struct ck_error *err);

/* The view that a file shows, the caller's reference. CK_ERR_STALE when the stored file was
   replaced since the lookup. *KEEP: what the kernel has cached of the file's bytes is right. */
int ck_tree_open(struct ck_tree *tree, ck_ino ino, struct ck_view **out, bool *keep, struct ck_error *err);

/* The value of the extended attribute NAME (malloc'ed, *LEN bytes), CK_ERR_NOENT without one; the
   names, each with its NUL. */
int ck_tree_getxattr(struct ck_tree *tree, ck_ino ino, const char *name, char **value, size_t *len,
		     struct ck_error *err);
int ck_tree_listxattr(struct ck_tree *tree, ck_ino ino, char **names, size_t *len, struct ck_error *err);

int ck_tree_statfs(struct ck_tree *tree, struct statvfs *out, struct ck_error *err);

#endif
