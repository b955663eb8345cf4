/* Implements io.h: a stored file, and the full reads and writes that all of core goes through. */
#include "core/file/io.h"

#include "core/file/moves.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

/* Whether the file system tells what is in memory. */
enum sight { SIGHT_UNKNOWN, SIGHT_CLEAR, SIGHT_NONE };

struct ck_file {
	atomic_uint refs;
	int fd;
	bool ours;              /* nobody else can change it, and it may grow */
	struct ck_ident ident;
	struct ck_moves *moves; /* borrowed; NULL: times count as they are */
	struct ck_ahead *ahead; /* borrowed; NULL: nothing is read ahead */
	ck_stat_name *by_name;  /* asked as well whether the file changed; NULL: it isn't */
	atomic_uchar sight;     /* enum sight */
	char name[];
};

int ck_file_from_fd(int fd, const char *name, struct ck_file **out, struct ck_error *err)
{
	struct stat st;
	struct ck_file *file = NULL;
	int rc;

	if (fstat(fd, &st) < 0) {
		rc = ck_fail_sys(err, "fstat");
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		rc = ck_fail(err, CK_ERR_INVALID, "expected a regular file, found another kind of file");
		goto fail;
	}
	file = malloc(sizeof(*file) + strlen(name) + 1);
	if (!file) {
		rc = ck_fail_nomem(err);
		goto fail;
	}
	atomic_init(&file->refs, 1);
	file->fd = fd;
	file->ours = false;
	file->ident = ck_ident_of(&st);
	file->moves = NULL;
	file->ahead = NULL;
	file->by_name = NULL;
	atomic_init(&file->sight, SIGHT_UNKNOWN);
	strcpy(file->name, name);
	*out = file;
	return CK_OK;
fail:
	close(fd);
	ck_error_file(err, name);
	return rc;
}

int ck_file_own(int fd, const char *name, struct ck_file **out, struct ck_error *err)
{
	int rc = ck_file_from_fd(fd, name, out, err);

	if (rc)
		return rc;
	(*out)->ours = true;
	(*out)->ident.size = INT64_MAX;
	return CK_OK;
}

int ck_file_open(const char *path, struct ck_file **out, struct ck_error *err)
{
	/* O_NONBLOCK: a FIFO in the store must not hold the daemon; for a regular file it changes nothing. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), rc;

	if (fd < 0) {
		rc = ck_fail_sys(err, "open");
		ck_error_file(err, path);
		return rc;
	}
	return ck_file_from_fd(fd, path, out, err);
}

struct ck_file *ck_file_ref(struct ck_file *file)
{
	atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
	return file;
}

struct ck_file *ck_file_unref(struct ck_file *file)
{
	if (file && atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) == 1) {
		close(file->fd);
		free(file);
	}
	return NULL;
}

static bool sees_memory(struct ck_file *file)
{
	enum sight sight = (enum sight)atomic_load_explicit(&file->sight, memory_order_relaxed);
	char byte;
	struct iovec to = { &byte, 1 };

	if (sight == SIGHT_UNKNOWN) {
		sight = preadv2(file->fd, &to, 1, 0, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP ? SIGHT_NONE : SIGHT_CLEAR;
		atomic_store_explicit(&file->sight, (unsigned char)sight, memory_order_relaxed);
	}
	return sight == SIGHT_CLEAR;
}

void ck_file_mind(struct ck_file *file, struct ck_moves *moves, struct ck_ahead *ahead, ck_stat_name *by_name)
{
	file->moves = moves;
	file->ahead = ahead;
	/* A network's client keeps attributes, for each descriptor and each name. fstatfs would tell it, too, with a
	   round trip. */
	file->by_name = sees_memory(file) ? NULL : by_name;
	ck_moves_ident(moves, &file->ident);
}

struct ck_ahead *ck_file_ahead(struct ck_file *file)
{
	return file->ahead && !sees_memory(file) ? file->ahead : NULL;
}

int ck_file_fd(const struct ck_file *file)
{
	return file->fd;
}

const char *ck_file_name(const struct ck_file *file)
{
	return file->name;
}

const struct ck_ident *ck_file_ident(const struct ck_file *file)
{
	return &file->ident;
}

int ck_file_read(const struct ck_file *file, uint64_t offset, void *buf, size_t len, struct ck_error *err)
{
	char *at = buf;
	ssize_t n;
	int rc;

	if (offset > file->ident.size || len > file->ident.size - offset) {
		rc = ck_fail(err, CK_ERR_CORRUPT, "expected %zu bytes at byte %llu, found the end of the file at %llu",
			     len, (unsigned long long)offset, (unsigned long long)file->ident.size);
		goto fail;
	}
	while (len) {
		n = pread(file->fd, at, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = ck_fail_sys(err, "read");
			goto fail;
		}
		if (n == 0) {
			rc = ck_fail(err, CK_ERR_CHANGED, "the file was truncated while it was in use");
			goto fail;
		}
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return CK_OK;
fail:
	ck_error_file(err, file->name);
	return rc;
}

int ck_file_read_now(const struct ck_file *file, uint64_t offset, void *buf, size_t len)
{
	struct iovec to = { buf, len };

	/* A short read has many causes: the call that may wait finds out which. */
	return preadv2(file->fd, &to, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)len ? CK_OK : CK_ERR_AGAIN;
}

/* Whether NOW, which was found just now, is the file as it was opened. */
static bool is_same(const struct ck_file *file, struct ck_ident now)
{
	if (!ck_ident_equal(&now, &file->ident) && file->moves)
		ck_moves_ident(file->moves, &now);
	return ck_ident_equal(&now, &file->ident);
}

/*
 * Whether the file's name has the same inode number and other attributes. rclone has one number for a name, whatever
 * file is there; a descriptor keeps the attributes of the file that it was opened for and gives the bytes of the new
 * one. Where the number is another, the descriptor has the old file (sshfs, GlusterFS, NFS), and its bytes are right.
 */
static bool is_other_by_name(const struct ck_file *file)
{
	struct stat st;

	return file->by_name && file->by_name(file->name, &st) == 0 && st.st_dev == file->ident.dev &&
	       st.st_ino == file->ident.ino && !is_same(file, ck_ident_of(&st));
}

int ck_file_verify(const struct ck_file *file, struct ck_error *err)
{
	struct statx st;
	int rc;

	if (file->ours)
		return CK_OK;
	/* A read makes FUSE ask for the time of access again, which an fstat would wait for. */
	if (statx(file->fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_SIZE | STATX_MTIME, &st) < 0) {
		rc = ck_fail_sys(err, "fstat");
		goto fail;
	}
	if (is_same(file, ck_ident_of_statx(&st)) && !is_other_by_name(file))
		return CK_OK;
	rc = ck_fail(err, CK_ERR_CHANGED, "the file was rewritten while it was in use");
fail:
	ck_error_file(err, file->name);
	return rc;
}

int ck_file_load(const struct ck_file *file, size_t max, char **out, size_t *len, struct ck_error *err)
{
	uint64_t size = file->ident.size;
	char *data = NULL;
	int rc;

	if (size > max || size >= SIZE_MAX) {
		rc = ck_fail(err, CK_ERR_LIMIT, "expected at most %zu bytes, found %llu", max,
			     (unsigned long long)size);
		ck_error_file(err, file->name);
		return rc;
	}
	data = malloc((size_t)size + 1);
	if (!data)
		return ck_fail_nomem(err);
	rc = ck_file_read(file, 0, data, (size_t)size, err);
	if (!rc)
		rc = ck_file_verify(file, err);
	if (rc) {
		free(data);
		return rc;
	}
	data[size] = '\0';
	*out = data;
	*len = (size_t)size;
	return CK_OK;
}
