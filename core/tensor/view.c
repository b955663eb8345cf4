/* Implements view.h: extents are added in order, found by a binary search, and read in one loop. */
#include "core/tensor/view.h"

#include "core/base/buf.h"
#include "core/file/fd.h"
#include "core/file/scratch.h"
#include "core/tensor/gather.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum extent_kind { EXT_BYTES, EXT_RANGE, EXT_TENSOR_RANGE, EXT_TENSOR };

struct extent {
	uint64_t start;         /* in the view; it ends where the next one starts */
	enum extent_kind kind;
	union {
		char *bytes;                            /* BYTES: owned */
		struct {
			struct ck_file *file;           /* RANGE: a reference */
			uint64_t offset;
		};
		/* TENSOR_RANGE: its bytes as they are; TENSOR: converted */
		const struct ck_tensor *tensor;
	};
};

struct ck_view {
	atomic_uint refs;
	uint64_t size;
	struct extent *extents;
	size_t count, cap;
	void *owner;
	void (*release)(void *);
};

struct ck_view *ck_view_new(void)
{
	struct ck_view *view = calloc(1, sizeof(*view));

	if (view)
		atomic_init(&view->refs, 1);
	return view;
}

struct ck_view *ck_view_ref(struct ck_view *view)
{
	atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
	return view;
}

struct ck_view *ck_view_unref(struct ck_view *view)
{
	if (!view || atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	for (size_t i = 0; i < view->count; i++) {
		if (view->extents[i].kind == EXT_BYTES)
			free(view->extents[i].bytes);
		else if (view->extents[i].kind == EXT_RANGE)
			ck_file_unref(view->extents[i].file);
	}
	free(view->extents);
	if (view->release)
		view->release(view->owner);
	free(view);
	return NULL;
}

bool ck_view_is_shared(struct ck_view *view)
{
	return atomic_load_explicit(&view->refs, memory_order_relaxed) > 1;
}

void ck_view_own(struct ck_view *view, void *owner, void (*release)(void *))
{
	view->owner = owner;
	view->release = release;
}

/* An extent of LEN bytes at the end. On failure what it holds stays the caller's. */
static int add(struct ck_view *view, struct extent extent, uint64_t len, struct ck_error *err)
{
	struct extent *more;
	uint64_t size;
	size_t cap;

	if (__builtin_add_overflow(view->size, len, &size) || size > INT64_MAX)
		return ck_fail(err, CK_ERR_LIMIT, "the file would pass 2^63 bytes");
	if (view->count == view->cap) {
		cap = view->cap ? view->cap * 2 : 2;
		more = realloc(view->extents, cap * sizeof(*more));
		if (!more)
			return ck_fail_nomem(err);
		view->extents = more;
		view->cap = cap;
	}
	extent.start = view->size;
	view->extents[view->count++] = extent;
	view->size = size;
	return CK_OK;
}

static int add_owned(struct ck_view *view, char *data, size_t len, struct ck_error *err)
{
	int rc = add(view, (struct extent){ .kind = EXT_BYTES, .bytes = data }, len, err);

	if (rc)
		free(data);
	return rc;
}

int ck_view_add_bytes(struct ck_view *view, const void *data, size_t len, struct ck_error *err)
{
	char *copy;

	if (len == 0)
		return CK_OK;
	copy = malloc(len);
	if (!copy)
		return ck_fail_nomem(err);
	memcpy(copy, data, len);
	return add_owned(view, copy, len, err);
}

int ck_view_add_buf(struct ck_view *view, struct ck_buf *buf, struct ck_error *err)
{
	bool failed = buf->failed;
	size_t len;
	char *data = ck_buf_steal(buf, &len);

	if (failed)
		return ck_fail_nomem(err);
	return len ? add_owned(view, data, len, err) : CK_OK;
}

int ck_view_add_range(struct ck_view *view, struct ck_file *file, uint64_t offset, uint64_t len, struct ck_error *err)
{
	int rc;

	if (len == 0)
		return CK_OK;
	rc = add(view, (struct extent){ .kind = EXT_RANGE, .file = file, .offset = offset }, len, err);
	if (!rc)
		ck_file_ref(file);
	return rc;
}

/* An extent for each part: none of them has parts of its own. */
static int add_parts(struct ck_view *view, const struct ck_tensor *tensor, struct ck_error *err)
{
	int rc = CK_OK;

	for (uint32_t i = 0; i < tensor->part_count && !rc; i++)
		rc = ck_view_add_tensor(view, &tensor->parts[i], err);
	return rc;
}

int ck_view_add_tensor(struct ck_view *view, const struct ck_tensor *tensor, struct ck_error *err)
{
	enum extent_kind kind = ck_tensor_is_range(tensor) ? EXT_TENSOR_RANGE : EXT_TENSOR;

	if (tensor->numel == 0)
		return CK_OK;
	if (tensor->source == CK_SRC_PARTS)
		return add_parts(view, tensor, err);
	return add(view, (struct extent){ .kind = kind, .tensor = tensor }, ck_tensor_nbytes(tensor), err);
}

uint64_t ck_view_size(const struct ck_view *view)
{
	return view->size;
}

/* The extent that holds OFFSET, which is inside the view. */
static size_t extent_at(const struct ck_view *view, uint64_t offset)
{
	size_t low = 0, high = view->count, mid;

	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (view->extents[mid].start <= offset)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static uint64_t extent_end(const struct ck_view *view, size_t i)
{
	return i + 1 < view->count ? view->extents[i + 1].start : view->size;
}

/* Bytes [OFF, OFF + LEN) of a converted tensor: whole elements straight to BUF, cut ones through a
   small buffer. */
static int read_tensor(const struct ck_tensor *t, const struct ck_origin *origin, uint64_t off, char *buf, size_t len,
		       struct ck_error *err)
{
	const unsigned width = ck_dtype_info(t->dtype)->width;
	unsigned skip = (unsigned)(off % width);
	uint64_t element = off / width, whole;
	char one[16];
	size_t part;
	int rc = CK_OK;

	if (skip || len < width) {
		part = width - skip < len ? width - skip : len;
		rc = ck_gather(t, origin, element++, 1, one, err);
		if (rc)
			return rc;
		memcpy(buf, one + skip, part);
		buf += part;
		len -= part;
	}
	whole = len / width;
	rc = ck_gather(t, origin, element, whole, buf, err);
	len -= whole * width;
	if (rc || !len)
		return rc;
	rc = ck_gather(t, origin, element + whole, 1, one, err);
	if (!rc)
		memcpy(buf + whole * width, one, len);
	return rc;
}

static int read_stored(const struct extent *e, uint64_t off, char *buf, size_t len, struct ck_origin *origin,
		       struct ck_error *err)
{
	int rc = e->tensor->source == CK_SRC_FILL ? CK_OK : ck_tensor_locate(e->tensor, origin, err);

	if (!rc && e->kind == EXT_TENSOR_RANGE)
		rc = ck_origin_read(origin, off, buf, len, err);
	else if (!rc)
		rc = read_tensor(e->tensor, origin, off, buf, len, err);
	/* What lies in temporary space was checked when it got there. */
	if (origin->block)
		origin->file = NULL;
	ck_origin_release(origin);
	return rc;
}

/* Reads from one extent; ORIGIN's file becomes the stored file that it read, if any. */
static int read_extent(const struct extent *e, uint64_t off, char *buf, size_t len, struct ck_origin *origin,
		       struct ck_error *err)
{
	int rc = CK_OK;

	switch (e->kind) {
	case EXT_BYTES:
		memcpy(buf, e->bytes + off, len);
		return CK_OK;
	case EXT_RANGE:
		origin->file = e->file;
		origin->byte = e->offset;
		return ck_origin_read(origin, off, buf, len, err);
	case EXT_TENSOR_RANGE:
	case EXT_TENSOR:
		rc = read_stored(e, off, buf, len, origin, err);
		if (rc != CK_ERR_AGAIN)
			ck_error_subject(err, e->tensor->key, e->tensor->key_len);
		return rc;
	}
	return CK_OK;
}

static int read_view(const struct ck_view *view, bool now, uint64_t offset, void *buf, size_t len, size_t *got,
		     struct ck_error *err)
{
	struct ck_origin origin = { .now = now };
	struct ck_file *last = NULL;
	char *at = buf;
	size_t i;
	int rc;

	*got = 0;
	if (offset >= view->size)
		return CK_OK;
	if (len > view->size - offset)
		len = (size_t)(view->size - offset);
	for (i = extent_at(view, offset); len; i++) {
		const struct extent *e = &view->extents[i];
		uint64_t left = extent_end(view, i) - offset;
		size_t part = len < left ? len : (size_t)left;

		rc = read_extent(e, offset - e->start, at, part, &origin, err);
		/* The bytes count only if the file is still the one that was opened, now that they
		   were read. */
		if (!rc && last && origin.file != last)
			rc = ck_file_verify(last, err);
		if (rc)
			return rc;
		last = origin.file;
		at += part;
		offset += part;
		len -= part;
	}
	rc = last ? ck_file_verify(last, err) : CK_OK;
	if (!rc)
		*got = (size_t)(at - (char *)buf);
	return rc;
}

int ck_view_read(const struct ck_view *view, uint64_t offset, void *buf, size_t len, size_t *got, struct ck_error *err)
{
	return read_view(view, false, offset, buf, len, got, err);
}

int ck_view_read_now(const struct ck_view *view, uint64_t offset, void *buf, size_t len, size_t *got,
		     struct ck_error *err)
{
	return read_view(view, true, offset, buf, len, got, err);
}

int ck_view_save(const struct ck_view *view, int fd, uint64_t offset, uint32_t *crc, struct ck_error *err)
{
	const size_t block = (size_t)1 << 20;
	uint32_t sum = 0;
	size_t got;
	char *buf;
	int rc = CK_OK;

	buf = malloc(block);
	if (!buf)
		return ck_fail_nomem(err);
	for (uint64_t at = 0; at < view->size; at += got) {
		rc = ck_view_read(view, at, buf, block, &got, err);
		if (!rc)
			rc = ck_write_full(fd, offset + at, buf, got, err);
		if (rc)
			goto out;
		if (crc)
			sum = (uint32_t)crc32(sum, (const Bytef *)buf, (uInt)got);
	}
	if (crc)
		*crc = sum;
out:
	free(buf);
	return rc;
}
