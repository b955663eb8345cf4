/* Whether the shards of one step agree: their structure, the values that each has of its own, and the padding.
   Implements a part of join_impl.h. */
#include "core/pt/join.h"
#include "core/pt/join_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* So many bytes at each end of a padding row are read. A shard of another layout shows there, too, and a model of
   hundreds of millions of parameters is opened without reading its padding. */
#define PADDING_BYTES 4096u

static int differs(const struct ck_join *j, size_t rank, const struct ck_tensor *t, struct ck_error *err)
{
	ck_error_file(err, ck_join_file(j, rank));
	if (t)
		ck_error_subject(err, t->key, t->key_len);
	return CK_ERR_CORRUPT;
}

/* ---- structure ---- */

/* The line of TEXT that holds byte AT, without its indentation, for a message. */
static int line_at(const struct ck_buf *text, size_t at, const char **line)
{
	size_t start = at < text->len ? at : text->len, end = start;

	while (start && text->data[start - 1] != '\n')
		start--;
	while (end < text->len && text->data[end] != '\n')
		end++;
	while (start < end && text->data[start] == ' ')
		start++;
	*line = text->data + start;
	return (int)(end - start < 80 ? end - start : 80);
}

/* An outline has the values, the tensors' paths, dtypes and shapes, and nothing of where a tensor lies. */
static int compare_outlines(struct ck_join *j, size_t rank, struct ck_error *err)
{
	const struct ck_buf *first = &j->shards[0]->outline, *other = &j->shards[rank]->outline;
	const char *want, *found;
	size_t at = 0;
	int want_len, found_len;

	while (at < first->len && at < other->len && first->data[at] == other->data[at])
		at++;
	if (at == first->len && at == other->len)
		return CK_OK;
	want_len = line_at(first, at, &want);
	found_len = line_at(other, at, &found);
	ck_error_set(err, CK_ERR_CORRUPT,
		     "expected the structure and the numbers of rank 0's shard, `%.*s`, found `%.*s`", want_len, want,
		     found_len, found);
	return differs(j, rank, NULL, err);
}

static bool same_kind(const struct ck_tensor *a, const struct ck_tensor *b)
{
	return a->dtype == b->dtype && a->unshown == b->unshown && a->ndim == b->ndim && a->numel == b->numel &&
	       memcmp(a->shape, b->shape, a->ndim * sizeof(*a->shape)) == 0 && a->key_len == b->key_len &&
	       memcmp(a->key, b->key, a->key_len) == 0;
}

int ck_join_check_structure(struct ck_join *j, struct ck_error *err)
{
	size_t count = ck_checkpoint_count(j->shards[0]);
	int rc = CK_OK;

	for (size_t r = 1; r < j->ranks && !rc; r++) {
		rc = compare_outlines(j, r, err);
		if (!rc && ck_checkpoint_count(j->shards[r]) != count) {
			ck_error_set(err, CK_ERR_CORRUPT, "expected %zu tensors as in rank 0's shard, found %zu", count,
				     ck_checkpoint_count(j->shards[r]));
			rc = differs(j, r, NULL, err);
		}
		for (size_t i = 0; i < count && !rc; i++) {
			const struct ck_tensor *t = ck_checkpoint_tensor(j->shards[r], i);

			if (same_kind(ck_checkpoint_tensor(j->shards[0], i), t))
				continue;
			ck_error_set(err, CK_ERR_CORRUPT, "expected the dtype and the shape of rank 0's shard");
			rc = differs(j, r, t, err);
		}
	}
	return rc;
}

/* ---- values ---- */

/* Bytes [OFFSET, OFFSET + LEN) of a tensor. */
static int read_bytes(const struct ck_tensor *t, uint64_t offset, void *buf, size_t len, struct ck_error *err)
{
	struct ck_view *view = ck_view_new();
	size_t got = 0;
	int rc = view ? ck_view_add_tensor(view, t, err) : ck_fail_nomem(err);

	if (!rc)
		rc = ck_view_read(view, offset, buf, len, &got, err);
	if (!rc && got != len)
		rc = ck_fail(err, CK_ERR_CORRUPT, "expected %zu bytes, found %zu", len, got);
	ck_view_unref(view);
	return rc;
}

/* Of a tensor that is whole on each rank: fewer than CK_WHOLE_BELOW elements, unless there is one rank. */
static int check_replicas(struct ck_join *j, size_t i, struct ck_error *err)
{
	char first[CK_WHOLE_BELOW * 16], other[CK_WHOLE_BELOW * 16];
	const struct ck_tensor *t = ck_checkpoint_tensor(j->shards[0], i);
	size_t len = (size_t)ck_tensor_nbytes(t);
	int rc;

	if (j->ranks == 1)
		return CK_OK;
	rc = read_bytes(t, 0, first, len, err);
	for (size_t r = 1; r < j->ranks && !rc; r++) {
		t = ck_checkpoint_tensor(j->shards[r], i);
		rc = read_bytes(t, 0, other, len, err);
		if (rc || memcmp(first, other, len) == 0)
			continue;
		ck_error_set(err, CK_ERR_CORRUPT,
			     "expected the values of rank 0's shard, as every rank has this tensor "
			     "whole, found others");
		rc = differs(j, r, t, err);
	}
	return rc;
}

/* Whether the ends of T's bytes [OFFSET, OFFSET + LEN) are zeros. */
static int has_zeros(const struct ck_tensor *t, uint64_t offset, uint64_t len, bool *zeros, struct ck_error *err)
{
	static const char nothing[PADDING_BYTES];
	char bytes[PADDING_BYTES];
	size_t some = len < sizeof(bytes) ? (size_t)len : sizeof(bytes);
	int rc = read_bytes(t, offset, bytes, some, err);

	*zeros = !rc && memcmp(bytes, nothing, some) == 0;
	if (!rc && *zeros && some < len) {
		rc = read_bytes(t, offset + len - some, bytes, some, err);
		*zeros = !rc && memcmp(bytes, nothing, some) == 0;
	}
	return rc;
}

static int check_padding(struct ck_join *j, size_t i, struct ck_error *err)
{
	const struct ck_tensor *t = ck_checkpoint_tensor(j->shards[0], i);
	uint64_t chunk = (uint64_t)t->shape[0], row = chunk ? ck_tensor_nbytes(t) / chunk : 0;
	bool zeros;
	int rc = CK_OK;

	for (uint64_t k = j->pieces[i].rows; k < chunk * j->ranks && !rc; k++) {
		t = ck_checkpoint_tensor(j->shards[k / chunk], i);
		rc = has_zeros(t, k % chunk * row, row, &zeros, err);
		if (rc || zeros)
			continue;
		ck_error_set(err, CK_ERR_CORRUPT,
			     "expected zeros in row %" PRIu64 ", behind the %" PRIu32 " parameters of "
			     "its group, found other values",
			     k % chunk, j->pieces[i].rows);
		rc = differs(j, (size_t)(k / chunk), t, err);
	}
	return rc;
}

int ck_join_check_values(struct ck_join *j, struct ck_error *err)
{
	int rc = CK_OK;

	for (size_t i = 0; i < ck_checkpoint_count(j->shards[0]) && !rc; i++) {
		if (j->pieces[i].rule == CK_RULE_WHOLE)
			rc = check_replicas(j, i, err);
		else if (j->pieces[i].rule == CK_RULE_STACK)
			rc = check_padding(j, i, err);
	}
	return rc;
}
