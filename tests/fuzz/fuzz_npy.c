/* .npy: a header that is accepted covers the file, and the one that we write for that tensor is read as the same. */
#include "fuzz.h"

#include "core/format/npy.h"

#include <string.h>

static void check_again(const struct ck_tensor *t)
{
	int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
	struct ck_view *view = ck_view_new();
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor back;
	struct ck_file *file;
	char *bytes;

	MUST(view && fuzz_error(ck_npy_view(view, t, &err), &err) == CK_OK);
	MUST(ck_view_size(view) == ck_npy_size(t));
	bytes = fuzz_view(view);
	if (bytes) {
		file = fuzz_file(bytes, (size_t)ck_view_size(view));
		MUST(fuzz_error(ck_npy_read(file, &back, shape, strides, &err), &err) == CK_OK);
		MUST(back.dtype == t->dtype && back.ndim == t->ndim && back.numel == t->numel && !back.swap);
		MUST(t->ndim == 0 || memcmp(shape, t->shape, t->ndim * sizeof(*shape)) == 0);
		MUST(ck_tensor_contiguous(&back));
		ck_file_unref(file);
		free(bytes);
	}
	ck_view_unref(view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
	struct ck_file *file = fuzz_file(data, size);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor t;

	if (fuzz_error(ck_npy_read(file, &t, shape, strides, &err), &err) == CK_OK) {
		MUST(t.offset + ck_tensor_nbytes(&t) <= size); /* numpy.load, too, takes bytes behind the data */
		t.key = "t";
		t.key_len = 1;
		check_again(&t);
	}
	ck_file_unref(file);
	return 0;
}
