/* Implements utf8.h. */
#include "core/base/utf8.h"

size_t ck_utf8_decode(const char *s, size_t len, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *u = (const unsigned char *)s;
	size_t need = u[0] < 0x80 ? 1 : u[0] < 0xc0 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf8 ? 4 : 0;
	uint32_t c = u[0];

	if (need == 0 || need > len)
		return 0;
	if (need > 1)
		c &= 0x7fu >> need;
	for (size_t i = 1; i < need; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3fu);
	}
	if (c < least[need] || c > 0x10ffff)
		return 0;
	*cp = c;
	return need;
}

bool ck_utf8_valid(const char *s, size_t len, bool surrogates)
{
	uint32_t cp = 0;

	for (size_t i = 0, n; i < len; i += n) {
		n = (unsigned char)s[i] < 0x80 ? 1 : ck_utf8_decode(s + i, len - i, &cp);
		if (n == 0 || (n == 3 && !surrogates && ck_is_surrogate(cp)))
			return false;
	}
	return true;
}

size_t ck_utf8_encode(char *s, uint32_t cp)
{
	size_t len = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = len - 1; i > 0; i--, cp >>= 6)
		s[i] = (char)(0x80 | (cp & 0x3f));
	s[0] = (char)(lead[len] | cp);
	return len;
}
