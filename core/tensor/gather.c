/* Implements gather.h. */
#include "core/tensor/gather.h"

#include <stdlib.h>
#include <string.h>

/*
 * How it works. The request is a range of flat indexes; it is cut into at most two boxes per
 * dimension (an uneven head, the full middle, an uneven tail). A box is read either by one covering
 * read, where that wastes little, or run by run along its smallest stride: for a transposed matrix
 * the runs go down the columns of the request, each contiguous in the file, instead of one read per
 * element. Each run is converted as it is read.
 */
#define COVER_MAX ((uint64_t)4 << 20)   /* bytes of one covering read */
#define COVER_WASTE 32u                 /* bytes read for one byte used, at most */
#define CHUNK 8192u                     /* elements of the stack buffer's share per run */

struct dim {
	uint64_t size, stride;
};

struct box {
	const struct ck_tensor *t;
	const struct ck_origin *origin; /* the tensor's first element */
	unsigned from, to;      /* widths, stored and shown */
	struct ck_conversion conversion;
	struct dim dims[CK_MAX_DIMS];
	unsigned ndim;
};

/* Drops dimensions of size 1 and merges adjacent dimensions that are contiguous with each other. */
static void collapse(struct box *b, const struct ck_tensor *t)
{
	uint64_t dense = 1;
	struct dim d;

	for (unsigned i = t->ndim; i-- > 0;) {
		d.size = (uint64_t)t->shape[i];
		d.stride = t->strides ? (uint64_t)t->strides[i] : dense;
		dense *= d.size;
		if (d.size == 1)
			continue;
		if (b->ndim && d.stride == b->dims[b->ndim - 1].stride * b->dims[b->ndim - 1].size)
			b->dims[b->ndim - 1].size *= d.size;
		else
			b->dims[b->ndim++] = d;
	}
	/* Built from the innermost outwards: turn it round. */
	for (unsigned i = 0; i < b->ndim / 2; i++) {
		d = b->dims[i];
		b->dims[i] = b->dims[b->ndim - 1 - i];
		b->dims[b->ndim - 1 - i] = d;
	}
}

/* One element N > 0 times: what is there already is copied behind itself. */
static void repeat(const struct box *b, char *dst, const char *src, uint64_t n)
{
	size_t all = (size_t)(n * b->to), done = b->to, part;

	ck_convert(&b->conversion, dst, src, 1);
	for (; done < all; done += part) {
		part = done < all - done ? done : all - done;
		memcpy(dst + done, dst, part);
	}
}

static void convert_run(const struct box *b, char *dst, uint64_t dst_stride, const char *src, uint64_t src_stride,
			uint64_t n)
{
	if (src_stride == b->from && dst_stride == b->to) {
		ck_convert(&b->conversion, dst, src, n);
		return;
	}
	if (src_stride == 0 && dst_stride == b->to) {
		repeat(b, dst, src, n);
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		ck_convert(&b->conversion, dst + i * dst_stride, src + i * src_stride, 1);
}

/* N elements, STRIDE apart in the file from element AT on, to DST, DST_STRIDE bytes apart. */
static int read_run(const struct box *b, uint64_t at, uint64_t stride, uint64_t n, char *dst, uint64_t dst_stride,
		    struct ck_error *err)
{
	char chunk[CHUNK * 8];
	uint64_t span = stride * b->from, fit = 1, step;
	int rc;

	/* An expanded element is read once. Where the gaps are wide, an element a read; else as
	   many as the chunk holds, gaps included. */
	if (stride == 0)
		fit = n;
	else if (span <= sizeof(chunk) / 2 && stride <= COVER_WASTE)
		fit = (sizeof(chunk) - b->from) / span + 1;
	for (; n; n -= step) {
		step = n < fit ? n : fit;
		rc = ck_origin_read(b->origin, at * b->from, chunk, (size_t)((step - 1) * span + b->from), err);
		if (rc)
			return rc;
		convert_run(b, dst, dst_stride, chunk, span, step);
		at += step * stride;
		dst += step * dst_stride;
	}
	return CK_OK;
}

/* One box in the file: the first element AT, the sizes and strides in D. */
struct walk {
	const struct box *b;
	struct dim d[CK_MAX_DIMS];
	uint64_t out[CK_MAX_DIMS];      /* bytes in DST from one index to the next */
	unsigned ndim, run;             /* the dimension that runs go along */
};

/* Converts each run of the box: from the covering read in MEM (whose first byte is element AT), or
   from the file. */
static int walk_runs(const struct walk *w, uint64_t at, char *dst, const char *mem, struct ck_error *err)
{
	uint64_t index[CK_MAX_DIMS] = { 0 }, rel = 0, out = 0;
	const struct dim *run = &w->d[w->run];
	unsigned k;
	int rc;

	for (;;) {
		if (mem) {
			convert_run(w->b, dst + out, w->out[w->run], mem + rel * w->b->from, run->stride * w->b->from,
				    run->size);
		} else {
			rc = read_run(w->b, at + rel, run->stride, run->size, dst + out, w->out[w->run], err);
			if (rc)
				return rc;
		}
		for (k = w->ndim; k-- > 0;) {
			if (k == w->run)
				continue;
			rel += w->d[k].stride;
			out += w->out[k];
			if (++index[k] < w->d[k].size)
				break;
			rel -= index[k] * w->d[k].stride;
			out -= index[k] * w->out[k];
			index[k] = 0;
		}
		if (k == (unsigned)-1)
			return CK_OK;
	}
}

/* The dimension to run along: the smallest stride that isn't 0, or the last. */
static unsigned best_run(const struct walk *w)
{
	unsigned best = w->ndim - 1;

	for (unsigned k = 0; k < w->ndim; k++)
		if (w->d[k].stride && (!w->d[best].stride || w->d[k].stride < w->d[best].stride))
			best = k;
	return best;
}

/* The full box of dimensions K.. with COUNT indexes of dimension K, from element AT on. */
static int read_box(const struct box *b, unsigned k, uint64_t count, uint64_t at, char *dst, struct ck_error *err)
{
	struct walk w = { .b = b, .ndim = b->ndim - k };
	uint64_t elements = 1, span = 0, bytes;
	char *mem = NULL;
	int rc;

	for (unsigned i = w.ndim; i-- > 0;) {
		w.d[i] = b->dims[k + i];
		if (i == 0)
			w.d[i].size = count;
		w.out[i] = elements * b->to;
		elements *= w.d[i].size;
		span += (w.d[i].size - 1) * w.d[i].stride;
	}
	w.run = best_run(&w);
	bytes = (span + 1) * b->from;
	if (w.ndim > 1 && bytes <= COVER_MAX && bytes / COVER_WASTE <= elements * b->from) {
		mem = malloc((size_t)bytes);
		if (!mem)
			return ck_fail_nomem(err);
		rc = ck_origin_read(b->origin, at * b->from, mem, (size_t)bytes, err);
		if (rc)
			goto out;
	}
	rc = walk_runs(&w, at, dst, mem, err);
out:
	free(mem);
	return rc;
}

/*
 * The flat range [A, A + N) of the sub-box of dimensions K.., whose first element is AT. Recursion
 * is one level a dimension; at each level the head and the tail go down, so at most two boxes a
 * level are read.
 */
static int read_range(const struct box *b, unsigned k, uint64_t a, uint64_t n, uint64_t at, char *dst,
		      struct ck_error *err)
{
	uint64_t inner = 1, head, full;
	int rc;

	if (b->ndim == 0)
		return read_run(b, at, 1, 1, dst, b->to, err);
	for (unsigned i = k + 1; i < b->ndim; i++)
		inner *= b->dims[i].size;
	/* cppcheck-suppress zerodivcond ; a product of sizes that aren't 0 */
	at += a / inner * b->dims[k].stride;
	a %= inner;
	if (a) {
		head = n < inner - a ? n : inner - a;
		rc = read_range(b, k + 1, a, head, at, dst, err);
		if (rc)
			return rc;
		n -= head;
		dst += head * b->to;
		at += b->dims[k].stride;
	}
	full = n / inner;
	if (full) {
		rc = read_box(b, k, full, at, dst, err);
		if (rc)
			return rc;
		n -= full * inner;
		dst += full * inner * b->to;
		at += full * b->dims[k].stride;
	}
	return n ? read_range(b, k + 1, 0, n, at, dst, err) : CK_OK;
}

static void fill_run(const struct ck_tensor *t, char *dst, uint64_t count)
{
	float f = (float)t->fill;

	if (t->fill == 0) {
		memset(dst, 0, (size_t)count * ck_dtype_info(t->dtype)->width);
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		memcpy(dst + i * sizeof(f), &f, sizeof(f));
}

int ck_gather(const struct ck_tensor *t, const struct ck_origin *origin, uint64_t first, uint64_t count, void *dst,
	      struct ck_error *err)
{
	struct box b = {
		.t = t, .origin = origin,
		.from = ck_dtype_info(t->stored_dtype)->width, .to = ck_dtype_info(t->dtype)->width,
		.conversion = { t->stored_dtype, t->dtype, t->swap, t->conj, t->neg },
	};

	if (count == 0)
		return CK_OK;
	if (t->source == CK_SRC_FILL) {
		fill_run(t, dst, count);
		return CK_OK;
	}
	collapse(&b, t);
	return read_range(&b, 0, first, count, 0, dst, err);
}
