/* Outlines: what was read is written, and read again, as the same; as a pickle too. */
#include "fuzz.h"

#include "core/pickle/pickle.h"

static int64_t find(void *arg, const char *path, size_t len)
{
	(void)arg;
	return len == 2 && path[0] == 't' && path[1] >= '!' && path[1] < '!' + 64 ? path[1] - '!' : -1;
}

static int put_tensor(struct ck_pickle_writer *w, int64_t index, void *arg, struct ck_error *err)
{
	struct ck_value stand_in = ck_int(index);

	(void)arg;
	MUST(index >= 0 && index < 64);
	return ck_pickle_put(w, &stand_in, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ck_arena *arena = ck_arena_new(ck_outline_budget(size));
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf pickle = CK_BUF_INIT;
	struct ck_value value;
	int rc;

	MUST(arena);
	rc = fuzz_error(ck_outline_read((const char *)data, size, arena, find, NULL, NULL, &value, &err), &err);
	if (rc == CK_OK) {
		fuzz_outline_round_trip(&value);
		rc = fuzz_error(ck_pickle_write(&pickle, &value, put_tensor, NULL, &err), &err);
		MUST(rc == CK_OK || rc == CK_ERR_INVALID || rc == CK_ERR_LIMIT);
		ck_buf_free(&pickle);
	}
	ck_arena_free(arena);
	return 0;
}
