/* Stores of several machines: implements shared.h. */
#include "core/draft/shared.h"

#include "core/file/real.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
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

static int mark_of(const struct ck_file *file, uint8_t *buf, uint32_t *mark, struct ck_error *err)
{
	const uint64_t size = ck_file_size(file);
	const size_t len = size < MARK_BYTES ? (size_t)size : MARK_BYTES;
	const uint64_t places[] = { 0, size - len };
	int rc = CK_OK;

	*mark = (uint32_t)crc32_z(0, (const uint8_t *)&size, sizeof(size));
	for (size_t i = 0; i < sizeof(places) / sizeof(*places) && !rc; i++) {
		rc = ck_file_read(file, places[i], buf, len, err);
		if (!rc)
			*mark = (uint32_t)crc32_z(*mark, buf, len);
	}
	return rc;
}

int ck_mark_of(const char *path, uint32_t *mark, struct ck_error *err)
{
	struct ck_file *file;
	uint8_t *buf;
	int rc = ck_real_file(path, &file, err);

	if (rc)
		return rc;
	buf = malloc(MARK_BYTES);
	rc = buf ? mark_of(file, buf, mark, err) : ck_fail_nomem(err);
	free(buf);
	ck_file_unref(file);
	return rc;
}
