/*
 * late - preloaded into the daemon: one stat that is overtaken. The first one of a file of the name LATE_NAME while
 * the file LATE_ONCE is there takes that away, gets its answer and hands it on LATE_MS milliseconds later.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *late_name = "", *once = "";
static struct timespec pause_for;

/* At once, not when first needed: later the program may have shut itself in. */
__attribute__((constructor)) static void start(void)
{
	const char *name = getenv("LATE_NAME"), *path = getenv("LATE_ONCE"), *ms = getenv("LATE_MS");
	long n = ms ? atol(ms) : 0;

	pause_for = (struct timespec){ n / 1000, n % 1000 * 1000000 };
	if (name && path) {
		late_name = name;
		once = path;
	}
}

static int late(int dir, const char *name, void *st, int flags)
{
	int rc = (int)syscall(SYS_newfstatat, dir, name, st, flags);

	if (rc == 0 && *late_name && strcmp(name, late_name) == 0 && syscall(SYS_unlinkat, AT_FDCWD, once, 0) == 0)
		nanosleep(&pause_for, NULL);
	return rc;
}

int fstatat(int dir, const char *name, struct stat *st, int flags)
{
	return late(dir, name, st, flags);
}

int fstatat64(int dir, const char *name, struct stat64 *st, int flags)
{
	return late(dir, name, st, flags);
}
