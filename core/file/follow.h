/*
 * follow - the calls that follow links, as their namesakes of the system do; real.h has those that follow none.
 *
 * Of a store that is mounted over itself no path may be resolved by name: the kernel would ask the daemon, which waits
 * for the answer. Its paths begin with "/proc/self/fd/N", where N is a descriptor from before (real.h). The links in it
 * are resolved here, name by name. A link that leads through the directory's own place, as an absolute path into the
 * store does, goes on in N.
 */
#ifndef CK_FOLLOW_H
#define CK_FOLLOW_H

#include <dirent.h>
#include <sys/stat.h>

/* realpath(3), into REAL of PATH_MAX bytes. -1 with errno, as all of these. */
int ck_follow(const char *path, char *real);
int ck_follow_stat(const char *path, struct stat *st);
int ck_follow_lstat(const char *path, struct stat *st);        /* of a link itself; those on the way are followed */
DIR *ck_follow_opendir(const char *path);

#endif
