/* What a tensor is (tensor.h): sizes, reach, place. */
#include "core/tensor/tensor.h"

#include "core/base/buf.h"
#include "core/zip/ends.h"

#include <inttypes.h>

int ck_shape_numel(const int64_t *shape, unsigned ndim, unsigned width, uint64_t *numel, struct ck_error *err)
{
	int64_t n = 1, bytes;
	bool empty = false;

	/* A zero anywhere makes the product zero, but must not hide a negative size behind it. */
	for (unsigned i = 0; i < ndim; i++) {
		if (shape[i] < 0)
			return ck_fail(err, CK_ERR_CORRUPT,
				       "expected sizes of at least 0, found %" PRId64 " in dimension %u", shape[i], i);
		empty |= shape[i] == 0;
	}
	for (unsigned i = 0; i < ndim && !empty; i++)
		if (__builtin_mul_overflow(n, shape[i], &n))
			return ck_fail(err, CK_ERR_LIMIT, "expected fewer than 2^63 elements, found more");
	if (empty)
		n = 0;
	if (__builtin_mul_overflow(n, (int64_t)width, &bytes))
		return ck_fail(err, CK_ERR_LIMIT, "expected fewer than 2^63 bytes, found %" PRId64 " elements of %u",
			       n, width);
	*numel = (uint64_t)n;
	return CK_OK;
}

uint64_t ck_tensor_nbytes(const struct ck_tensor *t)
{
	return t->numel * ck_dtype_info(t->dtype)->width;
}

bool ck_tensor_contiguous(const struct ck_tensor *t)
{
	int64_t expected = 1;

	if (!t->strides || t->numel <= 1)
		return true;
	for (unsigned i = t->ndim; i-- > 0;) {
		if (t->shape[i] == 1)
			continue;
		if (t->strides[i] != expected)
			return false;
		expected *= t->shape[i];
	}
	return true;
}

static struct ck_conversion conversion_of(const struct ck_tensor *t)
{
	return (struct ck_conversion){ t->stored_dtype, t->dtype, t->swap, t->conj, t->neg };
}

bool ck_tensor_is_range(const struct ck_tensor *t)
{
	struct ck_conversion c = conversion_of(t);

	return t->source != CK_SRC_FILL && t->source != CK_SRC_PARTS && ck_conversion_identity(&c) &&
	       ck_tensor_contiguous(t);
}

int ck_tensor_reach(const struct ck_tensor *t, uint64_t *first, uint64_t *end, struct ck_error *err)
{
	int64_t last = 0, step;

	*first = *end = t->offset;
	if (t->numel == 0)
		return CK_OK;
	if (!t->strides) {
		last = (int64_t)t->numel - 1;
	} else {
		for (unsigned i = 0; i < t->ndim; i++) {
			if (t->strides[i] < 0)
				return ck_fail(err, CK_ERR_CORRUPT,
					       "expected strides of at least 0, found %" PRId64 " in dimension %u",
					       t->strides[i], i);
			if (__builtin_mul_overflow(t->shape[i] - 1, t->strides[i], &step) ||
			    __builtin_add_overflow(last, step, &last))
				return ck_fail(err, CK_ERR_CORRUPT,
					       "expected sizes and strides that reach fewer than 2^63 elements");
		}
	}
	if (__builtin_add_overflow(*first, (uint64_t)last + 1, end))
		return ck_fail(err, CK_ERR_CORRUPT,
			       "expected an offset and strides that reach fewer than 2^64 elements");
	return CK_OK;
}

int ck_tensor_locate(const struct ck_tensor *t, struct ck_origin *origin, struct ck_error *err)
{
	int rc;

	if (t->source == CK_SRC_FILE) {
		origin->file = t->file;
		origin->byte = t->offset;
		return CK_OK;
	}
	if (!origin->now)
		ck_archive_prefetch_entry(t->archive, t->entry);
	rc = ck_archive_locate(t->archive, t->entry, origin, err);
	/* In range: the offset was checked against the storage when the checkpoint was opened. */
	if (!rc)
		origin->byte += t->offset * ck_dtype_info(t->stored_dtype)->width;
	return rc;
}

void ck_shape_text(struct ck_buf *out, const int64_t *shape, unsigned ndim)
{
	ck_buf_byte(out, '[');
	for (unsigned i = 0; i < ndim; i++)
		ck_buf_printf(out, "%s%" PRId64, i ? "," : "", shape[i]);
	ck_buf_byte(out, ']');
}

const char *ck_tensor_unshown(const struct ck_tensor *t)
{
	static const char *const why[] = {
		[CK_UNSHOWN_SPARSE] = "a sparse tensor, whose elements are not an array",
		[CK_UNSHOWN_QUANTIZED] = "a quantized tensor, whose elements have scales that NumPy has no place for",
		[CK_UNSHOWN_NESTED] = "a nested tensor, whose parts have different shapes",
		[CK_UNSHOWN_META] = "a tensor on the device meta, which has a shape and no elements",
		[CK_UNSHOWN_DTYPE] = "a tensor of a dtype that NumPy lacks",
		[CK_UNSHOWN_LARGE] = "a tensor expanded to more bytes than a file can have",
	};

	return why[t->unshown];
}

void ck_tensor_shape_text(struct ck_buf *out, const struct ck_tensor *t)
{
	if (t->unshown == CK_UNSHOWN_NESTED)
		ck_buf_byte(out, '-');
	else
		ck_shape_text(out, t->shape, t->ndim);
}
