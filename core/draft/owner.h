/*
 * owner - whose the files and directories are that a mount makes for itself in a tag.
 *
 * Root's mount gives away what it makes, so that it never locks out the owner's own mount. Another mount's user owns
 * what it makes; the group follows where the user is a member. A file system without owners has nothing to give: what
 * can't be given stays as it is.
 */
#ifndef CK_OWNER_H
#define CK_OWNER_H

#include "core/base/error.h"

#include <sys/stat.h>
#include <sys/types.h>

/* The program that asks: new files get its user and group where the daemon may give files away. */
struct ck_owner {
	uid_t uid;
	gid_t gid;
	pid_t pid;      /* the program that opens a file is expected to close it */
};

/* The file FD, which is empty, gets the owner and group of LIKE, and MODE; without the group also none of the group's
   rights in MODE, unless everyone has them. A file that holds something or has a second name is left alone: somebody
   may have put it there. */
void ck_give_file(int fd, const struct stat *like, mode_t mode);

/* The same for PATH (a real path), a directory that this mount has just made for itself. */
int ck_give_new(const char *path, const struct stat *like, mode_t mode, struct ck_error *err);

/* PATH, a directory that this mount has just made for somebody, belongs to UID and GID, with MODE. As on a plain file
   system the group, and the set-group-ID bit, are those of a set-group-ID directory that it is in. */
int ck_give_made(const char *path, uid_t uid, gid_t gid, mode_t mode, struct ck_error *err);
/* The same for a new file. */
int ck_give_made_file(int fd, uid_t uid, gid_t gid, mode_t mode, struct ck_error *err);

/* And for a new symbolic link. */
int ck_give_made_link(const char *path, uid_t uid, gid_t gid, struct ck_error *err);

/* The directory PATH gets LIKE's owner and group where it is root's and LIKE is not: a mount by root left it so. */
void ck_give_left(const char *path, const struct stat *like);

#endif
