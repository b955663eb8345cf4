/* Writing safetensors files (safetensors.h). */
#include "core/format/safetensors.h"

#include "core/format/json.h"
#include "core/base/utf8.h"
#include "core/format/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the library writes for metadata={"format": "pt"}, without the closing brackets. */
#define METADATA "{\"__metadata__\":{\"format\":\"pt\""

/* Whether S is what Rust's str may hold: UTF-8 without lone surrogates. */
static bool is_utf8(const char *s, size_t len)
{
	return ck_utf8_valid(s, len, false);
}

/*
 * Appends S as serde_json writes a string: short escapes where JSON has them, lower-case \u00xx for the other control
 * characters, the rest as it is. (jansson writes the same in upper case, so it can't be used here.)
 */
static void put_string(struct ck_buf *out, const char *s, size_t len)
{
	size_t run = 0;

	ck_buf_byte(out, '"');
	for (size_t i = 0; i < len; i++) {
		if ((uint8_t)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\')
			continue;
		ck_buf_append(out, s + run, i - run);
		ck_json_escape(out, s + i, 1);
		run = i + 1;
	}
	ck_buf_append(out, s + run, len - run);
	ck_buf_byte(out, '"');
}

/* The order of the safetensors library: dtypes of higher rank first, then by the bytes of the key. */
static int compare(const void *left, const void *right, void *arg)
{
	const struct ck_tensor *tensors = arg;
	const struct ck_tensor *a = &tensors[*(const uint32_t *)left];
	const struct ck_tensor *b = &tensors[*(const uint32_t *)right];
	unsigned rank_a = ck_dtype_info(a->dtype)->rank;
	unsigned rank_b = ck_dtype_info(b->dtype)->rank;
	int diff;

	if (rank_a != rank_b)
		return rank_a > rank_b ? -1 : 1;
	diff = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);
	return diff ? diff : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

bool ck_safetensors_can(const struct ck_tensor *t)
{
	const struct ck_dtype_info *info = ck_dtype_info(t->dtype);
	static const char reserved[] = "__metadata__";

	/* A dtype of half bytes doubles the last dimension, which must exist. */
	return !t->unshown && info->safetensors && !(t->dtype == CK_F4X2 && t->ndim == 0) &&
	       is_utf8(t->key, t->key_len) &&
	       !(t->key_len == strlen(reserved) && memcmp(t->key, reserved, t->key_len) == 0);
}

/* Elements as safetensors counts them: half bytes where the dtype has these. */
static void put_shape(struct ck_buf *out, const struct ck_tensor *t)
{
	int64_t shape[CK_MAX_DIMS];

	if (t->dtype != CK_F4X2) {
		ck_shape_text(out, t->shape, t->ndim);
		return;
	}
	memcpy(shape, t->shape, t->ndim * sizeof(*shape));
	shape[t->ndim - 1] *= 2;
	ck_shape_text(out, shape, t->ndim);
}

/* Appends the entry of T, whose data begin at *OFFSET, and moves *OFFSET past them. */
static int put_tensor(struct ck_buf *out, const struct ck_tensor *t, uint64_t *offset, struct ck_error *err)
{
	uint64_t begin = *offset;

	if (__builtin_add_overflow(begin, ck_tensor_nbytes(t), offset))
		return ck_fail(err, CK_ERR_LIMIT, "the tensors together pass 2^64 bytes");
	ck_buf_byte(out, ',');
	put_string(out, t->key, t->key_len);
	ck_buf_printf(out, ":{\"dtype\":\"%s\",\"shape\":", ck_dtype_info(t->dtype)->safetensors);
	put_shape(out, t);
	ck_buf_printf(out, ",\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, *offset);
	return CK_OK;
}

/* Appends the entries and computes where tensors lie in the file, as long as the header stays within its limit. */
static int put_tensors(struct ck_buf *out, const struct ck_tensor *tensors, size_t count, const uint32_t *order,
		       size_t limit, struct ck_error *err)
{
	uint64_t offset = 0;
	int rc = out->len > limit ? ck_fail(err, CK_ERR_LIMIT, "a safetensors header of more than %zu bytes",
					    CK_SAFETENSORS_MAX_HEADER) : CK_OK;

	for (size_t i = 0; i < count && !rc; i++) {
		rc = put_tensor(out, &tensors[order[i]], &offset, err);
		if (!rc && out->len > limit)
			rc = ck_fail(err, CK_ERR_LIMIT, "a safetensors header of more than %zu bytes",
				     CK_SAFETENSORS_MAX_HEADER);
	}
	return rc;
}

/* The keys of the tensors that the format can't hold, as a JSON list in a string. */
static void put_left_out(struct ck_buf *out, const struct ck_tensor *tensors, size_t count)
{
	struct ck_buf list = CK_BUF_INIT;

	for (size_t i = 0; i < count && out->len < CK_SAFETENSORS_MAX_HEADER && !list.failed; i++) {
		if (ck_safetensors_can(&tensors[i]))
			continue;
		ck_buf_str(&list, list.len ? ", " : "[");
		ck_json_string(&list, tensors[i].key, tensors[i].key_len);
	}
	if (list.len) {
		ck_buf_byte(&list, ']');
		ck_buf_str(out, ",\"ckptfs.left_out\":");
		put_string(out, list.data, list.len);
	}
	out->failed |= list.failed;
	ck_buf_free(&list);
}

int ck_safetensors_header(struct ck_buf *out, const struct ck_tensor *tensors, size_t count, uint32_t *order,
			  size_t *held, struct ck_error *err)
{
	size_t start = out->len, len;
	int rc;

	*held = 0;
	for (size_t i = 0; i < count; i++)
		if (ck_safetensors_can(&tensors[i]))
			order[(*held)++] = (uint32_t)i;
	qsort_r(order, *held, sizeof(*order), compare, (void *)tensors);

	ck_buf_le64(out, 0);
	ck_buf_str(out, METADATA);
	if (*held < count)
		put_left_out(out, tensors, count);
	ck_buf_byte(out, '}');
	rc = put_tensors(out, tensors, *held, order, start + CK_SAFETENSORS_MAX_HEADER, err);
	ck_buf_byte(out, '}');
	ck_buf_fill(out, ' ', (start - out->len) % 8);
	if (!rc && out->failed)
		rc = ck_fail_nomem(err);
	if (rc) {
		out->len = start < out->len ? start : out->len;
		return rc;
	}
	len = out->len - start - 8;
	for (unsigned i = 0; i < 8; i++)
		out->data[start + i] = (char)(len >> 8 * i & 0xff);
	return CK_OK;
}

int ck_safetensors_view(struct ck_view *view, const struct ck_tensor *tensors, size_t count, struct ck_error *err)
{
	struct ck_buf header = CK_BUF_INIT;
	uint32_t *order = malloc((count + 1) * sizeof(*order));
	size_t held;
	int rc;

	if (!order)
		return ck_fail_nomem(err);
	rc = ck_safetensors_header(&header, tensors, count, order, &held, err);
	if (!rc)
		rc = ck_view_add_buf(view, &header, err);
	for (size_t i = 0; i < held && !rc; i++)
		rc = ck_view_add_tensor(view, &tensors[order[i]], err);
	ck_buf_free(&header);
	free(order);
	return rc;
}
