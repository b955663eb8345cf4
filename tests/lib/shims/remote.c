/*
 * remote - a preloaded library that makes large files of a store those of a file system behind a network: the kernel
 * can't tell what of them is in memory, and each read that reaches REMOTE_SIZE bytes of file (default 1 MiB) takes
 * REMOTE_MS milliseconds.
 *
 * REMOTE_KIND: "parallel", any number of reads side by side; "stream", one at a time for each file, and REMOTE_MS more
 * for one that begins elsewhere than the last one ended; "memory", without a delay. Reads of a MiB from REMOTE_HANG on never come
 * back. Each read is a line of REMOTE_LOG:
 * its inode, offset and length, how many were on their way, and whether it began where the last one of its file ended.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILES 64

static struct timespec pause_for;
static int is_stream, is_memory, log_fd = -1;
static off_t least_size = 1 << 20, hang_from;
/* Guards what follows. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned flying;
/* Of each file: where the last read ended, and a lock for its one stream. */
static struct file {
	ino_t ino;
	off_t end;
	pthread_mutex_t stream;
} files[FILES];

/* At once, not when first needed: later the program may have shut itself in. */
__attribute__((constructor)) static void start(void)
{
	const char *ms = getenv("REMOTE_MS"), *kind = getenv("REMOTE_KIND"), *log = getenv("REMOTE_LOG");
	const char *size = getenv("REMOTE_SIZE");
	long n = ms ? atol(ms) : 0;

	pause_for = (struct timespec){ n / 1000, n % 1000 * 1000000 };
	is_stream = kind && strcmp(kind, "stream") == 0;
	is_memory = kind && strcmp(kind, "memory") == 0;
	if (size)
		least_size = atol(size);
	if (getenv("REMOTE_HANG"))
		hang_from = atol(getenv("REMOTE_HANG"));
	if (log)
		log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	for (int i = 0; i < FILES; i++)
		pthread_mutex_init(&files[i].stream, NULL);
}

static int is_remote(int fd, struct stat *st)
{
	return fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size >= least_size;
}

static struct file *file_of(ino_t ino)
{
	for (int i = 0; i < FILES; i++) {
		if (!files[i].ino)
			files[i].ino = ino;
		if (files[i].ino == ino)
			return &files[i];
	}
	abort();
}

static ssize_t slow_read(int fd, void *buf, size_t len, off_t at, ino_t ino)
{
	struct file *file;
	char line[128];
	unsigned now;
	int goes_on, n;
	ssize_t got, ignored = 0;

	pthread_mutex_lock(&lock);
	file = file_of(ino);
	now = ++flying;
	goes_on = file->end == at;
	file->end = at + (off_t)len;
	pthread_mutex_unlock(&lock);
	n = snprintf(line, sizeof(line), "%lu %ld %zu %u %d\n", (unsigned long)ino, (long)at, len, now, goes_on);
	if (log_fd >= 0)
		ignored = syscall(SYS_write, log_fd, line, (size_t)n);
	(void)ignored;
	while (hang_from && at >= hang_from && len >= 1 << 20)
		pause();
	if (is_stream)
		pthread_mutex_lock(&file->stream);
	if (!is_memory)
		nanosleep(&pause_for, NULL);
	if (is_stream && !goes_on)
		nanosleep(&pause_for, NULL);
	got = syscall(SYS_pread64, fd, buf, len, at);
	if (is_stream)
		pthread_mutex_unlock(&file->stream);
	pthread_mutex_lock(&lock);
	flying--;
	pthread_mutex_unlock(&lock);
	return got;
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t at)
{
	struct stat st;

	return is_remote(fd, &st) ? slow_read(fd, buf, len, at, st.st_ino) : syscall(SYS_pread64, fd, buf, len, at);
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

ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t at, int flags)
{
	struct stat st;

	if (flags & RWF_NOWAIT && is_remote(fd, &st)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return syscall(SYS_preadv2, fd, v, n, at, 0, flags);
}
