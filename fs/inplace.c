/* Implements inplace.h. */
#include "inplace.h"

#include "advise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The descriptor's number is always the same, as far as may be: the inode numbers depend on the paths. */
#define HELD_FD 64

const char *inplace_hold(const char *store, char **held, char *buf, size_t size)
{
	char near[PATH_MAX];
	int fd, high;

	if (advise_is_mounted_near(store, near, sizeof(near))) {
		snprintf(buf, size, "a ckptfs is mounted at '%s': fusermount3 -u it first", near);
		return buf;
	}
	fd = open(store, O_PATH | O_DIRECTORY | O_CLOEXEC);
	high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HELD_FD);
	if (fd >= 0)
		close(fd);
	if (high >= 0 && asprintf(held, "/proc/self/fd/%d", high) >= 0)
		return NULL;
	*held = NULL;
	return strerror(errno);
}

char *inplace_note(const char *store, bool allow_other)
{
	const char *who = "";
	char *note;

	if (!allow_other)
		who = geteuid() == 0 ? ": nobody but root can enter it without -o allow_other"
				     : ": nobody else can enter it, not even root, without -o allow_other";
	if (asprintf(&note, "'%s' is mounted in place%s; after a crash, fusermount3 -u gives the directory back",
		     store, who) < 0)
		return NULL;
	return note;
}
