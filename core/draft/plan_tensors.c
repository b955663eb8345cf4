/*
 * Implements plan_tensors.h: a directory of .npy files as the tensors of one .pt, and the outline of a shard that
 * refers to them.
 */
#include "core/draft/plan_tensors.h"

#include "core/base/keyname.h"
#include "core/base/text.h"
#include "core/draft/order.h"
#include "core/draft/plan_parts.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/format/npy.h"
#include "core/format/outline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- tensors from .npy files ---- */

/* Reads the header of one .npy into tensor I; shape and strides move into the arena. The file is opened again when its
   bytes are written, so that many files need few descriptors. */
static int read_npy(struct ck_part *part, size_t i, const char *path, struct ck_error *err)
{
	int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
	struct ck_tensor *t = &part->tensors[i];
	struct ck_file *file;
	size_t bytes;
	int rc;

	rc = ck_real_file(path, &file, err);
	if (rc)
		return rc == CK_ERR_INVALID ? rc : ck_fail(err, (enum ck_code)rc, "can't be opened");
	rc = ck_npy_read(file, t, shape, strides, err);
	ck_file_unref(file);
	if (rc)
		return rc;
	bytes = (t->ndim ? t->ndim : 1u) * sizeof(int64_t);
	t->shape = (const int64_t *)(void *)ck_arena_dup(part->arena, shape, bytes);
	t->strides = NULL;
	t->file = NULL;
	return t->shape ? CK_OK : ck_fail_nomem(err);
}

static int read_npy_name(struct draft_files *d, struct ck_part *part, size_t i, const char *name, bool cut)
{
	char key[CK_NAME_MAX + 1], path[PATH_MAX];
	struct ck_tensor *t = &part->tensors[i];
	size_t len;
	int rc;

	if (!ck_name_to_key(name, ".npy", key, &len))
		return plan_unfit(d, name, "not a tensor file: expected KEY.npy");
	/* A shard's outline has the whole path, whose name is cut in the same way: see find_tensor. */
	if (!cut && ck_name_is_cut(name, ".npy"))
		return plan_unfit(d, name,
			     "expected a whole key in a file's name, found a name cut to 255 bytes: write such "
			     "tensors as model.safetensors");
	rc = ck_path_join(path, part->path, name) ? read_npy(part, i, path, d->err)
						  : ck_fail_long_path(d->err);
	if (rc) {
		ck_error_subject(d->err, name, strlen(name));
		return rc;
	}
	t->key = ck_arena_dup(part->arena, key, len);
	t->key_len = (uint32_t)len;
	part->files[i] = ck_arena_dup(part->arena, name, strlen(name));
	return t->key && part->files[i] ? CK_OK : ck_fail_nomem(d->err);
}

static bool is_npy(const char *name) { return ck_ends_with(name, ".npy"); }

int plan_read_npy(struct draft_files *d, struct ck_part *part, bool cut)
{
	struct ck_names names;
	int rc = ck_list_real_dir(part->path, &names, d->err);

	if (rc)
		return rc;
	part->arena = ck_arena_new(MAX_PART);
	part->tensors = calloc(names.count + 1, sizeof(*part->tensors));
	part->files = calloc(names.count + 1, sizeof(*part->files));
	rc = part->arena && part->tensors && part->files
		     ? ck_order_sort(d->dir, part->path + strlen(d->files) + 1, &names, d->err)
		     : ck_fail_nomem(d->err);
	for (size_t i = 0; i < names.count && !rc; i++) {
		/* ".x.npy" is the tensor ".x": a temporary name would go on behind it. */
		if (plan_is_passing(names.names[i]) && !is_npy(names.names[i]))
			continue;
		rc = part->count < CK_MAX_TENSORS
			     ? read_npy_name(d, part, part->count, names.names[i], cut)
			     : ck_fail(d->err, CK_ERR_LIMIT, "more than %u tensors", CK_MAX_TENSORS);
		part->count += !rc;
	}
	ck_names_free(&names);
	return rc;
}

/* ---- a shard's outline ---- */

int plan_load_text(const char *path, char **text, size_t *len, struct ck_error *err)
{
	struct ck_file *file;
	int rc = ck_real_file(path, &file, err);

	if (rc)
		return rc;
	rc = ck_file_load(file, CK_OUTLINE_MAX_BYTES, text, len, err);
	ck_file_unref(file);
	return rc;
}

/* By the file's name: that of a long path is cut, and doesn't tell it. */
static int64_t find_tensor(void *arg, const char *path, size_t len)
{
	const struct ck_part *part = arg;
	const struct ck_value *found;
	char name[CK_NAME_MAX + 1];

	ck_key_to_name(path, len, ".npy", name);
	found = ck_dict_get(part->names.dict, name);
	return found ? found->i : -1;
}

/* The table of the names of the part's files. */
static int index_names(struct ck_part *part, struct ck_error *err)
{
	int rc = ck_dict_new(part->arena, &part->names, err);

	for (size_t i = 0; i < part->count && !rc; i++)
		rc = ck_dict_set(part->arena, part->names.dict, ck_str(part->files[i], strlen(part->files[i])),
				 ck_int((int64_t)i), err);
	return rc;
}

/* Also notes that the tensor is referred to: its offset, which nothing else uses, becomes 1. */
static void set_flags(void *arg, int64_t index, bool requires_grad, bool parameter)
{
	struct ck_tensor *t = &((struct ck_part *)arg)->tensors[index];

	t->requires_grad = requires_grad;
	t->parameter = parameter;
	t->offset = 1;
}

int plan_read_outline(struct draft_files *d, struct ck_part *part, const char *json)
{
	char *text = NULL;
	size_t len;
	int rc;

	for (size_t i = 0; i < part->count; i++)
		part->tensors[i].offset = 0;
	rc = index_names(part, d->err);
	if (!rc)
		rc = plan_load_text(json, &text, &len, d->err);
	if (!rc)
		rc = ck_outline_read(text, len, part->arena, find_tensor, set_flags, part, &part->root, d->err);
	free(text);
	for (size_t i = 0; i < part->count && !rc; i++)
		if (part->tensors[i].offset != 1)
			rc = plan_unfit(d, part->files[i], "the shard's .json doesn't refer to this tensor");
	ck_error_file(d->err, json);
	return rc;
}
