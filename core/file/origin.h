/*
 * origin - a place in a stored file, and how the bytes of tensors are read from there: from memory, from what was read
 * ahead (ahead.h), or from the store.
 */
#ifndef CK_ORIGIN_H
#define CK_ORIGIN_H

#include "core/file/io.h"

struct ck_origin {
	struct ck_file *file;   /* borrowed */
	uint64_t byte;
	struct ck_block *block; /* of temporary space, held (scratch.h), if it lies there */
	bool now;               /* reads only what is in memory; else CK_ERR_AGAIN, and ERR is left alone */
};

/* Reads exactly LEN bytes, OFFSET bytes behind the place. Errors as ck_file_read, and CK_ERR_AGAIN: at once, from a
   place that is to be read now. */
int ck_origin_read(const struct ck_origin *origin, uint64_t offset, void *buf, size_t len, struct ck_error *err);

/* These bytes will be read soon: the kernel may begin with it, unless they are read ahead. */
void ck_stream_prefetch(struct ck_file *file, uint64_t offset, uint64_t len);

/* As ck_file_read, for what a reader of tensors meets on its way: it may have been read ahead. */
int ck_stream_read(struct ck_file *file, uint64_t offset, void *buf, size_t len, struct ck_error *err);

#endif
