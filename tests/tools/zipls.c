/*
 * zipls FILE - prints a .pt's entries by core/archive, one line each: name, method, size, stored size, header offset,
 * offset of the bytes ("-" when they are inflated), CRC. Loads data.pkl, so that its CRC is checked. An error
 * is one line on stderr.
 */
#include "core/file/scratch.h"
#include "core/zip/archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int print_entry(struct ck_archive *archive, size_t i, struct ck_error *err)
{
	const struct ck_entry *e = ck_archive_entry(archive, i);
	struct ck_origin origin = { 0 };
	int rc = ck_archive_locate(archive, i, &origin, err);

	if (rc)
		return rc;
	printf("%s\t%u\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t", e->name, e->method, e->size, e->stored_size,
	       e->header_offset);
	if (origin.block)
		printf("-");
	else
		printf("%" PRIu64, origin.byte);
	ck_origin_release(&origin);
	printf("\t%08" PRIx32 "\n", e->crc);
	return CK_OK;
}

static int list(const char *path, struct ck_error *err)
{
	struct ck_archive *archive = NULL;
	struct ck_file *file = NULL;
	char *pickle = NULL;
	size_t len;
	int rc = ck_file_open(path, &file, err);

	if (!rc)
		rc = ck_archive_open(file, &archive, err);
	if (!rc)
		rc = ck_archive_load(archive, (size_t)ck_archive_find(archive, "data.pkl"), (size_t)64 << 20, &pickle,
				     &len, err);
	for (size_t i = 0; !rc && i < ck_archive_count(archive); i++)
		rc = print_entry(archive, i, err);
	free(pickle);
	ck_archive_unref(archive);
	ck_file_unref(file);
	return rc;
}

int main(int argc, char **argv)
{
	struct ck_error err = CK_ERROR_INIT;
	char line[800];

	if (argc != 2) {
		fprintf(stderr, "usage: zipls FILE\n");
		return 2;
	}
	if (list(argv[1], &err)) {
		fprintf(stderr, "%s\n", ck_error_line(&err, line, sizeof(line)));
		return 1;
	}
	return 0;
}
