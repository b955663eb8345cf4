/*
 * ptcat - what core makes of .pt files, opened as optimizer shards: for tests.
 *
 * For each FILE a line "FILE<tab>ok", and for each tensor one of "<tab>DTYPE SHAPE CRC" (CRC-32 of
 * its bytes, in hex); "-" for a tensor that is not shown as an array, "large" for one of more than 16 MiB. Or "FILE<tab>refused|damaged|error<tab>why".
 */
#include "core/pt/forms.h"

#include "core/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define LARGE ((uint64_t)16 << 20)

static int put_crc(struct ck_buf *out, struct ck_checkpoint *c, size_t i, struct ck_error *err)
{
	struct ck_view *view;
	char *bytes;
	size_t got = 0;
	int rc = ck_checkpoint_view(c, CK_FORM_RAW, i, &view, err);

	if (rc)
		return rc;
	bytes = malloc((size_t)ck_view_size(view) + 1);
	rc = bytes ? ck_view_read(view, 0, bytes, (size_t)ck_view_size(view), &got, err) : ck_fail_nomem(err);
	if (!rc)
		ck_buf_printf(out, "%08lx", crc32_z(0, (const Bytef *)bytes, got));
	free(bytes);
	ck_view_unref(view);
	return rc;
}

static int put_tensors(struct ck_buf *out, struct ck_checkpoint *c, struct ck_error *err)
{
	int rc = CK_OK;

	for (size_t i = 0; i < ck_checkpoint_count(c) && !rc; i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(c, i);

		ck_buf_printf(out, "\t%s ", ck_dtype_info(t->dtype)->torch);
		ck_tensor_shape_text(out, t);
		ck_buf_str(out, " ");
		if (t->unshown)
			ck_buf_str(out, "-");
		else if (ck_tensor_nbytes(t) > LARGE)
			ck_buf_str(out, "large");
		else
			rc = put_crc(out, c, i, err);
		ck_buf_str(out, "\n");
	}
	return rc;
}

static void put_file(const char *path)
{
	static const struct ck_patch as_stored = { .n_layer = -1 };
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf out = CK_BUF_INIT;
	struct ck_checkpoint *c = NULL;
	struct ck_file *file = NULL;
	char line[768];
	int rc = ck_file_open(path, &file, &err);

	if (!rc)
		rc = ck_checkpoint_open(file, &as_stored, &c, &err);
	if (!rc)
		rc = put_tensors(&out, c, &err);
	if (rc)
		printf("%s\t%s\t%s\n", path, rc == CK_ERR_SYS || rc == CK_ERR_NOMEM ? "error" : err.refused ? "refused" : "damaged",
		       ck_error_line(&err, line, sizeof(line)));
	else
		printf("%s\tok\n%.*s", path, (int)out.len, out.len ? out.data : "");
	ck_buf_free(&out);
	ck_checkpoint_unref(c);
	ck_file_unref(file);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: ptcat FILE...\n");
		return 2;
	}
	for (int i = 1; i < argc; i++)
		put_file(argv[i]);
	return 0;
}
