/*
 * zipinflate - the bytes of a deflated entry, through zlib, a piece at a time.
 */
#ifndef CK_ZIPINFLATE_H
#define CK_ZIPINFLATE_H

#include "core/zip/dir.h"

/* Takes LEN inflated bytes, which belong at OFFSET of the entry. */
typedef int ck_inflate_sink(void *to, uint64_t offset, const void *data, size_t len, struct ck_error *err);

/* An entry as its headers describe it. */
struct ck_deflated {
	uint64_t data;          /* where its stored bytes begin in the file */
	uint64_t stored_size;
	uint64_t size;          /* inflated */
	/* Its local header, and what was read with it. */
	struct ck_zipbytes seen;
};

/* Gives entry E of FILE to SINK, its bytes in order; *CRC is that of them all. CK_ERR_CORRUPT when it has more or fewer
   bytes; SINK never gets more than e->size. Thread-safe. */
int ck_inflate(const struct ck_file *file, const struct ck_deflated *e, ck_inflate_sink *sink, void *to, uint32_t *crc,
	       struct ck_error *err);

#endif
