/*
 * callback - what libzip's sources for reading (source.h) and for writing (sink.h) have in common.
 */
#ifndef CK_ZIP_CALLBACK_H
#define CK_ZIP_CALLBACK_H

#include <stdint.h>
#include <zip.h>

/* An archive over a source whose callback is COMMAND; FLAGS are zip_open's. NULL: ERROR says why. */
zip_t *ck_zip_open(zip_source_callback command, void *user, int flags, zip_error_t *error);

/* ZIP_SOURCE_STAT of a source of SIZE bytes, and ZIP_SOURCE_SEEK (or SEEK_WRITE) of *POS: what the callback returns. */
zip_int64_t ck_zip_stat(uint64_t size, void *data, uint64_t len, zip_error_t *error);
zip_int64_t ck_zip_seek(uint64_t *pos, uint64_t size, void *data, uint64_t len, zip_error_t *error);

#endif
