/* What everything else stands on: arena, buf, cursor, digits, error, utf8, hash, value. */
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/cursor.h"
#include "core/base/digits.h"
#include "core/base/hash.h"
#include "core/base/utf8.h"
#include "core/base/value.h"
#include "check.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdalign.h>
#include <stdlib.h>
#include <wchar.h>

/* ---- arena ---- */

static bool is_zero(const unsigned char *at, size_t size)
{
	while (size && !at[size - 1])
		size--;
	return size == 0;
}

static void an_arena_gives_zeroed_aligned_memory(void)
{
	static const size_t sizes[] = { 1, 15, 16, 17, 4000, 5000, 200000, 300000, 1 << 20 };
	struct ck_arena *arena = ck_arena_new(16 << 20);
	size_t used = 0;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			unsigned char *at = ck_arena_alloc(arena, sizes[i]);

			CHECK(at && (uintptr_t)at % alignof(max_align_t) == 0 && is_zero(at, sizes[i]));
			memset(at, 0xff, sizes[i]);
			CHECK(ck_arena_used(arena) >= used + sizes[i]);
			used = ck_arena_used(arena);
		}
	}
	CHECK_STR(ck_arena_dup(arena, "key\0more", 3), "key");
	CHECK(memcmp(ck_arena_dup(arena, "key\0more", 8), "key\0more", 9) == 0);
	ck_arena_free(arena);
	ck_arena_free(NULL);
}

static void a_budget_is_shared_and_given_back(void)
{
	struct ck_budget budget = { 10000 };
	struct ck_arena *one = ck_arena_new_within(&budget), *two = ck_arena_new_within(&budget);

	CHECK(ck_arena_budget(one) == &budget);
	CHECK(ck_arena_alloc(one, 6000) && !ck_arena_alloc(two, 6000) && ck_arena_alloc(two, 3000));
	CHECK(!ck_budget_take(&budget, 5000) && budget.left < 1100);
	CHECK(!ck_arena_alloc(one, SIZE_MAX) && !ck_arena_alloc(one, SIZE_MAX / 2) && !ck_arena_dup(one, "", SIZE_MAX));
	ck_arena_free(one);
	CHECK(ck_arena_alloc(two, 6000));
	ck_arena_free(two);
	CHECK(budget.left == 10000);
}

static void memory_grows_with_what_it_holds(void)
{
	struct ck_budget budget = { 64 << 20 };
	struct ck_arena *arena = ck_arena_new_within(&budget);
	uint32_t *at = NULL;
	size_t count = 0;

	for (size_t more = 1; more <= 1 << 20; more *= 2) {
		at = ck_arena_grow(arena, at, count * sizeof(*at), more * sizeof(*at));
		CHECK(at);
		for (size_t i = 0; i < count; i += 1 + count / 64)
			CHECK(at[i] == (uint32_t)i);
		for (count = 0; count < more; count++)
			at[count] = (uint32_t)count;
	}
	CHECK(!ck_arena_grow(arena, at, count * sizeof(*at), (size_t)65 << 20));
	CHECK(at[count - 1] == count - 1 && ck_arena_used(arena) + budget.left == 64 << 20);
	ck_arena_free(arena);
	CHECK(budget.left == 64 << 20);
}

/* ---- buf and cursor ---- */

static void a_buf_holds_what_was_appended(void)
{
	struct ck_buf b = CK_BUF_INIT;
	size_t len = 1;
	char *data;

	CHECK(!ck_buf_steal(&b, &len) && len == 0);
	ck_buf_append(&b, "ab\0", 3);
	ck_buf_append(&b, NULL, 0);
	ck_buf_byte(&b, 'c');
	ck_buf_fill(&b, 'd', 200);
	ck_buf_str(&b, "e");
	ck_buf_printf(&b, "%s-%d", "f", -7);
	ck_buf_le16(&b, 0x0102);
	ck_buf_le32(&b, 0x03040506);
	ck_buf_le64(&b, UINT64_C(0x0708090a0b0c0d0e));
	CHECK(!b.failed && b.len == 3 + 1 + 200 + 1 + 4 + 14);
	data = ck_buf_steal(&b, &len);
	CHECK(len == 223 && b.len == 0 && !b.data);
	CHECK(memcmp(data, "ab\0cd", 5) == 0 && data[203] == 'd' && memcmp(data + 204, "ef--7", 5) == 0);
	CHECK(memcmp(data + 209, "\2\1\6\5\4\3\x0e\x0d\x0c\x0b\x0a\x09\x08\x07", 14) == 0);
	free(data);
}

static void a_buf_fails_once_and_stays_failed(void)
{
	struct ck_buf b = { .max = 100 };
	size_t len;

	ck_buf_fill(&b, 'x', 100);
	CHECK(!b.failed && b.len == 100);
	ck_buf_byte(&b, 'y');
	CHECK(b.failed && b.full && b.len == 100);
	ck_buf_append(&b, NULL, 0);
	CHECK(b.failed && !ck_buf_steal(&b, &len) && !b.failed && b.cap == 0);
	ck_buf_fill(&b, 0, SIZE_MAX);
	CHECK(b.failed && !b.full);
	ck_buf_free(&b);
}

static void a_cursor_stops_at_the_end(void)
{
	static const unsigned char data[] = "\1\2\3\4\5\6\7\x88\x99line\nrest";
	struct ck_cursor c = ck_cursor(data, sizeof(data) - 1);
	const uint8_t *line;
	size_t len;

	CHECK(ck_cursor_u8(&c) == 1 && ck_cursor_u16(&c) == 0x0302 && ck_cursor_u32(&c) == 0x07060504);
	CHECK(ck_cursor_u16(&c) == 0x9988 && ck_cursor_left(&c) == 9);
	line = ck_cursor_line(&c, &len);
	CHECK(line == data + 9 && len == 4 && ck_cursor_left(&c) == 4 && c.ok);
	CHECK(!ck_cursor_line(&c, &len) && !c.ok);
	c = ck_cursor(data, 8);
	CHECK(ck_cursor_u64(&c) == UINT64_C(0x8807060504030201) && c.ok && ck_cursor_take(&c, 0) && c.ok);
	CHECK(ck_cursor_u8(&c) == 0 && !c.ok);
	c = ck_cursor(data, 8);
	CHECK(!ck_cursor_take(&c, UINT64_MAX) && !c.ok && ck_cursor_left(&c) == 0);
	CHECK(ck_cursor_u8(&c) == 0 && !ck_cursor_take(&c, 0) && !ck_cursor_line(&c, &len) && len == 0);
}

/* ---- error ---- */

static void the_first_message_wins(void)
{
	struct ck_error err = CK_ERROR_INIT;
	char line[600];

	ck_error_file(&err, "too early");
	CHECK(ck_fail(&err, CK_ERR_CORRUPT, "expected %d", 7) == CK_ERR_CORRUPT);
	CHECK(ck_fail_nomem(&err) == CK_ERR_NOMEM && err.code == CK_ERR_CORRUPT);
	CHECK_STR(ck_error_line(&err, line, sizeof(line)), "expected 7");
	ck_error_subject(&err, "data/0 and more", 6);
	ck_error_subject(&err, "other", 5);
	ck_error_offset(&err, 12);
	ck_error_offset(&err, 13);
	ck_error_file(&err, "model.pt");
	ck_error_file(&err, "other.pt");
	CHECK_STR(ck_error_line(&err, line, sizeof(line)), "model.pt: data/0: byte 12: expected 7");
	CHECK_STR(ck_error_line(&err, line, 10), "model.pt:");
	ck_error_clear(&err);
	errno = ENOSPC;
	CHECK(ck_fail_sys(&err, "write") == CK_ERR_SYS && err.sys == ENOSPC && !err.file[0]);
	CHECK_STR(err.text, "write: No space left on device");
	ck_error_clear(NULL);
	CHECK(ck_fail(NULL, CK_ERR_LIMIT, "nobody asks") == CK_ERR_LIMIT);
}

static void hostile_text_is_made_printable(void)
{
	struct ck_error err = CK_ERROR_INIT;
	char path[400];

	ck_error_set(&err, CK_ERR_INVALID, "%s", "a\nb\033[31m\x7f \xc3\xa9 \xff\xc3 \xed\xa0\x80");
	CHECK_STR(err.text, "a?b?[31m? \xc3\xa9 ?? ???");
	memset(path, 'd', sizeof(path));
	memcpy(path + sizeof(path) - 8, "/end.pt", 8);
	ck_error_file(&err, path);
	CHECK(strlen(err.file) == sizeof(err.file) - 1 && strcmp(err.file + strlen(err.file) - 7, "/end.pt") == 0);
	ck_error_subject(&err, path, sizeof(path) - 1);
	CHECK(strlen(err.subject) == sizeof(err.subject) - 1);
}

/* ---- utf8: glibc's decoder is the oracle. It refuses surrogates, and takes what lies past U+10FFFF ---- */

static void code_points_go_both_ways(void)
{
	uint32_t back, wrong = 0;
	char s[4], want[16];

	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		size_t len = ck_utf8_encode(s, cp);
		mbstate_t state = { 0 };

		wrong += ck_utf8_decode(s, len, &back) != len || back != cp;
		wrong += len > 1 && ck_utf8_decode(s, len - 1, &back) != 0;
		if (!ck_is_surrogate(cp))
			wrong += wcrtomb(want, (wchar_t)cp, &state) != len || memcmp(s, want, len) != 0;
	}
	CHECK(wrong == 0);
	CHECK(ck_is_high_surrogate(0xd800) && ck_is_high_surrogate(0xdbff) && !ck_is_high_surrogate(0xdc00));
	CHECK(ck_is_low_surrogate(0xdc00) && ck_is_low_surrogate(0xdfff) && !ck_is_low_surrogate(0xe000));
	CHECK(!ck_is_surrogate(0xd7ff) && !ck_is_surrogate(0xe000));
}

static void bytes_decode_as_glibc_has_them(void)
{
	static const unsigned char third[] = { 0, 'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff };
	unsigned wrong = 0;

	for (unsigned pair = 0; pair < 0x10000; pair++) {
		for (unsigned i = 0; i < sizeof(third) * sizeof(third); i++) {
			char s[4] = { (char)(pair >> 8), (char)pair, (char)third[i % sizeof(third)],
				      (char)third[i / sizeof(third)] };
			mbstate_t state = { 0 };
			uint32_t cp;
			wchar_t wide = 0;
			size_t len = ck_utf8_decode(s, 4, &cp), want = mbrtowc(&wide, s, 4, &state);

			if (s[0] == 0)
				wrong += len != 1 || cp != 0;
			else if (len == 3 && ck_is_surrogate(cp))
				wrong += want != (size_t)-1;
			else
				wrong += len != (want > 4 || wide > 0x10ffff ? 0 : want) || (len && cp != (uint32_t)wide);
		}
	}
	CHECK(wrong == 0);
}

static void text_is_utf8_with_or_without_surrogates(void)
{
	CHECK(ck_utf8_valid("", 0, false) && ck_utf8_valid("a\0\xc3\xa9\xf0\x9f\x98\x80", 8, false));
	CHECK(ck_utf8_valid("a\xed\xa0\x80z", 5, true) && !ck_utf8_valid("a\xed\xa0\x80z", 5, false));
	CHECK(!ck_utf8_valid("a\xff", 2, true) && !ck_utf8_valid("\xc3", 1, true) && !ck_utf8_valid("\xc0\x80", 2, true));
	/* A surrogate before it doesn't count against a plain byte. */
	CHECK(!ck_utf8_valid("\xed\xa0\x80" "a", 4, false) && ck_utf8_valid("\xed\xa0\x80" "a", 4, true));
}

static void digits_are_read_to_the_limits(void)
{
	int64_t v = 0;

	CHECK(ck_decimal("0012x", 4, false, &v) && v == 12 && ck_decimal("12", 2, true, &v) && v == -12);
	CHECK(ck_decimal("9223372036854775807", 19, false, &v) && v == INT64_MAX);
	CHECK(ck_decimal("9223372036854775808", 19, true, &v) && v == INT64_MIN);
	CHECK(!ck_decimal("9223372036854775808", 19, false, &v) && !ck_decimal("9223372036854775809", 19, true, &v));
	CHECK(!ck_decimal("99999999999999999999", 20, false, &v));
	CHECK(ck_hex("00fFg", 5, 4) == 255 && ck_hex("FFFFFFFF", 8, 8) == 0xffffffff && ck_hex("0a", 2, 0) == 0);
	CHECK(ck_hex("00fg", 4, 4) == -1 && ck_hex("0a", 2, 3) == -1 && ck_hex("-1", 2, 2) == -1 && ck_hex("", 0, 1) == -1);
}

static void a_hash_depends_on_every_byte_and_its_key(void)
{
	struct ck_hash_key key = ck_hash_key_new(), other = ck_hash_key_new();
	char data[40] = { 0 };
	uint64_t empty = ck_hash_keyed(&key, data, 0);

	CHECK(key.factor & 1);
	CHECK(memcmp(&key, &other, sizeof(key)) != 0);
	for (size_t len = 1; len <= sizeof(data); len++) {
		uint64_t h = ck_hash_keyed(&key, data, len);

		CHECK(h != empty && h == ck_hash_keyed(&key, data, len));
		data[len - 1] = 1;
		CHECK(h != ck_hash_keyed(&key, data, len) && h != ck_hash_keyed(&other, data, len));
		data[len - 1] = 0;
	}
}

/* ---- value: the expected answers are Python's ---- */

static struct ck_arena *values;

static struct ck_value tuple(uint32_t len, const struct ck_value *items)
{
	struct ck_value v;

	CHECK(ck_tuple_new(values, len, &v, NULL) == CK_OK);
	for (uint32_t i = 0; i < len; i++)
		v.items[i] = items[i];
	return v;
}

static struct ck_value list(enum ck_kind kind, uint32_t len, const struct ck_value *items)
{
	struct ck_value v;

	CHECK(ck_list_new(values, kind, &v, NULL) == CK_OK);
	for (uint32_t i = 0; i < len; i++)
		CHECK(ck_list_append(values, v.list, items[i], NULL) == CK_OK);
	return v;
}

#define STR(s) ck_str((s), strlen(s))
#define VALUES(...) sizeof((struct ck_value[]){ __VA_ARGS__ }) / sizeof(struct ck_value), \
	(struct ck_value[]){ __VA_ARGS__ }
#define TUPLE(...) tuple(VALUES(__VA_ARGS__))
#define LIST(kind, ...) list((kind), VALUES(__VA_ARGS__))

static bool equal(struct ck_value a, struct ck_value b)
{
	bool same = ck_value_equal(&a, &b);

	CHECK(ck_value_equal(&b, &a) == same);
	return same;
}

static void values_compare_as_in_python(void)
{
	CHECK(equal(ck_int(1), ck_bool(true)) && equal(ck_int(1), ck_float(1)) && !equal(ck_int(1), STR("1")));
	CHECK(!equal(ck_float(NAN), ck_float(NAN)) && equal(ck_float(0.0), ck_float(-0.0)));
	CHECK(!equal(ck_int(INT64_MAX), ck_float(9223372036854775808.0)));
	CHECK(equal(ck_int(INT64_MIN), ck_float(-9223372036854775808.0)));
	CHECK(!equal(ck_int(9007199254740993), ck_float(9007199254740992.0)) && !equal(ck_int(0), ck_none()));
	CHECK(equal(ck_str("a\0b", 3), ck_str("a\0b", 3)) && !equal(ck_str("a\0b", 3), ck_str("a\0c", 3)));
	CHECK(equal(TUPLE(ck_int(1), STR("x")), TUPLE(ck_float(1), STR("x"))));
	CHECK(!equal(TUPLE(ck_int(1)), LIST(CK_LIST, ck_int(1))) && !equal(TUPLE(ck_int(1)), TUPLE(ck_int(1), ck_int(1))));
	CHECK(equal(LIST(CK_SET, ck_int(1), ck_int(2)), LIST(CK_FROZENSET, ck_int(2), ck_int(1))));
	CHECK(!equal(LIST(CK_LIST, ck_int(1), ck_int(2)), LIST(CK_LIST, ck_int(2), ck_int(1))));
}

static void a_dict_keeps_its_order(void)
{
	struct ck_value d, key;
	char name[20];

	CHECK(ck_dict_new(values, &d, NULL) == CK_OK);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3000; i++) {
			sprintf(name, "key%d", i);
			key = ck_str(ck_arena_dup(values, name, strlen(name)), strlen(name));
			CHECK(ck_dict_set(values, d.dict, key, ck_int(i + round), NULL) == CK_OK);
		}
	}
	CHECK(d.dict->len == 3000);
	for (int i = 0; i < 3000; i++) {
		sprintf(name, "key%d", i);
		CHECK(ck_value_is_str(&d.dict->pairs[i].key, name) && d.dict->pairs[i].value.i == i + 1);
		CHECK(ck_dict_get(d.dict, name) == &d.dict->pairs[i].value);
	}
	CHECK(!ck_dict_get(d.dict, "key3000") && !ck_dict_get(d.dict, "key"));
}

static void keys_that_are_equal_are_one(void)
{
	static const struct ck_value none = { .kind = CK_NONE };
	struct ck_value d, deep = ck_int(0);

	CHECK(ck_dict_new(values, &d, NULL) == CK_OK);
	/* With an index too, the hash must agree with the comparison. */
	for (int i = 0; i < 100; i++)
		CHECK(ck_dict_set(values, d.dict, ck_int(i), none, NULL) == CK_OK);
	CHECK(ck_dict_set(values, d.dict, ck_bool(true), STR("bool"), NULL) == CK_OK);
	CHECK(ck_dict_set(values, d.dict, ck_float(2), STR("float"), NULL) == CK_OK);
	CHECK(d.dict->len == 100 && ck_value_is_str(&d.dict->pairs[1].value, "bool"));
	CHECK(ck_value_is_str(&d.dict->pairs[2].value, "float"));
	CHECK(ck_dict_set(values, d.dict, LIST(CK_FROZENSET, ck_int(1), STR("a")), none, NULL) == CK_OK);
	CHECK(ck_dict_set(values, d.dict, LIST(CK_FROZENSET, STR("a"), ck_int(1)), none, NULL) == CK_OK);
	CHECK(ck_dict_set(values, d.dict, TUPLE(ck_int(1), ck_none()), none, NULL) == CK_OK);
	CHECK(ck_dict_set(values, d.dict, TUPLE(ck_float(1), ck_none()), none, NULL) == CK_OK);
	CHECK(d.dict->len == 102);
	CHECK(ck_dict_set(values, d.dict, LIST(CK_LIST, ck_int(1)), none, NULL) == CK_ERR_CORRUPT);
	CHECK(ck_dict_set(values, d.dict, TUPLE(LIST(CK_SET, ck_int(1))), none, NULL) == CK_ERR_CORRUPT);
	/* 2^60 values, by tuples that share theirs */
	for (int i = 0; i < 60; i++)
		deep = TUPLE(deep, deep);
	CHECK(ck_dict_set(values, d.dict, deep, none, NULL) == CK_ERR_CORRUPT && d.dict->len == 102);
}

static void a_budget_ends_what_values_take(void)
{
	struct ck_arena *small = ck_arena_new(2000);
	struct ck_value l, d;
	int rc = CK_OK;

	CHECK(ck_list_new(small, CK_LIST, &l, NULL) == CK_OK && ck_dict_new(small, &d, NULL) == CK_OK);
	while (!rc)
		rc = ck_list_append(small, l.list, ck_none(), NULL);
	CHECK(rc == CK_ERR_LIMIT && l.list->len > 8 && l.list->len < 130);
	for (int i = 0; (rc = ck_dict_set(small, d.dict, ck_int(i), ck_none(), NULL)) == CK_OK; i++)
		;
	CHECK(rc == CK_ERR_LIMIT && ck_tuple_new(small, UINT32_MAX, &l, NULL) == CK_ERR_LIMIT);
	ck_arena_free(small);
}

int main(void)
{
	CHECK(setlocale(LC_CTYPE, "C.UTF-8"));
	values = ck_arena_new(64 << 20);
	RUN(an_arena_gives_zeroed_aligned_memory);
	RUN(a_budget_is_shared_and_given_back);
	RUN(memory_grows_with_what_it_holds);
	RUN(a_buf_holds_what_was_appended);
	RUN(a_buf_fails_once_and_stays_failed);
	RUN(a_cursor_stops_at_the_end);
	RUN(the_first_message_wins);
	RUN(hostile_text_is_made_printable);
	RUN(code_points_go_both_ways);
	RUN(bytes_decode_as_glibc_has_them);
	RUN(text_is_utf8_with_or_without_surrogates);
	RUN(digits_are_read_to_the_limits);
	RUN(a_hash_depends_on_every_byte_and_its_key);
	RUN(values_compare_as_in_python);
	RUN(a_dict_keeps_its_order);
	RUN(keys_that_are_equal_are_one);
	RUN(a_budget_ends_what_values_take);
	ck_arena_free(values);
	CHECK_EXIT();
}
