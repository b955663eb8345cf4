#include "safetensors.h"

#include "cursor.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX 8  /* the length of the header */

#define MAX_VALUES (1u << 21)  /* in a header: room for 200,000 tensors */

struct reader {
	struct ck_file *file;
	struct ck_arena *arena;
	uint64_t data;              /* where the data begin in the file */
	struct ck_tensor *tensors;
	size_t count;
	struct ck_error *err;
};

/*
 * What has to be known before jansson sees the text. It takes up to a hundred times the bytes of a hostile header
 * ("[[],[],..."), and the format allows 100 MB: so the values are counted, each of which but the first stands behind
 * one of "[{,". And it loses a NUL that stands behind a number ("[2\0,3]" is [2,3] to it), which JSON forbids.
 */
static int check_text(const char *text, size_t len, struct ck_error *err)
{
	size_t values = 0;

	if (memchr(text, '\0', len))
		return ck_fail(err, CK_ERR_INVALID, "safetensors header: a NUL in the text");
	for (size_t i = 0; i < len; i++)
		values += text[i] == ',' || text[i] == '[' || text[i] == '{';
	if (values > MAX_VALUES)
		return ck_fail(err, CK_ERR_INVALID, "safetensors header: more than %u values", MAX_VALUES);
	return CK_OK;
}

/* Reads the text of the header; *TEXT is malloc'ed. */
static int load_header(struct reader *r, char **text, size_t *len)
{
	uint64_t size = ck_file_size(r->file), header;
	uint8_t prefix[PREFIX];
	struct ck_cursor c = ck_cursor(prefix, PREFIX);
	int rc;

	if (size < PREFIX)
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: a file of %" PRIu64 " bytes, at least %d expected",
			       size, PREFIX);
	rc = ck_file_read(r->file, 0, prefix, PREFIX, r->err);
	if (rc)
		return rc;
	header = ck_cursor_u64(&c);
	if (header > CK_SAFETENSORS_MAX_HEADER)
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: a header of %" PRIu64 " bytes, at most %u "
			       "are allowed", header, CK_SAFETENSORS_MAX_HEADER);
	if (header > size - PREFIX)
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: a header of %" PRIu64 " bytes in a file of %"
			       PRIu64, header, size);
	r->data = PREFIX + header;
	*len = (size_t)header;
	*text = malloc(*len + 1);
	if (!*text)
		return ck_fail_nomem(r->err);
	rc = ck_file_read(r->file, PREFIX, *text, *len, r->err);
	return rc ? rc : ck_file_verify(r->file, r->err);
}

static int parse_header(struct reader *r, json_t **root)
{
	json_error_t error;
	char *text = NULL;
	size_t len = 0;
	int rc = load_header(r, &text, &len);

	if (rc)
		goto out;
	if (len == 0 || *text != '{') {
		rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors header: expected '{' as its first byte");
		goto out;
	}
	rc = check_text(text, len, r->err);
	if (rc)
		goto out;
	*root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!*root) {
		if (json_error_code(&error) == json_error_out_of_memory) {
			rc = ck_fail_nomem(r->err);
			goto out;
		}
		rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors header: %s", error.text);
		ck_error_offset(r->err, (uint64_t)PREFIX + (uint64_t)error.position);
	}
out:
	free(text);
	return rc;
}

static int check_metadata(const json_t *metadata, struct ck_error *err)
{
	void *i;

	if (!json_is_object(metadata))
		return ck_fail(err, CK_ERR_INVALID, "safetensors: __metadata__ is no object");
	for (i = json_object_iter((json_t *)metadata); i; i = json_object_iter_next((json_t *)metadata, i))
		if (!json_is_string(json_object_iter_value(i)))
			return ck_fail(err, CK_ERR_INVALID, "safetensors: a value in __metadata__ is no string");
	return CK_OK;
}

static int read_dtype(struct reader *r, const json_t *entry, struct ck_tensor *t)
{
	const json_t *name = json_object_get(entry, "dtype");
	int dtype;

	if (!json_is_string(name))
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: expected a string as dtype");
	dtype = ck_dtype_by_safetensors(json_string_value(name), json_string_length(name));
	if (dtype < 0)
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: the dtype %s is none that torch.save stores",
			       json_string_value(name));
	t->dtype = t->stored_dtype = (uint8_t)dtype;
	return CK_OK;
}

static int read_shape(struct reader *r, const json_t *entry, struct ck_tensor *t)
{
	const json_t *sizes = json_object_get(entry, "shape"), *size;
	int64_t *shape;
	size_t i, ndim;

	if (!json_is_array(sizes))
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: expected an array as shape");
	ndim = json_array_size(sizes);
	if (ndim > CK_MAX_DIMS)
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: %zu dimensions, at most %d are known", ndim,
			       CK_MAX_DIMS);
	shape = ck_arena_alloc(r->arena, (ndim + 1) * sizeof(*shape));
	if (!shape)
		return ck_fail_nomem(r->err);
	json_array_foreach(sizes, i, size) {
		if (!json_is_integer(size) || json_integer_value(size) < 0)
			return ck_fail(r->err, CK_ERR_INVALID, "safetensors: size %zu in shape is no int >= 0", i);
		shape[i] = json_integer_value(size);
	}
	t->shape = shape;
	t->ndim = (uint8_t)ndim;
	if (ck_shape_numel(shape, t->ndim, ck_dtype_info(t->dtype)->width, &t->numel, NULL))
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: the sizes in shape are too large together");
	return CK_OK;
}

/* The offsets within the data; whether they fit those of the other tensors is check_cover's business. */
static int read_offsets(struct reader *r, const json_t *entry, struct ck_tensor *t)
{
	const json_t *offsets = json_object_get(entry, "data_offsets");
	const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
	uint64_t have = ck_file_size(r->file) - r->data, from, to;

	if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
	    json_integer_value(begin) < 0)
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: expected two ints as data_offsets");
	if (json_integer_value(end) < json_integer_value(begin))
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: data_offsets that end before they begin");
	from = (uint64_t)json_integer_value(begin);
	to = (uint64_t)json_integer_value(end);
	if (to > have)
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: data_offsets reach byte %" PRIu64 " of %" PRIu64
			       " bytes of data", to, have);
	if (to - from != ck_tensor_nbytes(t))
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: dtype and shape take %" PRIu64 " bytes, "
			       "data_offsets give %" PRIu64, ck_tensor_nbytes(t), to - from);
	t->source = CK_SRC_FILE;
	t->file = r->file;
	t->offset = r->data + from;
	return CK_OK;
}

static int read_tensor(struct reader *r, const char *key, size_t len, const json_t *entry)
{
	struct ck_tensor *t = &r->tensors[r->count];
	int rc = CK_OK;

	if (!json_is_object(entry))
		rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors: expected an object of dtype, shape, data_offsets");
	if (!rc)
		rc = read_dtype(r, entry, t);
	if (!rc)
		rc = read_shape(r, entry, t);
	if (!rc)
		rc = read_offsets(r, entry, t);
	if (rc) {
		ck_error_subject(r->err, key, len);
		return rc;
	}
	t->key = ck_arena_dup(r->arena, key, len);
	if (!t->key)
		return ck_fail_nomem(r->err);
	t->key_len = (uint32_t)len;
	r->count++;
	return CK_OK;
}

static int by_offset(const void *left, const void *right)
{
	const struct ck_tensor *a = *(const struct ck_tensor *const *)left;
	const struct ck_tensor *b = *(const struct ck_tensor *const *)right;
	uint64_t size_a = ck_tensor_nbytes(a), size_b = ck_tensor_nbytes(b);

	/* Of those that begin at one byte the empty ones come first. */
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return (size_a > size_b) - (size_a < size_b);
}

/* Whether the tensors cover the rest of the file, without a hole and without sharing a byte. */
static int check_cover(const struct reader *r)
{
	const struct ck_tensor **sorted = malloc((r->count + 1) * sizeof(struct ck_tensor *));
	uint64_t at = r->data;
	int rc = CK_OK;

	if (!sorted)
		return ck_fail_nomem(r->err);
	for (size_t i = 0; i < r->count; i++)
		sorted[i] = &r->tensors[i];
	qsort(sorted, r->count, sizeof(*sorted), by_offset);
	for (size_t i = 0; i < r->count && !rc; i++) {
		const struct ck_tensor *t = sorted[i];

		if (t->offset != at) {
			rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors: data_offsets begin at %" PRIu64
				     ", the tensor before ends at %" PRIu64, t->offset - r->data, at - r->data);
			ck_error_subject(r->err, t->key, t->key_len);
		}
		at += ck_tensor_nbytes(t);
	}
	if (!rc && at != ck_file_size(r->file))
		rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors: the tensors take %" PRIu64 " bytes of %" PRIu64
			     " bytes of data", at - r->data, ck_file_size(r->file) - r->data);
	free(sorted);
	return rc;
}

int ck_safetensors_read(struct ck_file *file, struct ck_arena *arena, struct ck_tensor **tensors, size_t *count,
			struct ck_error *err)
{
	struct reader r = { .file = file, .arena = arena, .err = err };
	json_t *root = NULL;
	int rc = parse_header(&r, &root);
	void *i;

	if (rc)
		goto out;
	r.tensors = ck_arena_alloc(arena, (json_object_size(root) + 1) * sizeof(*r.tensors));
	if (!r.tensors) {
		rc = ck_fail_nomem(err);
		goto out;
	}
	for (i = json_object_iter(root); i && !rc; i = json_object_iter_next(root, i)) {
		const char *key = json_object_iter_key(i);

		if (strcmp(key, "__metadata__") == 0)
			rc = check_metadata(json_object_iter_value(i), err);
		else
			rc = read_tensor(&r, key, strlen(key), json_object_iter_value(i));
	}
	if (!rc)
		rc = check_cover(&r);
	if (rc)
		goto out;
	*tensors = r.tensors;
	*count = r.count;
out:
	json_decref(root);
	ck_error_file(err, ck_file_name(file));
	return rc;
}
