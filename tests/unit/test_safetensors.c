#include "core/format/safetensors.h"
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

#define META "{\"__metadata__\":{\"format\":\"pt\"}"

static struct ck_tensor tensor(const char *key, size_t len, enum ck_dtype dtype, const int64_t *shape, uint8_t ndim)
{
	struct ck_tensor t = { .key = key, .key_len = (uint32_t)len, .ndim = ndim, .shape = shape };

	t.dtype = t.stored_dtype = (uint8_t)dtype;
	CHECK(ck_shape_numel(shape, ndim, ck_dtype_info(dtype)->width, &t.numel, NULL) == CK_OK);
	return t;
}

static void header_is(const struct ck_tensor *tensors, size_t count, const char *json)
{
	struct ck_buf b = CK_BUF_INIT;
	uint32_t order[32];
	size_t padded = (strlen(json) + 7) / 8 * 8, held;

	CHECK(ck_safetensors_header(&b, tensors, count, order, &held, NULL) == CK_OK);
	CHECK(b.len == 8 + padded);
	if (b.len == 8 + padded) {
		CHECK((uint8_t)b.data[0] + 256 * (uint8_t)b.data[1] == (int)padded);
		CHECK(memcmp(b.data + 2, "\0\0\0\0\0\0", 6) == 0);
		CHECK(memcmp(b.data + 8, json, strlen(json)) == 0);
		for (size_t i = 8 + strlen(json); i < b.len; i++)
			CHECK(b.data[i] == ' ');
	}
	ck_buf_free(&b);
}

/* The texts are those that safetensors 0.4.5 writes for the same tensors with metadata={"format": "pt"}. */
static void headers_are_the_librarys(void)
{
	static const int64_t two[] = { 2 }, matrix[] = { 32768, 768 };
	struct ck_tensor t[4] = { 0 };

	header_is(t, 0, META "}");
	t[0] = tensor("bool", 4, CK_BOOL8, two, 1);
	header_is(t, 1, META ",\"bool\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[0,2]}}");
	t[0] = tensor("float8_e4m3fn", 13, CK_F8_E4M3FN, two, 1);
	header_is(t, 1, META ",\"float8_e4m3fn\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]}}");
	t[0] = tensor("b", 1, CK_F32, two, 1);
	t[1] = tensor("", 0, CK_F32, NULL, 0);
	t[2] = tensor("a.b", 3, CK_BF16, matrix, 2);
	t[3] = tensor("a", 1, CK_I64, two, 1);
	header_is(t, 4, META ",\"a\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
		  "\"\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[16,20]},"
		  "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[20,28]},"
		  "\"a.b\":{\"dtype\":\"BF16\",\"shape\":[32768,768],\"data_offsets\":[28,50331676]}}");
}

static void keys_are_escaped_as_serde_does(void)
{
	static const char key[] = "a\"/\\\0\x01\x08\x09\x0a\x0c\x0d\x1f\x7f\xe2\x80\xa8\xc3\xa9\xf0\x9f\x98\x80<";
	struct ck_tensor t = tensor(key, sizeof(key) - 1, CK_F32, NULL, 0);

	header_is(&t, 1, META ",\"a\\\"/\\\\\\u0000\\u0001\\b\\t\\n\\f\\r\\u001f\x7f"
		  "\xe2\x80\xa8\xc3\xa9\xf0\x9f\x98\x80<\":"
		  "{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}");
}

/* By the library's ranks, high to low; keys by their bytes, a prefix first. */
static void order_is_the_librarys(void)
{
	static const enum ck_dtype ranked[] = {
		CK_U64, CK_I64, CK_F64, CK_C64, CK_F32, CK_U32, CK_I32, CK_BF16, CK_F16, CK_U16, CK_I16, CK_F8_E5M2FNUZ,
		CK_F8_E4M3FNUZ, CK_F8_E8M0, CK_F8_E4M3FN, CK_F8_E5M2, CK_I8, CK_U8, CK_BOOL8,
	};
	static const char *const keys[] = { "A", "a", "a\x01", "a.b", "aa", "\xc3\xa9" };
	enum { RANKED = sizeof(ranked) / sizeof(ranked[0]), KEYS = sizeof(keys) / sizeof(keys[0]) };
	struct ck_tensor t[RANKED];
	uint32_t order[RANKED];
	struct ck_buf b = CK_BUF_INIT;
	size_t held;

	for (size_t i = 0; i < RANKED; i++)
		t[RANKED - 1 - i] = tensor("k", 1, ranked[i], NULL, 0);
	CHECK(ck_safetensors_header(&b, t, RANKED, order, &held, NULL) == CK_OK && held == RANKED);
	for (size_t i = 0; i < RANKED; i++)
		CHECK(order[i] == RANKED - 1 - i);
	for (size_t i = 0; i < KEYS; i++)
		t[(i * 5 + 2) % KEYS] = tensor(keys[i], strlen(keys[i]), CK_F32, NULL, 0);
	CHECK(ck_safetensors_header(&b, t, KEYS, order, &held, NULL) == CK_OK && held == KEYS);
	for (size_t i = 0; i < KEYS; i++)
		CHECK(order[i] == (i * 5 + 2) % KEYS);
	ck_buf_free(&b);
}

/* Of a tensor's key in the JSON list there is a string in a string. */
static void what_the_format_lacks_is_left_out(void)
{
	static const struct {
		const char *key, *listed;
	} bad[] = {
		{ "\xff", "\\\\udcff" }, { "a\xc3", "a\\\\udcc3" }, { "\xed\xa0\x80", "\\\\ud800" },
		{ "a\"b\xff", "a\\\\\\\"b\\\\udcff" }, { "__metadata__", "__metadata__" },
	};
	static const int64_t huge[] = { INT64_MAX / 4 };
	struct ck_buf b = CK_BUF_INIT;
	struct ck_tensor t[3];
	uint32_t order[3];
	char want[200];
	size_t held;

	t[0] = tensor("fine", 4, CK_F32, NULL, 0);
	t[1] = tensor("wide", 4, CK_C128, NULL, 0);
	t[2] = tensor("a \xc3\xa9", 4, CK_F32, NULL, 0);
	t[2].unshown = CK_UNSHOWN_SPARSE;
	header_is(t, 3, "{\"__metadata__\":{\"format\":\"pt\",\"ckptfs.left_out\":\"[\\\"wide\\\", \\\"a \\\\u00e9\\\"]\"},"
		  "\"fine\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		t[0] = tensor(bad[i].key, strlen(bad[i].key), CK_F32, NULL, 0);
		snprintf(want, sizeof(want), "{\"__metadata__\":{\"format\":\"pt\",\"ckptfs.left_out\":\"[\\\"%s\\\"]\"}}",
			 bad[i].listed);
		header_is(t, 1, want);
	}
	for (size_t i = 0; i < 3; i++)
		t[i] = tensor(&"abc"[i], 1, CK_F32, huge, 1);
	CHECK(ck_safetensors_header(&b, t, 3, order, &held, NULL) == CK_ERR_LIMIT);
	CHECK(b.len == 0);
	ck_buf_free(&b);
}

/* The library counts the half bytes of F4; of a scalar there is no last size that could be doubled. */
static void half_bytes_are_counted(void)
{
	static const int64_t matrix[] = { 3, 4 };
	struct ck_tensor t[2];

	t[0] = tensor("x", 1, CK_F4X2, matrix, 2);
	t[1] = tensor("y", 1, CK_F8_E8M0, matrix, 1);
	header_is(t, 2, META ",\"y\":{\"dtype\":\"F8_E8M0\",\"shape\":[3],\"data_offsets\":[0,3]},"
		  "\"x\":{\"dtype\":\"F4\",\"shape\":[3,8],\"data_offsets\":[3,15]}}");
	t[0] = tensor("x", 1, CK_F4X2, NULL, 0);
	CHECK(!ck_safetensors_can(&t[0]));
}

static char path[] = "/tmp/test_safetensors.XXXXXX";

/* A file of a header of LEN bytes, whose length is written as LENGTH, and SIZE zero bytes of data. */
static struct ck_file *make_file(const char *json, size_t len, uint64_t length, size_t size)
{
	struct ck_buf b = CK_BUF_INIT;
	struct ck_file *file = NULL;
	FILE *out = fopen(path, "w");

	ck_buf_le64(&b, length);
	ck_buf_append(&b, json, len);
	ck_buf_fill(&b, 0, size);
	CHECK(out && fwrite(b.data, 1, b.len, out) == b.len && fclose(out) == 0);
	ck_buf_free(&b);
	CHECK(ck_file_open(path, &file, NULL) == CK_OK);
	return file;
}

static void headers_are_read(void)
{
	static const char json[] = " {\"__metadata__\":{\"format\":\"pt\",\"x\":\"\\u0000\"},"
		"\"b\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[4,20]},"
		"\"empty\":{\"shape\":[0,9223372036854775807],\"dtype\":\"F16\",\"data_offsets\":[20,20],"
		"\"more\":null},\r\n\t"
		"\"\\u0061/\\ud83d\\ude00\":{\"data_offsets\":[0,4],\"dtype\":\"BF16\",\"shape\":[1,2]},"
		"\"\":{\"data_offsets\":[20,21],\"dtype\":\"F8_E5M2FNUZ\",\"shape\":[]}}   ";
	size_t len = strlen(json + 1);
	struct ck_file *file = make_file(json + 1, len, len, 21);
	struct ck_arena *arena = ck_arena_new(1 << 20);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor *t = NULL;
	size_t count = 0;
	uint64_t data = 8 + len;

	CHECK(ck_safetensors_read(file, arena, &t, &count, &err) == CK_OK);
	CHECK_STR(err.text, "");
	CHECK(count == 4);
	if (count == 4) {
		CHECK_STR(t[0].key, "b");
		CHECK(t[0].dtype == CK_I64 && t[0].stored_dtype == CK_I64 && t[0].ndim == 1 && t[0].shape[0] == 2);
		CHECK(t[0].source == CK_SRC_FILE && t[0].file == file && t[0].offset == data + 4 && t[0].numel == 2);
		CHECK(!t[0].strides && !t[0].swap && !t[0].conj && !t[0].neg);
		CHECK(t[1].numel == 0 && t[1].dtype == CK_F16 && t[1].ndim == 2);
		CHECK_STR(t[2].key, "a/\xf0\x9f\x98\x80");
		CHECK(t[2].key_len == 6 && t[2].dtype == CK_BF16 && t[2].offset == data && t[2].numel == 2);
		CHECK(t[3].key_len == 0 && t[3].ndim == 0 && t[3].numel == 1 && t[3].dtype == CK_F8_E5M2FNUZ);
	}
	ck_file_unref(file);
	ck_arena_free(arena);
}

static void refuses_bytes(const char *json, size_t len, uint64_t length, size_t size, const char *why)
{
	struct ck_file *file = make_file(json, len, length, size);
	struct ck_arena *arena = ck_arena_new(1 << 20);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor *t;
	size_t count;

	CHECK(ck_safetensors_read(file, arena, &t, &count, &err) == CK_ERR_INVALID);
	if (!strstr(err.text, why)) {
		printf("FAIL %.200s: %s\n", json, err.text);
		check_failures++;
	}
	CHECK_STR(err.file, path);
	CHECK(ck_safetensors_read(file, arena, &t, &count, NULL) == CK_ERR_INVALID);
	ck_file_unref(file);
	ck_arena_free(arena);
}

static void refuses(const char *json, size_t size, const char *why)
{
	refuses_bytes(json, strlen(json), strlen(json), size, why);
}

#define ENTRY(dtype, shape, offsets) "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{\"a\":" ENTRY(dtype, shape, offsets) "}"

static void bad_headers_are_refused(void)
{
	static const char nul[] = ONE("\"U8\"", "[1\0,1]", "[0,1]");

	refuses_bytes("{}", 2, 3, 0, "a header of 3 bytes in a file of 10");
	refuses_bytes("{}", 2, 100000001, 0, "at most 33554432");
	refuses_bytes("{}", 2, UINT64_MAX, 0, "at most 33554432");
	refuses_bytes("", 0, 0, 0, "expected '{'");
	refuses(" {}", 0, "expected '{'");
	refuses("[]", 0, "expected '{'");
	refuses("{", 0, "safetensors header: ");
	refuses("{} x", 0, "safetensors header: ");
	refuses_bytes("{}\0", 3, 3, 0, "a NUL");
	refuses_bytes(nul, sizeof(nul) - 1, sizeof(nul) - 1, 1, "a NUL");
	refuses("{\"\xff\":1}", 0, "safetensors header: ");
	refuses("{\"\\ud800\":1}", 0, "safetensors header: ");
	refuses("{\"a\\u0000\":1}", 0, "NUL");
	refuses("{\"__metadata__\":1}", 0, "__metadata__");
	refuses("{\"__metadata__\":null}", 0, "__metadata__");
	refuses("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__");
	refuses("{\"a\":" ENTRY("\"U8\"", "[1]", "[0,1]") ",\"a\":" ENTRY("\"U8\"", "[1]", "[0,1]") "}", 1,
		"duplicate");
	refuses("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "duplicate");
	refuses_bytes("", 0, 5, 0, "a header of 5");
}

#define TEN "1,1,1,1,1,1,1,1,1,1,"

static void bad_entries_are_refused(void)
{
	refuses("{\"a\":[]}", 0, "expected an object");
	refuses("{\"a\":{}}", 0, "dtype");
	refuses("{\"a\":{\"dtype\":\"U8\"}}", 0, "shape");
	refuses("{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, "data_offsets");
	refuses(ONE("\"u8\"", "[1]", "[0,1]"), 1, "expected a dtype that torch.save stores, found u8");
	refuses(ONE("\"F6_E2M3\"", "[4]", "[0,3]"), 3, "expected a dtype that torch.save stores, found F6_E2M3");
	refuses(ONE("\"F4\"", "[3]", "[0,1]"), 1, "an even size");
	refuses(ONE("\"F4\"", "[]", "[0,1]"), 1, "an even size");
	refuses(ONE("\"F4\"", "[2]", "[0,2]"), 2, "take 1 bytes");
	refuses(ONE("\"C128\"", "[1]", "[0,16]"), 16, "expected a dtype that torch.save stores, found C128");
	refuses(ONE("\"U8\\u0000\"", "[1]", "[0,1]"), 1, "expected a dtype that torch.save stores, found U8");
	refuses(ONE("3", "[1]", "[0,1]"), 1, "a string as dtype");
	refuses(ONE("\"U8\"", "1", "[0,1]"), 1, "an array as shape");
	refuses(ONE("\"U8\"", "[-1]", "[0,1]"), 1, "size 0");
	refuses(ONE("\"U8\"", "[1,1.0]", "[0,1]"), 1, "size 1");
	refuses(ONE("\"U8\"", "[true]", "[0,1]"), 1, "size 0");
	refuses(ONE("\"U8\"", "[9223372036854775808]", "[0,1]"), 1, "too big integer");
	refuses(ONE("\"U16\"", "[9223372036854775807]", "[0,1]"), 1, "too large together");
	refuses(ONE("\"U8\"", "[4294967296,4294967296]", "[0,0]"), 0, "too large together");
	refuses(ONE("\"U8\"", "[" TEN TEN TEN TEN TEN TEN "1,1,1,1,1]", "[0,1]"), 1, "65 dimensions");
	refuses(ONE("\"U8\"", "[1]", "[0]"), 1, "two ints");
	refuses(ONE("\"U8\"", "[1]", "[0,1,2]"), 1, "two ints");
	refuses(ONE("\"U8\"", "[1]", "[0,\"1\"]"), 1, "two ints");
	refuses(ONE("\"U8\"", "[1]", "[-1,0]"), 1, "two ints");
	refuses(ONE("\"U8\"", "[1]", "{}"), 1, "two ints");
	refuses(ONE("\"U8\"", "[1]", "[1,0]"), 1, "end before they begin");
	refuses(ONE("\"U8\"", "[2]", "[0,2]"), 1, "reach byte 2 of 1");
	refuses(ONE("\"U8\"", "[1]", "[0,2]"), 2, "take 1 bytes, data_offsets give 2");
	refuses(ONE("\"F32\"", "[]", "[0,1]"), 1, "take 4 bytes, data_offsets give 1");
}

#define TWO(first, second) "{\"a\":" ENTRY("\"U8\"", "[2]", first) ",\"b\":" ENTRY("\"U8\"", "[2]", second) "}"

static void holes_and_overlaps_are_refused(void)
{
	refuses(TWO("[0,2]", "[3,5]"), 5, "begin at 3, the tensor before ends at 2");
	refuses(TWO("[2,4]", "[1,3]"), 4, "begin at 1, the tensor before ends at 0");
	refuses(TWO("[0,2]", "[1,3]"), 3, "begin at 1, the tensor before ends at 2");
	refuses(TWO("[0,2]", "[0,2]"), 2, "begin at 0, the tensor before ends at 2");
	refuses(TWO("[0,2]", "[2,4]"), 5, "take 4 bytes of 5");
	refuses("{}", 1, "take 0 bytes of 1");
	refuses("{\"a\":" ENTRY("\"U8\"", "[2]", "[0,2]") ",\"b\":" ENTRY("\"U8\"", "[0]", "[1,1]") "}", 2,
		"begin at 1");
}

/* Many empty arrays would make jansson take a hundred times their bytes. */
static void floods_are_refused(void)
{
	size_t len = 7000000;
	char *json = malloc(len);

	memset(json, '[', len);
	memcpy(json, "{\"a\":", 5);
	for (size_t i = 6; i + 3 <= len; i += 3)
		memcpy(json + i, "[],", 3);
	refuses_bytes(json, len, len, 0, "more than 65536 values");
	free(json);
}

static void views_hold_header_and_data(void)
{
	static const int64_t two[] = { 2 };
	struct ck_file *file = make_file("abcdefgh", 8, 0, 0);
	struct ck_view *view = ck_view_new();
	struct ck_tensor t[2];
	char out[512];
	size_t got = 0, header;

	t[0] = tensor("x", 1, CK_U8, two, 1);
	t[1] = tensor("y", 1, CK_I16, two, 1);
	t[0].source = t[1].source = CK_SRC_FILE;
	t[0].file = t[1].file = file;
	t[0].offset = 8;
	t[1].offset = 11;
	CHECK(ck_safetensors_view(view, t, 2, NULL) == CK_OK);
	CHECK(ck_view_read(view, 0, out, sizeof(out), &got, NULL) == CK_OK);
	CHECK(got == ck_view_size(view) && got > 14);
	header = 8 + (uint8_t)out[0];
	CHECK(got == header + 6 && header % 8 == 0);
	CHECK(memcmp(out + header, "defgab", 6) == 0);
	CHECK(ck_view_unref(view) == NULL);
	ck_file_unref(file);
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	RUN(headers_are_the_librarys);
	RUN(keys_are_escaped_as_serde_does);
	RUN(order_is_the_librarys);
	RUN(what_the_format_lacks_is_left_out);
	RUN(half_bytes_are_counted);
	RUN(headers_are_read);
	RUN(bad_headers_are_refused);
	RUN(bad_entries_are_refused);
	RUN(holes_and_overlaps_are_refused);
	RUN(floods_are_refused);
	RUN(views_hold_header_and_data);
	unlink(path);
	CHECK_EXIT();
}
