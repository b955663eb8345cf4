/* Implements keyname.h: a tensor's key as a file name, and back. */
#include "core/base/keyname.h"

#include "core/base/utf8.h"

#include <stdio.h>
#include <string.h>

#define TAIL 17  /* '~' and 16 hex digits */

uint64_t ck_hash(const void *data, size_t len, uint64_t seed)
{
	const uint8_t *p = data;
	uint64_t h = seed ? seed : UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* What stands for the byte C in a name; NULL where C stands for itself. */
static const char *escape(char c)
{
	switch (c) {
	case '/':
		return "%2F";
	case '\0':
		return "%00";
	case '%':
		return "%25";
	default:
		return NULL;
	}
}

/* The keys that a whole name stands for. */
static const struct {
	const char *key, *stem;
} whole[] = {
	{ "", "%" },
	{ ".", "%2E" },
	{ "..", "%2E%2E" },
};

/*
 * Writes as much of the stem of KEY as LIMIT bytes take, without cutting an escape or a UTF-8 sequence. Returns the
 * length; *ALL says whether it is the whole stem.
 */
static size_t put_stem(const char *key, size_t len, size_t limit, char *name, bool *all)
{
	size_t at = 0;
	uint32_t c;

	for (size_t i = 0; i < len;) {
		const char *text = escape(key[i]);
		size_t sequence = text ? 1 : ck_utf8_decode(key + i, len - i, &c);
		size_t from = sequence ? sequence : 1;
		size_t to = text ? 3 : from;

		if (to > limit - at) {
			*all = false;
			return at;
		}
		memcpy(name + at, text ? text : key + i, to);
		at += to;
		i += from;
	}
	*all = true;
	return at;
}

size_t ck_key_to_name(const char *key, size_t len, const char *suffix, char *name)
{
	size_t suffix_len = strlen(suffix);
	size_t room = CK_NAME_MAX - suffix_len;
	size_t at;
	bool all;

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (len == strlen(whole[i].key) && memcmp(key, whole[i].key, len) == 0)
			return (size_t)sprintf(name, "%s%s", whole[i].stem, suffix);

	at = put_stem(key, len, room, name, &all);
	if (!all) {
		at = put_stem(key, len, room - TAIL, name, &all);
		at += (size_t)sprintf(name + at, "~%016llx", (unsigned long long)ck_hash(key, len, 0));
	}
	memcpy(name + at, suffix, suffix_len + 1);
	return at + suffix_len;
}

/* The length of NAME without SUFFIX; false when NAME does not end with SUFFIX or is nothing else. */
static bool stem_len(const char *name, const char *suffix, size_t *len)
{
	size_t name_len = strlen(name);
	size_t suffix_len = strlen(suffix);

	if (name_len > CK_NAME_MAX || name_len <= suffix_len || strcmp(name + name_len - suffix_len, suffix) != 0)
		return false;
	*len = name_len - suffix_len;
	return true;
}

/* The byte that the escape at STEM stands for, or -1. */
static int unescape(const char *stem, size_t len)
{
	static const char bytes[] = { '/', '\0', '%' };

	for (size_t i = 0; i < sizeof(bytes); i++)
		if (len >= 3 && memcmp(stem, escape(bytes[i]), 3) == 0)
			return bytes[i];
	return -1;
}

bool ck_name_to_key(const char *name, const char *suffix, char *key, size_t *len)
{
	size_t stem, at = 0;

	if (!stem_len(name, suffix, &stem))
		return false;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		if (stem == strlen(whole[i].stem) && memcmp(name, whole[i].stem, stem) == 0) {
			*len = strlen(whole[i].key);
			memcpy(key, whole[i].key, *len + 1);
			return true;
		}
		if (stem == strlen(whole[i].key) && memcmp(name, whole[i].key, stem) == 0)
			return false;
	}
	for (size_t i = 0; i < stem; i++) {
		int c = (unsigned char)name[i];

		if (c == '/')
			return false;
		if (c == '%') {
			c = unescape(name + i, stem - i);
			if (c < 0)
				return false;
			i += 2;
		}
		key[at++] = (char)c;
	}
	key[at] = '\0';
	*len = at;
	return true;
}

bool ck_name_is_cut(const char *name, const char *suffix)
{
	size_t stem;

	/* A cut gives up at most 3 bytes of room, to spare a UTF-8 sequence. */
	if (!stem_len(name, suffix, &stem) || strlen(name) < CK_NAME_MAX - 3 || name[stem - TAIL] != '~')
		return false;
	return strspn(name + stem - TAIL + 1, "0123456789abcdef") >= TAIL - 1;
}
