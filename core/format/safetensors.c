#include "core/format/safetensors.h"

#include "core/base/utf8.h"
#include "core/format/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the library writes for metadata={"format": "pt"}. */
#define METADATA "{\"__metadata__\":{\"format\":\"pt\"}"

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

/* The library's order: the dtype of the highest rank first, then by the bytes of the key. */
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

static int check(const struct ck_tensor *t, struct ck_error *err)
{
	const struct ck_dtype_info *info = ck_dtype_info(t->dtype);
	static const char reserved[] = "__metadata__";
	int rc = CK_OK;

	if (!info->safetensors)
		rc = ck_fail(err, CK_ERR_UNSUPPORTED, "safetensors has no dtype for %s", info->torch);
	else if (!is_utf8(t->key, t->key_len))
		rc = ck_fail(err, CK_ERR_UNSUPPORTED, "a key in safetensors must be UTF-8");
	else if (t->key_len == strlen(reserved) && memcmp(t->key, reserved, t->key_len) == 0)
		rc = ck_fail(err, CK_ERR_UNSUPPORTED, "safetensors keeps the key %s for itself", reserved);
	if (rc)
		ck_error_subject(err, t->key, t->key_len);
	return rc;
}

bool ck_safetensors_can(const struct ck_tensor *t)
{
	return check(t, NULL) == CK_OK;
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
	ck_shape_text(out, t->shape, t->ndim);
	ck_buf_printf(out, ",\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, *offset);
	return CK_OK;
}

/* The entries, and the file's places for the tensors: as long as the header stays within its limit. */
static int put_tensors(struct ck_buf *out, const struct ck_tensor *tensors, size_t count, const uint32_t *order,
		       struct ck_error *err)
{
	size_t limit = out->len + CK_SAFETENSORS_MAX_HEADER;
	uint64_t offset = 0;
	int rc = CK_OK;

	for (size_t i = 0; i < count && !rc; i++) {
		rc = put_tensor(out, &tensors[order[i]], &offset, err);
		if (!rc && out->len > limit)
			rc = ck_fail(err, CK_ERR_LIMIT, "a safetensors header of more than %zu bytes",
				     CK_SAFETENSORS_MAX_HEADER);
	}
	return rc;
}

int ck_safetensors_header(struct ck_buf *out, const struct ck_tensor *tensors, size_t count, uint32_t *order,
			  struct ck_error *err)
{
	size_t start = out->len, len;
	int rc = CK_OK;

	for (size_t i = 0; i < count && !rc; i++) {
		order[i] = (uint32_t)i;
		rc = check(&tensors[i], err);
	}
	if (rc)
		return rc;
	qsort_r(order, count, sizeof(*order), compare, (void *)tensors);

	ck_buf_le64(out, 0);
	ck_buf_str(out, METADATA);
	rc = put_tensors(out, tensors, count, order, err);
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
	int rc;

	if (!order)
		return ck_fail_nomem(err);
	rc = ck_safetensors_header(&header, tensors, count, order, err);
	if (!rc)
		rc = ck_view_add_buf(view, &header, err);
	for (size_t i = 0; i < count && !rc; i++)
		rc = ck_view_add_tensor(view, &tensors[order[i]], err);
	ck_buf_free(&header);
	free(order);
	return rc;
}
