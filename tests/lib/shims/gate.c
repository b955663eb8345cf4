/*
 * gate - preloaded into the daemon: a store that waits as long as the test says. While the file GATE_SHUT is there,
 * fsync waits, so that a publication does, and so do reads of the file that has the inode number GATE_INODE. The file
 * GATE_SHUT.waits gets a byte for each call that begins to wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *shut;
static unsigned long long inode;
static int waits = -1;

/* At once, not when first needed: later the program may have shut itself in. */
__attribute__((constructor)) static void start(void)
{
	const char *number = getenv("GATE_INODE");
	char path[4096];

	shut = getenv("GATE_SHUT");
	if (number)
		inode = strtoull(number, NULL, 10);
	if (!shut)
		return;
	snprintf(path, sizeof(path), "%s.waits", shut);
	waits = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_shut(void)
{
	return shut && syscall(SYS_faccessat, AT_FDCWD, shut, F_OK) == 0;
}

static void wait_here(void)
{
	const struct timespec step = { .tv_nsec = 10000000 };

	if (!is_shut())
		return;
	syscall(SYS_write, waits, ".", 1);
	while (is_shut())
		nanosleep(&step, NULL);
}

static int is_gated(int fd)
{
	struct stat st;

	return inode && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == inode;
}

int fsync(int fd)
{
	wait_here();
	return (int)syscall(SYS_fsync, fd);
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t at)
{
	if (is_gated(fd))
		wait_here();
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

/* Nothing of a gated file is in memory. */
ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t at, int flags)
{
	if (flags & RWF_NOWAIT && is_gated(fd)) {
		errno = EAGAIN;
		return -1;
	}
	return syscall(SYS_preadv2, fd, v, n, at, 0, flags);
}
