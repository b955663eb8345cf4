/* Implements real.h: each call resolves the directory without links first, then acts on the last name in it. */
#include "core/file/real.h"

#include "core/file/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the directory of a path ---- */

static const char held_path[] = "/proc/self/fd/";

int ck_held(const char **path)
{
	const char *number, *end;

	if (strncmp(*path, held_path, strlen(held_path)) != 0)
		return -1;
	number = *path + strlen(held_path);
	end = number + strspn(number, "0123456789");
	if (end == number || (*end && *end != '/'))
		return -1;
	*path = end + strspn(end, "/");
	return atoi(number);
}

/* Without openat2 (before Linux 5.6, or where a filter rejects it): one name at a time. PATH goes to pieces. */
static int walk_to(int at, char *path, int flags)
{
	int fd = openat(at, at == AT_FDCWD ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC), next;
	char *rest = NULL;

	for (char *name = strtok_r(path, "/", &rest); name && fd >= 0; name = strtok_r(NULL, "/", &rest)) {
		bool needs_dir = rest[strspn(rest, "/")] || flags & O_DIRECTORY;
		struct stat st = { 0 };

		next = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (next >= 0 && (fstat(next, &st) < 0 || S_ISLNK(st.st_mode) || (needs_dir && !S_ISDIR(st.st_mode)))) {
			close(next);
			next = -1;
			errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
		}
		close(fd);
		fd = next;
	}
	return fd;
}

/* A handle (O_PATH) of what the first LEN bytes of PATH name. No link is followed, on the way or at the end. FLAGS may
   be O_DIRECTORY. */
static int open_path(int at, const char *path, size_t len, int flags)
{
	struct open_how how = { .flags = (unsigned)(O_PATH | O_CLOEXEC | flags), .resolve = RESOLVE_NO_SYMLINKS };
	char copy[PATH_MAX];
	int fd;

	if (len >= sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(copy, path, len);
	copy[len] = '\0';
	fd = (int)syscall(SYS_openat2, at, copy, &how, sizeof(how));
	return fd < 0 && errno == ENOSYS ? walk_to(at, copy, flags) : fd;
}

/* The directory that PATH is in, and its NAME there. *HELD: it is one that the caller of all this holds open. */
static int open_parent(const char *path, const char **name, bool *held)
{
	int at = ck_held(&path);
	const char *slash = strrchr(path, '/');
	size_t len = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;

	/* The held directory itself, and what is right in it. */
	*held = at >= 0 && !slash;
	if (*held) {
		*name = path[0] ? path : ".";
		return at;
	}
	*name = slash + 1;
	return open_path(at < 0 ? AT_FDCWD : at, path, len, O_DIRECTORY);
}

/* Returns CALL, an int, which uses PATH's directory DIR and its last name NAME. */
#define IN_PARENT(path, call)                                   \
	const char *name;                                       \
	bool held;                                              \
	int dir = open_parent(path, &name, &held), got;         \
                                                                \
	if (dir < 0)                                            \
		return -1;                                      \
	got = (call);                                           \
	if (!held)                                              \
		close(dir);                                     \
	return got

/* ---- the calls ---- */

/* Not by openat2, which libc has no function for: tests put their own in the place of libc's. */
int ck_real_open(const char *path, int flags, mode_t mode)
{
	IN_PARENT(path, openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode));
}

int ck_real_stat(const char *path, struct stat *st)
{
	IN_PARENT(path, fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW));
}

ssize_t ck_real_readlink(const char *path, char *buf, size_t size)
{
	IN_PARENT(path, (int)readlinkat(dir, name, buf, size));
}

int ck_real_mkdir(const char *path, mode_t mode)
{
	IN_PARENT(path, mkdirat(dir, name, mode));
}

int ck_real_unlink(const char *path)
{
	IN_PARENT(path, unlinkat(dir, name, 0));
}

int ck_real_rmdir(const char *path)
{
	IN_PARENT(path, unlinkat(dir, name, AT_REMOVEDIR));
}

int ck_real_chown(const char *path, uid_t uid, gid_t gid)
{
	IN_PARENT(path, fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW));
}

int ck_real_utimens(const char *path, const struct timespec times[2])
{
	IN_PARENT(path, utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW));
}

int ck_real_handle(const char *path, char handle[CK_HANDLE])
{
	int at = ck_held(&path), fd;

	if (!path[0])
		path = ".";
	fd = open_path(at < 0 ? AT_FDCWD : at, path, strlen(path), 0);
	if (fd >= 0)
		snprintf(handle, CK_HANDLE, "/proc/self/fd/%d", fd);
	return fd;
}

/* An fchmodat that follows no link is new in Linux 6.6. */
int ck_real_chmod(const char *path, mode_t mode)
{
	char handle[CK_HANDLE];
	int fd = ck_real_handle(path, handle), rc;

	if (fd < 0)
		return -1;
	rc = chmod(handle, mode);
	close(fd);
	return rc;
}

int ck_real_truncate(const char *path, off_t size)
{
	int fd = ck_real_open(path, O_WRONLY, 0), rc;

	if (fd < 0)
		return -1;
	rc = ftruncate(fd, size);
	close(fd);
	return rc;
}

int ck_real_symlink(const char *target, const char *path)
{
	IN_PARENT(path, symlinkat(target, dir, name));
}

static int rename_at(int from_dir, const char *from, const char *to, unsigned flags)
{
	IN_PARENT(to, renameat2(from_dir, from, dir, name, flags));
}

int ck_real_rename(const char *from, const char *to, unsigned flags)
{
	IN_PARENT(from, rename_at(dir, name, to, flags));
}

static int link_at(int from_dir, const char *from, const char *to)
{
	IN_PARENT(to, linkat(from_dir, from, dir, name, 0));
}

int ck_real_link(const char *from, const char *to)
{
	IN_PARENT(from, link_at(dir, name, to));
}

/* ---- more than a call ---- */

int ck_real_file(const char *path, struct ck_file **out, struct ck_error *err)
{
	int fd = ck_real_open(path, O_RDONLY, 0), rc;

	if (fd >= 0)
		return ck_file_from_fd(fd, path, out, err);
	rc = ck_fail_sys(err, "open");
	ck_error_file(err, path);
	return rc;
}

int ck_real_sync(const char *path, struct ck_error *err)
{
	int fd = ck_real_open(path, O_RDONLY, 0), rc;
	struct ck_error why = CK_ERROR_INIT;
	struct stat st;

	if (fd < 0)
		return ck_fail_sys(err, "open");
	rc = ck_sync_fd(fd, &why);
	/* SMB's clients, as some others, sync no directories: there is nothing to wait for. */
	if (rc && (why.sys != EINVAL || fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode)))
		ck_error_copy(err, &why);
	else
		rc = CK_OK;
	close(fd);
	return rc;
}

DIR *ck_real_opendir(const char *path)
{
	int fd = ck_real_open(path, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}
