/* Implements source.h: libzip's callbacks for reading, and the window that they read through. */
#include "core/zip/source.h"

#include "core/zip/callback.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct ck_zipsource {
	struct ck_file *file;
	uint64_t size;
	uint64_t pos;           /* libzip's */
	uint64_t first_read;    /* libzip's, since the mark */
	uint64_t start;         /* the window is [start, start + filled) of the file */
	size_t filled;
	zip_error_t error;      /* the last failure, for libzip */
	struct ck_error cause;  /* and for us: why the file could not be read */
	uint8_t window[CK_ZIPSOURCE_WINDOW];
};

int ck_zipsource_new(struct ck_file *file, struct ck_zipsource **out, struct ck_error *err)
{
	struct ck_zipsource *src = malloc(sizeof(*src));

	if (!src)
		return ck_fail_nomem(err);
	src->file = ck_file_ref(file);
	src->size = ck_file_size(file);
	src->pos = 0;
	src->first_read = UINT64_MAX;
	src->start = 0;
	src->filled = 0;
	zip_error_init(&src->error);
	src->cause = (struct ck_error)CK_ERROR_INIT;
	*out = src;
	return CK_OK;
}

void ck_zipsource_free(struct ck_zipsource *src)
{
	if (!src)
		return;
	zip_error_fini(&src->error);
	ck_file_unref(src->file);
	free(src);
}

uint64_t ck_zipsource_size(const struct ck_zipsource *src)
{
	return src->size;
}

void ck_zipsource_cut(struct ck_zipsource *src, uint64_t size)
{
	if (size < src->size)
		src->size = size;
	if (src->start + src->filled > src->size)
		src->filled = src->start < src->size ? (size_t)(src->size - src->start) : 0;
}

void ck_zipsource_mark(struct ck_zipsource *src)
{
	src->first_read = UINT64_MAX;
}

uint64_t ck_zipsource_first_read(const struct ck_zipsource *src)
{
	return src->first_read;
}

int ck_zipsource_peek(struct ck_zipsource *src, uint64_t offset, size_t len, const uint8_t **at,
		      struct ck_error *err)
{
	uint64_t last = src->size > CK_ZIPSOURCE_WINDOW ? src->size - CK_ZIPSOURCE_WINDOW : 0;
	size_t want;
	int rc;

	if (offset > src->size || len > src->size - offset || len > CK_ZIPSOURCE_WINDOW)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "expected %zu bytes at %" PRIu64 ", found a file of %" PRIu64 " bytes", len, offset,
			       src->size);
	if (offset < src->start || offset - src->start > src->filled ||
	    len > src->filled - (offset - src->start)) {
		/* Never less than a whole window: a look at the tail brings the directory, which lies before it. */
		src->start = offset < last ? offset : last;
		want = last ? CK_ZIPSOURCE_WINDOW : (size_t)src->size;
		src->filled = 0;
		rc = ck_file_read(src->file, src->start, src->window, want, err);
		if (rc)
			return rc;
		src->filled = want;
	}
	*at = src->window + (offset - src->start);
	return CK_OK;
}

/* Reads as libzip wants it: LEN bytes, fewer only at the end of the file, -1 on failure. */
static zip_int64_t source_read(struct ck_zipsource *src, uint8_t *data, uint64_t len)
{
	uint64_t done = 0;

	if (src->first_read == UINT64_MAX)
		src->first_read = src->pos;
	if (len > src->size - src->pos)
		len = src->size - src->pos;
	while (done < len) {
		size_t part = len - done < CK_ZIPSOURCE_WINDOW ? (size_t)(len - done) : CK_ZIPSOURCE_WINDOW;
		const uint8_t *from;

		if (ck_zipsource_peek(src, src->pos, part, &from, &src->cause)) {
			zip_error_set(&src->error, ZIP_ER_READ, src->cause.sys ? src->cause.sys : EIO);
			return -1;
		}
		memcpy(data + done, from, part);
		done += part;
		src->pos += part;
	}
	return (zip_int64_t)done;
}

/* libzip's zip_source_callback; the commands to write are not among what SUPPORTS names. */
static zip_int64_t source_command(void *user, void *data, zip_uint64_t len, zip_source_cmd_t command)
{
	struct ck_zipsource *src = user;

	switch (command) {
	case ZIP_SOURCE_OPEN:
		src->pos = 0;
		return 0;
	case ZIP_SOURCE_READ:
		return source_read(src, data, len);
	case ZIP_SOURCE_SEEK:
		return ck_zip_seek(&src->pos, src->size, data, len, &src->error);
	case ZIP_SOURCE_TELL:
		return (zip_int64_t)src->pos;
	case ZIP_SOURCE_STAT:
		return ck_zip_stat(src->size, data, len, &src->error);
	case ZIP_SOURCE_ERROR:
		return zip_error_to_data(&src->error, data, len);
	case ZIP_SOURCE_SUPPORTS:
		return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
						      ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
						      ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
						      ZIP_SOURCE_SUPPORTS, -1);
	case ZIP_SOURCE_CLOSE:
	case ZIP_SOURCE_FREE:  /* the source is its maker's, who reads its errors after libzip let go of it */
		return 0;
	default:
		zip_error_set(&src->error, ZIP_ER_OPNOTSUPP, 0);
		return -1;
	}
}

int ck_zipsource_open(struct ck_zipsource *src, zip_t **out, struct ck_error *err)
{
	zip_error_t error;
	int rc;

	zip_error_init(&error);
	*out = ck_zip_open(source_command, src, ZIP_RDONLY, &error);
	rc = *out ? CK_OK : ck_zipsource_fail(src, &error, err);
	zip_error_fini(&error);
	return rc;
}

int ck_zipsource_fail(struct ck_zipsource *src, zip_error_t *error, struct ck_error *err)
{
	int code = (int)src->cause.code;

	if (code) {
		ck_error_copy(err, &src->cause);
		ck_error_clear(&src->cause);
		return code;
	}
	if (zip_error_code_zip(error) == ZIP_ER_MEMORY)
		return ck_fail_nomem(err);
	return ck_fail(err, CK_ERR_CORRUPT, "libzip: %s", zip_error_strerror(error));
}
