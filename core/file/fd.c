/* Writes and syncs of descriptors, and how many may stay open. Implements fd.h. */
#include "core/file/fd.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

int ck_fd_may_stay(int fd, struct ck_error *err)
{
	const rlim_t quarter = 4, most = 256;
	struct rlimit limit;
	rlim_t kept;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return CK_OK;
	kept = limit.rlim_cur / quarter < most ? limit.rlim_cur / quarter : most;
	/* The kernel gives the lowest number that is free. */
	if ((rlim_t)fd < limit.rlim_cur - kept)
		return CK_OK;
	errno = EMFILE;
	return ck_fail_sys(err, "open");
}

int ck_write_full(int fd, uint64_t offset, const void *buf, size_t len, struct ck_error *err)
{
	const char *at = buf;
	ssize_t n;

	while (len) {
		n = pwrite(fd, at, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ck_fail_sys(err, "write");
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return CK_OK;
}

int ck_sync_fd(int fd, struct ck_error *err)
{
	return fsync(fd) < 0 ? ck_fail_sys(err, "fsync") : CK_OK;
}
