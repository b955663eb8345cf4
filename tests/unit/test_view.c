/* Views and the gathering of tensors, against an oracle that computes each element by itself. */
#include "core/tensor/view.h"
#include "check.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define STORED ((size_t)1 << 20)
#define MAX_VIEW ((size_t)1 << 20)

static unsigned char stored[STORED], whole[MAX_VIEW], got_bytes[MAX_VIEW];
static size_t whole_len;
static struct ck_file *file;

static uint32_t random_below(uint32_t limit)
{
	static uint32_t state = 20261128;

	state = state * 1664525u + 1013904223u;
	return (state >> 8) % limit;
}

/* The stored file: memory that the library sees as any other file. */
static void make_stored(void)
{
	int fd = memfd_create("stored", 0);

	for (size_t i = 0; i < STORED; i++)
		stored[i] = (unsigned char)random_below(256);
	CHECK(fd >= 0 && write(fd, stored, STORED) == (ssize_t)STORED);
	CHECK(ck_file_from_fd(fd, "stored", &file, NULL) == CK_OK);
}

/* ---- the oracle ---- */

static void expect_bytes(const void *data, size_t len)
{
	CHECK(len <= MAX_VIEW - whole_len);
	memcpy(whole + whole_len, data, len);
	whole_len += len;
}

/* One stored element as the view shows it. Of the conversions only the plain ones: test_convert has the others. */
static void expect_element(const struct ck_tensor *t, const unsigned char *at)
{
	unsigned width = ck_dtype_info(t->stored_dtype)->width, word = ck_dtype_info(t->stored_dtype)->swap;
	unsigned char native[16], zeros[2] = { 0 };

	for (unsigned i = 0; i < width; i++)
		native[i] = t->swap ? at[i / word * word + word - 1 - i % word] : at[i];
	if (t->stored_dtype == CK_BF16 && t->dtype == CK_F32)
		expect_bytes(zeros, 2);
	expect_bytes(native, width);
}

static void expect_tensor(const struct ck_tensor *t)
{
	unsigned width = ck_dtype_info(t->stored_dtype)->width;
	float fill = (float)t->fill;

	for (uint64_t flat = 0; flat < t->numel; flat++) {
		uint64_t rest = flat, element = 0, dense = 1;

		for (unsigned k = t->ndim; k-- > 0;) {
			uint64_t size = (uint64_t)t->shape[k];

			element += rest % size * (t->strides ? (uint64_t)t->strides[k] : dense);
			rest /= size;
			dense *= size;
		}
		if (t->source == CK_SRC_FILL)
			expect_bytes(&fill, sizeof(fill));
		else
			expect_element(t, stored + t->offset + element * width);
	}
}

/* ---- the property ---- */

static void same(const struct ck_view *view, uint64_t offset, size_t len)
{
	size_t want = offset >= whole_len ? 0 : len < whole_len - offset ? len : whole_len - offset, got;
	int rc;

	memset(got_bytes, 0xa5, want + 1 < MAX_VIEW ? want + 1 : MAX_VIEW);
	CHECK(ck_view_read(view, offset, got_bytes, len, &got, NULL) == CK_OK && got == want);
	CHECK(memcmp(got_bytes, whole + offset, want) == 0);
	CHECK(want == MAX_VIEW || got_bytes[want] == 0xa5);
	rc = ck_view_read_now(view, offset, got_bytes, len, &got, NULL);
	CHECK(rc == CK_ERR_AGAIN || (rc == CK_OK && got == want && memcmp(got_bytes, whole + offset, want) == 0));
}

static void saved(const struct ck_view *view)
{
	int fd = memfd_create("saved", 0);
	uint32_t crc = 1;

	CHECK(ck_view_save(view, fd, 7, &crc, NULL) == CK_OK);
	CHECK(crc == crc32(0, whole, (uInt)whole_len));
	CHECK(lseek(fd, 0, SEEK_END) == (whole_len ? (off_t)(7 + whole_len) : 0));
	CHECK(pread(fd, got_bytes, whole_len, 7) == (ssize_t)whole_len && memcmp(got_bytes, whole, whole_len) == 0);
	close(fd);
}

static void holds(const struct ck_view *view)
{
	static const size_t lengths[] = { 1, 2, 3, 7, 61, 449, 521, 941, 4096 };

	CHECK(ck_view_size(view) == whole_len);
	same(view, 0, whole_len);
	same(view, 0, MAX_VIEW);
	same(view, whole_len, 10);
	same(view, whole_len + 1000, 10);
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t from = whole_len > 2000 ? random_below((uint32_t)whole_len - 1000) : 0;

		same(view, whole_len ? whole_len - 1 : 0, lengths[i]);
		for (uint64_t at = from; at < whole_len && at < from + 1000; at += lengths[i])
			same(view, at, lengths[i]);
	}
	saved(view);
}

/* A view that has T between odd literals, so that T's elements are aligned nowhere. */
static void shows(struct ck_tensor *t)
{
	struct ck_view *view = ck_view_new();
	uint64_t first, end;

	CHECK(ck_shape_numel(t->shape, t->ndim, ck_dtype_info(t->dtype)->width, &t->numel, NULL) == CK_OK);
	if (t->source == CK_SRC_FILE) {
		uint64_t byte = t->offset;

		t->file = file;
		t->offset = 0;
		CHECK(ck_tensor_reach(t, &first, &end, NULL) == CK_OK);
		t->offset = byte;
		CHECK(byte + end * ck_dtype_info(t->stored_dtype)->width <= STORED);
	}
	whole_len = 0;
	expect_bytes("odd", 3);
	expect_tensor(t);
	expect_bytes("end", 3);
	CHECK(ck_view_add_bytes(view, "odd", 3, NULL) == CK_OK && ck_view_add_tensor(view, t, NULL) == CK_OK);
	CHECK(ck_view_add_bytes(view, "end", 3, NULL) == CK_OK);
	holds(view);
	ck_view_unref(view);
}

#define DIMS(...) \
	.ndim = sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), .shape = (const int64_t[]){ __VA_ARGS__ }
#define STEPS(...) .strides = (const int64_t[]){ __VA_ARGS__ }
#define TYPES(from, to) .stored_dtype = (from), .dtype = (to)
#define SHOWS(...) shows(&(struct ck_tensor){ .source = CK_SRC_FILE, .key = "k", .key_len = 1, __VA_ARGS__ })
#define FILLS(...) shows(&(struct ck_tensor){ .source = CK_SRC_FILL, .key = "k", .key_len = 1, __VA_ARGS__ })

/* ---- the cases ---- */

static void contiguous_tensors(void)
{
	SHOWS(TYPES(CK_F32, CK_F32), DIMS(37, 11), .offset = 13);
	SHOWS(TYPES(CK_BF16, CK_BF16), DIMS(5, 1, 7), STEPS(7, 900, 1));
	SHOWS(TYPES(CK_F32, CK_F32), .ndim = 0, .offset = 5);
	SHOWS(TYPES(CK_F32, CK_F32), DIMS(3, 0, 4));
	SHOWS(TYPES(CK_BF16, CK_F32), DIMS(1000), .offset = 1);
	SHOWS(TYPES(CK_C128, CK_C128), DIMS(9, 9), .swap = true);
}

static void strided_tensors(void)
{
	/* a transposed matrix; every other column; a broadcast row; one element for all */
	SHOWS(TYPES(CK_BF16, CK_F32), DIMS(64, 48), STEPS(1, 64), .offset = 2);
	SHOWS(TYPES(CK_F32, CK_F32), DIMS(20, 10), STEPS(20, 2));
	SHOWS(TYPES(CK_I16, CK_I16), DIMS(6, 33), STEPS(0, 1));
	SHOWS(TYPES(CK_F64, CK_F64), DIMS(4, 3, 2), STEPS(0, 0, 0), .offset = 3);
	/* overlapping windows */
	SHOWS(TYPES(CK_I64, CK_I64), DIMS(30, 8), STEPS(1, 1));
	/* gaps so wide that no covering read pays: along the rows and along the columns */
	SHOWS(TYPES(CK_F32, CK_F32), DIMS(5, 3), STEPS(40000, 1000));
	SHOWS(TYPES(CK_F32, CK_F32), DIMS(3, 5), STEPS(1000, 40000));
	SHOWS(TYPES(CK_U8, CK_U8), DIMS(3, 200, 4), STEPS(300000, 1, 1000));
	/* a single run longer than the chunk that it is read by */
	SHOWS(TYPES(CK_F32, CK_F32), DIMS(20000), STEPS(12));
	SHOWS(TYPES(CK_BF16, CK_F32), DIMS(2, 20000), STEPS(200000, 3));
}

static void constant_fills(void)
{
	FILLS(TYPES(CK_F32, CK_F32), DIMS(12), .fill = 0.1);
	FILLS(TYPES(CK_F32, CK_F32), DIMS(3, 700), .fill = 1);
}

static void random_tensors(void)
{
	static const uint8_t types[] = { CK_U8, CK_I16, CK_BF16, CK_F32, CK_F64, CK_C64, CK_C128 };

	for (unsigned round = 0; round < 300; round++) {
		int64_t shape[6], strides[6];
		struct ck_tensor t = { .source = CK_SRC_FILE, .key = "k", .key_len = 1, .shape = shape,
				       .ndim = (uint8_t)random_below(7), .offset = random_below(100),
				       .swap = random_below(2) };

		t.dtype = t.stored_dtype = types[random_below(sizeof(types))];
		if (t.stored_dtype == CK_BF16 && random_below(2))
			t.dtype = CK_F32;
		for (unsigned k = 0; k < t.ndim; k++) {
			shape[k] = 1 + random_below(5);
			strides[k] = random_below(random_below(3) ? 30 : 2000);
		}
		t.strides = random_below(4) ? strides : NULL;
		shows(&t);
	}
}

static void many_extents(void)
{
	struct ck_tensor t = { .source = CK_SRC_FILE, TYPES(CK_BF16, CK_F32), DIMS(3, 5), STEPS(1, 3), .numel = 15,
			       .key = "k", .key_len = 1, .file = file, .offset = 17 };

	for (unsigned round = 0; round < 20; round++) {
		struct ck_view *view = ck_view_new();

		whole_len = 0;
		for (unsigned i = random_below(40); i > 0; i--) {
			size_t len = random_below(90), from = random_below(STORED - 90);

			if (random_below(2)) {
				CHECK(ck_view_add_range(view, file, from, len, NULL) == CK_OK);
				expect_bytes(stored + from, len);
			} else if (random_below(2)) {
				CHECK(ck_view_add_bytes(view, stored + from, len, NULL) == CK_OK);
				expect_bytes(stored + from, len);
			} else {
				CHECK(ck_view_add_tensor(view, &t, NULL) == CK_OK);
				expect_tensor(&t);
			}
		}
		holds(view);
		ck_view_unref(view);
	}
}

static void too_large(void)
{
	struct ck_view *view = ck_view_new();
	struct ck_error err = CK_ERROR_INIT;

	CHECK(ck_view_add_range(view, file, 0, INT64_MAX, NULL) == CK_OK);
	CHECK(ck_view_add_range(view, file, 0, 1, &err) == CK_ERR_LIMIT && err.code == CK_ERR_LIMIT);
	CHECK(ck_view_add_range(view, file, 0, UINT64_MAX, NULL) == CK_ERR_LIMIT);
	CHECK(ck_view_size(view) == INT64_MAX);
	ck_view_unref(view);
}

static unsigned released;

static void release(void *owner)
{
	CHECK(owner == &released);
	released++;
}

static void the_owner_is_released_once(void)
{
	struct ck_view *view = ck_view_new();

	ck_view_own(view, &released, release);
	CHECK(!ck_view_is_shared(view) && ck_view_ref(view) == view && ck_view_is_shared(view));
	CHECK(!ck_view_unref(view) && released == 0 && !ck_view_is_shared(view));
	CHECK(!ck_view_unref(view) && released == 1);
	CHECK(!ck_view_unref(NULL));
}

/* Last: the stored file is another one afterwards. */
static void a_rewritten_file_is_an_error(void)
{
	static const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
	struct ck_tensor t = { .source = CK_SRC_FILE, TYPES(CK_BF16, CK_F32), DIMS(3), .numel = 3, .key = "weight",
			       .key_len = 6, .file = file };
	struct ck_error err = CK_ERROR_INIT;
	struct ck_view *view = ck_view_new();
	size_t got;

	CHECK(ck_view_add_bytes(view, "head", 4, NULL) == CK_OK && ck_view_add_tensor(view, &t, NULL) == CK_OK);
	CHECK(ck_view_read(view, 0, got_bytes, 16, &got, NULL) == CK_OK && got == 16);
	CHECK(futimens(ck_file_fd(file), times) == 0);
	CHECK(ck_view_read(view, 0, got_bytes, 16, &got, &err) == CK_ERR_CHANGED && got == 0);
	CHECK(ck_view_read(view, 0, got_bytes, 4, &got, NULL) == CK_OK && got == 4);
	ck_error_clear(&err);
	CHECK(ftruncate(ck_file_fd(file), 5) == 0);
	CHECK(ck_view_read(view, 4, got_bytes, 12, &got, &err) != CK_OK);
	CHECK_STR(err.subject, "weight");
	ck_view_unref(view);
}

int main(void)
{
	make_stored();
	RUN(contiguous_tensors);
	RUN(strided_tensors);
	RUN(constant_fills);
	RUN(random_tensors);
	RUN(many_extents);
	RUN(too_large);
	RUN(the_owner_is_released_once);
	RUN(a_rewritten_file_is_an_error);
	ck_file_unref(file);
	CHECK_EXIT();
}
