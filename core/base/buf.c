/* Implements buf.h: the capacity doubles when it is used up. */
#include "core/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ck_buf_free(struct ck_buf *b)
{
	free(b->data);
	*b = (struct ck_buf)CK_BUF_INIT;
}

/* Room for LEN more bytes; NULL (and failed) when there is none. */
static char *grow(struct ck_buf *b, size_t len)
{
	size_t need, cap = b->cap ? b->cap : 64;
	char *data;

	if (b->failed)
		return NULL;
	if (__builtin_add_overflow(b->len, len, &need) || need > SIZE_MAX / 2)
		goto fail;
	if (b->max && need > b->max) {
		b->full = true;
		goto fail;
	}
	if (need > b->cap) {
		while (cap < need)
			cap *= 2;
		data = realloc(b->data, cap);
		if (!data)
			goto fail;
		b->data = data;
		b->cap = cap;
	}
	data = b->data + b->len;
	b->len = need;
	return data;
fail:
	b->failed = true;
	return NULL;
}

void ck_buf_append(struct ck_buf *b, const void *data, size_t len)
{
	char *at;

	if (len == 0)
		return;
	at = grow(b, len);
	if (at)
		memcpy(at, data, len);
}

void ck_buf_byte(struct ck_buf *b, unsigned char byte)
{
	ck_buf_append(b, &byte, 1);
}

void ck_buf_fill(struct ck_buf *b, unsigned char byte, size_t count)
{
	char *at;

	if (count == 0)
		return;
	at = grow(b, count);
	if (at)
		memset(at, byte, count);
}

void ck_buf_str(struct ck_buf *b, const char *s)
{
	ck_buf_append(b, s, strlen(s));
}

void ck_buf_printf(struct ck_buf *b, const char *format, ...)
{
	va_list args;
	char *text = NULL;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0) {
		b->failed = true;
		return;
	}
	ck_buf_append(b, text, (size_t)len);
	free(text);
}

static void append_le(struct ck_buf *b, uint64_t v, unsigned width)
{
	unsigned char bytes[8];

	for (unsigned i = 0; i < width; i++, v >>= 8)
		bytes[i] = (unsigned char)(v & 0xff);
	ck_buf_append(b, bytes, width);
}

void ck_buf_le16(struct ck_buf *b, uint16_t v) { append_le(b, v, 2); }
void ck_buf_le32(struct ck_buf *b, uint32_t v) { append_le(b, v, 4); }
void ck_buf_le64(struct ck_buf *b, uint64_t v) { append_le(b, v, 8); }

char *ck_buf_steal(struct ck_buf *b, size_t *len)
{
	char *data = NULL;

	*len = 0;
	if (!b->failed && b->len) {
		data = b->data;
		*len = b->len;
		b->data = NULL;
	}
	ck_buf_free(b);
	return data;
}
