#include "core/base/keyname.h"
#include "check.h"

static char name[CK_NAME_MAX + 1], key[CK_NAME_MAX + 1];

/* KEY (LEN bytes) must give WANT, and WANT the key again. */
static void both_ways(const char *from, size_t len, const char *suffix, const char *want)
{
	size_t back = 0;

	CHECK(ck_key_to_name(from, len, suffix, name) == strlen(want));
	CHECK_STR(name, want);
	CHECK(ck_name_to_key(want, suffix, key, &back));
	CHECK(back == len && memcmp(key, from, len) == 0);
	CHECK(!ck_name_is_cut(want, suffix));
}

static void plain_keys_stay(void)
{
	both_ways("transformer.h.0.attn.c_q.weight", 31, ".npy", "transformer.h.0.attn.c_q.weight.npy");
	both_ways("lm_head.weight", 14, "", "lm_head.weight");
	both_ways("a b\n\x01", 5, ".npy", "a b\n\x01.npy");
	both_ways("...", 3, "", "...");
	both_ways(".hidden", 7, "", ".hidden");
	both_ways("\xc3\xa9\xf0\x9f\x98\x80", 6, "", "\xc3\xa9\xf0\x9f\x98\x80");
	both_ways("\xff\xfe\x80", 3, ".npy", "\xff\xfe\x80.npy");
}

static void forbidden_bytes_are_encoded(void)
{
	both_ways("a/b", 3, ".npy", "a%2Fb.npy");
	both_ways("a\0b", 3, "", "a%00b");
	both_ways("100%", 4, "", "100%25");
	both_ways("%2F", 3, "", "%252F");
	both_ways("", 0, ".npy", "%.npy");
	both_ways("", 0, "", "%");
	both_ways("%", 1, "", "%25");
	both_ways(".", 1, ".npy", "%2E.npy");
	both_ways(".", 1, "", "%2E");
	both_ways("..", 2, "", "%2E%2E");
	both_ways("../..", 5, "", "..%2F..");
}

static void other_names_are_refused(void)
{
	static const char *const stems[] = { "%2f", "a%41", "a%", "a%2", "a%2E", "%2E.", "%%", ".", ".." };
	static const char *const without_suffix[] = { "", ".npy", "a", "a.np", "a.NPY", ".npy.np" };
	size_t len;

	for (size_t i = 0; i < sizeof(stems) / sizeof(stems[0]); i++) {
		CHECK(!ck_name_to_key(stems[i], "", key, &len));
		sprintf(name, "%s.npy", stems[i]);
		CHECK(!ck_name_to_key(name, ".npy", key, &len));
	}
	for (size_t i = 0; i < sizeof(without_suffix) / sizeof(without_suffix[0]); i++)
		CHECK(!ck_name_to_key(without_suffix[i], ".npy", key, &len));
	CHECK(!ck_name_to_key("a/b", "", key, &len));
}

static void hash_is_fnv1a(void)
{
	/* From the vectors published with FNV. */
	CHECK(ck_hash("", 0, 0) == UINT64_C(0xcbf29ce484222325));
	CHECK(ck_hash("a", 1, 0) == UINT64_C(0xaf63dc4c8601ec8c));
	CHECK(ck_hash("foobar", 6, 0) == UINT64_C(0x85944171f73967e8));
	CHECK(ck_hash("bar", 3, ck_hash("foo", 3, 0)) == UINT64_C(0x85944171f73967e8));
}

static void long_keys_are_cut(void)
{
	char longer[400], want[300];
	size_t len;

	memset(longer, 'k', sizeof(longer));
	/* 251 bytes and ".npy" just fit. */
	CHECK(ck_key_to_name(longer, 251, ".npy", name) == 255);
	CHECK(!ck_name_is_cut(name, ".npy"));
	CHECK(strspn(name, "k") == 251);

	CHECK(ck_key_to_name(longer, 252, ".npy", name) == 255);
	sprintf(want, "%.234s~%016llx.npy", longer, (unsigned long long)ck_hash(longer, 252, 0));
	CHECK_STR(name, want);
	CHECK(ck_name_is_cut(name, ".npy"));
	CHECK(ck_name_to_key(name, ".npy", key, &len) && len == 251 && memcmp(key, name, 251) == 0);

	CHECK(ck_key_to_name(longer, 256, "", name) == 255);
	CHECK(strspn(name, "k") == 238 && name[238] == '~');
	CHECK(ck_name_is_cut(name, ""));
	CHECK(!ck_name_is_cut(name, ".npy"));
	name[240] = 'A';
	CHECK(!ck_name_is_cut(name, ""));
	CHECK(!ck_name_is_cut("short~0123456789abcdef", ""));
}

static void cuts_spare_sequences(void)
{
	char longer[400];

	memset(longer, 'k', sizeof(longer));
	/* The cut falls behind byte 238: into this escape, and then into this character of 4 bytes. */
	longer[237] = '/';
	CHECK(ck_key_to_name(longer, 300, "", name) == 254);
	CHECK(name[236] == 'k' && name[237] == '~');
	CHECK(ck_name_is_cut(name, ""));
	memcpy(longer + 235, "\xf0\x9f\x98\x80", 4);
	CHECK(ck_key_to_name(longer, 300, "", name) == 252);
	CHECK(name[234] == 'k' && name[235] == '~');
	CHECK(ck_name_is_cut(name, ""));
	/* Here it falls right behind the character. */
	memset(longer, 'k', sizeof(longer));
	memcpy(longer + 234, "\xf0\x9f\x98\x80", 4);
	CHECK(ck_key_to_name(longer, 300, "", name) == 255);
	CHECK(memcmp(name + 234, "\xf0\x9f\x98\x80~", 5) == 0);
	/* Bytes that are no UTF-8 are cut anywhere. */
	memset(longer, 0x80, sizeof(longer));
	CHECK(ck_key_to_name(longer, 300, "", name) == 255);
}

int main(void)
{
	RUN(plain_keys_stay);
	RUN(forbidden_bytes_are_encoded);
	RUN(other_names_are_refused);
	RUN(hash_is_fnv1a);
	RUN(long_keys_are_cut);
	RUN(cuts_spare_sequences);
	CHECK_EXIT();
}
