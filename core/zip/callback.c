/* The answers that libzip's sources for reading and for writing give alike. Implements callback.h. */
#include "core/zip/callback.h"

zip_t *ck_zip_open(zip_source_callback command, void *user, int flags, zip_error_t *error)
{
	zip_source_t *source = zip_source_function_create(command, user, error);
	zip_t *zip = source ? zip_open_from_source(source, flags, error) : NULL;

	if (!zip)
		zip_source_free(source);
	return zip;
}

zip_int64_t ck_zip_stat(uint64_t size, void *data, uint64_t len, zip_error_t *error)
{
	zip_stat_t *st = data;

	if (len < sizeof(*st)) {
		zip_error_set(error, ZIP_ER_INVAL, 0);
		return -1;
	}
	zip_stat_init(st);
	st->size = size;
	st->valid = ZIP_STAT_SIZE;
	return sizeof(*st);
}

zip_int64_t ck_zip_seek(uint64_t *pos, uint64_t size, void *data, uint64_t len, zip_error_t *error)
{
	zip_int64_t at = zip_source_seek_compute_offset(*pos, size, data, len, error);

	if (at < 0)
		return -1;
	*pos = (uint64_t)at;
	return 0;
}
