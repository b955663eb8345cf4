/* Implements dir.h: the end records, the central directory and the local headers of a zip. */
#include "core/zip/dir.h"

#include "core/base/cursor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Extra fields. */
#define ZIP64_ID 0x0001
#define UNICODE_PATH_ID 0x7075

/* Bits that say how hard the deflater tried; writers differ in whether the local header has them. */
#define LEVEL_BITS 0x0006

/* So many bytes of records are read at once: those of 100,000 tensors. */
#define WINDOW ((size_t)16 << 20)
/* With the first record comes what lies in front of it: torch's last small records. */
#define IN_FRONT 4096u
#define PAGE 4096u

/* Reads the file from START, a page's, to END. */
static int fill(struct ck_zipdir *dir, uint64_t start, uint64_t end, struct ck_error *err)
{
	size_t len = (size_t)(end - start);
	int rc;

	free(dir->window);
	dir->filled = 0;
	dir->start = start;
	dir->window = malloc(len + 1);
	if (!dir->window)
		return ck_fail_nomem(err);
	rc = ck_file_read(dir->file, start, dir->window, len, err);
	if (!rc)
		dir->filled = len;
	return rc;
}

/* *AT: LEN bytes at OFFSET, valid until the next look. Of the records as many more as a window holds are read with
   them. CK_ERR_CORRUPT when they are not all in the file. */
static int peek(struct ck_zipdir *dir, uint64_t offset, size_t len, const uint8_t **at, struct ck_error *err)
{
	uint64_t size = ck_file_size(dir->file), start = offset, end = offset + len, records_end;
	const struct ck_zipbytes seen = { dir->window, dir->start, dir->filled };
	int rc = CK_OK;

	if (offset > size || len > size - offset || len > WINDOW)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "expected %zu bytes at %" PRIu64 ", found a file of %" PRIu64 " bytes", len, offset,
			       size);
	if (dir->records && offset >= dir->offset) {
		if (offset == dir->offset)
			start -= start < IN_FRONT ? start : IN_FRONT;
		records_end = dir->offset + dir->size;
		end = records_end - offset < WINDOW ? records_end : offset + WINDOW;
	}
	if (!dir->window || !ck_zipbytes_have(&seen, offset, len))
		rc = fill(dir, start - start % PAGE, end, err);
	if (!rc)
		*at = dir->window + (offset - dir->start);
	return rc;
}

bool ck_zip_is_legacy(const uint8_t *head, size_t len)
{
	static const uint8_t number[] = { 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.' };
	static const char text[] = "L119547037146038801333356L\n.";
	size_t at = len > 2 && head[2] == 0x95 ? 11 : 2;

	if (len >= sizeof(text) - 1 && memcmp(head, text, sizeof(text) - 1) == 0)
		return true;
	return len >= at + sizeof(number) && head[0] == 0x80 && memcmp(head + at, number, sizeof(number)) == 0;
}

/* Says what the file is instead of a zip. */
static int no_zip(struct ck_zipdir *dir, struct ck_error *err)
{
	uint64_t size = ck_file_size(dir->file);
	size_t len = size < 512 ? (size_t)size : 512;
	const uint8_t *head;
	int rc = peek(dir, 0, len, &head, err);

	if (rc)
		return rc;
	if (len == 0)
		return ck_fail(err, CK_ERR_CORRUPT, "the file is empty");
	if (ck_zip_is_legacy(head, len))
		return ck_fail(err, CK_ERR_UNSUPPORTED,
			       "a legacy torch file (before 1.6); save it again with torch.save of 1.6 or later");
	if (head[0] == 0x80 && len > 1 && head[1] >= 2 && head[1] <= 5)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "expected the zip that torch.save writes, found a bare pickle");
	if (len >= 262 && memcmp(head + 257, "ustar", 5) == 0)
		return ck_fail(err, CK_ERR_UNSUPPORTED,
			       "a tar, as very old torch wrote it; save it again with torch.save of 1.6 or later");
	if (len >= 4 && ck_zip_u32(head) == CK_ZIP_SIG_LOCAL)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "no end of central directory: the file is truncated or half-written");
	return ck_fail(err, CK_ERR_CORRUPT, "not a zip file: no end of central directory (is it truncated?)");
}

/*
 * Where the end record starts: torch and other readers go by the last one. Bytes behind the record and its comment (a
 * newline, the zeros of a rounded upload) do not belong to the zip. Readers that mind comments go by a
 * record whose comment ends where the file ends. A file with such a second record is refused.
 */
static int find_end(struct ck_zipdir *dir, uint64_t *at, struct ck_error *err)
{
	uint64_t size = ck_file_size(dir->file), found = UINT64_MAX, other = UINT64_MAX;
	size_t len = size < CK_ZIP_TAIL ? (size_t)size : CK_ZIP_TAIL, comment = 0;
	const uint8_t *tail;
	int rc = peek(dir, size - len, len, &tail, err);

	if (rc)
		return rc;
	for (size_t i = 0; i + CK_ZIP_END_SIZE <= len; i++) {
		if (ck_zip_u32(tail + i) != CK_ZIP_SIG_END)
			continue;
		if (found != UINT64_MAX && found + CK_ZIP_END_SIZE + comment == size)
			other = found;
		found = size - len + i;
		comment = (size_t)(tail[i + 20] | tail[i + 21] << 8);
	}
	if (found == UINT64_MAX)
		return no_zip(dir, err);
	if (other != UINT64_MAX)
		return ck_fail(err, CK_ERR_CORRUPT, "two ends of central directory, at %" PRIu64 " and %" PRIu64, other,
			       found);
	if (comment > size - found - CK_ZIP_END_SIZE)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "expected a comment of %zu bytes behind the end of central directory, found %" PRIu64,
			       comment, size - found - CK_ZIP_END_SIZE);
	*at = found;
	return CK_OK;
}

/* The zip64 end record that the locator in front of AT names, if there is one. *AT becomes its
   start. */
static int read_end64(struct ck_zipdir *dir, uint64_t *at, struct ck_error *err)
{
	const uint8_t *p;
	struct ck_cursor c;
	uint64_t where, rest, disks, count_here;
	int rc;

	if (*at < CK_ZIP_LOCATOR_SIZE)
		return CK_OK;
	rc = peek(dir, *at - CK_ZIP_LOCATOR_SIZE, CK_ZIP_LOCATOR_SIZE, &p, err);
	if (rc)
		return rc;
	c = ck_cursor(p, CK_ZIP_LOCATOR_SIZE);
	if (ck_cursor_u32(&c) != CK_ZIP_SIG_LOCATOR)
		return CK_OK;
	disks = ck_cursor_u32(&c);
	where = ck_cursor_u64(&c);
	if (disks != 0 || ck_cursor_u32(&c) != 1)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "a zip split over several disks");
	if (*at - CK_ZIP_LOCATOR_SIZE < CK_ZIP_END64_SIZE || where > *at - CK_ZIP_LOCATOR_SIZE - CK_ZIP_END64_SIZE)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "zip64 end record at %" PRIu64 ", not in front of its locator at %" PRIu64, where,
			       *at - CK_ZIP_LOCATOR_SIZE);
	rest = *at - CK_ZIP_LOCATOR_SIZE - where - 12;

	rc = peek(dir, where, CK_ZIP_END64_SIZE, &p, err);
	if (rc)
		return rc;
	c = ck_cursor(p, CK_ZIP_END64_SIZE);
	if (ck_cursor_u32(&c) != CK_ZIP_SIG_END64 || ck_cursor_u64(&c) != rest)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "expected a zip64 end record at %" PRIu64 ", where its locator says", where);
	ck_cursor_u32(&c);  /* versions */
	disks = ck_cursor_u64(&c);
	count_here = ck_cursor_u64(&c);
	dir->count = ck_cursor_u64(&c);
	dir->size = ck_cursor_u64(&c);
	dir->offset = ck_cursor_u64(&c);
	if (disks != 0 || count_here != dir->count)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "a zip split over several disks");
	*at = where;
	return CK_OK;
}

/* A narrow field of the end record repeats the zip64 one or is all ones, which stands for "see
   there". */
static bool narrow_agrees(uint64_t narrow, uint64_t wide, uint64_t ones)
{
	return narrow == wide || narrow == ones;
}

/* Finds where the records lie. */
static int find_directory(struct ck_zipdir *dir, struct ck_error *err)
{
	uint64_t narrow_count, narrow_size, narrow_offset;
	struct ck_cursor c;
	const uint8_t *p;
	uint64_t at = 0, disks, count_here, start;
	int rc = find_end(dir, &at, err);

	if (rc)
		return rc;
	rc = peek(dir, at, CK_ZIP_END_SIZE, &p, err);
	if (rc)
		return rc;
	c = ck_cursor(p + 4, CK_ZIP_END_SIZE - 4);
	disks = ck_cursor_u32(&c);
	count_here = ck_cursor_u16(&c);
	narrow_count = ck_cursor_u16(&c);
	narrow_size = ck_cursor_u32(&c);
	narrow_offset = ck_cursor_u32(&c);
	if (disks != 0 || count_here != narrow_count)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "a zip split over several disks");

	dir->count = narrow_count;
	dir->size = narrow_size;
	dir->offset = narrow_offset;
	start = at;
	rc = read_end64(dir, &start, err);
	if (rc)
		return rc;
	if (!narrow_agrees(narrow_count, dir->count, 0xffff) || !narrow_agrees(narrow_size, dir->size, UINT32_MAX) ||
	    !narrow_agrees(narrow_offset, dir->offset, UINT32_MAX))
		return ck_fail(err, CK_ERR_CORRUPT, "the end record and the zip64 end record disagree");
	if (dir->offset > start || dir->size != start - dir->offset)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "central directory of %" PRIu64 " bytes at %" PRIu64 " does not end at %" PRIu64
			       ", where the end record is (bytes in front of the zip?)", dir->size, dir->offset, start);
	if (dir->count > dir->size / CK_ZIP_RECORD_SIZE)
		return ck_fail(err, CK_ERR_CORRUPT,
			       "%" PRIu64 " entries can't be in a central directory of %" PRIu64 " bytes",
			       dir->count, dir->size);
	dir->next = dir->offset;
	dir->records = true;
	return CK_OK;
}

int ck_zipdir_open(struct ck_file *file, struct ck_zipdir **out, struct ck_error *err)
{
	struct ck_zipdir *dir = calloc(1, sizeof(*dir));
	int rc;

	if (!dir)
		return ck_fail_nomem(err);
	dir->file = file;
	rc = find_directory(dir, err);
	if (rc)
		ck_zipdir_free(dir);
	else
		*out = dir;
	return rc;
}

void ck_zipdir_free(struct ck_zipdir *dir)
{
	if (dir)
		free(dir->window);
	free(dir);
}

/* How many extra fields ID there are. *OUT: the last of them. -1: the fields don't end where they should. */
static int find_extra(const uint8_t *extra, size_t len, uint16_t wanted, struct ck_cursor *out)
{
	struct ck_cursor c = ck_cursor(extra, len);
	int found = 0;

	*out = ck_cursor(extra, 0);
	while (ck_cursor_left(&c) >= 4) {
		uint16_t id = ck_cursor_u16(&c);
		uint16_t n = ck_cursor_u16(&c);
		const uint8_t *block = ck_cursor_take(&c, n);

		if (block && id == wanted) {
			*out = ck_cursor(block, n);
			found++;
		}
	}
	return c.ok ? found : -1;
}

/*
 * Replaces each field that is all ones by its 64-bit value. The order is fixed, and a value is
 * there only where the narrow field asks for it, except that a local header always has both sizes.
 */
static int widen(struct ck_ziprecord *rec, const uint8_t *extra, size_t len, bool local, struct ck_error *err)
{
	bool size = rec->size == UINT32_MAX, stored = rec->stored_size == UINT32_MAX;
	bool offset = !local && rec->header_offset == UINT32_MAX;
	struct ck_cursor wide;

	if (!size && !stored && !offset)
		return CK_OK;
	if (find_extra(extra, len, ZIP64_ID, &wide) != 1)
		return ck_fail(err, CK_ERR_CORRUPT, "a size or an offset of 0xffffffff without one zip64 field");
	if (size)
		rec->size = ck_cursor_u64(&wide);
	else if (local)
		ck_cursor_u64(&wide);
	if (stored)
		rec->stored_size = ck_cursor_u64(&wide);
	if (offset)
		rec->header_offset = ck_cursor_u64(&wide);
	return wide.ok ? CK_OK : ck_fail(err, CK_ERR_CORRUPT, "the zip64 field is too short");
}

/* Some readers go by the name in this field, torch by the one in the record. A field whose CRC is not that of the
   record's name is out of date, and no reader goes by it. */
static int check_unicode_path(const struct ck_ziprecord *rec, const uint8_t *extra, size_t len, struct ck_error *err)
{
	struct ck_cursor field;
	uint8_t version;
	uint32_t crc;

	if (find_extra(extra, len, UNICODE_PATH_ID, &field) < 1)
		return CK_OK;
	version = ck_cursor_u8(&field);
	crc = ck_cursor_u32(&field);
	if (version != 1 || crc != (uint32_t)crc32_z(0, (const Bytef *)rec->name, rec->name_len) ||
	    (ck_cursor_left(&field) == rec->name_len &&
	     memcmp(ck_cursor_take(&field, rec->name_len), rec->name, rec->name_len) == 0))
		return CK_OK;
	ck_error_set(err, CK_ERR_CORRUPT, "its Unicode path extra field has another name");
	ck_error_subject(err, rec->name, rec->name_len);
	return CK_ERR_CORRUPT;
}

int ck_zipdir_next(struct ck_zipdir *dir, struct ck_ziprecord *rec, struct ck_error *err)
{
	uint64_t at = dir->next, left = dir->offset + dir->size - at;
	size_t extra_len, comment_len, len = CK_ZIP_RECORD_SIZE;
	struct ck_cursor c;
	const uint8_t *p;
	int rc;

	if (left < len)
		goto cut;
	rc = peek(dir, at, len, &p, err);
	if (rc)
		return rc;
	c = ck_cursor(p, len);
	if (ck_cursor_u32(&c) != CK_ZIP_SIG_RECORD)
		return ck_fail(err, CK_ERR_CORRUPT, "expected a central directory record at %" PRIu64, at);
	ck_cursor_u32(&c);  /* versions */
	rec->flags = ck_cursor_u16(&c);
	rec->method = ck_cursor_u16(&c);
	ck_cursor_u32(&c);  /* time and date */
	rec->crc = ck_cursor_u32(&c);
	rec->stored_size = ck_cursor_u32(&c);
	rec->size = ck_cursor_u32(&c);
	rec->name_len = ck_cursor_u16(&c);
	extra_len = ck_cursor_u16(&c);
	comment_len = ck_cursor_u16(&c);
	if (ck_cursor_u16(&c) != 0)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "a zip split over several disks");
	ck_cursor_take(&c, 6);  /* attributes */
	rec->header_offset = ck_cursor_u32(&c);

	len += rec->name_len + extra_len + comment_len;
	if (left < len)
		goto cut;
	rc = peek(dir, at, len, &p, err);
	if (rc)
		return rc;
	rec->name = (const char *)p + CK_ZIP_RECORD_SIZE;
	dir->next += len;
	p += CK_ZIP_RECORD_SIZE + rec->name_len;
	rc = widen(rec, p, extra_len, false, err);
	return rc ? rc : check_unicode_path(rec, p, extra_len, err);
cut:
	return ck_fail(err, CK_ERR_CORRUPT, "the central directory ends within the record at %" PRIu64, at);
}

/* An entry with a descriptor has its header written before the data: fields not known by then are zero. */
static bool field_agrees(uint64_t local, uint64_t central, uint16_t flags)
{
	return local == central || (flags & CK_ZIP_DESCRIPTOR && local == 0);
}

static int compare_local(const struct ck_ziprecord *local, const struct ck_ziprecord *rec, struct ck_error *err)
{
	const char *what = NULL;

	if ((local->flags ^ rec->flags) & ~LEVEL_BITS)
		what = "flags";
	else if (local->method != rec->method)
		what = "method";
	else if (local->name_len != rec->name_len || memcmp(local->name, rec->name, rec->name_len) != 0)
		what = "name";
	else if (!field_agrees(local->crc, rec->crc, rec->flags))
		what = "CRC";
	else if (!field_agrees(local->size, rec->size, rec->flags))
		what = "size";
	else if (!field_agrees(local->stored_size, rec->stored_size, rec->flags))
		what = "stored size";
	if (!what)
		return CK_OK;
	return ck_fail(err, CK_ERR_CORRUPT,
		       "the local header at %" PRIu64 " and the central directory disagree about the %s",
		       rec->header_offset, what);
}

int ck_zipbytes_read(struct ck_file *file, const struct ck_zipbytes *seen, uint64_t offset, void *to, size_t len,
		     struct ck_error *err)
{
	if (!ck_zipbytes_have(seen, offset, len))
		return ck_stream_read(file, offset, to, len, err);
	memcpy(to, seen->bytes + (offset - seen->offset), len);
	return CK_OK;
}

int ck_zipdir_local(struct ck_file *file, const struct ck_ziprecord *rec, const struct ck_zipbytes *seen,
		    uint64_t *data, struct ck_error *err)
{
	size_t len = CK_ZIP_LOCAL_SIZE + rec->name_len, extra_len;
	uint64_t extra_at = rec->header_offset + len;
	struct ck_ziprecord local;
	uint8_t *buf = malloc(len + UINT16_MAX);
	struct ck_cursor c;
	int rc;

	if (!buf)
		return ck_fail_nomem(err);
	rc = ck_zipbytes_read(file, seen, rec->header_offset, buf, len, err);
	if (rc)
		goto out;
	c = ck_cursor(buf, len);
	if (ck_cursor_u32(&c) != CK_ZIP_SIG_LOCAL) {
		rc = ck_fail(err, CK_ERR_CORRUPT, "expected a local header at %" PRIu64, rec->header_offset);
		goto out;
	}
	ck_cursor_u16(&c);  /* version */
	local.flags = ck_cursor_u16(&c);
	local.method = ck_cursor_u16(&c);
	ck_cursor_u32(&c);  /* time and date */
	local.crc = ck_cursor_u32(&c);
	local.stored_size = ck_cursor_u32(&c);
	local.size = ck_cursor_u32(&c);
	local.name_len = ck_cursor_u16(&c);
	local.name = (const char *)buf + CK_ZIP_LOCAL_SIZE;
	extra_len = ck_cursor_u16(&c);

	if (local.size == UINT32_MAX || local.stored_size == UINT32_MAX) {
		rc = ck_zipbytes_read(file, seen, extra_at, buf + len, extra_len, err);
		if (!rc)
			rc = widen(&local, buf + len, extra_len, true, err);
		if (rc)
			goto out;
	}
	rc = compare_local(&local, rec, err);
	*data = extra_at + extra_len;
out:
	free(buf);
	return rc;
}
