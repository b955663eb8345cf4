/*
 * npy - NumPy's format, both ways. Source: numpy/lib/format.py (format versions 1.0 to 3.0).
 */
#ifndef CK_NPY_H
#define CK_NPY_H

#include "core/base/buf.h"
#include "core/tensor/tensor.h"
#include "core/tensor/view.h"

/* Appends the header that numpy.save writes for the tensor as shown: magic, version, the dict,
   padding to 64. */
void ck_npy_header(struct ck_buf *out, const struct ck_tensor *t);

/* Bytes of the whole .npy file: header and data. */
uint64_t ck_npy_size(const struct ck_tensor *t);

/* Appends the whole file, header and tensor, to VIEW. */
int ck_npy_view(struct ck_view *view, const struct ck_tensor *t, struct ck_error *err);

/*
 * Reads the header of the .npy FILE, in every spelling that numpy.load takes for the dtypes of tensors, and checks that
 * the data are there. As in numpy.load, more bytes may follow. Fills T: dtype, stored_dtype, ndim, shape and strides
 * (in SHAPE and STRIDES, the caller's, CK_MAX_DIMS each), numel, source CK_SRC_FILE, file (borrowed), offset, swap.
 * Strides are set for Fortran order only; the key is not set. CK_ERR_INVALID says what is wrong: magic, version, header
 * length, a descr that no tensor has (objects, strings, structures), a shape, a size (both numbers).
 */
int ck_npy_read(struct ck_file *file, struct ck_tensor *t, int64_t *shape, int64_t *strides, struct ck_error *err);

#endif
