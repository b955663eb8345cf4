/* Extended attributes of tensors and pickles. Implements a part of tree.h. */
#include "core/tree/tree.h"

#include "core/base/buf.h"
#include "core/tree/node_load.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "user.ckptfs."

static void put_key(struct ck_buf *out, const struct ck_tensor *t) { ck_buf_append(out, t->key, t->key_len); }
static void put_dtype(struct ck_buf *out, const struct ck_tensor *t)
{
	ck_buf_str(out, ck_dtype_info(t->dtype)->torch);
}
static void put_shape(struct ck_buf *out, const struct ck_tensor *t) { ck_tensor_shape_text(out, t); }
static void put_stored(struct ck_buf *out, const struct ck_tensor *t)
{
	ck_buf_str(out, ck_dtype_info(t->stored_dtype)->torch);
}

static const struct {
	const char *name;
	void (*put)(struct ck_buf *out, const struct ck_tensor *t);
} of_tensor[] = {
	{ PREFIX "key", put_key },
	{ PREFIX "dtype", put_dtype },
	{ PREFIX "shape", put_shape },
	{ PREFIX "stored_dtype", put_stored },
};

static const char of_pickle[] = PREFIX "pickle";

static bool is_tensor(const struct node *n, uint32_t local)
{
	return is_checkpoint(n->type) && local >= LOCAL_NPY_0;
}

static bool is_pickle(const struct node *n)
{
	return (n->type == NODE_FILE || n->type == NODE_NATIVE || n->type == NODE_CUT_FILE) &&
	       n->name.kind != CK_FILE_META;
}

/* "safe" when the reader, which runs no code, accepts the whole file. Else whether the pickle or the file is to blame,
   and why. */
static int put_verdict(struct ck_tree *tree, struct node *file, struct ck_buf *out, struct ck_error *err)
{
	enum node_type type = file->name.kind == CK_FILE_MODEL ? NODE_MODEL : NODE_OPTIM;
	struct ck_error why = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	char line[768];
	struct node *n;
	int rc;

	/* What it is made of was found safe. */
	if (file->type == NODE_CUT_FILE) {
		ck_buf_str(out, "safe");
		return CK_OK;
	}
	rc = node_of_stored(tree, file, type, &file->name, &n, &c, &why);
	ck_checkpoint_unref(c);
	if (n)
		node_put(tree, n, 1);
	if (!rc)
		ck_buf_str(out, "safe");
	else if (rc == CK_ERR_NOENT)
		return ck_fail(err, CK_ERR_STALE, "the file is gone");
	else if (node_error_is_shown(&why) && rc != CK_ERR_SYS)
		ck_buf_printf(out, "%s: %s", why.refused ? "refused" : "damaged",
			      ck_error_line(&why, line, sizeof(line)));
	else if (err)
		*err = why;
	return rc && (!node_error_is_shown(&why) || rc == CK_ERR_SYS) ? rc : CK_OK;
}

static int put_of_tensor(struct ck_tree *tree, struct node *n, uint32_t local, const char *name, struct ck_buf *out,
			 struct ck_error *err)
{
	uint32_t i = local - (local >= LOCAL_RAW_0 ? LOCAL_RAW_0 : LOCAL_NPY_0);
	struct ck_checkpoint *c;
	int rc = node_checkpoint(tree, n, &c, err);

	if (rc)
		return rc;
	rc = ck_fail(NULL, CK_ERR_NOENT, "none");
	for (size_t k = 0; k < sizeof(of_tensor) / sizeof(*of_tensor) && i < ck_checkpoint_count(c); k++) {
		if (strcmp(name, of_tensor[k].name) != 0)
			continue;
		of_tensor[k].put(out, ck_checkpoint_tensor(c, i));
		rc = CK_OK;
	}
	ck_checkpoint_unref(c);
	return rc ? ck_fail(err, CK_ERR_NOENT, "no such attribute") : CK_OK;
}

int ck_tree_getxattr(struct ck_tree *tree, ck_ino ino, const char *name, char **value, size_t *len,
		     struct ck_error *err)
{
	struct node *n = node_find(tree, ino);
	struct ck_buf out = CK_BUF_INIT;
	int rc;

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	if (is_tensor(n, local_of(ino)))
		rc = put_of_tensor(tree, n, local_of(ino), name, &out, err);
	else if (is_pickle(n) && strcmp(name, of_pickle) == 0)
		rc = put_verdict(tree, n, &out, err);
	else
		rc = ck_fail(err, CK_ERR_NOENT, "no such attribute");
	if (!rc && out.failed)
		rc = ck_fail_nomem(err);
	if (rc)
		ck_buf_free(&out);
	else
		*value = ck_buf_steal(&out, len);
	return rc;
}

int ck_tree_listxattr(struct ck_tree *tree, ck_ino ino, char **names, size_t *len, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);
	struct ck_buf out = CK_BUF_INIT;

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	for (size_t k = 0; is_tensor(n, local_of(ino)) && k < sizeof(of_tensor) / sizeof(*of_tensor); k++)
		ck_buf_append(&out, of_tensor[k].name, strlen(of_tensor[k].name) + 1);
	if (is_pickle(n))
		ck_buf_append(&out, of_pickle, sizeof(of_pickle));
	if (out.failed) {
		ck_buf_free(&out);
		return ck_fail_nomem(err);
	}
	*names = ck_buf_steal(&out, len);
	return CK_OK;
}
