/*
 * list_pt FILE.pt... - lists the tensors of checkpoints, without torch, Python or a mount.
 *
 * It links core alone (libzip, jansson, zlib): core knows the formats and nothing of FUSE, so that another program can use it.
 *
 *	make tests && build/examples/list_pt ~/.cache/nanochat/base_checkpoints/d12/model_000500.pt
 *
 * With the installed library (make install WITH_LIB=1): cc -o list_pt list_pt.c $(pkg-config --cflags --libs ckpt)
 */
#include "core/base/buf.h"
#include "core/pt/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>

static void list(const struct ck_checkpoint *c)
{
	size_t count = ck_checkpoint_count(c);
	uint64_t total = 0;

	for (size_t i = 0; i < count; i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(c, i);
		struct ck_buf shape = CK_BUF_INIT;

		ck_shape_text(&shape, t->shape, t->ndim);
		printf("%-40.*s %-10s %.*s\n", (int)t->key_len, t->key, ck_dtype_info(t->dtype)->torch, (int)shape.len,
		       shape.len ? shape.data : "");
		ck_buf_free(&shape);
		total += ck_tensor_nbytes(t);
	}
	printf("%zu tensors, %" PRIu64 " bytes\n", count, total);
}

/* As stored: of nanochat's rules only the prefix `_orig_mod.` goes. */
static int list_file(const char *path)
{
	const struct ck_patch patch = { .model = true, .keep_bfloat16 = true, .n_layer = -1 };
	struct ck_error err = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	struct ck_file *file = NULL;
	char line[768];

	if (ck_file_open(path, &file, &err) == CK_OK && ck_checkpoint_open(file, &patch, &c, &err) == CK_OK)
		list(c);
	else
		fprintf(stderr, "list_pt: %s\n", ck_error_line(&err, line, sizeof(line)));
	ck_checkpoint_unref(c);
	ck_file_unref(file);
	return err.code == CK_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
	int status = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: list_pt FILE.pt...\n");
		return 2;
	}
	for (int i = 1; i < argc; i++)
		status |= list_file(argv[i]);
	return status;
}
