/*
 * zipsink - a descriptor as libzip writes a new archive to it: in order, in large blocks.
 *
 * libzip writes in small pieces, and goes back to each local header once its entry's CRC is known.
 * Blocks (writer.h) make those writes of 1 MiB at multiples of 1 MiB; a header that was handed over
 * by then is written again in its place. Nothing is read, no other file is made. Not thread-safe.
 */
#ifndef CK_ZIPSINK_H
#define CK_ZIPSINK_H

#include "core/base/error.h"

#include <zip.h>

struct ck_zipsink;

/* A sink that writes FD, an empty file, from its start. What goes wrong there goes to CAUSE, which
   must outlive it. */
int ck_zipsink_new(int fd, struct ck_error *cause, struct ck_zipsink **out, struct ck_error *err);
void ck_zipsink_free(struct ck_zipsink *sink);          /* after the zip_t; NULL is allowed */

/* An empty archive of libzip's, which zip_close() writes to the sink. *OUT is for zip_close() or
   zip_discard(). */
int ck_zipsink_open(struct ck_zipsink *sink, zip_t **out, struct ck_error *err);

/* Turns what libzip says went wrong into ERR, unless that holds the cause already. Returns the
   code. */
int ck_zipsink_fail(zip_error_t *error, struct ck_error *err);

#endif
