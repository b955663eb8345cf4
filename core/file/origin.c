/* Implements origin.h. */
#include "core/file/origin.h"

#include "core/file/ahead.h"

int ck_stream_read(struct ck_file *file, uint64_t offset, void *buf, size_t len, struct ck_error *err)
{
	struct ck_ahead *ahead = ck_file_ahead(file);

	return ahead ? ck_ahead_read(ahead, file, offset, buf, len, err) : ck_file_read(file, offset, buf, len, err);
}

void ck_stream_prefetch(struct ck_file *file, uint64_t offset, uint64_t len)
{
	struct ck_ahead *ahead = ck_file_ahead(file);

	if (!ahead || !ck_ahead_comes_by(ahead, file, offset, (size_t)len))
		posix_fadvise(ck_file_fd(file), (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
}

int ck_origin_read(const struct ck_origin *origin, uint64_t offset, void *buf, size_t len, struct ck_error *err)
{
	struct ck_ahead *ahead;

	offset += origin->byte;
	if (!origin->now)
		return ck_stream_read(origin->file, offset, buf, len, err);
	ahead = ck_file_ahead(origin->file);
	return ahead ? ck_ahead_read_now(ahead, origin->file, offset, buf, len)
		     : ck_file_read_now(origin->file, offset, buf, len);
}
