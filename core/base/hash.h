/*
 * hash - a hash of names that strangers chose. It is keyed, so that no file can hold names that are made to
 * collide: a table of them stays quick whatever is in it.
 */
#ifndef CK_HASH_H
#define CK_HASH_H

#include <stddef.h>
#include <stdint.h>

struct ck_hash_key {
	uint64_t start, factor;
};

struct ck_hash_key ck_hash_key_new(void);

uint64_t ck_hash_keyed(const struct ck_hash_key *key, const void *data, size_t len);

#endif
