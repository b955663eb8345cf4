/* digits - implements digits.h. */
#include "core/base/digits.h"

bool ck_unsigned(const char *s, size_t len, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return false;
	*out = v;
	return true;
}

bool ck_decimal(const char *s, size_t len, bool negative, int64_t *out)
{
	uint64_t v;

	/* INT64_MIN has no positive twin. */
	if (!ck_unsigned(s, len, &v) || v > (uint64_t)INT64_MAX + negative)
		return false;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int64_t ck_hex(const char *s, size_t len, size_t count)
{
	int64_t v = 0;

	for (size_t i = 0; i < count; i++) {
		int digit = i < len ? hex_digit(s[i]) : -1;

		if (digit < 0)
			return -1;
		v = v << 4 | digit;
	}
	return v;
}
