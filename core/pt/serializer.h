/*
 * serializer - writes values and tensors to a .pt, as torch.save lays it out: a zip of stored entries below one
 * directory. The entries are data.pkl (pickle protocol 2), byteorder, data/0, data/1, ... (one for each tensor, each at
 * a multiple of 64), and version. Source: torch/serialization.py and caffe2/serialize/inline_container.cc.
 *
 * libzip writes the zip in one pass over the data. Its output goes through a zip source of ours, so that errors of the
 * store (ENOSPC, EDQUOT, EIO) keep their errno, and nothing is written except to the given descriptor.
 */
#ifndef CK_SERIALIZER_H
#define CK_SERIALIZER_H

#include "core/tensor/tensor.h"
#include "core/base/value.h"
#include "core/tensor/view.h"

/* What a save is made of. */
struct ck_save {
	const char *top;                        /* the archive's directory, "model_000600" */
	bool shard;                             /* an optimizer shard: it will be shown with its outline */
	/* plain values; a tensor is a CK_TENSOR whose .i indexes TENSORS */
	const struct ck_value *root;
	/* dtype, shape, ndim, numel, requires_grad and parameter count; OPEN knows where the bytes lie */
	const struct ck_tensor *tensors;
	size_t count;
	/*
	 * Opens a view of exactly the bytes of tensor I (C order, little-endian, as shown), the caller's reference.
	 * Called once for each tensor, when its turn to be written comes: a save of 10,000 files has one file open at a
	 * time.
	 */
	int (*open)(void *arg, size_t i, struct ck_view **out, struct ck_error *err);
	void *arg;
};

/*
 * Writes the whole file to FD, an empty file open for reading and writing, and fsyncs it. On failure FD holds rubbish,
 * which the caller throws away. Errors: CK_ERR_SYS (the store's errno), CK_ERR_INVALID (a view of another size than its
 * tensor, a value that a pickle can't hold), CK_ERR_LIMIT (the readers would refuse the file, or it passes 2^63 bytes),
 * CK_ERR_UNSUPPORTED (a tensor of 2^32 - 1 bytes, which libzip can't store), CK_ERR_NOMEM, and the errors of OPEN.
 * Before the fsync the finished file is opened as the mount opens it, and its local headers are read back.
 */
int ck_serialize(const struct ck_save *save, int fd, struct ck_error *err);

/* Appends data.pkl alone, which names the storage of tensor I data/I. Errors as above. */
struct ck_buf;
int ck_save_pickle(const struct ck_save *save, struct ck_buf *out, struct ck_error *err);

/* An OPEN for tensors that lie in files or archives already (ARG is the array of tensors): the view of tensor I
   itself. */
int ck_save_open_tensor(void *arg, size_t i, struct ck_view **out, struct ck_error *err);

#endif
