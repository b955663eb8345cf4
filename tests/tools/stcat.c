/*
 * stcat - core's safetensors, seen from outside; tests/oracle/safetensors_oracle.py compares them with the format.
 *
 *   stcat write DATA OUT   writes OUT with a tensor for each line "DTYPE OFFSET KEY [SIZE...]" of stdin: torch's name,
 *                          where its bytes lie in the file DATA, and its key in hex, behind an "x"
 *   stcat read FILE...     for each file writes "FILE", then a line "KEY DTYPE [SHAPE] OFFSET NBYTES" for each
 *                          tensor, or "refused: " and why
 */
#include "core/format/safetensors.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_TENSORS 1000

struct line {
	char key[4096];
	int64_t shape[CK_MAX_DIMS];
};

static int parse_line(char *text, struct line *line, struct ck_tensor *t)
{
	char *save, *word = strtok_r(text, " \n", &save);
	int dtype = word ? ck_dtype_by_torch(word, strlen(word)) : -1;
	char *offset = strtok_r(NULL, " \n", &save), *key = strtok_r(NULL, " \n", &save);

	if (dtype < 0 || !offset || !key || *key != 'x' || strlen(key) > 2 * sizeof(line->key))
		return 1;
	*t = (struct ck_tensor){ .key = line->key, .source = CK_SRC_FILE, .shape = line->shape };
	t->dtype = t->stored_dtype = (uint8_t)dtype;
	t->offset = strtoull(offset, NULL, 10);
	for (key++; key[0] && key[1]; key += 2) {
		char byte[3] = { key[0], key[1] };

		line->key[t->key_len++] = (char)strtoul(byte, NULL, 16);
	}
	while ((word = strtok_r(NULL, " \n", &save)) && t->ndim < CK_MAX_DIMS)
		line->shape[t->ndim++] = strtoll(word, NULL, 10);
	return ck_shape_numel(line->shape, t->ndim, ck_dtype_info(t->dtype)->width, &t->numel, NULL);
}

static int write_file(const char *data, const char *out)
{
	struct line *lines = calloc(MAX_TENSORS, sizeof(*lines));
	struct ck_tensor *tensors = calloc(MAX_TENSORS, sizeof(*tensors));
	struct ck_view *view = ck_view_new();
	struct ck_error err = CK_ERROR_INIT;
	struct ck_file *file = NULL;
	size_t count = 0;
	char text[20000];
	int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	int rc = ck_file_open(data, &file, &err);

	while (!rc && count < MAX_TENSORS && fgets(text, sizeof(text), stdin)) {
		rc = parse_line(text, &lines[count], &tensors[count]);
		tensors[count++].file = file;
	}
	if (!rc)
		rc = ck_safetensors_view(view, tensors, count, &err);
	if (!rc)
		rc = ck_view_save(view, fd, 0, NULL, &err);
	if (rc)
		printf("refused: %s\n", err.text);
	close(fd);
	ck_view_unref(view);
	ck_file_unref(file);
	free(tensors);
	free(lines);
	return rc ? 1 : 0;
}

static void put_tensor(const struct ck_tensor *t)
{
	struct ck_buf shape = CK_BUF_INIT;

	putchar('x');
	for (size_t i = 0; i < t->key_len; i++)
		printf("%02x", (unsigned char)t->key[i]);
	ck_shape_text(&shape, t->shape, t->ndim);
	printf(" %s %.*s %" PRIu64 " %" PRIu64 "\n", ck_dtype_info(t->dtype)->torch, (int)shape.len, shape.data,
	       t->offset, ck_tensor_nbytes(t));
	ck_buf_free(&shape);
}

static void read_file(const char *path)
{
	struct ck_arena *arena = ck_arena_new((size_t)64 << 20);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_tensor *tensors = NULL;
	struct ck_file *file = NULL;
	size_t count = 0;
	int rc = ck_file_open(path, &file, &err);

	printf("%s\n", path);
	if (!rc)
		rc = ck_safetensors_read(file, arena, &tensors, &count, &err);
	if (rc)
		printf("refused: %s\n", err.text);
	for (size_t i = 0; i < count && !rc; i++)
		put_tensor(&tensors[i]);
	ck_file_unref(file);
	ck_arena_free(arena);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "write") == 0)
		return write_file(argv[2], argv[3]);
	if (argc < 2 || strcmp(argv[1], "read") != 0) {
		fprintf(stderr, "usage: stcat write DATA OUT | stcat read FILE...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		read_file(argv[i]);
	return 0;
}
