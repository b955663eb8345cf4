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

/* For a file of a mount, before it is shared. MOVES: times of files that this mount has set count as if they hadn't
   been (moves.h). AHEAD: reads ahead of its streams (ahead.h). Both outlive FILE, and may be NULL. BY_NAME: finds the
   attributes of what has the file's name now, as stat(2) does. */
struct ck_moves;
struct ck_ahead;
typedef int ck_stat_name(const char *path, struct stat *st);
void ck_file_mind(struct ck_file *file, struct ck_moves *moves, struct ck_ahead *ahead, ck_stat_name *by_name);

/* What reads ahead of FILE's streams. NULL: nothing does, and for a file whose system can tell what is in memory
   (RWF_NOWAIT): there the kernel's own readahead does well. sshfs, rclone and GlusterFS can't tell. */
struct ck_ahead *ck_file_ahead(struct ck_file *file);

int ck_file_fd(const struct ck_file *file);             /* borrowed */

const char *ck_file_name(const struct ck_file *file);   /* as opened */
const struct ck_ident *ck_file_ident(const struct ck_file *file);
static inline uint64_t ck_file_size(const struct ck_file *file) { return ck_file_ident(file)->size; }  /* at open */

/* Reads exactly LEN bytes at OFFSET. CK_ERR_CORRUPT when the file ends before, CK_ERR_SYS from
   pread. */
int ck_file_read(const struct ck_file *file, uint64_t offset, void *buf, size_t len, struct ck_error *err);

/* Reads what is in memory, at once: CK_ERR_AGAIN when it isn't all there, and where the file's system can't tell. */
int ck_file_read_now(const struct ck_file *file, uint64_t offset, void *buf, size_t len);

/* CK_ERR_CHANGED when the open file is no longer what it was at open (size or mtime moved). On a network's file system
   the file's name is asked, too, once ck_file_mind() was called. */
int ck_file_verify(const struct ck_file *file, struct ck_error *err);

/* Reads the whole file of at most MAX bytes. *OUT is malloc'ed (free()) and ends with a NUL that
   *LEN does not count. CK_ERR_LIMIT when it is larger; CK_ERR_CHANGED when it was rewritten
   while it was read. */
int ck_file_load(const struct ck_file *file, size_t max, char **out, size_t *len, struct ck_error *err);

#endif
