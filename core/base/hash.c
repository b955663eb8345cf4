/* Implements hash.h: each word is multiplied by the key, 64 by 64 bits, and the product is folded. */
#include "core/base/hash.h"

#include <string.h>
#include <sys/random.h>

struct ck_hash_key ck_hash_key_new(void)
{
	struct ck_hash_key key = {0};

	/* Too early in a boot there is no randomness; a table that can be guessed is still right. */
	if (getrandom(&key, sizeof(key), GRND_NONBLOCK) < 0)
		key.factor = UINT64_C(0x9e3779b97f4a7c15);
	key.factor |= 1;
	return key;
}

uint64_t ck_hash_keyed(const struct ck_hash_key *key, const void *data, size_t len)
{
	uint64_t h = key->start ^ len, word;
	const char *at = data;
	size_t n;

	for (; len; at += n, len -= n) {
		unsigned __int128 product;

		word = 0;
		n = len < sizeof(word) ? len : sizeof(word);
		memcpy(&word, at, n);
		product = (unsigned __int128)(h ^ word) * key->factor;
		h = (uint64_t)product ^ (uint64_t)(product >> 64);
	}
	return h;
}
