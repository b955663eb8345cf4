/*
 * pickle_text - how pickles spell strings and large integers: two's complement to decimal and back.
 * Values are made in the arena given; the bytes are borrowed and may go.
 */
#ifndef CK_PICKLE_TEXT_H
#define CK_PICKLE_TEXT_H

#include "core/base/value.h"

/* The longest integer, in bytes of two's complement. Converting takes time quadratic in the length. */
#define CK_PICKLE_INT_BYTES 512
#define CK_PICKLE_INT_DIGITS 1233   /* decimal digits of 2^4095, the largest in magnitude */

/* An integer in little-endian two's complement, as LONG1 and LONG4 hold it. CK_ERR_LIMIT. */
int ck_pickle_int_bytes(struct ck_arena *arena, const uint8_t *s, size_t len, struct ck_value *out,
			struct ck_error *err);

/* The reverse, for a CK_BIGINT, in the fewest bytes. CK_ERR_INVALID: a character is not a digit. CK_ERR_LIMIT. */
int ck_pickle_int_encode(const char *digits, size_t len, uint8_t out[static CK_PICKLE_INT_BYTES], size_t *out_len,
			 struct ck_error *err);

/* A copy of LEN bytes of KIND: CK_STR, which must be UTF-8 (CK_ERR_CORRUPT), CK_BYTES, CK_BYTEARRAY. CK_ERR_LIMIT. */
int ck_pickle_string(struct ck_arena *arena, enum ck_kind kind, const char *s, size_t len, struct ck_value *out,
		     struct ck_error *err);

#endif
