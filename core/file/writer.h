/*
 * writer - a file written in large blocks by a thread of its own: while it writes one block the caller
 * fills the next. Writes bypass the page cache where the file system allows it: a draft's files are in that
 * cache already, and a second copy of a large model there costs more than the disk does and is not read
 * soon.
 */
#ifndef CK_WRITER_H
#define CK_WRITER_H

#include "core/base/error.h"

#include <stdbool.h>

#define CK_WRITER_BLOCK ((size_t)1 << 20)

struct ck_writer;

/* A writer to FD (borrowed). The writer changes the flags of FD until it is freed. CK_ERR_NOMEM. */
int ck_writer_new(int fd, struct ck_writer **out, struct ck_error *err);
void ck_writer_free(struct ck_writer *w);       /* waits for a write under way; NULL is allowed */

/* The block to fill now, CK_WRITER_BLOCK bytes aligned to a page; another one after each submit. */
uint8_t *ck_writer_block(struct ck_writer *w);

/* Hands over the first LEN bytes of the block, to be written at OFFSET. Waits for the block before; fails
   with what that one failed with (CK_ERR_SYS). */
int ck_writer_submit(struct ck_writer *w, uint64_t offset, size_t len, struct ck_error *err);

/* Waits until all is written, or fails as submit does. From then to the next submit FD is the caller's. */
int ck_writer_drain(struct ck_writer *w, struct ck_error *err);

#endif
