/* Whose the files are that a mount makes for itself: implements owner.h. */
#include "core/draft/owner.h"

#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

/* The user that LIKE's file may be given to; -1: it stays whose it is. */
static uid_t user_of(const struct stat *like) { return geteuid() == 0 ? like->st_uid : (uid_t)-1; }

/* The group's rights are for LIKE's group, not for another group that the file has. */
static mode_t mode_for(mode_t mode, bool given) { return given || (mode & S_IWOTH) ? mode : mode & ~(mode_t)070; }

void ck_give_file(int fd, const struct stat *like, mode_t mode)
{
	struct stat st;
	bool given;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_size ||
	    (geteuid() != 0 && st.st_uid != geteuid()))
		return;
	given = st.st_gid == like->st_gid && (geteuid() != 0 || st.st_uid == like->st_uid);
	if (!given)
		given = fchown(fd, user_of(like), like->st_gid) == 0;
	mode = mode_for(mode, given);
	if ((st.st_mode & 07777) != mode)
		(void)!fchmod(fd, mode);
}

/* This user isn't a member of the group, or the file system or the namespace doesn't know the owner. */
static bool cannot_give(void) { return errno == EPERM || errno == EINVAL; }

int ck_give_new(const char *path, const struct stat *like, mode_t mode, struct ck_error *err)
{
	char handle[CK_HANDLE];
	int fd = ck_real_handle(path, handle), rc = CK_OK;
	bool given;

	if (fd < 0)
		return ck_fail_sys(err, "open");
	given = fchownat(fd, "", user_of(like), like->st_gid, AT_EMPTY_PATH) == 0;
	if (!given && !cannot_give())
		rc = ck_fail_sys(err, "chown");
	/* MODE is the store's; the daemon's umask has no say. */
	else if (chmod(handle, mode_for(mode, given)) < 0)
		rc = ck_fail_sys(err, "chmod");
	close(fd);
	return rc;
}

void ck_give_left(const char *path, const struct stat *like)
{
	struct stat st;
	int fd;

	if (geteuid() != 0 || like->st_uid == 0)
		return;
	fd = ck_real_open(path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_uid == 0)
		(void)!fchown(fd, like->st_uid, like->st_gid);
	close(fd);
}

/* The group of what root has just made: GID, unless the directory that it is in gave it its own group. */
static gid_t group_of(const struct stat *st, gid_t gid) { return st->st_gid == getegid() ? gid : (gid_t)-1; }

/* Gives what root has just made, open as FD (or a handle), to its maker. ST is what fstat says of it. */
static int chown_made(int fd, const struct stat *st, uid_t uid, gid_t gid, struct ck_error *err)
{
	if (geteuid() != 0 || (!uid && !gid) || fchownat(fd, "", uid, group_of(st, gid), AT_EMPTY_PATH) == 0 ||
	    cannot_give())
		return CK_OK;
	return ck_fail_sys(err, "chown");
}

int ck_give_made(const char *path, uid_t uid, gid_t gid, mode_t mode, struct ck_error *err)
{
	char handle[CK_HANDLE];
	int fd = ck_real_handle(path, handle), rc;
	struct stat st;

	if (fd < 0)
		return ck_fail_sys(err, "open");
	rc = fstat(fd, &st) < 0 ? ck_fail_sys(err, "stat") : chown_made(fd, &st, uid, gid, err);
	if (!rc) {
		mode = (mode & 0777) | (st.st_mode & S_ISGID);
		if ((st.st_mode & 07777) != mode && chmod(handle, mode) < 0)
			rc = ck_fail_sys(err, "chmod");
	}
	close(fd);
	return rc;
}

int ck_give_made_link(const char *path, uid_t uid, gid_t gid, struct ck_error *err)
{
	struct stat st;

	if (ck_real_stat(path, &st) < 0)
		return ck_fail_sys(err, "stat");
	return geteuid() == 0 && (uid || gid) && ck_real_chown(path, uid, group_of(&st, gid)) < 0 && !cannot_give()
		       ? ck_fail_sys(err, "chown")
		       : CK_OK;
}

int ck_give_made_file(int fd, uid_t uid, gid_t gid, mode_t mode, struct ck_error *err)
{
	struct stat st;
	int rc = fstat(fd, &st) < 0 ? ck_fail_sys(err, "fstat") : chown_made(fd, &st, uid, gid, err);

	return rc || fchmod(fd, mode & 0777) == 0 ? rc : ck_fail_sys(err, "chmod");
}
