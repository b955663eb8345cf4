/*
 * zipdir - the fixed records of a zip: the end of its central directory, the directory, the local headers.
 *
 * This is the only reader of a .pt. libzip writes zips here (sink.h) and reads none: a .pt is shown by where its bytes
 * lie, and libzip's interface has no offset of an entry. Without offsets nobody sees that entries overlap or lie
 * outside the file. An offset can't be had without each record's lengths, sizes and zip64 field; the comparison with
 * the local header needs the flags. That leaves the method and the CRC, two lines of dir.c, for a second reader.
 *
 * Measured with libzip 1.7.3, when it read the directory too. Opening 100,000 entries took 145 ms of the processor and
 * 45 MB of memory. libzip's part was 88 ms and 30 MB, and the square of the number of names where they collide in its
 * hash table, whose function is known. Without libzip it is 29 ms and 15 MB. Of the 120 bad zips of
 * tests/gen/make_zips.py libzip alone read 53 to the end. With ZIP_CHECKCONS it read 34, refused 4 of the 25 good ones,
 * which have bytes behind the end, and looked at each local header when opening: 100,000 seeks for 100,000 entries.
 */
#ifndef CK_ZIPDIR_H
#define CK_ZIPDIR_H

#include "core/base/cursor.h"
#include "core/file/origin.h"

#define CK_ZIP_STORED 0
#define CK_ZIP_DEFLATED 8

/* Bits of ck_ziprecord.flags. */
#define CK_ZIP_ENCRYPTED 0x0001
#define CK_ZIP_DESCRIPTOR 0x0008        /* sizes and CRC follow the data; the local header may hold zeros */
#define CK_ZIP_PATCHED 0x0020
#define CK_ZIP_STRONG 0x0040
#define CK_ZIP_MASKED 0x2000

/* How the records begin. */
#define CK_ZIP_SIG_LOCAL 0x04034b50u
#define CK_ZIP_SIG_RECORD 0x02014b50u
#define CK_ZIP_SIG_END 0x06054b50u
#define CK_ZIP_SIG_END64 0x06064b50u
#define CK_ZIP_SIG_LOCATOR 0x07064b50u

/* Their bytes without names, extra fields and comments. */
#define CK_ZIP_LOCAL_SIZE 30
#define CK_ZIP_RECORD_SIZE 46
#define CK_ZIP_END_SIZE 22
#define CK_ZIP_END64_SIZE 56
#define CK_ZIP_LOCATOR_SIZE 20

/* How far from the file's end the end record may begin, as torch looks for it: the longest comment, or as many bytes of
   anything else. */
#define CK_ZIP_TAIL (CK_ZIP_END_SIZE + 0xffff)

/* A central directory: COUNT records in [offset, offset + size), which end where the end records start. */
struct ck_zipdir {
	uint64_t offset, size, count;
	uint64_t next;          /* where the record lies that ck_zipdir_next() reads */
	bool records;           /* all of the above is known */
	struct ck_file *file;   /* borrowed */
	/* What was read last, [start, start + filled) of the file: its end, or the records and a little in front. */
	uint64_t start;
	size_t filled;
	uint8_t *window;
};

/* One entry. NAME is not NUL-terminated. */
struct ck_ziprecord {
	const char *name;
	size_t name_len;
	uint64_t size, stored_size, header_offset;
	uint32_t crc;
	uint16_t method, flags;
};

/* The four bytes at AT as a number. */
static inline uint32_t ck_zip_u32(const uint8_t *at)
{
	struct ck_cursor c = ck_cursor(at, 4);

	return ck_cursor_u32(&c);
}

/* Whether a file that begins with HEAD was written by torch before 1.6. Such a file begins with a number, pickled: as a
   protocol of its day, or a later one, in a frame or not, spells it. */
bool ck_zip_is_legacy(const uint8_t *head, size_t len);

/*
 * Finds the central directory by the file's last end record: one read of the file's end, which has the whole directory
 * of most models in it. *OUT is for ck_zipdir_free(), before FILE goes. A file that is not a zip is named by its first
 * bytes: CK_ERR_UNSUPPORTED for legacy torch files, bare pickles and tars, CK_ERR_CORRUPT for the rest.
 */
int ck_zipdir_open(struct ck_file *file, struct ck_zipdir **out, struct ck_error *err);
void ck_zipdir_free(struct ck_zipdir *dir);     /* NULL is allowed */

/* Reads the next of COUNT records. REC->name is valid until the next call. */
int ck_zipdir_next(struct ck_zipdir *dir, struct ck_ziprecord *rec, struct ck_error *err);

/* Bytes of a file that were read before. */
struct ck_zipbytes {
	const uint8_t *bytes;
	uint64_t offset;        /* in the file */
	uint64_t len;
};
/* Whether SEEN (NULL: nothing) has the LEN bytes at OFFSET. */
static inline bool ck_zipbytes_have(const struct ck_zipbytes *seen, uint64_t offset, uint64_t len)
{
	return seen && offset >= seen->offset && offset - seen->offset <= seen->len &&
	       len <= seen->len - (offset - seen->offset);
}
/* ck_file_read() of what SEEN hasn't; bytes that it has are copied. */
int ck_zipbytes_read(struct ck_file *file, const struct ck_zipbytes *seen, uint64_t offset, void *to, size_t len,
		     struct ck_error *err);

/* Reads the local header of REC, whose record lies in FILE as a whole, and compares the two (CK_ERR_CORRUPT).
   *DATA is where the entry's bytes start. What is in SEEN (NULL: nothing) isn't read again. */
int ck_zipdir_local(struct ck_file *file, const struct ck_ziprecord *rec, const struct ck_zipbytes *seen,
		    uint64_t *data, struct ck_error *err);

#endif
