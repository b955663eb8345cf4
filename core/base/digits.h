/*
 * digits - numbers spelled in text, which need not end behind them.
 */
#ifndef CK_DIGITS_H
#define CK_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The LEN decimal digits at S as a number; false where it doesn't fit. Other bytes than digits are the caller's
   error. */
bool ck_unsigned(const char *s, size_t len, uint64_t *out);

/* The same as an int64, or NEGATIVE as its negative. */
bool ck_decimal(const char *s, size_t len, bool negative, int64_t *out);

/* The COUNT (at most 8) hexadecimal digits that begin the LEN bytes at S; -1 where they are fewer. */
int64_t ck_hex(const char *s, size_t len, size_t count);

#endif
