/*
 * pickledump FILE          prints the value in a pickle, in a canonical form that tests/oracle/pickle_oracle.py makes too
 * pickledump FILE OUT      writes it back to OUT, as a pickle of protocol 2
 * Exits with the enum ck_code of a failure, which it describes on stderr.
 */
#include "render.h"

#include <stdio.h>

static char *load(const char *path, size_t *len)
{
	struct ck_buf b = CK_BUF_INIT;
	FILE *f = fopen(path, "rb");
	char block[65536];
	size_t n;

	if (!f) {
		perror(path);
		exit(CK_ERR_SYS);
	}
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		ck_buf_append(&b, block, n);
	fclose(f);
	return ck_buf_steal(&b, len);
}

static void save(const char *path, const struct ck_buf *b)
{
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(b->data, 1, b->len, f) != b->len || fclose(f)) {
		perror(path);
		exit(CK_ERR_SYS);
	}
}

int main(int argc, char **argv)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf out = CK_BUF_INIT;
	struct ck_arena *arena;
	struct ck_value value;
	size_t len = 0;
	char line[512], *data;
	int rc;

	if (argc < 2)
		return CK_ERR_INVALID;
	data = load(argv[1], &len);
	arena = ck_arena_new(CK_OPEN_BYTES);
	if (!arena)
		return CK_ERR_NOMEM;
	rc = ck_pickle_read(data ? data : "", len, arena, NULL, &value, &err);
	free(data);
	if (!rc && argc > 2)
		rc = ck_pickle_write(&out, &value, NULL, NULL, &err);
	if (rc) {
		fprintf(stderr, "%s\n", ck_error_line(&err, line, sizeof(line)));
	} else if (argc > 2) {
		save(argv[2], &out);
	} else {
		render_value(&out, &value);
		printf("%.*s\n", (int)out.len, out.data);
	}
	ck_buf_free(&out);
	ck_arena_free(arena);
	return rc;
}
