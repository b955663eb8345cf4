/*
 * faults - preloaded into the daemon: kills it, or makes a call fail, at a chosen one of its system
 * calls on the store, or writes down all that change it.
 *
 * CKPTFS_FAULTS names a file of 4096 bytes, shared with the test. Text at 0: "OPS NTH COUNT
 * ACTION", an empty text does nothing. OPS: "all" for every call that changes the store, or names
 * joined by commas: open (which creates or truncates), write, fsync, rename, link, unlink, mkdir,
 * rmdir, truncate, attr, and read, which isn't in all. ACTION: "before" or "after" (the process
 * dies then), "pause" (the call waits while the byte at 2056, which it sets, is not 0), or an errno as a number, for COUNT
 * calls from the NTH on. At 2048: a 64-bit count of
 * the calls that matched.
 *
 * CKPTFS_RECORD names a file to which every change is appended: a line of words separated by NULs,
 * "LEN" of the data last, then the data. Files are named by inode number; power.py reads it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define COUNT_AT 2048
#define PAUSED_AT 2056

static char *control;
static int record = -1;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

/* Before the daemon confines itself. */
__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("CKPTFS_FAULTS");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;

	if (fd >= 0) {
		control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (control == MAP_FAILED)
			control = NULL;
		close(fd);
	}
	path = getenv("CKPTFS_RECORD");
	if (path)
		record = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static _Noreturn void die(void)
{
	kill(getpid(), SIGKILL);
	syscall(SYS_exit_group, 137);
	__builtin_unreachable();
}

static bool matches(const char *ops, const char *op)
{
	size_t len = strlen(op);
	const char *at = ops;

	if (strcmp(ops, "all") == 0)
		return strcmp(op, "read") != 0;
	while ((at = strstr(at, op))) {
		if ((at == ops || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
			return true;
		at += len;
	}
	return false;
}

/* True: the call OP shall fail, errno is set. *AFTER: the process dies once it was made. */
static bool fails(const char *op, bool *after)
{
	char text[256], ops[128], action[32];
	unsigned long long nth, count, n;

	*after = false;
	if (!control || !control[0])
		return false;
	memcpy(text, control, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	if (sscanf(text, "%127s %llu %llu %31s", ops, &nth, &count, action) != 4 || !matches(ops, op))
		return false;
	n = 1 + atomic_fetch_add((_Atomic uint64_t *)(void *)(control + COUNT_AT), 1);
	if (n < nth || n - nth >= count)
		return false;
	if (strcmp(action, "before") == 0)
		die();
	if (strcmp(action, "pause") == 0) {
		atomic_store((_Atomic unsigned char *)(void *)(control + PAUSED_AT), 1);
		while (atomic_load((_Atomic unsigned char *)(void *)(control + PAUSED_AT)))
			usleep(1000);
		return false;
	}
	*after = strcmp(action, "after") == 0;
	if (*after)
		return false;
	errno = atoi(action);
	return true;
}

/* ---- the record ---- */

static uint64_t ino_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static uint64_t ino_at(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
}

/* The path of NAME in DIR, into PATH. */
static const char *path_at(int dir, const char *name, char *path)
{
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	len = readlink(link, path, PATH_MAX);
	if (len < 0 || (size_t)len + 1 + strlen(name) >= PATH_MAX)
		die();
	path[len] = '/';
	strcpy(path + len + 1, name);
	return path;
}

static void note(const void *data, size_t len, const char *format, ...)
{
	char line[3 * PATH_MAX];
	va_list args;
	int n, error = errno;

	if (record < 0)
		return;
	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 32, format, args);
	va_end(args);
	n += snprintf(line + n, 32, "\t%zu\n", len);
	if (syscall(SYS_write, record, line, n) != n || (len && syscall(SYS_write, record, data, len) != (ssize_t)len))
		die();
	errno = error;
}

/* ---- the calls ---- */

/* The call, between its fault before and its fault after; in the record's order. */
#define CALL(op, type, call, noted)                             \
	bool after;                                             \
	type got;                                               \
                                                                \
	if (fails(op, &after))                                  \
		return -1;                                      \
	pthread_mutex_lock(&lock);                              \
	got = (call);                                           \
	if (got >= 0)                                           \
		noted;                                          \
	pthread_mutex_unlock(&lock);                            \
	if (after)                                              \
		die();                                          \
	return got

static int open_noted(int dir, const char *name, int flags, mode_t mode)
{
	uint64_t before = ino_at(dir, name);
	int fd = (int)syscall(SYS_openat, dir, name, flags, mode);
	char path[PATH_MAX];

	if (fd >= 0 && !before)
		note(NULL, 0, "create\t%s\t%" PRIu64, path_at(dir, name, path), ino_of(fd));
	else if (fd >= 0 && flags & O_TRUNC)
		note(NULL, 0, "truncate\t%" PRIu64 "\t0", ino_of(fd));
	return fd;
}

static int open_call(int dir, const char *name, int flags, mode_t mode)
{
	if (!(flags & (O_CREAT | O_TRUNC)))
		return (int)syscall(SYS_openat, dir, name, flags, mode);
	CALL("open", int, open_noted(dir, name, flags, mode), (void)0);
}

/* What changes the store names a file by its directory's descriptor. */
#define OPENAT(call)                                                            \
	int call(int dir, const char *name, int flags, ...)                     \
	{                                                                       \
		va_list args;                                                   \
		mode_t mode = 0;                                                \
                                                                                \
		va_start(args, flags);                                          \
		if (flags & O_CREAT)                                            \
			mode = va_arg(args, mode_t);                            \
		va_end(args);                                                   \
		return open_call(dir, name, flags, mode);                       \
	}
OPENAT(openat)
OPENAT(openat64)
int __openat_2(int dir, const char *name, int flags);
int __openat64_2(int dir, const char *name, int flags);
int __openat_2(int dir, const char *name, int flags) { return open_call(dir, name, flags, 0); }
int __openat64_2(int dir, const char *name, int flags) { return open_call(dir, name, flags, 0); }

/* The kernel's own files, in which the daemon sets the read-ahead, are none of the store's. */
static bool is_file(int fd)
{
	struct statfs fs;
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type != SYSFS_MAGIC;
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	CALL("write", ssize_t, syscall(SYS_pwrite64, fd, buf, len, at),
	     note(buf, (size_t)got, "write\t%" PRIu64 "\t%lld", ino_of(fd), (long long)at));
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at)
{
	return pwrite(fd, buf, len, at);
}

static off_t end_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_size : 0;
}

/* The daemon's only plain writes to files append. */
ssize_t write(int fd, const void *buf, size_t len)
{
	off_t at;

	if (!is_file(fd))
		return syscall(SYS_write, fd, buf, len);
	at = end_of(fd);
	CALL("write", ssize_t, syscall(SYS_write, fd, buf, len),
	     note(buf, (size_t)got, "write\t%" PRIu64 "\t%lld", ino_of(fd), (long long)at));
}

int fsync(int fd)
{
	CALL("fsync", int, (int)syscall(SYS_fsync, fd), note(NULL, 0, "fsync\t%" PRIu64, ino_of(fd)));
}

int fdatasync(int fd)
{
	return fsync(fd);
}

int ftruncate(int fd, off_t size)
{
	CALL("truncate", int, (int)syscall(SYS_ftruncate, fd, size),
	     note(NULL, 0, "truncate\t%" PRIu64 "\t%lld", ino_of(fd), (long long)size));
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	char path[2][PATH_MAX];

	CALL("rename", int, (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags),
	     note(NULL, 0, "rename\t%s\t%s", path_at(from_dir, from, path[0]), path_at(to_dir, to, path[1])));
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	char path[2][PATH_MAX];

	CALL("link", int, (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags),
	     note(NULL, 0, "link\t%s\t%s", path_at(from_dir, from, path[0]), path_at(to_dir, to, path[1])));
}

int unlinkat(int dir, const char *name, int flags)
{
	char path[PATH_MAX];

	CALL(flags & AT_REMOVEDIR ? "rmdir" : "unlink", int, (int)syscall(SYS_unlinkat, dir, name, flags),
	     note(NULL, 0, "unlink\t%s", path_at(dir, name, path)));
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	char path[PATH_MAX];

	CALL("mkdir", int, (int)syscall(SYS_mkdirat, dir, name, mode),
	     note(NULL, 0, "mkdir\t%s\t%" PRIu64, path_at(dir, name, path), ino_at(dir, name)));
}

int chmod(const char *path, mode_t mode)
{
	CALL("attr", int, (int)syscall(SYS_chmod, path, mode), (void)0);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	CALL("attr", int, (int)syscall(SYS_fchown, fd, uid, gid), (void)0);
}

int fchownat(int dir, const char *name, uid_t uid, gid_t gid, int flags)
{
	CALL("attr", int, (int)syscall(SYS_fchownat, dir, name, uid, gid, flags), (void)0);
}

/* ---- reading, of the store's files alone ---- */

ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
	bool after;

	if (is_file(fd) && fails("read", &after))
		return -1;
	return syscall(SYS_pread64, fd, buf, len, at);
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t at)
{
	return pread(fd, buf, len, at);
}

ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t at, size_t size);
ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t at, size_t size)
{
	(void)size;
	return pread(fd, buf, len, at);
}

/* A read that won't wait finds nothing in memory: the one that waits comes next, and may fail. */
ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t at, int flags)
{
	if (flags & RWF_NOWAIT && is_file(fd)) {
		errno = EAGAIN;
		return -1;
	}
	return syscall(SYS_preadv2, fd, v, n, at, 0, flags);
}

ssize_t splice(int from, off64_t *from_at, int to, off64_t *to_at, size_t len, unsigned flags)
{
	bool after;

	if (is_file(from) && fails("read", &after))
		return -1;
	return syscall(SYS_splice, from, from_at, to, to_at, len, flags);
}
