/* Pickles: what was read can be written, and is then read as the same. */
#include "fuzz.h"

#include "core/pickle/pickle.h"
#include "core/zip/archive.h"

static void round_trip(const struct ck_value *value)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf out = CK_BUF_INIT;
	struct ck_arena *arena;
	struct ck_value back;
	int rc = fuzz_error(ck_pickle_write(&out, value, NULL, NULL, &err), &err);

	MUST(rc == CK_OK);
	arena = ck_arena_new((size_t)512 << 20);
	MUST(arena);
	rc = fuzz_error(ck_pickle_read(out.data, out.len, arena, NULL, &back, &err), &err);
	MUST(rc == CK_OK);
	MUST(fuzz_same(value, &back));
	ck_arena_free(arena);
	ck_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ck_arena *arena = ck_arena_new(CK_OPEN_BYTES);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_value value;

	MUST(arena);
	if (fuzz_error(ck_pickle_read(data, size, arena, NULL, &value, &err), &err) == CK_OK) {
		round_trip(&value);
		fuzz_outline_round_trip(&value);
	}
	ck_arena_free(arena);
	return 0;
}
