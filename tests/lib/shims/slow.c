/*
 * slow - a preloaded library that makes a store as slow as one behind a network: SLOW_MS milliseconds
 * before each open, stat and opendir of a path that starts with SLOW_UNDER, and before each read of a
 * regular file that asks for SLOW_LEN bytes or more (default 0). Reads of anything else, such as FUSE's
 * device, are left alone. Where SLOW_LOG names a file, a byte is appended to it for each call that was
 * delayed: its size counts them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct timespec pause_for;
static const char *under = "";
static size_t long_read;
static int log_fd = -1;

/* At once, not when first needed: later the program may have shut itself in. */
__attribute__((constructor)) static void start(void)
{
	const char *ms = getenv("SLOW_MS"), *path = getenv("SLOW_UNDER");
	const char *log = getenv("SLOW_LOG"), *len = getenv("SLOW_LEN");
	long n = ms ? atol(ms) : 0;

	pause_for = (struct timespec){ n / 1000, n % 1000 * 1000000 };
	if (path)
		under = path;
	if (len)
		long_read = (size_t)atol(len);
	if (log)
		log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void delay(void)
{
	if (log_fd >= 0)
		syscall(SYS_write, log_fd, ".", 1);
	nanosleep(&pause_for, NULL);
}

static void delay_path(const char *path)
{
	if (strncmp(path, under, strlen(under)) == 0)
		delay();
}

static void delay_fd(int fd, size_t len)
{
	struct stat st;

	if (len >= long_read && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		delay();
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void *buf, size_t len)
{
	delay_fd(fd, len);
	/* Not the bare system call: a thread that waits at the device must be cancellable. */
	return NEXT(read)(fd, buf, len);
}

ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	return len > room ? (abort(), -1) : read(fd, buf, len);
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t at)
{
	delay_fd(fd, len);
	return syscall(SYS_pread64, fd, buf, len, at);
}

ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
	return pread64(fd, buf, len, at);
}

ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t at, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t at, size_t room)
{
	return len > room ? (abort(), -1) : pread64(fd, buf, len, at);
}

ssize_t preadv64(int fd, const struct iovec *v, int n, off64_t at)
{
	delay_fd(fd, SIZE_MAX);
	return NEXT(preadv64)(fd, v, n, at);
}

/* Nothing of a slow store is in memory. */
ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t at, int flags)
{
	struct stat st;

	if (flags & RWF_NOWAIT && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		errno = EAGAIN;
		return -1;
	}
	return syscall(SYS_preadv2, fd, v, n, at, 0, flags);
}

/* Only reading is slowed: an open that may create is handed on as it is. */
#define OPEN(name, PARAMS, CALL)                                        \
	int name PARAMS                                                 \
	{                                                               \
		mode_t mode = 0;                                        \
		va_list args;                                           \
									\
		va_start(args, flags);                                  \
		if (flags & (O_CREAT | O_TMPFILE))                      \
			mode = va_arg(args, mode_t);                    \
		va_end(args);                                           \
		if (!(flags & O_CREAT))                                 \
			delay_path(path);                               \
		return CALL;                                            \
	}

OPEN(open, (const char *path, int flags, ...), (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode))
OPEN(openat, (int dir, const char *path, int flags, ...), (int)syscall(SYS_openat, dir, path, flags, mode))
OPEN(openat64, (int dir, const char *path, int flags, ...), (int)syscall(SYS_openat, dir, path, flags, mode))

int stat(const char *path, struct stat *st)
{
	delay_path(path);
	return NEXT(stat)(path, st);
}

int stat64(const char *path, struct stat64 *st)
{
	delay_path(path);
	return NEXT(stat64)(path, st);
}

DIR *opendir(const char *path)
{
	delay_path(path);
	return NEXT(opendir)(path);
}
