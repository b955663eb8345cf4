/*
 * jsoncat - core's JSON, seen from outside; tests/oracle/json_oracle.py compares it with Python's.
 *
 *   jsoncat INDENT FILE...     reads each file and writes it as json.dump(indent=INDENT); -1 is Python's default
 *   jsoncat meta FILE...       as the mount shows a meta.json
 *   jsoncat outline FILE...    reads an outline (each tensor is there) and writes it again, indented by 2
 *   jsoncat repr               reads doubles (8 bytes each, this machine's order) from stdin, writes a line for each
 *
 * Each result is followed by a NUL; where a file is refused it is "\1", the error's number, a space and its line.
 */
#include "core/format/json.h"
#include "core/format/meta.h"
#include "core/format/outline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tensors {
	struct ck_tensor t[100];
	char keys[100][64];
	size_t count;
};

static int64_t find(void *arg, const char *path, size_t len)
{
	struct tensors *all = arg;
	struct ck_tensor *t = &all->t[all->count];

	if (all->count == 100 || len >= sizeof(all->keys[0]))
		return -1;
	memcpy(all->keys[all->count], path, len);
	*t = (struct ck_tensor){ .key = all->keys[all->count], .key_len = (uint32_t)len, .dtype = CK_F32 };
	return (int64_t)all->count++;
}

static void flags(void *arg, int64_t index, bool requires_grad, bool parameter)
{
	struct tensors *all = arg;

	all->t[index].requires_grad = requires_grad;
	all->t[index].parameter = parameter;
}

static int convert(const struct ck_file *file, const char *mode, struct ck_buf *out, struct ck_error *err)
{
	struct tensors all = { 0 };
	struct ck_arena *arena = NULL;
	struct ck_value value;
	bool outline = strcmp(mode, "outline") == 0;
	char *text = NULL;
	size_t len;
	int rc;

	if (strcmp(mode, "meta") == 0)
		return ck_meta_read(file, out, NULL, err);
	rc = ck_file_load(file, CK_META_MAX_BYTES, &text, &len, err);
	if (rc)
		return rc;
	arena = ck_arena_new(ck_outline_budget(len));
	if (!arena)
		rc = ck_fail_nomem(err);
	else if (outline)
		rc = ck_outline_read(text, len, arena, find, flags, &all, &value, err);
	else
		rc = ck_json_read(text, len, arena, &value, err);
	if (rc == CK_OK && outline)
		rc = ck_outline_write(out, &value, all.t, 2, SIZE_MAX, err);
	else if (rc == CK_OK)
		rc = ck_json_write(out, &value, atoi(mode), err);
	ck_arena_free(arena);
	free(text);
	return rc;
}

static void show(const char *path, const char *mode)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf out = CK_BUF_INIT;
	struct ck_file *file = NULL;
	char line[1024];
	int rc = ck_file_open(path, &file, &err);

	if (rc == CK_OK)
		rc = convert(file, mode, &out, &err);
	if (rc)
		printf("\1%d %s", rc, ck_error_line(&err, line, sizeof(line)));
	else
		fwrite(out.data, 1, out.len, stdout);
	putchar('\0');
	ck_buf_free(&out);
	ck_file_unref(file);
}

static void show_reprs(void)
{
	struct ck_buf out = CK_BUF_INIT;
	double f;

	while (fread(&f, sizeof(f), 1, stdin) == 1) {
		ck_float_repr(&out, f);
		ck_buf_byte(&out, '\n');
	}
	fwrite(out.data, 1, out.len, stdout);
	ck_buf_free(&out);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "repr") == 0) {
		show_reprs();
		return 0;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: jsoncat INDENT|meta|outline FILE... | jsoncat repr <DOUBLES\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		show(argv[i], argv[1]);
	return 0;
}
