/*
 * utf8 - one code point at a time, as Python's "surrogatepass" takes them: lone surrogates in three bytes are let
 * through (the caller may refuse them), overlong forms and what lies past U+10FFFF are not.
 */
#ifndef CK_UTF8_H
#define CK_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code point at S (LEN >= 1 bytes are there) into *CP. Returns its length in bytes, or 0 when the bytes are
   not UTF-8. */
size_t ck_utf8_decode(const char *s, size_t len, uint32_t *cp);

/* Whether the LEN bytes at S are UTF-8; SURROGATES: lone ones are allowed, as three bytes each. */
bool ck_utf8_valid(const char *s, size_t len, bool surrogates);

/* Writes CP (at most 0x10ffff, surrogates too) to S, which has room for 4 bytes. Returns the length. */
size_t ck_utf8_encode(char *s, uint32_t cp);

static inline bool ck_is_surrogate(uint32_t cp) { return cp >= 0xd800 && cp <= 0xdfff; }
static inline bool ck_is_high_surrogate(uint32_t cp) { return cp >= 0xd800 && cp <= 0xdbff; }
static inline bool ck_is_low_surrogate(uint32_t cp) { return cp >= 0xdc00 && cp <= 0xdfff; }

#endif
