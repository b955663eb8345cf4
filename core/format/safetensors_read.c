/* Reading a safetensors file. Implements safetensors.h together with safetensors.c. */
#include "core/format/safetensors.h"

#include "core/base/cursor.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX 8  /* the length of the header */

#define MAX_VALUES (1u << 16)  /* in one member of a header */
#define FIRST_CAP 64u

struct reader {
	struct ck_file *file;
	struct ck_arena *arena;
	uint64_t data;              /* where the data begin in the file */
	char *text;                 /* of the header, */
	size_t at, len;             /* which is read up to AT */
	bool metadata;              /* was there */
	struct ck_tensor *tensors;
	size_t count, cap;
	struct ck_error *err;
};

/* Reads the text of the header. jansson loses a NUL that stands behind a number ("[2\0,3]" is [2,3] to it). */
static int load_header(struct reader *r)
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
			       "are read", header, (unsigned)CK_SAFETENSORS_MAX_HEADER);
	if (header > size - PREFIX)
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: a header of %" PRIu64 " bytes in a file of %"
			       PRIu64, header, size);
	r->data = PREFIX + header;
	r->len = (size_t)header;
	r->text = malloc(r->len + 1);
	if (!r->text)
		return ck_fail_nomem(r->err);
	rc = ck_file_read(r->file, PREFIX, r->text, r->len, r->err);
	if (!rc)
		rc = ck_file_verify(r->file, r->err);
	if (!rc && (r->len == 0 || *r->text != '{'))
		rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors header: expected '{' as its first byte");
	if (!rc && memchr(r->text, '\0', r->len))
		rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors header: a NUL in the text");
	return rc;
}

static int bad_text(struct reader *r, size_t at, const char *why)
{
	int rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors header: %s", why);

	ck_error_offset(r->err, (uint64_t)PREFIX + at);
	return rc;
}

/* Skips spaces and returns the next character; NUL at the end. */
static char next_char(struct reader *r)
{
	while (r->at < r->len && strchr(" \t\r\n", r->text[r->at]))
		r->at++;
	return r->at < r->len ? r->text[r->at] : '\0';
}

/* Returns the end of the string whose opening quote is at AT. */
static size_t string_end(const struct reader *r, size_t at)
{
	for (at++; at < r->len && r->text[at] != '"'; at++)
		if (r->text[at] == '\\')
			at++;
	return at < r->len ? at + 1 : r->len;
}

/* Returns the end of the value at r->at: the comma or bracket that does not belong to it. *VALUES: how many values
   are in it. */
static size_t value_end(const struct reader *r, size_t *values)
{
	size_t depth = 0, at = r->at;

	*values = 1;
	while (at < r->len) {
		char c = r->text[at];

		if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			break;
		*values += c == ',' || c == '[' || c == '{';
		depth += c == '[' || c == '{';
		depth -= c == ']' || c == '}';
		at = c == '"' ? string_end(r, at) : at + 1;
	}
	return at;
}

/* Parses the text from r->at to END as a JSON value, and moves r->at to END. */
static int parse(struct reader *r, size_t end, json_t **out)
{
	const size_t start = r->at;
	json_error_t error;

	*out = json_loadb(r->text + start, end - start, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY,
			  &error);
	r->at = end;
	if (*out)
		return CK_OK;
	if (json_error_code(&error) == json_error_out_of_memory)
		return ck_fail_nomem(r->err);
	return bad_text(r, start + (size_t)error.position, error.text);
}

static int check_metadata(const json_t *metadata, struct ck_error *err)
{
	void *i;

	if (!json_is_object(metadata))
		return ck_fail(err, CK_ERR_INVALID, "safetensors: expected an object as __metadata__");
	for (i = json_object_iter((json_t *)metadata); i; i = json_object_iter_next((json_t *)metadata, i))
		if (!json_is_string(json_object_iter_value(i)))
			return ck_fail(err, CK_ERR_INVALID,
				       "safetensors: expected strings as values of __metadata__, found another");
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
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: expected a dtype that torch.save stores, found %s",
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
		return ck_fail_room(r->err);
	json_array_foreach(sizes, i, size) {
		if (!json_is_integer(size) || json_integer_value(size) < 0)
			return ck_fail(r->err, CK_ERR_INVALID,
				       "safetensors: expected an int >= 0 as size %zu in shape", i);
		shape[i] = json_integer_value(size);
	}
	/* safetensors counts F4 in half bytes; the dtype that holds two F4 in a byte counts bytes. */
	if (t->dtype == CK_F4X2 && (ndim == 0 || shape[ndim - 1] % 2))
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: expected an even size as the last of F4's shape");
	if (t->dtype == CK_F4X2)
		shape[ndim - 1] /= 2;
	t->shape = shape;
	t->ndim = (uint8_t)ndim;
	if (ck_shape_numel(shape, t->ndim, ck_dtype_info(t->dtype)->width, &t->numel, NULL))
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: the sizes in shape are too large together");
	return CK_OK;
}

/* Checks the offsets of one tensor. check_cover compares them with those of the other tensors. */
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

/* Makes room for one more tensor. */
static int grow(struct reader *r)
{
	size_t cap = r->cap ? 2 * r->cap : FIRST_CAP;
	struct ck_tensor *tensors;

	if (r->count < r->cap)
		return CK_OK;
	tensors = ck_arena_grow(r->arena, r->tensors, r->cap * sizeof(*tensors), cap * sizeof(*tensors));
	if (!tensors)
		return ck_fail_room(r->err);
	r->tensors = tensors;
	r->cap = cap;
	return CK_OK;
}

static int read_tensor(struct reader *r, const char *key, size_t len, const json_t *entry)
{
	struct ck_tensor *t;
	int rc = grow(r);

	if (rc)
		return rc;
	t = &r->tensors[r->count];
	*t = (struct ck_tensor){ 0 };
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
		return ck_fail_room(r->err);
	t->key_len = (uint32_t)len;
	r->count++;
	return CK_OK;
}

/* Reads one member of the header at r->at, "key": value. */
static int read_member(struct reader *r)
{
	json_t *key = NULL, *value = NULL;
	const char *name;
	size_t values, end;
	int rc = next_char(r) == '"' ? parse(r, string_end(r, r->at), &key) : bad_text(r, r->at, "expected a key");

	if (rc)
		return rc;
	name = json_string_value(key);
	if (strlen(name) != json_string_length(key))
		rc = bad_text(r, r->at, "a NUL in a key");
	else if (next_char(r) != ':')
		rc = bad_text(r, r->at, "expected ':' behind a key");
	if (rc)
		goto out;
	r->at++;
	end = value_end(r, &values);
	/* jansson needs up to a hundred times the bytes of its text ("[[],[],..."). */
	rc = values > MAX_VALUES ? ck_fail(r->err, CK_ERR_INVALID, "safetensors header: more than %u values in one "
					   "member", MAX_VALUES) : parse(r, end, &value);
	if (!rc && strcmp(name, "__metadata__") != 0)
		rc = read_tensor(r, name, strlen(name), value);
	else if (!rc && r->metadata)
		rc = bad_text(r, r->at, "duplicate __metadata__");
	else if (!rc)
		rc = check_metadata(value, r->err);
	r->metadata |= strcmp(name, "__metadata__") == 0;
out:
	json_decref(key);
	json_decref(value);
	return rc;
}

/* Reads member by member, so that jansson never holds the whole header. */
static int read_members(struct reader *r)
{
	int rc = CK_OK;

	r->at = 1;
	if (next_char(r) != '}') {
		do
			rc = read_member(r);
		while (!rc && next_char(r) == ',' && r->at++);
	}
	if (rc)
		return rc;
	if (next_char(r) != '}')
		return bad_text(r, r->at, "expected ',' or '}'");
	r->at++;
	next_char(r);
	return r->at == r->len ? CK_OK : bad_text(r, r->at, "expected its end behind '}'");
}

static int by_key(const void *left, const void *right)
{
	const struct ck_tensor *a = *(const struct ck_tensor *const *)left;
	const struct ck_tensor *b = *(const struct ck_tensor *const *)right;
	int diff = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);

	return diff ? diff : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static int by_offset(const void *left, const void *right)
{
	const struct ck_tensor *a = *(const struct ck_tensor *const *)left;
	const struct ck_tensor *b = *(const struct ck_tensor *const *)right;
	uint64_t size_a = ck_tensor_nbytes(a), size_b = ck_tensor_nbytes(b);

	/* Among tensors that begin at one byte, empty ones come first. */
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return (size_a > size_b) - (size_a < size_b);
}

/* Checks that the tensors, SORTED by offset, cover the rest of the file without a hole or an overlap. */
static int check_cover(const struct reader *r, const struct ck_tensor **sorted)
{
	uint64_t at = r->data;
	int rc;

	for (size_t i = 0; i < r->count; i++) {
		const struct ck_tensor *t = sorted[i];

		if (t->offset != at) {
			rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors: data_offsets begin at %" PRIu64
				     ", the tensor before ends at %" PRIu64, t->offset - r->data, at - r->data);
			ck_error_subject(r->err, t->key, t->key_len);
			return rc;
		}
		at += ck_tensor_nbytes(t);
	}
	if (at != ck_file_size(r->file))
		return ck_fail(r->err, CK_ERR_INVALID, "safetensors: the tensors take %" PRIu64 " bytes of %" PRIu64
			       " bytes of data", at - r->data, ck_file_size(r->file) - r->data);
	return CK_OK;
}

/* Checks all tensors together. */
static int check_all(const struct reader *r)
{
	const struct ck_tensor **sorted = malloc((r->count + 1) * sizeof(struct ck_tensor *));
	int rc = CK_OK;

	if (!sorted)
		return ck_fail_nomem(r->err);
	for (size_t i = 0; i < r->count; i++)
		sorted[i] = &r->tensors[i];
	qsort(sorted, r->count, sizeof(*sorted), by_key);
	for (size_t i = 1; i < r->count && !rc; i++) {
		if (by_key(&sorted[i - 1], &sorted[i]) == 0) {
			rc = ck_fail(r->err, CK_ERR_INVALID, "safetensors header: duplicate key");
			ck_error_subject(r->err, sorted[i]->key, sorted[i]->key_len);
		}
	}
	qsort(sorted, r->count, sizeof(*sorted), by_offset);
	if (!rc)
		rc = check_cover(r, sorted);
	free(sorted);
	return rc;
}

int ck_safetensors_read(struct ck_file *file, struct ck_arena *arena, struct ck_tensor **tensors, size_t *count,
			struct ck_error *err)
{
	struct reader r = { .file = file, .arena = arena, .err = err };
	int rc = load_header(&r);

	if (!rc)
		rc = read_members(&r);
	free(r.text);
	if (!rc)
		rc = grow(&r);
	if (!rc)
		rc = check_all(&r);
	if (!rc) {
		*tensors = r.tensors;
		*count = r.count;
	}
	ck_error_file(err, ck_file_name(file));
	return rc;
}
