/* Stores of several machines: implements shared.h. */
#include "core/draft/shared.h"

#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <zlib.h>

#define MARK_BYTES ((size_t)64 << 10)

#define XFS_MAGIC 0x58465342u
#define ZFS_MAGIC 0x2fc12fc1u
#define BCACHEFS_MAGIC 0xca451a4eu

bool ck_is_shared(const char *path)
{
	static const uint32_t local[] = {
		EXT4_SUPER_MAGIC, XFS_MAGIC,	    BTRFS_SUPER_MAGIC, TMPFS_MAGIC, RAMFS_MAGIC,
		F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, ZFS_MAGIC,	       BCACHEFS_MAGIC,
	};
	struct statfs st;

	if (statfs(path, &st) < 0)
		return true;
	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
		if ((uint32_t)st.f_type == local[i])
			return false;
	return true;
}

int ck_rename_new(const char *from, const char *to, bool by_link)
{
	struct stat st;

	if (ck_real_rename(from, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -1;
	if (by_link && ck_real_link(from, to) == 0) {
		ck_real_unlink(from);
		return 0;
	}
	if (ck_real_stat(to, &st) == 0) {
		errno = EEXIST;
		return -1;
	}
	return errno == ENOENT ? ck_real_rename(from, to, 0) : -1;
}

bool ck_is_hidden_open(const char *name)
{
	return strncmp(name, ".fuse_hidden", strlen(".fuse_hidden")) == 0 || strncmp(name, ".nfs", strlen(".nfs")) == 0;
}

/* Reads LEN bytes at OFFSET into BUF. */
static bool read_all(int fd, uint8_t *buf, size_t len, off_t offset)
{
	ssize_t n;

	for (size_t got = 0; got < len; got += (size_t)n) {
		do
			n = pread(fd, buf + got, len - got, offset + (off_t)got);
		while (n < 0 && errno == EINTR);
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return false;
	}
	return true;
}

static bool mark_of(int fd, uint8_t *buf, uint32_t *mark)
{
	struct stat st;
	uint64_t size;
	size_t len;

	if (fstat(fd, &st) < 0)
		return false;
	size = (uint64_t)st.st_size;
	len = size < MARK_BYTES ? (size_t)size : MARK_BYTES;
	*mark = (uint32_t)crc32_z(0, (const uint8_t *)&size, sizeof(size));
	if (!read_all(fd, buf, len, 0))
		return false;
	*mark = (uint32_t)crc32_z(*mark, buf, len);
	if (!read_all(fd, buf, len, (off_t)(size - len)))
		return false;
	*mark = (uint32_t)crc32_z(*mark, buf, len);
	return true;
}

bool ck_mark_of(const char *path, uint32_t *mark)
{
	int fd = ck_real_open(path, O_RDONLY, 0), error;
	uint8_t *buf = fd < 0 ? NULL : malloc(MARK_BYTES);
	bool done = buf && mark_of(fd, buf, mark);

	error = errno;
	free(buf);
	if (fd >= 0)
		close(fd);
	errno = error;
	return done;
}
