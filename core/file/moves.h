/*
 * moves - the times of stored files that this mount has set. A file's identity has its mtime in it, since a rewrite
 * moves that; but times that are set through the mount do not change the content. So the mount goes on to know such a
 * file by the identity that it had before: its inode numbers stay, and its readers go on.
 *
 * Thread-safe. It remembers the last 1024 files.
 */
#ifndef CK_MOVES_H
#define CK_MOVES_H

#include "core/file/ident.h"

struct ck_moves;
struct ck_moves *ck_moves_new(void);            /* NULL when out of memory */
void ck_moves_free(struct ck_moves *m);         /* NULL is allowed */

/* Around a setting of a file's times: between the two nobody takes a new time for a change of content. END notes it
   where only the mtime moved from WAS to NOW; NULL where the times weren't set. */
void ck_moves_begin(struct ck_moves *m);
void ck_moves_end(struct ck_moves *m, const struct stat *was, const struct stat *now);

/* IDENT is what a stat found just now. Makes it the identity by which the mount knows the file. */
void ck_moves_ident(struct ck_moves *m, struct ck_ident *ident);

#endif
