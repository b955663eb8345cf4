/*
 * tensor - what a tensor is: key, dtype, shape, strides, and where its bytes lie. The bytes
 * themselves are the view's business.
 */
#ifndef CK_TENSOR_H
#define CK_TENSOR_H

#include "core/zip/archive.h"
#include "core/tensor/convert.h"

#define CK_MAX_DIMS 64  /* NumPy 2's limit; torch's own is the same for practical purposes */

enum ck_source {
	CK_SRC_ARCHIVE,     /* an entry of a .pt */
	CK_SRC_FILE,        /* a range of a plain file (a draft's .npy or .safetensors) */
	CK_SRC_FILL,        /* every element is the same: nanochat's patched lambdas, zero rows */
	CK_SRC_PARTS,       /* other tensors' rows, one after the other, maybe of several .pt */
};

/* Why a tensor is not shown as an array. Of such a tensor key, dtype and shape are known, and nothing is read. */
enum ck_unshown {
	CK_SHOWN,
	CK_UNSHOWN_SPARSE,
	CK_UNSHOWN_QUANTIZED,
	CK_UNSHOWN_NESTED,          /* its shape isn't known either */
	CK_UNSHOWN_META,
	CK_UNSHOWN_DTYPE,           /* behind CK_DTYPE_ARRAYS */
	CK_UNSHOWN_LARGE,           /* expanded to more bytes than a file can have */
};

/* The most bytes of a tensor that is shown: bfloat16 may double, a header comes in front. */
#define CK_SHOWN_BYTES (UINT64_C(1) << 61)

struct ck_tensor {
	/* UTF-8, may hold any byte; NUL-terminated behind key_len bytes */
	const char *key;
	uint32_t key_len;
	uint8_t dtype;              /* enum ck_dtype: as shown */
	uint8_t stored_dtype;       /* enum ck_dtype: as stored */
	uint8_t ndim;
	uint8_t source;             /* enum ck_source */
	uint8_t unshown;            /* enum ck_unshown */
	bool swap, conj, neg;       /* of the stored elements: see ck_conversion */
	bool requires_grad, parameter;
	bool storage;               /* the value is a bare storage, shown as the 1-d tensor that it is */
	const int64_t *shape;       /* ndim entries, each >= 0 */
	const int64_t *strides;     /* ndim entries, in elements; NULL: C-contiguous */
	uint64_t numel;             /* product of shape */
	/* first element, in stored elements (ARCHIVE: in the storage) or bytes (FILE: in the file) */
	uint64_t offset;
	union {
		struct {
			/* borrowed: the owner of the tensor keeps it */
			struct ck_archive *archive;
			uint32_t entry;
		};
		struct ck_file *file;            /* borrowed */
		double fill;                     /* FILL; dtype is float32, or it is 0 */
		/* PARTS: tensors of this dtype and of other sources, borrowed, which make up the elements in C order */
		struct {
			const struct ck_tensor *parts;
			uint32_t part_count;
		};
	};
};

/* Product of the NDIM sizes; CK_ERR_CORRUPT for a negative size, CK_ERR_LIMIT when numel x WIDTH
   passes INT64_MAX. */
int ck_shape_numel(const int64_t *shape, unsigned ndim, unsigned width, uint64_t *numel, struct ck_error *err);

/* Bytes as shown, and as stored if it were contiguous. Can't overflow once ck_shape_numel accepted
   the shape. */
uint64_t ck_tensor_nbytes(const struct ck_tensor *t);

/* Whether the elements lie in C order without gaps. Dimensions of size 1 don't count; nor does an
   empty tensor's stride. */
bool ck_tensor_contiguous(const struct ck_tensor *t);

/* Whether the bytes as shown are the stored bytes in order, so that a range of the file is the
   tensor. */
bool ck_tensor_is_range(const struct ck_tensor *t);

/* Elements of the storage that the tensor reaches: [*first, *end). CK_ERR_CORRUPT on a negative or
   overflowing reach. */
int ck_tensor_reach(const struct ck_tensor *t, uint64_t *first, uint64_t *end, struct ck_error *err);

/* Where stored element `offset` lies: ORIGIN's file and byte, as ck_archive_locate() finds them. The caller ends with
   ck_origin_release(). */
int ck_tensor_locate(const struct ck_tensor *t, struct ck_origin *origin, struct ck_error *err);

/* Why T is not shown, for a person. NULL: it is shown. */
const char *ck_tensor_unshown(const struct ck_tensor *t);

/* Appends the shape as "[32768,768]"; ck_tensor_shape_text: that of T, "-" where it isn't known. */
struct ck_buf;
void ck_shape_text(struct ck_buf *out, const int64_t *shape, unsigned ndim);
void ck_tensor_shape_text(struct ck_buf *out, const struct ck_tensor *t);

#endif
