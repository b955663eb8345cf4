/*
 * zipsource - a stored file as libzip reads it: through one window of the file.
 *
 * libzip reads a central directory record by record, a few dozen bytes each. The window turns those into a
 * pread per 256 KiB, and lets zipdir look again at the bytes that libzip just read without reading them
 * again. It also remembers where libzip read, which libzip itself does not tell. Not thread-safe.
 */
#ifndef CK_ZIPSOURCE_H
#define CK_ZIPSOURCE_H

#include "core/file/io.h"

#include <zip.h>

struct ck_zipsource;

#define CK_ZIPSOURCE_WINDOW ((size_t)256 << 10)

/* A source over FILE (a reference is taken). */
int ck_zipsource_new(struct ck_file *file, struct ck_zipsource **out, struct ck_error *err);
void ck_zipsource_free(struct ck_zipsource *src);       /* after the zip_t; NULL is allowed */

/* The size of the file, or where it was cut: what is behind SIZE is then no part of the source. */
uint64_t ck_zipsource_size(const struct ck_zipsource *src);
void ck_zipsource_cut(struct ck_zipsource *src, uint64_t size);

/* Opens the source with libzip. *OUT is for zip_discard(), before ck_zipsource_free(). */
int ck_zipsource_open(struct ck_zipsource *src, zip_t **out, struct ck_error *err);

/* *AT: LEN <= CK_ZIPSOURCE_WINDOW bytes at OFFSET, valid until the next read of any kind. CK_ERR_CORRUPT when
   they are not all in the file. */
int ck_zipsource_peek(struct ck_zipsource *src, uint64_t offset, size_t len, const uint8_t **at,
		      struct ck_error *err);

/* Forgets where libzip read; its next read is then the first. UINT64_MAX when there was none. */
void ck_zipsource_mark(struct ck_zipsource *src);
uint64_t ck_zipsource_first_read(const struct ck_zipsource *src);

/* Turns what libzip says went wrong into ERR; a failed read of the file comes first. Returns the code. */
int ck_zipsource_fail(struct ck_zipsource *src, zip_error_t *error, struct ck_error *err);

#endif
