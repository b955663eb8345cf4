/* Implements the part of cursor.h that is not inline. */
#include "core/base/cursor.h"

#include <string.h>

const uint8_t *ck_cursor_line(struct ck_cursor *c, size_t *len)
{
	const uint8_t *at = c->data + c->pos, *end;

	*len = 0;
	if (!c->ok)
		return NULL;
	end = memchr(at, '\n', c->len - c->pos);
	if (!end) {
		c->ok = false;
		return NULL;
	}
	*len = (size_t)(end - at);
	c->pos += *len + 1;
	return at;
}
