/*
 * cursor - bounded little-endian reader with a sticky failure: past the end every read gives zero (or
 * NULL) and `ok` stays false, so that a parser reads a record straight down and checks once.
 */
#ifndef CK_CURSOR_H
#define CK_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ck_cursor {
	const uint8_t *data;
	size_t len;
	size_t pos;
	bool ok;
};

static inline struct ck_cursor ck_cursor(const void *data, size_t len)
{
	return (struct ck_cursor){ .data = data, .len = len, .ok = true };
}

static inline size_t ck_cursor_left(const struct ck_cursor *c)
{
	return c->ok ? c->len - c->pos : 0;
}

/* LEN bytes at the cursor, borrowed from its data; NULL (and ok = false) when fewer are left. */
static inline const uint8_t *ck_cursor_take(struct ck_cursor *c, uint64_t len)
{
	const uint8_t *at = c->data + c->pos;

	if (!c->ok || len > c->len - c->pos) {
		c->ok = false;
		return NULL;
	}
	c->pos += (size_t)len;
	return at;
}

static inline uint64_t ck_cursor_le(struct ck_cursor *c, unsigned width)
{
	const uint8_t *at = ck_cursor_take(c, width);
	uint64_t v = 0;

	for (unsigned i = width; at && i-- > 0;)
		v = v << 8 | at[i];
	return v;
}

static inline uint8_t ck_cursor_u8(struct ck_cursor *c) { return (uint8_t)ck_cursor_le(c, 1); }
static inline uint16_t ck_cursor_u16(struct ck_cursor *c) { return (uint16_t)ck_cursor_le(c, 2); }
static inline uint32_t ck_cursor_u32(struct ck_cursor *c) { return (uint32_t)ck_cursor_le(c, 4); }
static inline uint64_t ck_cursor_u64(struct ck_cursor *c) { return ck_cursor_le(c, 8); }

/* The bytes up to and without the next '\n', which is passed over; NULL when there is none. */
const uint8_t *ck_cursor_line(struct ck_cursor *c, size_t *len);

#endif
