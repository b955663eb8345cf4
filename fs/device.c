/* device - the session's reads and writes of its device. Implements fs_use_device() of fs/fs.h. */
#include "fs.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

/* libfuse 3.14 knows FUSE_CAP_PARALLEL_DIROPS, but has no line that passes it on to the kernel: we put it into the
   answer to INIT. Without it a look-up that waits for a slow file holds up every other one in that directory. */
static ssize_t put(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fs *fs = userdata;
	struct fuse_init_out *init;

	if (fs->parallel_dirops && count > 1 && iov[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE) {
		init = iov[1].iov_base;
		init->flags |= FUSE_PARALLEL_DIROPS;
		fs->parallel_dirops = false;
	}
	return writev(fd, iov, count);
}

static ssize_t get(int fd, void *buf, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buf, len);
}

int fs_use_device(struct fuse_session *session)
{
	static const struct fuse_custom_io io = { .writev = put, .read = get };
	int rc = fuse_session_custom_io(session, &io, fuse_session_fd(session));

	errno = rc < 0 ? -rc : 0;
	return rc < 0 ? -1 : 0;
}
