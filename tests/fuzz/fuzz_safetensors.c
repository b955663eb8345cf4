/* safetensors: the tensors of a header that is accepted cover the file; what we write for them is read as the same. */
#include "fuzz.h"

#include "core/format/safetensors.h"

#include <string.h>

static const struct ck_tensor *find(const struct ck_tensor *tensors, size_t count, const struct ck_tensor *like)
{
	for (size_t i = 0; i < count; i++)
		if (tensors[i].key_len == like->key_len && memcmp(tensors[i].key, like->key, like->key_len) == 0)
			return &tensors[i];
	return NULL;
}

/* The same tensor: the bytes too, which lie in A and B. */
static void check_same(const struct ck_tensor *t, const char *a, const struct ck_tensor *back, const char *b)
{
	MUST(back && back->dtype == t->dtype && back->ndim == t->ndim && back->numel == t->numel);
	MUST(t->ndim == 0 || memcmp(t->shape, back->shape, t->ndim * sizeof(*t->shape)) == 0);
	MUST(!t->numel || memcmp(a + t->offset, b + back->offset, (size_t)ck_tensor_nbytes(t)) == 0);
}

static void check_again(const uint8_t *data, const struct ck_tensor *tensors, size_t count)
{
	struct ck_arena *arena = ck_arena_new((size_t)64 << 20);
	struct ck_view *view = ck_view_new();
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor *back;
	struct ck_file *file;
	size_t found;
	char *bytes;

	MUST(arena && view && fuzz_error(ck_safetensors_view(view, tensors, count, &err), &err) == CK_OK);
	bytes = fuzz_view(view);
	if (bytes) {
		file = fuzz_file(bytes, (size_t)ck_view_size(view));
		MUST(fuzz_error(ck_safetensors_read(file, arena, &back, &found, &err), &err) == CK_OK);
		MUST(found == count);
		for (size_t i = 0; i < count; i++)
			check_same(&tensors[i], (const char *)data, find(back, count, &tensors[i]), bytes);
		ck_file_unref(file);
		free(bytes);
	}
	ck_view_unref(view);
	ck_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ck_arena *arena = ck_arena_new((size_t)64 << 20);
	struct ck_file *file = fuzz_file(data, size);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor *tensors;
	uint64_t bytes = 0;
	size_t count;

	MUST(arena);
	if (fuzz_error(ck_safetensors_read(file, arena, &tensors, &count, &err), &err) == CK_OK) {
		for (size_t i = 0; i < count; i++) {
			MUST(ck_safetensors_can(&tensors[i]));
			MUST(tensors[i].offset <= size && ck_tensor_nbytes(&tensors[i]) <= size - tensors[i].offset);
			bytes += ck_tensor_nbytes(&tensors[i]);
		}
		MUST(bytes < size);
		check_again(data, tensors, count);
	}
	ck_file_unref(file);
	ck_arena_free(arena);
	return 0;
}
