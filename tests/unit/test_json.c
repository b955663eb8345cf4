/* JSON and meta.json: edge cases whose results are worked out by hand from Python's rules. */
#include "core/format/json.h"
#include "core/format/meta.h"
#include "core/base/utf8.h"
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static struct ck_arena *arena;

/* What ck_json_write makes of TEXT; "" where it can't be read. Valid until the next call. */
static const char *again(const char *text, int indent)
{
	static char shown[4096];
	struct ck_buf out = CK_BUF_INIT;
	struct ck_value v;

	shown[0] = '\0';
	if (ck_json_read(text, strlen(text), arena, &v, NULL) == CK_OK &&
	    ck_json_write(&out, &v, indent, NULL) == CK_OK && out.len < sizeof(shown)) {
		memcpy(shown, out.data, out.len);
		shown[out.len] = '\0';
	}
	ck_buf_free(&out);
	return shown;
}

/* "CODE@OFFSET" of the error that reading LEN bytes gives. */
static const char *refusal(const char *text, size_t len)
{
	static char shown[64];
	struct ck_error err = CK_ERROR_INIT;
	struct ck_value v;
	int rc = ck_json_read(text, len, arena, &v, &err);

	snprintf(shown, sizeof(shown), "%d@%lld", rc == (int)err.code ? rc : -1, (long long)err.offset);
	return shown;
}

static const char *repr(double f)
{
	static char shown[64];
	struct ck_buf out = CK_BUF_INIT;

	ck_float_repr(&out, f);
	snprintf(shown, sizeof(shown), "%.*s", (int)out.len, out.data);
	ck_buf_free(&out);
	return shown;
}

static void test_layout(void)
{
	CHECK_STR(again("{\"a\":[1,{}],\"b\":{\"c\":[]}}", 2),
		  "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": []\n  }\n}");
	CHECK_STR(again(" [ 1 ,\r\n\t2.50 , null,true , false ] ", -1), "[1, 2.5, null, true, false]");
	CHECK_STR(again("[1,[2]]", 0), "[\n1,\n[\n2\n]\n]");
	CHECK_STR(again("{\"a\":1,\"b\":2,\"a\":3}", -1), "{\"a\": 3, \"b\": 2}");
}

static void test_numbers(void)
{
	struct ck_value v;

	CHECK_STR(again("[-0,-0.0,1e5,1E400,-1e400,NaN]", -1), "[0, -0.0, 100000.0, Infinity, -Infinity, NaN]");
	CHECK_STR(again("[9223372036854775807,-9223372036854775808]", -1),
		  "[9223372036854775807, -9223372036854775808]");
	CHECK(ck_json_read("9223372036854775807", 19, arena, &v, NULL) == CK_OK &&
	      v.kind == CK_INT && v.i == INT64_MAX);
	CHECK(ck_json_read("-9223372036854775808", 20, arena, &v, NULL) == CK_OK &&
	      v.kind == CK_INT && v.i == INT64_MIN);
	CHECK(ck_json_read("9223372036854775808", 19, arena, &v, NULL) == CK_OK && v.kind == CK_BIGINT && v.len == 19);
	CHECK(ck_json_read("-9223372036854775809", 20, arena, &v, NULL) == CK_OK && v.kind == CK_BIGINT && v.len == 20);
	CHECK_STR(again("-123456789012345678901234567890", -1), "-123456789012345678901234567890");
	/* LEN counts, not what lies behind it. */
	CHECK(ck_json_read("1234", 2, arena, &v, NULL) == CK_OK && v.i == 12);
	CHECK(ck_json_read("1.5e3", 3, arena, &v, NULL) == CK_OK && v.f == 1.5);
}

static void test_float_repr(void)
{
	CHECK_STR(repr(0.0), "0.0");
	CHECK_STR(repr(-0.0), "-0.0");
	CHECK_STR(repr(0.1), "0.1");
	CHECK_STR(repr(0.1 + 0.2), "0.30000000000000004");
	CHECK_STR(repr(100.0), "100.0");
	CHECK_STR(repr(-12.5), "-12.5");
	CHECK_STR(repr(0.0001), "0.0001");
	CHECK_STR(repr(0.00001), "1e-05");
	CHECK_STR(repr(1e15), "1000000000000000.0");
	CHECK_STR(repr(9999999999999998.0), "9999999999999998.0");
	CHECK_STR(repr(1e16), "1e+16");
	CHECK_STR(repr(123456789012345680.0), "1.2345678901234568e+17");
	CHECK_STR(repr(1e22), "1e+22");
	CHECK_STR(repr(1e23), "1e+23");
	CHECK_STR(repr(5e-324), "5e-324");
	CHECK_STR(repr(0x1p-44), "5.684341886080802e-14");
	CHECK_STR(repr(0x1.fffffffffffffp1023), "1.7976931348623157e+308");
	CHECK_STR(repr((double)INFINITY), "inf");
	CHECK_STR(repr(-(double)INFINITY), "-inf");
	CHECK_STR(repr((double)NAN), "nan");
	CHECK_STR(repr(-(double)NAN), "nan");
}

static void test_strings(void)
{
	struct ck_value v;

	CHECK_STR(again("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\x7f\"", -1), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u007f\"");
	CHECK_STR(again("\"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\"", -1), "\"\\u00e9\\u2028\\ud83d\\ude00\"");
	CHECK(ck_json_read("\"\\ud83d\\ude00\"", 14, arena, &v, NULL) == CK_OK && v.len == 4 &&
	      memcmp(v.s, "\xf0\x9f\x98\x80", 4) == 0);
	CHECK(ck_json_read("\"\\ud83d\"", 8, arena, &v, NULL) == CK_OK && v.len == 3 &&
	      memcmp(v.s, "\xed\xa0\xbd", 3) == 0);
	CHECK_STR(again("\"\\uD83D\\ud83d\\uDE00\\ude00\"", -1), "\"\\ud83d\\ud83d\\ude00\\ude00\"");
	CHECK(ck_json_read("\"\\u0000\"", 8, arena, &v, NULL) == CK_OK && v.len == 1 && v.s[0] == '\0');
	CHECK_STR(again("{\"\\u0000\":\"\\u001f\"}", -1), "{\"\\u0000\": \"\\u001f\"}");
}

static void test_refusals(void)
{
	CHECK_STR(refusal("", 0), "3@0");
	CHECK_STR(refusal("[1,]", 4), "3@3");
	CHECK_STR(refusal("{\"a\":1,}", 8), "3@7");
	CHECK_STR(refusal("[01]", 4), "3@2");
	CHECK_STR(refusal("[1.]", 4), "3@2");
	CHECK_STR(refusal("-", 1), "3@0");
	CHECK_STR(refusal("\"ab", 3), "3@3");
	CHECK_STR(refusal("\"a\nb\"", 5), "3@2");
	CHECK_STR(refusal("\"\\x\"", 4), "3@2");
	CHECK_STR(refusal("\"\\", 2), "3@2");
	CHECK_STR(refusal("\"\xc0\x80\"", 4), "3@1");
	CHECK_STR(refusal("\"\xed\xa0\x80\"", 5), "3@1");
	CHECK_STR(refusal("\"\xe2\x80\"", 4), "3@1");
	CHECK_STR(refusal("\xef\xbb\xbf{}", 5), "3@0");
	CHECK_STR(refusal("{} x", 4), "3@3");
	CHECK_STR(refusal("1\0", 2), "3@1");
}

/* No beginning of a text is one, and none is read past its end (each is a block of its own: a sanitizer sees it). */
static void test_prefixes(void)
{
	static const char text[] = "{\"a\\n\\ud83d\\ude00\xc3\xa9\": "
				   "[-1.5e+3, NaN, -Infinity, true, null, \"\\u00e9\"]}";
	struct ck_value v;

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		char *copy = malloc(len + 1);

		memcpy(copy + 1, text, len);
		CHECK(ck_json_read(copy + 1, len, arena, &v, NULL) == CK_ERR_CORRUPT);
		free(copy);
	}
	CHECK(ck_json_read(text, sizeof(text) - 1, arena, &v, NULL) == CK_OK);
}

/* DEPTH arrays in each other, read, and written again. */
static int nest(size_t depth)
{
	char *text = malloc(2 * depth);
	struct ck_buf out = CK_BUF_INIT;
	struct ck_value v;
	int rc;

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	rc = ck_json_read(text, 2 * depth, arena, &v, NULL);
	if (rc == CK_OK)
		rc = ck_json_write(&out, &v, -1, NULL);
	if (rc == CK_OK)
		CHECK(out.len == 2 * depth && memcmp(out.data, text, out.len) == 0);
	ck_buf_free(&out);
	free(text);
	return rc;
}

static void test_limits(void)
{
	struct ck_arena *small = ck_arena_new(256);
	struct ck_value v;

	CHECK(nest(CK_JSON_MAX_DEPTH) == CK_OK);
	CHECK(nest(CK_JSON_MAX_DEPTH + 1) == CK_ERR_LIMIT);
	CHECK(ck_json_read("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", 43, small, &v, NULL) == CK_ERR_LIMIT);
	ck_arena_free(small);
}

/* What only a pickle can make, json.dump turns into strings, lists, or an error. */
static void test_write_python(void)
{
	struct ck_buf out = CK_BUF_INIT;
	struct ck_value d, t, bad = { .kind = CK_BYTES, .len = 1, .s = "x" };

	CHECK(ck_dict_new(arena, &d, NULL) == CK_OK && ck_tuple_new(arena, 2, &t, NULL) == CK_OK);
	t.items[0] = ck_float(1);
	CHECK(ck_dict_set(arena, d.dict, ck_int(-3), t, NULL) == CK_OK);
	CHECK(ck_dict_set(arena, d.dict, ck_bool(true), ck_none(), NULL) == CK_OK);
	CHECK(ck_dict_set(arena, d.dict, ck_none(), ck_none(), NULL) == CK_OK);
	CHECK(ck_dict_set(arena, d.dict, ck_float((double)INFINITY), ck_none(), NULL) == CK_OK);
	CHECK(ck_dict_set(arena, d.dict, ck_float(0.5), ck_none(), NULL) == CK_OK);
	CHECK(ck_json_write(&out, &d, -1, NULL) == CK_OK);
	ck_buf_byte(&out, 0);
	CHECK_STR(out.data, "{\"-3\": [1.0, null], \"true\": null, \"null\": null, \"Infinity\": null, \"0.5\": null}");
	CHECK(ck_json_write(&out, &bad, -1, NULL) == CK_ERR_INVALID);
	CHECK(ck_dict_set(arena, d.dict, bad, ck_none(), NULL) == CK_OK);
	CHECK(ck_json_write(&out, &d, -1, NULL) == CK_ERR_INVALID);
	ck_buf_free(&out);
}

/* A stored file that holds TEXT. */
static struct ck_file *file_of(const char *text)
{
	char path[] = "/tmp/test_json.XXXXXX";
	struct ck_file *file = NULL;
	int fd = mkstemp(path);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	unlink(path);
	CHECK(ck_file_from_fd(fd, "meta_000001.json", &file, NULL) == CK_OK);
	return file;
}

static int meta_of(const char *text, const char *want, int64_t n_layer)
{
	struct ck_file *file = file_of(text);
	struct ck_buf out = CK_BUF_INIT;
	struct ck_meta_info info;
	int rc = ck_meta_read(file, &out, &info, NULL);

	ck_buf_byte(&out, 0);
	if (rc == CK_OK)
		CHECK_STR(out.data, want);
	CHECK(info.n_layer == n_layer);
	ck_buf_free(&out);
	ck_file_unref(file);
	return rc;
}

static void test_meta(void)
{
	struct ck_error err = CK_ERROR_INIT;

	CHECK(meta_of("{}", "{}", -1) == CK_OK);
	CHECK(meta_of("{\"model_config\":{\"n_layer\":12},\"step\":1}",
		      "{\n  \"model_config\": {\n    \"n_layer\": 12,\n    \"window_pattern\": \"L\"\n  },\n"
		      "  \"step\": 1\n}",
		      12) == CK_OK);
	CHECK(meta_of("{\"model_config\":{\"window_pattern\":null,\"n_layer\":100000}}",
		      "{\n  \"model_config\": {\n    \"window_pattern\": null,\n    \"n_layer\": 100000\n  }\n}",
		      100000) == CK_OK);
	CHECK(meta_of("{\"model_config\":[]}", "{\n  \"model_config\": []\n}", -1) == CK_OK);
	CHECK(meta_of("{\"model_config\":{\"n_layer\":100001,\"window_pattern\":\"S\"}}",
		      "{\n  \"model_config\": {\n    \"n_layer\": 100001,\n    \"window_pattern\": \"S\"\n  }\n}",
		      -1) == CK_OK);
	CHECK(meta_of("{\"model_config\":{\"n_layer\":true,\"window_pattern\":\"S\"}}",
		      "{\n  \"model_config\": {\n    \"n_layer\": true,\n    \"window_pattern\": \"S\"\n  }\n}",
		      -1) == CK_OK);
	CHECK(meta_of("[]", "", -1) == CK_ERR_CORRUPT);
	CHECK(meta_of("{\"model_config\":{\"n_layer\":12}", "", -1) == CK_ERR_CORRUPT);
	CHECK(ck_meta_check("{\"a\":NaN}", 9, NULL) == CK_OK);
	CHECK(ck_meta_check("[]", 2, NULL) == CK_ERR_INVALID);
	CHECK(ck_meta_check("{\"a\"", 4, &err) == CK_ERR_INVALID && err.code == CK_ERR_INVALID && err.offset == 4);
}

static void test_utf8(void)
{
	char s[4];
	uint32_t cp;

	CHECK(ck_utf8_encode(s, 0x10ffff) == 4 && memcmp(s, "\xf4\x8f\xbf\xbf", 4) == 0);
	CHECK(ck_utf8_decode("\xf4\x8f\xbf\xbf", 4, &cp) == 4 && cp == 0x10ffff);
	CHECK(ck_utf8_decode("\xf4\x90\x80\x80", 4, &cp) == 0);
	CHECK(ck_utf8_decode("\xf0\x8f\xbf\xbf", 4, &cp) == 0);
	CHECK(ck_utf8_decode("\xe0\x9f\xbf", 3, &cp) == 0);
	CHECK(ck_utf8_decode("\xed\xbf\xbf", 3, &cp) == 3 && cp == 0xdfff);
	CHECK(ck_utf8_decode("\xc1\xbf", 2, &cp) == 0);
	CHECK(ck_utf8_decode("\xc2\xbf", 1, &cp) == 0);
	CHECK(ck_utf8_decode("\xbf", 1, &cp) == 0);
	CHECK(ck_utf8_decode("\xff\xbf\xbf\xbf", 4, &cp) == 0);
}

int main(void)
{
	arena = ck_arena_new((size_t)64 << 20);
	RUN(test_utf8);
	RUN(test_layout);
	RUN(test_numbers);
	RUN(test_float_repr);
	RUN(test_strings);
	RUN(test_refusals);
	RUN(test_prefixes);
	RUN(test_limits);
	RUN(test_write_python);
	RUN(test_meta);
	ck_arena_free(arena);
	CHECK_EXIT();
}
