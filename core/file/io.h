/*
 * io - a stored file: opened once, read at offsets, its identity remembered.
 *
 * Why identity: a stored file may be replaced (readers keep the old bytes through the open
 * descriptor) or rewritten in place (readers must get an error, never mixed bytes).
 * ck_file_verify() tells, and is called after the bytes were read: a rewrite moves mtime before it
 * moves bytes. All of core's reads and writes of files go through here; tests inject faults below
 * it (LD_PRELOAD).
 */
#ifndef CK_IO_H
#define CK_IO_H

#include "core/base/error.h"
#include "core/file/ident.h"

#include <fcntl.h>
#include <stdbool.h>

/* A stored file, open for reading. Immutable and shared between threads; reference counted. */
struct ck_file;

/* Opens the regular file at PATH (symlinks are followed) read-only. *OUT is the caller's reference.
   CK_ERR_SYS (ENOENT, EACCES, EMFILE, ...); CK_ERR_INVALID when it is not a regular file. */
int ck_file_open(const char *path, struct ck_file **out, struct ck_error *err);

/* Takes over the descriptor FD (also on failure, when it is closed). NAME is for messages. */
int ck_file_from_fd(int fd, const char *name, struct ck_file **out, struct ck_error *err);

/* The same for a file that only this process can change, and that may grow: it has no size, and verifying it always
   succeeds. */
int ck_file_own(int fd, const char *name, struct ck_file **out, struct ck_error *err);

struct ck_file *ck_file_ref(struct ck_file *file);
struct ck_file *ck_file_unref(struct ck_file *file);    /* returns NULL; NULL is allowed */

/* Times of files that this mount has set count as if they hadn't been: see moves.h. Before FILE is shared. */
struct ck_moves;
void ck_file_mind(struct ck_file *file, struct ck_moves *moves);

int ck_file_fd(const struct ck_file *file);             /* borrowed */

uint64_t ck_file_size(const struct ck_file *file);      /* bytes, at open */
const char *ck_file_name(const struct ck_file *file);   /* as opened */
const struct ck_ident *ck_file_ident(const struct ck_file *file);

/* Reads exactly LEN bytes at OFFSET. CK_ERR_CORRUPT when the file ends before, CK_ERR_SYS from
   pread. */
int ck_file_read(const struct ck_file *file, uint64_t offset, void *buf, size_t len, struct ck_error *err);

/* A place in a stored file, and how to read from there. */
struct ck_origin {
	struct ck_file *file;   /* borrowed */
	uint64_t byte;
	struct ck_block *block; /* of temporary space, held (scratch.h), if it lies there */
	bool now;               /* reads only what is in memory; else CK_ERR_AGAIN, and ERR is left alone */
};

/* Reads exactly LEN bytes, OFFSET bytes behind the place. Errors as ck_file_read, and CK_ERR_AGAIN:
   at once, from a place that is to be read now, and always where the file system can't tell. */
int ck_origin_read(const struct ck_origin *origin, uint64_t offset, void *buf, size_t len, struct ck_error *err);

/* CK_ERR_CHANGED when the open file is no longer what it was at open (size or mtime moved). */
int ck_file_verify(const struct ck_file *file, struct ck_error *err);

/* Reads the whole file of at most MAX bytes. *OUT is malloc'ed (free()) and ends with a NUL that
   *LEN does not count. CK_ERR_LIMIT when it is larger; CK_ERR_CHANGED when it was rewritten
   while it was read. */
int ck_file_load(const struct ck_file *file, size_t max, char **out, size_t *len, struct ck_error *err);

#endif
