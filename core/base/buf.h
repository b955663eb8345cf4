/*
 * buf - growable bytes, with a sticky failure: appending to a failed buffer does nothing, so that a
 * writer appends a whole record and checks once.
 */
#ifndef CK_BUF_H
#define CK_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ck_buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;        /* out of memory at some append */
	bool full;          /* failed, because it would have passed `max` */
	size_t max;         /* the longest that it may become; 0: no limit but memory */
};

#define CK_BUF_INIT { 0 }

void ck_buf_free(struct ck_buf *b);                             /* leaves an empty, usable buffer */
void ck_buf_append(struct ck_buf *b, const void *data, size_t len);
void ck_buf_byte(struct ck_buf *b, unsigned char byte);
void ck_buf_fill(struct ck_buf *b, unsigned char byte, size_t count);
void ck_buf_str(struct ck_buf *b, const char *s);
void ck_buf_printf(struct ck_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ck_buf_le16(struct ck_buf *b, uint16_t v);
void ck_buf_le32(struct ck_buf *b, uint32_t v);
void ck_buf_le64(struct ck_buf *b, uint64_t v);

/* The bytes become the caller's (free()); the buffer is empty again. NULL when it failed or is
   empty. */
char *ck_buf_steal(struct ck_buf *b, size_t *len);

#endif
