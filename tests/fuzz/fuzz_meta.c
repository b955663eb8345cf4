/* meta.json: what the mount shows for it is JSON, and patching that changes nothing more. */
#include "fuzz.h"

#include "core/format/meta.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ck_file *file = fuzz_file(data, size);
	struct ck_buf once = CK_BUF_INIT, twice = CK_BUF_INIT;
	struct ck_error err = CK_ERROR_INIT;
	struct ck_meta_info info, again;
	int rc = fuzz_error(ck_meta_read(file, &once, &info, &err), &err);

	ck_file_unref(file);
	if (rc == CK_OK) {
		MUST(info.n_layer >= -1 && info.n_layer <= 100000);
		file = fuzz_file(once.data, once.len);
		MUST(fuzz_error(ck_meta_read(file, &twice, &again, &err), &err) == CK_OK);
		MUST(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
		MUST(info.n_layer == again.n_layer);
		ck_file_unref(file);
	}
	ck_error_clear(&err);
	MUST((fuzz_error(ck_meta_check((const char *)data, size, &err), &err) == CK_OK) == (rc == CK_OK));
	ck_buf_free(&once);
	ck_buf_free(&twice);
	return 0;
}
