/*
 * real - files by their real path: no symlink is followed, at its end or on the way.
 *
 * The mount writes in directories in which other users may write, too. A link that one of them makes there could lead
 * the daemon to files that only the daemon may change. So the tag's path is resolved once (ck_tree_real). The mount
 * makes no links below it, and follows none that turns up there, whenever that is.
 *
 * PATH is absolute, or begins with "/proc/self/fd/N" for the directory of the descriptor N, which is held open: that is
 * not looked up, N is used. As their namesakes of the system they return -1 with errno, which is ELOOP at a link.
 */
#ifndef CK_REAL_H
#define CK_REAL_H

#include "core/file/io.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/* The descriptor is closed on exec. Opening a FIFO doesn't wait. */
int ck_real_open(const char *path, int flags, mode_t mode);
int ck_real_stat(const char *path, struct stat *st);            /* of a link itself */
ssize_t ck_real_readlink(const char *path, char *buf, size_t size);
int ck_real_mkdir(const char *path, mode_t mode);
int ck_real_unlink(const char *path);                           /* the link itself */
int ck_real_rmdir(const char *path);
int ck_real_symlink(const char *target, const char *path);
int ck_real_link(const char *from, const char *to);
int ck_real_rename(const char *from, const char *to, unsigned flags);   /* a link itself */
int ck_real_chmod(const char *path, mode_t mode);
int ck_real_chown(const char *path, uid_t uid, gid_t gid);      /* of a link itself */
int ck_real_utimens(const char *path, const struct timespec times[2]);  /* of a link itself */
int ck_real_truncate(const char *path, off_t size);

/* A descriptor of the file itself (O_PATH), and the path that reaches it for calls that take a path alone. ELOOP of a
   link. */
#define CK_HANDLE (sizeof("/proc/self/fd/") + 3 * sizeof(int))
int ck_real_handle(const char *path, char handle[CK_HANDLE]);

/* The descriptor that *PATH begins with, and the rest of it; -1: none, *PATH is as it was. */
int ck_held(const char **path);

/* opendir(3). */
DIR *ck_real_opendir(const char *path);

/* As ck_file_open. */
int ck_real_file(const char *path, struct ck_file **out, struct ck_error *err);

/* fsync of the file or directory at PATH; of a directory where its file system has that. CK_ERR_SYS. */
int ck_real_sync(const char *path, struct ck_error *err);

#endif
