/* Whether a .pt is whole: whole.h. The archive's own reader (core/zip/dir.c) is stricter. */
#include "core/zip/whole.h"

#include "core/base/cursor.h"

#include <stdlib.h>
#include <string.h>

#define SIG_RECORD 0x02014b50u
#define SIG_END 0x06054b50u
#define SIG_END64 0x06064b50u
#define SIG_LOCATOR 0x07064b50u
#define END_SIZE 22
#define LOCATOR_SIZE 20
#define END64_SIZE 56
/* How far from the file's end the end record may begin, as torch looks for it: the longest comment, or as many bytes of
   anything else. */
#define TAIL (END_SIZE + 0xffff)

static uint32_t u32(const uint8_t *at)
{
	struct ck_cursor c = ck_cursor(at, 4);

	return ck_cursor_u32(&c);
}

static bool has_signature(const struct ck_file *file, uint64_t offset, uint32_t signature, struct ck_error *err)
{
	uint8_t bytes[4];

	return ck_file_read(file, offset, bytes, sizeof(bytes), err) == CK_OK && u32(bytes) == signature;
}

/* Whether AT, where an end record's signature stands, is the end of the zip in the file: the directory that it names
   begins in front of it with a record. */
static bool is_end(const struct ck_file *file, const uint8_t *record, uint64_t at, struct ck_error *err)
{
	uint64_t size = u32(record + 12), offset = u32(record + 16);
	uint8_t locator[LOCATOR_SIZE];
	struct ck_cursor c;

	if (at >= LOCATOR_SIZE && ck_file_read(file, at - LOCATOR_SIZE, locator, sizeof(locator), err) == CK_OK &&
	    u32(locator) == SIG_LOCATOR) {
		c = ck_cursor(locator + 8, 8);
		offset = ck_cursor_u64(&c);
		return at >= LOCATOR_SIZE + END64_SIZE && offset <= at - LOCATOR_SIZE - END64_SIZE &&
		       has_signature(file, offset, SIG_END64, err);
	}
	return offset + size <= at && (size == 0 || has_signature(file, offset, SIG_RECORD, err));
}

/* torch before 1.6 begins with this number, pickled: as a protocol of its day, or a later one, in a frame or not,
   spells it. */
static bool is_legacy(const uint8_t *head, size_t len)
{
	static const uint8_t number[] = { 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.' };
	static const char text[] = "L119547037146038801333356L\n.";
	size_t at = len > 2 && head[2] == 0x95 ? 11 : 2;

	if (len >= sizeof(text) - 1 && memcmp(head, text, sizeof(text) - 1) == 0)
		return true;
	return len >= at + sizeof(number) && head[0] == 0x80 && memcmp(head + at, number, sizeof(number)) == 0;
}

/* TAIL is the file's last LEN bytes. */
static bool has_end(const struct ck_file *file, const uint8_t *tail, size_t len, struct ck_error *err)
{
	uint64_t start = ck_file_size(file) - len;

	for (size_t left = END_SIZE; left <= len; left++)
		if (u32(tail + len - left) == SIG_END && is_end(file, tail + len - left, start + len - left, err))
			return true;
	return false;
}

int ck_file_check_whole(const struct ck_file *file, struct ck_error *err)
{
	uint64_t size = ck_file_size(file);
	size_t len = size < TAIL ? (size_t)size : TAIL, head = size < 64 ? (size_t)size : 64;
	uint8_t *bytes = malloc(len + 1);
	int rc = bytes ? ck_file_read(file, 0, bytes, head, err) : ck_fail_nomem(err);
	bool whole = !rc && is_legacy(bytes, head);
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
