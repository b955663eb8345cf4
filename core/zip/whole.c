/* Whether a .pt is whole: whole.h. The archive's own reader (core/zip/dir.c) is stricter. */
#include "core/zip/whole.h"

#include "core/base/cursor.h"
#include "core/zip/dir.h"

#include <stdlib.h>

static bool has_signature(const struct ck_file *file, uint64_t offset, uint32_t signature, struct ck_error *err)
{
	uint8_t bytes[4];

	return ck_file_read(file, offset, bytes, sizeof(bytes), err) == CK_OK && ck_zip_u32(bytes) == signature;
}

/* Whether AT, where an end record's signature stands, is the end of the zip in the file: the directory that it names
   begins in front of it with a record. */
static bool is_end(const struct ck_file *file, const uint8_t *record, uint64_t at, struct ck_error *err)
{
	uint64_t size = ck_zip_u32(record + 12), offset = ck_zip_u32(record + 16), before = at - CK_ZIP_LOCATOR_SIZE;
	uint8_t locator[CK_ZIP_LOCATOR_SIZE];
	struct ck_cursor c;

	if (at >= CK_ZIP_LOCATOR_SIZE && ck_file_read(file, before, locator, sizeof(locator), err) == CK_OK &&
	    ck_zip_u32(locator) == CK_ZIP_SIG_LOCATOR) {
		c = ck_cursor(locator + 8, 8);
		offset = ck_cursor_u64(&c);
		return before >= CK_ZIP_END64_SIZE && offset <= before - CK_ZIP_END64_SIZE &&
		       has_signature(file, offset, CK_ZIP_SIG_END64, err);
	}
	return offset + size <= at && (size == 0 || has_signature(file, offset, CK_ZIP_SIG_RECORD, err));
}

/* TAIL is the file's last LEN bytes. */
static bool has_end(const struct ck_file *file, const uint8_t *tail, size_t len, struct ck_error *err)
{
	uint64_t start = ck_file_size(file) - len;

	for (size_t left = CK_ZIP_END_SIZE; left <= len; left++) {
		const uint8_t *at = tail + len - left;

		if (ck_zip_u32(at) == CK_ZIP_SIG_END && is_end(file, at, start + len - left, err))
			return true;
	}
	return false;
}

int ck_file_check_whole(const struct ck_file *file, struct ck_error *err)
{
	uint64_t size = ck_file_size(file);
	size_t len = size < CK_ZIP_TAIL ? (size_t)size : CK_ZIP_TAIL, head = size < 64 ? (size_t)size : 64;
	uint8_t *bytes = malloc(len + 1);
	int rc = bytes ? ck_file_read(file, 0, bytes, head, err) : ck_fail_nomem(err);
	bool whole = !rc && ck_zip_is_legacy(bytes, head);
	struct ck_error why = CK_ERROR_INIT;    /* a read that failed, not a fault of the file */

	if (!rc && !whole)
		rc = ck_file_read(file, size - len, bytes, len, err);
	whole = whole || (!rc && has_end(file, bytes, len, &why));
	free(bytes);
	if (rc || whole)
		return rc;
	if (why.code == CK_ERR_SYS) {
		ck_error_copy(err, &why);
		return CK_ERR_SYS;
	}
	return ck_fail(err, CK_ERR_CORRUPT, "not a zip file, or not all of one: no end of central directory");
}
