/*
 * keyname - a tensor's key as a file name, and back.
 *
 * The stem is the key with '/', NUL and '%' as %2F, %00 and %25; a key that is "." or ".." as %2E
 * or %2E%2E; an empty key as a single '%'. If stem and suffix pass 255 bytes the stem is cut (never
 * inside a %XX or a UTF-8 sequence) and ended by '~' and 16 hex digits, FNV-1a of the whole key.
 */
#ifndef CK_KEYNAME_H
#define CK_KEYNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CK_NAME_MAX 255

/* Writes the file name of KEY with SUFFIX (".npy" or "") into NAME (CK_NAME_MAX + 1 bytes). Returns
   its length. */
size_t ck_key_to_name(const char *key, size_t len, const char *suffix, char *name);

/* The key that the name stands for, where nothing was cut: KEY takes CK_NAME_MAX + 1 bytes and may
   hold NULs. False when NAME lacks SUFFIX or isn't an encoding that ck_key_to_name makes ("%2f",
   "a%41"). A name with a cut tail decodes to its own letters: see ck_name_is_cut. */
bool ck_name_to_key(const char *name, const char *suffix, char *key, size_t *len);

/* Whether NAME has the form of a cut name: full length, '~' and 16 hex digits before SUFFIX. */
bool ck_name_is_cut(const char *name, const char *suffix);

/* FNV-1a, 64 bits; SEED 0 starts afresh, a previous result goes on. */
uint64_t ck_hash(const void *data, size_t len, uint64_t seed);

#endif
