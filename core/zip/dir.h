/*
 * zipdir - where each entry of a zip lies, which libzip does not tell.
 *
 * libzip reads the archive. Its interface lacks only the places of the entries, and without these nobody
 * sees that entries overlap or point outside the file. So this file walks the fixed records of the
 * file's end, of the central directory and the local headers, and its caller compares every field that
 * libzip does tell: two readers that disagree about a file make the file corrupt.
 */
#ifndef CK_ZIPDIR_H
#define CK_ZIPDIR_H

#include "core/zip/source.h"

#define CK_ZIP_STORED 0
#define CK_ZIP_DEFLATED 8

/* Bits of ck_ziprecord.flags. */
#define CK_ZIP_ENCRYPTED 0x0001
#define CK_ZIP_DESCRIPTOR 0x0008        /* sizes and CRC follow the data; the local header may hold zeros */
#define CK_ZIP_PATCHED 0x0020
#define CK_ZIP_STRONG 0x0040
#define CK_ZIP_UTF8 0x0800
#define CK_ZIP_MASKED 0x2000

#define CK_ZIP_LOCAL_SIZE 30            /* of a local header, without name and extra field */
#define CK_ZIP_RECORD_SIZE 46           /* of a central record, without name, extra field and comment */

/* The central directory: COUNT records in [offset, offset + size), which end where the end records start. */
struct ck_zipend {
	uint64_t offset, size, count;
};

/* One entry. NAME is not NUL-terminated. */
struct ck_ziprecord {
	const char *name;
	size_t name_len;
	uint64_t size, stored_size, header_offset;
	uint32_t crc;
	uint16_t method, flags;
};

/*
 * Finds the central directory by the file's last end record. Bytes behind that and its comment are cut off SRC.
 * A file that is not a zip is named by its first bytes: CK_ERR_UNSUPPORTED for legacy torch files, bare pickles
 * and tars, CK_ERR_CORRUPT for the rest.
 */
int ck_zipdir_end(struct ck_zipsource *src, struct ck_zipend *end, struct ck_error *err);

/* Reads the central record at *POS, which is moved to the next (the first is at END->offset). REC->name is
   valid until the next read of SRC. */
int ck_zipdir_next(struct ck_zipsource *src, const struct ck_zipend *end, uint64_t *pos,
		   struct ck_ziprecord *rec, struct ck_error *err);

/* Bytes of a file that were read before. */
struct ck_zipbytes {
	const uint8_t *bytes;
	uint64_t offset;        /* in the file */
	uint64_t len;
};

/* Reads the local header of REC, whose record lies in FILE as a whole, and compares the two (CK_ERR_CORRUPT).
   *DATA is where the entry's bytes start. What is in SEEN (NULL: nothing) isn't read again. */
int ck_zipdir_local(const struct ck_file *file, const struct ck_ziprecord *rec, const struct ck_zipbytes *seen,
		    uint64_t *data, struct ck_error *err);

#endif
