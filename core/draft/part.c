/*
 * Implements part.h: makes the files of a step from the parts of a plan.
 */
#include "core/draft/part.h"

#include "core/file/dir.h"
#include "core/file/fd.h"
#include "core/file/real.h"
#include "core/format/npy.h"
#include "core/pt/join.h"
#include "core/pt/serializer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A .npy that is open while its tensor is written: what the view's extent points to. */
struct open_npy {
	struct ck_file *file;
	struct ck_tensor tensor;
	int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
};

static void close_npy(void *arg)
{
	struct open_npy *npy = arg;

	ck_file_unref(npy->file);
	free(npy);
}

/* As DTYPE: the .npy's own, or what a bfloat16 is compared as. */
static int open_npy_as(const struct ck_part *part, size_t i, uint8_t dtype, struct ck_view **out, struct ck_error *err)
{
	struct open_npy *npy = calloc(1, sizeof(*npy));
	struct ck_view *view = ck_view_new();
	char path[PATH_MAX];
	int rc;

	if (!npy || !view) {
		free(npy);
		rc = ck_fail_nomem(err);
		goto fail;
	}
	ck_view_own(view, npy, close_npy);
	rc = ck_path_join(path, part->path, part->files[i])
		     ? ck_real_file(path, &npy->file, err)
		     : ck_fail_long_path(err);
	if (!rc)
		rc = ck_npy_read(npy->file, &npy->tensor, npy->shape, npy->strides, err);
	if (!rc && (npy->tensor.numel != part->tensors[i].numel || npy->tensor.dtype != part->tensors[i].dtype))
		rc = ck_fail(err, CK_ERR_CHANGED, "the file changed while the step was being made");
	npy->tensor.dtype = dtype;
	/* For messages. */
	npy->tensor.key = part->tensors[i].key;
	npy->tensor.key_len = part->tensors[i].key_len;
	if (!rc)
		rc = ck_view_add_tensor(view, &npy->tensor, err);
	if (rc)
		goto fail;
	*out = view;
	return CK_OK;
fail:
	ck_view_unref(view);
	return rc;
}

static int open_npy(void *arg, size_t i, struct ck_view **out, struct ck_error *err)
{
	const struct ck_part *part = arg;

	return open_npy_as(part, i, part->tensors[i].dtype, out, err);
}

int ck_part_open(const struct ck_part *part, size_t i, uint8_t dtype, struct ck_view **out, struct ck_error *err)
{
	struct ck_tensor *t;
	struct ck_view *view;
	int rc;

	if (part->kind == CK_PART_NPY)
		return open_npy_as(part, i, dtype, out, err);
	t = malloc(sizeof(*t));
	view = ck_view_new();
	if (!t || !view) {
		free(t);
		ck_view_unref(view);
		return ck_fail_nomem(err);
	}
	*t = part->tensors[i];
	t->dtype = dtype;
	ck_view_own(view, t, free);
	rc = ck_view_add_tensor(view, t, err);
	if (rc)
		ck_view_unref(view);
	else
		*out = view;
	return rc;
}

static int save(struct ck_part *part, int fd, const char *top, struct ck_error *err)
{
	struct ck_save s = {
		.top = top, .shard = part->name.kind == CK_FILE_OPTIM,
		.root = &part->root, .tensors = part->tensors, .count = part->count,
	};

	s.open = part->kind == CK_PART_NPY ? open_npy : ck_save_open_tensor;
	s.arg = part->kind == CK_PART_NPY ? (void *)part : (void *)part->tensors;
	return ck_serialize(&s, fd, err);
}

static int save_anew(const struct ck_part *part, int fd, const char *top, struct ck_error *err)
{
	static const struct ck_patch as_stored = { .n_layer = -1 };
	struct ck_checkpoint *c = NULL;
	struct ck_file *file = NULL;
	int rc = ck_real_file(part->path, &file, err);

	if (!rc)
		rc = ck_checkpoint_open(file, &as_stored, &c, err);
	if (!rc)
		rc = ck_join_save(c, top, fd, err);
	ck_checkpoint_unref(c);
	ck_file_unref(file);
	return rc;
}

static int copy(const struct ck_part *part, int fd, struct ck_error *err)
{
	struct ck_view *view = ck_view_new();
	struct ck_file *file = NULL;
	int rc = view ? ck_real_file(part->path, &file, err) : ck_fail_nomem(err);

	if (!rc)
		rc = ck_view_add_range(view, file, 0, ck_file_size(file), err);
	if (!rc)
		rc = ck_view_save(view, fd, 0, NULL, err);
	if (!rc)
		rc = ck_sync_fd(fd, err);
	ck_file_unref(file);
	ck_view_unref(view);
	return rc;
}

/* The draft's own file under a second name: no byte is copied. False where the file system has no
   hard links, or the daemon may not link the file. */
static bool link_synced(const char *from, const char *to, int *rc, struct ck_error *err)
{
	*rc = ck_real_sync(from, err);
	return *rc || ck_real_link(from, to) == 0;
}

int ck_part_write(struct ck_part *part, const char *path, const char *top, struct ck_error *err)
{
	int fd, rc = CK_OK;

	if (part->kind == CK_PART_FILE && link_synced(part->path, path, &rc, err))
		return rc;
	fd = ck_real_open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (fd < 0)
		return ck_fail_sys(err, "open");
	rc = part->kind == CK_PART_FILE	     ? copy(part, fd, err)
	     : part->kind == CK_PART_NO_CRCS ? save_anew(part, fd, top, err)
					     : save(part, fd, top, err);
	if (close(fd) < 0 && !rc)
		rc = ck_fail_sys(err, "close");
	return rc;
}
