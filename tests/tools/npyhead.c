/*
 * npyhead - core's .npy headers, seen from outside; tests/oracle/npy_oracle.py compares them with NumPy's.
 *
 *   npyhead header         for each line "DTYPE SIZE..." of stdin (torch's name) writes the header and the size of the
 *                          whole file: "HEX SIZE"
 *   npyhead read FILE...   for each file writes "DTYPE [SHAPE] c|fortran little|big OFFSET", or "refused: " and why
 */
#include "core/format/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int put_header(char *line)
{
	char *save, *word = strtok_r(line, " \n", &save);
	int64_t shape[CK_MAX_DIMS];
	struct ck_tensor t = { .shape = shape };
	struct ck_buf b = CK_BUF_INIT;
	int dtype = word ? ck_dtype_by_torch(word, strlen(word)) : -1;

	if (dtype < 0)
		return 1;
	t.dtype = t.stored_dtype = (uint8_t)dtype;
	while ((word = strtok_r(NULL, " \n", &save)) && t.ndim < CK_MAX_DIMS)
		shape[t.ndim++] = strtoll(word, NULL, 10);
	if (ck_shape_numel(shape, t.ndim, ck_dtype_info(t.dtype)->width, &t.numel, NULL))
		return 1;
	ck_npy_header(&b, &t);
	for (size_t i = 0; i < b.len; i++)
		printf("%02x", (unsigned char)b.data[i]);
	printf(" %" PRIu64 "\n", ck_npy_size(&t));
	ck_buf_free(&b);
	return 0;
}

static void put_file(const char *path)
{
	int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
	struct ck_error err = CK_ERROR_INIT;
	struct ck_file *file = NULL;
	struct ck_tensor t = { 0 };
	struct ck_buf text = CK_BUF_INIT;
	int rc = ck_file_open(path, &file, &err);

	if (!rc)
		rc = ck_npy_read(file, &t, shape, strides, &err);
	if (rc) {
		printf("refused: %s\n", err.text);
	} else {
		ck_shape_text(&text, t.shape, t.ndim);
		printf("%s %.*s %s %s %" PRIu64 "\n", ck_dtype_info(t.dtype)->torch, (int)text.len, text.data,
		       ck_tensor_contiguous(&t) ? "c" : "fortran", t.swap ? "big" : "little", t.offset);
	}
	ck_buf_free(&text);
	ck_file_unref(file);
}

int main(int argc, char **argv)
{
	char line[4096];

	if (argc == 2 && strcmp(argv[1], "header") == 0) {
		while (fgets(line, sizeof(line), stdin))
			if (put_header(line))
				return 1;
		return 0;
	}
	if (argc < 2 || strcmp(argv[1], "read") != 0) {
		fprintf(stderr, "usage: npyhead header | npyhead read FILE...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		put_file(argv[i]);
	return 0;
}
