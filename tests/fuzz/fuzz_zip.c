/* Zips: the directory, the place of each entry, and the table of tensors. */
#include "fuzz.h"

#include "core/file/scratch.h"
#include "core/zip/archive.h"
#include "core/pt/checkpoint.h"

#include <string.h>

#define ENTRIES 64u
#define LOADED ((size_t)1 << 20)

static void check_entry(struct ck_archive *archive, size_t i)
{
	const struct ck_entry *entry = ck_archive_entry(archive, i);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_origin origin = { 0 };
	char *data;
	size_t len;
	int rc;

	MUST(ck_archive_find(archive, entry->name) == (int64_t)i);
	if (fuzz_error(ck_archive_load(archive, i, LOADED, &data, &len, &err), &err) == CK_OK) {
		MUST(len == entry->size);
		free(data);
	}
	ck_error_clear(&err);
	rc = fuzz_error(ck_archive_locate(archive, i, &origin, &err), &err);
	if (rc == CK_OK)
		MUST(origin.byte <= ck_file_size(origin.file) &&
		     entry->size <= ck_file_size(origin.file) - origin.byte);
	ck_origin_release(&origin);
	ck_error_clear(&err);
	MUST(fuzz_error(ck_archive_locate(archive, i, &origin, &err), &err) == rc);
	ck_origin_release(&origin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ck_patch patch = { .model = true, .n_layer = 2 };
	struct ck_file *file = fuzz_file(data, size);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_checkpoint *checkpoint;
	struct ck_archive *archive;
	bool opens = fuzz_error(ck_archive_open(file, &archive, &err), &err) == CK_OK;

	if (opens) {
		for (size_t i = 0; i < ck_archive_count(archive) && i < ENTRIES; i++)
			check_entry(archive, i);
		ck_archive_unref(archive);
	}
	ck_error_clear(&err);
	if (fuzz_error(ck_checkpoint_open(file, &patch, &checkpoint, &err), &err) == CK_OK) {
		MUST(opens);
		ck_checkpoint_unref(checkpoint);
	}
	ck_file_unref(file);
	return 0;
}
