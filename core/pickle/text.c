/* Strings and large integers in pickles. Implements text.h. */
#include "core/pickle/text.h"

#include "core/base/utf8.h"

#include <string.h>

/* Integers are converted in base 10^9 over 32-bit words, the least significant first. */
#define WORDS (CK_PICKLE_INT_BYTES / 4)
#define GROUP 1000000000u
#define GROUP_DIGITS 9u

static int too_long(struct ck_error *err)
{
	return ck_fail(err, CK_ERR_LIMIT, "an integer of more than %d bytes", CK_PICKLE_INT_BYTES);
}

int ck_pickle_string(struct ck_arena *arena, enum ck_kind kind, const char *s, size_t len, struct ck_value *out,
		     struct ck_error *err)
{
	char *copy;

	if (len > UINT32_MAX)
		return ck_fail(err, CK_ERR_LIMIT, "a string of %zu bytes", len);
	if (kind == CK_STR && !ck_utf8_valid(s, len, true))
		return ck_fail(err, CK_ERR_CORRUPT, "expected a string in UTF-8, found other bytes");
	copy = ck_arena_dup(arena, s, len);
	if (!copy)
		return ck_fail_room(err);
	*out = ck_str(copy, len);
	out->kind = (uint8_t)kind;
	return CK_OK;
}

static bool all_digits(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return len > 0;
}

/* The magnitude of two's complement bytes (CK_PICKLE_INT_BYTES at most). Returns how many words it takes. */
static size_t magnitude(const uint8_t *s, size_t len, uint32_t words[static WORDS])
{
	bool negative = s[len - 1] & 0x80;
	unsigned carry = negative;
	size_t count = (len + 3) / 4;

	memset(words, 0, count * sizeof(*words));
	for (size_t i = 0; i < len; i++) {
		unsigned byte = (negative ? s[i] ^ 0xffu : s[i]) + carry;

		carry = byte >> 8;
		words[i / 4] |= (byte & 0xff) << i % 4 * 8;
	}
	while (count > 0 && words[count - 1] == 0)
		count--;
	return count;
}

/* words /= GROUP; returns the remainder. */
static uint32_t divide(uint32_t *words, size_t count)
{
	uint64_t rest = 0;

	while (count-- > 0) {
		rest = rest << 32 | words[count];
		words[count] = (uint32_t)(rest / GROUP);
		rest %= GROUP;
	}
	return (uint32_t)rest;
}

static int big_decimal(struct ck_arena *arena, const uint8_t *s, size_t len, struct ck_value *out,
		       struct ck_error *err)
{
	char digits[CK_PICKLE_INT_DIGITS + GROUP_DIGITS + 1], *end = digits + sizeof(digits), *at = end;
	uint32_t words[WORDS];
	size_t count = magnitude(s, len, words);

	while (count > 0) {
		uint32_t group = divide(words, count);

		for (unsigned i = 0; i < GROUP_DIGITS; i++, group /= 10)
			*--at = (char)('0' + group % 10);
		if (words[count - 1] == 0)
			count--;
	}
	while (at < end && *at == '0')
		at++;
	if (s[len - 1] & 0x80)
		*--at = '-';
	return ck_pickle_string(arena, CK_BIGINT, at, (size_t)(end - at), out, err);
}

int ck_pickle_int_bytes(struct ck_arena *arena, const uint8_t *s, size_t len, struct ck_value *out,
			struct ck_error *err)
{
	uint64_t v;

	/* High bytes that only repeat the sign are dropped. */
	while (len > 1 && ((s[len - 1] == 0 && !(s[len - 2] & 0x80)) || (s[len - 1] == 0xff && s[len - 2] & 0x80)))
		len--;
	if (len > CK_PICKLE_INT_BYTES)
		return too_long(err);
	if (len > 8)
		return big_decimal(arena, s, len, out, err);
	v = len && s[len - 1] & 0x80 ? UINT64_MAX : 0;
	while (len-- > 0)
		v = v << 8 | s[len];
	*out = ck_int((int64_t)v);
	return CK_OK;
}

/* words = words * SCALE + ADD. False: the result needs more than WORDS words. */
static bool multiply_add(uint32_t words[static WORDS], size_t *count, uint32_t scale, uint32_t add)
{
	uint64_t carry = add;

	for (size_t i = 0; i < *count; i++) {
		carry += (uint64_t)words[i] * scale;
		words[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (!carry)
		return true;
	if (*count == WORDS)
		return false;
	words[(*count)++] = (uint32_t)carry;
	return true;
}

static bool parse_words(const char *digits, size_t len, uint32_t words[static WORDS], size_t *count)
{
	*count = 0;
	for (size_t i = 0; i < len; ) {
		uint32_t scale = 1, group = 0;

		for (; i < len && scale < GROUP; i++, scale *= 10)
			group = group * 10 + (uint32_t)(digits[i] - '0');
		if (!multiply_add(words, count, scale, group))
			return false;
	}
	return true;
}

int ck_pickle_int_encode(const char *digits, size_t len, uint8_t out[static CK_PICKLE_INT_BYTES], size_t *out_len,
			 struct ck_error *err)
{
	bool negative = len > 0 && digits[0] == '-';
	uint32_t words[WORDS];
	unsigned carry = negative;
	size_t count, n;

	if (!all_digits(digits + negative, len - negative))
		return ck_fail(err, CK_ERR_INVALID, "expected a large integer in decimal digits, found other text");
	if (len - negative > CK_PICKLE_INT_DIGITS || !parse_words(digits + negative, len - negative, words, &count))
		return too_long(err);
	for (n = 0; n < count * 4; n++) {
		unsigned byte = words[n / 4] >> n % 4 * 8 & 0xff;

		byte = (negative ? byte ^ 0xff : byte) + carry;
		carry = byte >> 8;
		out[n] = (uint8_t)byte;
	}
	if (n == 0 || ((out[n - 1] & 0x80) != 0) != negative) {
		if (n == CK_PICKLE_INT_BYTES)
			return too_long(err);
		out[n++] = negative ? 0xff : 0;
	}
	while (n > 1 && out[n - 1] == (negative ? 0xff : 0) && ((out[n - 2] & 0x80) != 0) == negative)
		n--;
	*out_len = n;
	return CK_OK;
}
