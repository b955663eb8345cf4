/*
 * zipinflate - the bytes of a deflated entry, through libzip, checked as they come.
 *
 * An inflater keeps the archive open in libzip from the first entry on, so that a directory of many entries is
 * not read again for each. Not thread-safe: libzip's handle is one thread's at a time.
 */
#ifndef CK_ZIPINFLATE_H
#define CK_ZIPINFLATE_H

#include "core/zip/source.h"

struct ck_inflater;

/* Takes LEN inflated bytes, which belong at OFFSET of the entry. */
typedef int ck_inflate_sink(void *to, uint64_t offset, const void *data, size_t len, struct ck_error *err);

int ck_inflater_new(struct ck_file *file, struct ck_inflater **out, struct ck_error *err);
void ck_inflater_free(struct ck_inflater *inf);         /* NULL is allowed */

/* An entry as its headers describe it. */
struct ck_deflated {
	uint64_t index;         /* libzip's count */
	uint64_t data;          /* where its stored bytes begin */
	uint64_t size;          /* inflated */
	bool no_crc;            /* the file's CRCs are turned off */
};

/*
 * Gives entry E to SINK, its bytes in order. CK_ERR_CORRUPT when it has more or fewer bytes or another CRC, or when
 * libzip finds its bytes elsewhere; SINK never gets more than e->size.
 */
int ck_inflate(struct ck_inflater *inf, const struct ck_deflated *e, ck_inflate_sink *sink, void *to,
	       struct ck_error *err);

#endif
