/*
 * pickle_text - how pickles spell numbers and strings: text to values, two's complement to decimal and back.
 * Values are made in the arena given; text is borrowed and may go.
 */
#ifndef CK_PICKLE_TEXT_H
#define CK_PICKLE_TEXT_H

#include "core/base/value.h"

/* The longest integer, in bytes of two's complement. Its conversion takes the square of that. */
#define CK_PICKLE_INT_BYTES 512
#define CK_PICKLE_INT_DIGITS 1233   /* decimal digits of 2^4095, the largest in magnitude */

/* "-12": CK_INT, or CK_BIGINT past int64. CK_ERR_CORRUPT, CK_ERR_LIMIT. */
int ck_pickle_int_text(struct ck_arena *arena, const char *s, size_t len, struct ck_value *out, struct ck_error *err);

/* Little-endian two's complement, as LONG1 and LONG4 hold it. CK_ERR_LIMIT. */
int ck_pickle_int_bytes(struct ck_arena *arena, const uint8_t *s, size_t len, struct ck_value *out,
			struct ck_error *err);

/* The way back, for a CK_BIGINT: the fewest bytes. CK_ERR_INVALID for other characters than digits; CK_ERR_LIMIT. */
int ck_pickle_int_encode(const char *digits, size_t len, uint8_t out[static CK_PICKLE_INT_BYTES], size_t *out_len,
			 struct ck_error *err);

/* What FLOAT holds: Python's repr. CK_ERR_CORRUPT. */
int ck_pickle_float_text(const char *s, size_t len, double *out, struct ck_error *err);

/* What STRING holds: a quoted string with Python's escapes. What UNICODE holds: raw-unicode-escape. CK_ERR_CORRUPT. */
int ck_pickle_quoted(struct ck_arena *arena, const char *s, size_t len, struct ck_value *out, struct ck_error *err);
int ck_pickle_raw_unicode(struct ck_arena *arena, const char *s, size_t len, struct ck_value *out,
			  struct ck_error *err);

/* A copy of LEN bytes of KIND: CK_STR, which must be UTF-8 (CK_ERR_CORRUPT), CK_BYTES, CK_BYTEARRAY. CK_ERR_LIMIT. */
int ck_pickle_string(struct ck_arena *arena, enum ck_kind kind, const char *s, size_t len, struct ck_value *out,
		     struct ck_error *err);

#endif
