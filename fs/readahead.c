/* Implements readahead.h: writes the kernel's setting for the mount's device. */
#include "readahead.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define READAHEAD_KIB 1024u     /* libfuse 3.14's largest read */

static bool set_kib(unsigned minor)
{
	char path[64], text[16];
	int fd, len;
	bool done;

	snprintf(path, sizeof(path), "/sys/class/bdi/0:%u/read_ahead_kb", minor);
	len = snprintf(text, sizeof(text), "%u", READAHEAD_KIB);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, text, (size_t)len) == len;
	close(fd);
	return done;
}

unsigned readahead_raise(const char *mountpoint)
{
	struct statx st;

	/* DONT_SYNC: the kernel knows the device's number without asking the daemon, which can't
	   answer yet. */
	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, 0, &st) < 0)
		return 0;
	/* The mountpoint may be something else by now, such as a disk. A FUSE mount has no device:
	   its major number is 0. */
	return st.stx_dev_major == 0 && set_kib(st.stx_dev_minor) ? READAHEAD_KIB << 10 : 0;
}
