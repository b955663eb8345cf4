#include "core/format/npy.h"
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

static struct ck_tensor tensor(enum ck_dtype dtype, const int64_t *shape, uint8_t ndim)
{
	struct ck_tensor t = { .dtype = (uint8_t)dtype, .stored_dtype = (uint8_t)dtype, .ndim = ndim, .shape = shape };

	CHECK(ck_shape_numel(shape, ndim, ck_dtype_info(dtype)->width, &t.numel, NULL) == CK_OK);
	return t;
}

/* The header must be LEN bytes long: the prefix, DICT, spaces and a newline. */
static void header_is(const struct ck_tensor *t, size_t len, const char *dict)
{
	struct ck_buf b = CK_BUF_INIT;
	size_t dict_len = strlen(dict);

	ck_npy_header(&b, t);
	CHECK(b.len == len);
	CHECK(ck_npy_size(t) == len + ck_tensor_nbytes(t));
	if (b.len == len) {
		CHECK(memcmp(b.data, "\x93NUMPY\x01\x00", 8) == 0);
		CHECK((uint8_t)b.data[8] + 256 * (uint8_t)b.data[9] == (int)len - 10);
		CHECK(memcmp(b.data + 10, dict, dict_len) == 0);
		for (size_t i = 10 + dict_len; i < len - 1; i++)
			CHECK(b.data[i] == ' ');
		CHECK(b.data[len - 1] == '\n');
	}
	ck_buf_free(&b);
}

/* Lengths are those of files that NumPy 1.24 and 2.2 wrote; tests/oracle/npy_oracle.py compares many more. */
static void headers_are_numpys(void)
{
	struct ck_tensor t = tensor(CK_F32, NULL, 0);

	header_is(&t, 128, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
	t = tensor(CK_F32, (int64_t[]){ 3 }, 1);
	header_is(&t, 128, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
	t = tensor(CK_BOOL8, (int64_t[]){ 2, 0, 5 }, 3);
	header_is(&t, 128, "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 0, 5), }");
	t = tensor(CK_C128, (int64_t[]){ 2, 3 }, 2);
	header_is(&t, 128, "{'descr': '<c16', 'fortran_order': False, 'shape': (2, 3), }");
	t = tensor(CK_BF16, (int64_t[]){ 32768, 768 }, 2);
	header_is(&t, 128, "{'descr': '<V2', 'fortran_order': False, 'shape': (32768, 768), }");
	t = tensor(CK_F8_E4M3FN, (int64_t[]){ 1 }, 1);
	header_is(&t, 128, "{'descr': '|V1', 'fortran_order': False, 'shape': (1,), }");
}

/* Sizes that make the dict end at byte 128 exactly: NumPy pads by 64 bytes then, not by none. */
static void a_full_header_is_padded_all_the_same(void)
{
	int64_t shape[CK_MAX_DIMS];
	struct ck_tensor t;

	for (size_t i = 0; i < CK_MAX_DIMS; i++)
		shape[i] = 1;
	/* Prefix 10, dict up to the sizes 51, sizes 40, "), }" 4, room for growth 20, newline 1: 126. */
	t = tensor(CK_F32, shape, 14);
	header_is(&t, 128, "{'descr': '<f4', 'fortran_order': False, 'shape': "
		  "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), }");
	shape[12] = shape[13] = 10;
	t = tensor(CK_F32, shape, 14);
	header_is(&t, 192, "{'descr': '<f4', 'fortran_order': False, 'shape': "
		  "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 10, 10), }");
}

static char path[] = "/tmp/test_npy.XXXXXX";

/* A file of version MAJOR.0 with the dict TEXT and SIZE zero bytes of data. */
static struct ck_file *npy(int major, const char *text, size_t len, size_t size)
{
	struct ck_buf b = CK_BUF_INIT;
	struct ck_file *file = NULL;

	ck_buf_append(&b, "\x93NUMPY", 6);
	ck_buf_byte(&b, (unsigned char)major);
	ck_buf_byte(&b, 0);
	if (major == 1)
		ck_buf_le16(&b, (uint16_t)len);
	else
		ck_buf_le32(&b, (uint32_t)len);
	ck_buf_append(&b, text, len);
	ck_buf_fill(&b, 0, size);
	CHECK(truncate(path, 0) == 0);
	FILE *out = fopen(path, "r+");
	CHECK(out && fwrite(b.data, 1, b.len, out) == b.len && fclose(out) == 0);
	ck_buf_free(&b);
	CHECK(ck_file_open(path, &file, NULL) == CK_OK);
	return file;
}

static int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];

static void takes(int major, const char *text, size_t size, enum ck_dtype dtype, bool swap, const char *want_shape)
{
	struct ck_file *file = npy(major, text, strlen(text), size);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor t = { 0 };
	struct ck_buf b = CK_BUF_INIT;
	int rc = ck_npy_read(file, &t, shape, strides, &err);

	if (rc) {
		printf("FAIL %s: %s\n", text, err.text);
		check_failures++;
	} else {
		ck_shape_text(&b, t.shape, t.ndim);
		ck_buf_byte(&b, 0);
		CHECK_STR(b.data, want_shape);
		CHECK(t.dtype == dtype && t.stored_dtype == dtype && t.swap == swap);
		CHECK(t.source == CK_SRC_FILE && t.file == file && t.shape == shape);
		CHECK(t.offset == (major == 1 ? 10 : 12) + strlen(text));
		CHECK(ck_tensor_nbytes(&t) == size);
	}
	ck_buf_free(&b);
	ck_file_unref(file);
}

static void refuses_bytes(int major, const char *text, size_t len, size_t size, const char *why)
{
	struct ck_file *file = npy(major, text, len, size);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor t = { 0 };

	CHECK(ck_npy_read(file, &t, shape, strides, &err) == CK_ERR_INVALID);
	if (!strstr(err.text, why)) {
		printf("FAIL %s: %s\n", text, err.text);
		check_failures++;
	}
	CHECK_STR(err.file, path);
	CHECK(ck_npy_read(file, &t, shape, strides, NULL) == CK_ERR_INVALID);
	ck_file_unref(file);
}

static void refuses(int major, const char *text, size_t size, const char *why)
{
	refuses_bytes(major, text, strlen(text), size, why);
}

static void spellings_are_taken(void)
{
	takes(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }  \n", 12, CK_F32, false, "[3]");
	takes(1, "{\"shape\":(2,3),\"descr\":\"|u1\",\"fortran_order\":False}", 6, CK_U8, false, "[2,3]");
	takes(1, " {'descr':'>i8','fortran_order':False,'shape':()}\n\n", 8, CK_I64, true, "[]");
	takes(2, "{'descr': '|b1', 'fortran_order': False, 'shape': ( 2L , 1L, )\n, }", 2, CK_BOOL8, false, "[2,1]");
	takes(3, "{'descr': '=f8', 'fortran_order': False, 'shape': (0, 7), }\n", 0, CK_F64, false, "[0,7]");
	takes(1, "{'descr': '>u1', 'fortran_order': False, 'shape': (1,), }", 1, CK_U8, false, "[1]");
	takes(1, "{'descr': '<V2', 'fortran_order': False, 'shape': (1,), }", 2, CK_BF16, false, "[1]");
	takes(1, "{'descr': '|V2', 'fortran_order': False, 'shape': (1,), }", 2, CK_BF16, false, "[1]");
	takes(1, "{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }", 8, CK_C64, true, "[1]");
	takes(1, "{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }", 16, CK_C128, false, "[1]");
	takes(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (9223372036854775807, 0), }", 0, CK_F16, false,
	      "[9223372036854775807,0]");
}

static void fortran_order_gives_strides(void)
{
	static const char text[] = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 4), }";
	struct ck_file *file = npy(1, text, strlen(text), 96);
	struct ck_tensor t = { 0 };

	CHECK(ck_npy_read(file, &t, shape, strides, NULL) == CK_OK);
	CHECK(t.strides == strides && strides[0] == 1 && strides[1] == 2 && strides[2] == 6);
	ck_file_unref(file);
	takes(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (), }", 4, CK_F32, false, "[]");
	takes(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (4611686018427387904, 4611686018427387904, 0), }", 0,
	      CK_F32, false, "[4611686018427387904,4611686018427387904,0]");
}

#define D "'descr': '<f4', 'fortran_order': False, "

static void other_literals_are_refused(void)
{
	refuses(1, "", 0, "expected '{'");
	refuses(1, "[]", 0, "expected '{'");
	refuses(1, "{" D "'shape': (3,)", 12, "expected ',' or '}'");
	refuses(1, "{" D "'shape': (3,), } x", 12, "nothing behind");
	refuses(1, "{" D "'shape': (3,), }{}", 12, "nothing behind");
	refuses(1, "{" D "}", 0, "'shape' is missing");
	refuses(1, "{'descr': '<f4', 'shape': ()}", 4, "'fortran_order' is missing");
	refuses(1, "{" D "'shape': (), 'shape': ()}", 4, "'shape' twice");
	refuses(1, "{" D "'shape': (), 'extra': 1}", 4, "unknown key 'extra'");
	refuses(1, "{" D "'shape': (), 'averyveryverylongkey': 1}", 4, "averyveryverylongkey");
	refuses(1, "{" D "'shape' ()}", 4, "expected ':'");
	refuses(1, "{" D "'shape': (),, }", 4, "expected the key");
	refuses(1, "{,}", 4, "expected the key");
	refuses(1, "{" D "'shape': (3)}", 12, "an int in brackets");
	refuses(1, "{" D "'shape': [3]}", 12, "a tuple of ints");
	refuses(1, "{" D "'shape': 3}", 12, "a tuple of ints");
	refuses(1, "{" D "'shape': (,)}", 4, "expected a size");
	refuses(1, "{" D "'shape': (3,,)}", 12, "expected a size");
	refuses(1, "{" D "'shape': (1 2)}", 8, "expected ',' or ')'");
	refuses(1, "{" D "'shape': (-1,)}", 0, "expected a size");
	refuses(1, "{" D "'shape': (03,)}", 12, "leading zero");
	refuses(1, "{" D "'shape': (3.0,)}", 12, "expected ',' or ')'");
	refuses(1, "{" D "'shape': (0x3,)}", 12, "expected ',' or ')'");
	refuses(1, "{" D "'shape': (True,)}", 4, "expected a size");
	refuses(1, "{" D "'shape': (9223372036854775808,)}", 0, "passes 2^63");
	refuses(1, "{" D "'shape': (9223372036854775807, 2)}", 0, "too large together");
	refuses(1, "{" D "'shape': (9223372036854775807,)}", 0, "too large together");
	refuses(3, "{" D "'shape': (3L,)}", 12, "expected ',' or ')'");
	refuses(1, "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", 4, "True or False");
	refuses(1, "{'descr': '<f4', 'fortran_order': None, 'shape': ()}", 4, "True or False");
	refuses(1, "{'descr': '<\\x664', 'fortran_order': False, 'shape': ()}", 4, "an escape");
	refuses(1, "{'descr': '<f4", 4, "without its end");
	refuses_bytes(1, "{" D "'shape': ()}\0", sizeof("{" D "'shape': ()}\0") - 1, 4, "nothing behind");
	refuses_bytes(1, "\0{}", 3, 0, "expected '{'");
}

static void other_dtypes_are_refused_by_name(void)
{
	static const char *const descrs[] = {
		"'|O'", "'<U4'", "'|S3'", "'<M8[ns]'", "'<m8'", "'<f16'", "'<c32'", "'|V3'", "'<i3'", "'<float32'", "'g'",
		"''", "'<'", "'float31'", "'<f4,<f4'",
	};
	char text[200], name[32];

	for (size_t i = 0; i < sizeof(descrs) / sizeof(descrs[0]); i++) {
		snprintf(text, sizeof(text), "{'descr': %s, 'fortran_order': False, 'shape': ()}", descrs[i]);
		snprintf(name, sizeof(name), "found %s", descrs[i]);
		refuses(1, text, 4, name);
	}
	refuses(1, "{'descr': '|V1', 'fortran_order': False, 'shape': ()}", 1, "use safetensors for float8");
	refuses(1, "{'descr': '<f1', 'fortran_order': False, 'shape': ()}", 1, "use safetensors for float8");
	refuses(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", 4, "structured");
	refuses(1, "{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': ()}", 8, "structured");
	refuses(1, "{'descr': '<U10000000000000000', 'fortran_order': False, 'shape': ()}", 0, "<U10000000000000000");
	refuses(1, "{'descr': 4, 'fortran_order': False, 'shape': ()}", 0, "a dtype string");
}

static void data_must_be_there(void)
{
	refuses(1, "{" D "'shape': (3,)}", 11, "expected 12 bytes of data behind the npy header, found 11");
	refuses(1, "{" D "'shape': (1000000000000,)}", 0, "expected 4000000000000 bytes");
	refuses(4, "{" D "'shape': (3,)}", 12, "version 4.0");
	refuses(0, "{" D "'shape': (3,)}", 12, "version 0.0");
}

static void too_many_dimensions_are_refused(void)
{
	char text[600] = "{" D "'shape': (";

	for (int i = 0; i < CK_MAX_DIMS; i++)
		strcat(text, "1,");
	size_t len = strlen(text);
	strcpy(text + len, ")}");
	takes(1, text, 4, CK_F32, false, "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
	      "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]");
	strcpy(text + len, "1)}");
	refuses(1, text, 4, "more than 64 dimensions");
}

/* A file cut anywhere, and a header length that lies. */
static void cut_files_are_refused(void)
{
	static const char text[] = "{" D "'shape': (3,), }";
	struct ck_file *file = npy(2, text, strlen(text), 12);
	uint64_t size = ck_file_size(file);
	struct ck_tensor t = { 0 };
	FILE *out;

	ck_file_unref(file);
	while (size-- > 0) {
		CHECK(truncate(path, (off_t)size) == 0);
		CHECK(ck_file_open(path, &file, NULL) == CK_OK);
		CHECK(ck_npy_read(file, &t, shape, strides, NULL) == CK_ERR_INVALID);
		ck_file_unref(file);
	}
	file = npy(2, text, strlen(text), 12);
	ck_file_unref(file);
	out = fopen(path, "r+");
	CHECK(out && fseek(out, 8, SEEK_SET) == 0 && fwrite("\xff\xff\xff\xff", 1, 4, out) == 4 && fclose(out) == 0);
	CHECK(ck_file_open(path, &file, NULL) == CK_OK);
	CHECK(ck_npy_read(file, &t, shape, strides, NULL) == CK_ERR_INVALID);
	ck_file_unref(file);
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	RUN(headers_are_numpys);
	RUN(a_full_header_is_padded_all_the_same);
	RUN(spellings_are_taken);
	RUN(fortran_order_gives_strides);
	RUN(other_literals_are_refused);
	RUN(other_dtypes_are_refused_by_name);
	RUN(data_must_be_there);
	RUN(too_many_dimensions_are_refused);
	RUN(cut_files_are_refused);
	unlink(path);
	CHECK_EXIT();
}
