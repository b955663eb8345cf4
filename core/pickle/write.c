/* Values to a pickle. Implements ck_pickle_write of pickle.h. */
#include "core/pickle/globals.h"
#include "core/pickle/text.h"
#include "core/base/hash.h"
#include "core/base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 1000u         /* the items of a batch, as CPython writes containers */
#define FIRST_SLOTS 256u    /* a power of two */

/* A memoised string. Its bytes are in the output, where they were written the first time. */
struct slot {
	size_t at;
	uint32_t len;
	uint32_t entry;     /* memo index + 1; 0 in a free slot */
};

struct ck_pickle_writer {
	struct ck_buf *out;
	ck_pickle_tensor_fn tensor;
	void *arg;
	unsigned depth;
	uint32_t entries;               /* in the memo */
	uint32_t globals[CK_G_END];     /* memo index + 1; 0: not written yet */
	struct slot *slots;             /* the strings written so far, by their hash under `key` */
	struct ck_hash_key key;
	uint32_t slot_count, strings;
};

/* The reason why nothing more can be appended. */
static int stopped(const struct ck_buf *out, struct ck_error *err)
{
	return out->full ? ck_fail(err, CK_ERR_LIMIT, "a pickle of over %zu bytes", CK_PICKLE_MAX_BYTES)
			 : ck_fail_nomem(err);
}

static void op(struct ck_pickle_writer *w, char code)
{
	ck_buf_byte(w->out, (unsigned char)code);
}

/* An opcode for an index: SHORT_CODE and a byte, or LONG_CODE and four. */
static void op_index(struct ck_pickle_writer *w, char short_code, char long_code, uint32_t index)
{
	op(w, index < 256 ? short_code : long_code);
	if (index < 256)
		ck_buf_byte(w->out, (unsigned char)index);
	else
		ck_buf_le32(w->out, index);
}

/* Memoises what was written last. Returns its entry, the index + 1. */
static uint32_t memoise(struct ck_pickle_writer *w)
{
	op_index(w, 'q', 'r', w->entries);
	return ++w->entries;
}

static void get(struct ck_pickle_writer *w, uint32_t entry)
{
	op_index(w, 'h', 'j', entry - 1);
}

/* The slot of the string, or the free slot where it goes. Some slot is always free. */
static struct slot *find_slot(const struct ck_pickle_writer *w, const char *s, size_t len)
{
	uint32_t mask = w->slot_count - 1, i = (uint32_t)ck_hash_keyed(&w->key, s, len) & mask;

	for (; w->slots[i].entry; i = (i + 1) & mask)
		if (w->slots[i].len == len && (!len || memcmp(w->out->data + w->slots[i].at, s, len) == 0))
			break;
	return &w->slots[i];
}

/* Keeps the table at most half full. */
static int grow_slots(struct ck_pickle_writer *w, struct ck_error *err)
{
	struct slot *old = w->slots;
	uint32_t count = w->slot_count;

	if (w->strings < count / 2)
		return CK_OK;
	if (count > UINT32_MAX / 4)
		return ck_fail(err, CK_ERR_LIMIT, "too many strings for a pickle");
	w->slots = calloc(count ? (size_t)count * 2 : FIRST_SLOTS, sizeof(*old));
	if (!w->slots) {
		w->slots = old;
		return ck_fail_nomem(err);
	}
	w->slot_count = count ? count * 2 : FIRST_SLOTS;
	for (uint32_t i = 0; i < count; i++)
		if (old[i].entry)
			*find_slot(w, w->out->data + old[i].at, old[i].len) = old[i];
	free(old);
	return CK_OK;
}

static int put_str(struct ck_pickle_writer *w, const char *s, uint32_t len, struct ck_error *err)
{
	struct slot *slot;
	int rc;

	if (!ck_utf8_valid(s, len, true))
		return ck_fail(err, CK_ERR_INVALID, "expected a string in UTF-8, found other bytes");
	/* A failed buffer has lost its bytes, which the table's strings refer to. */
	if (w->out->failed)
		return stopped(w->out, err);
	rc = grow_slots(w, err);
	if (rc)
		return rc;
	slot = find_slot(w, s, len);
	if (slot->entry) {
		get(w, slot->entry);
		return CK_OK;
	}
	op(w, 'X');
	ck_buf_le32(w->out, len);
	slot->at = w->out->len;
	slot->len = len;
	ck_buf_append(w->out, s, len);
	slot->entry = memoise(w);
	w->strings++;
	return CK_OK;
}

static int put_global(struct ck_pickle_writer *w, int64_t global, struct ck_error *err)
{
	const char *module = NULL, *name = NULL;

	if (global >= 0 && global < CK_G_END)
		ck_global_name((enum ck_global)global, &module, &name);
	if (!name)
		return ck_fail(err, CK_ERR_INVALID, "expected a global with a name in a pickle, found another");
	if (w->globals[global]) {
		get(w, w->globals[global]);
		return CK_OK;
	}
	op(w, 'c');
	ck_buf_str(w->out, module);
	op(w, '\n');
	ck_buf_str(w->out, name);
	op(w, '\n');
	w->globals[global] = memoise(w);
	return CK_OK;
}

static void put_int(struct ck_pickle_writer *w, int64_t i)
{
	unsigned len = 5;

	if (i >= 0 && i <= 0xff) {
		op(w, 'K');
		ck_buf_byte(w->out, (unsigned char)i);
	} else if (i >= 0 && i <= 0xffff) {
		op(w, 'M');
		ck_buf_le16(w->out, (uint16_t)i);
	} else if (i >= INT32_MIN && i <= INT32_MAX) {
		op(w, 'J');
		ck_buf_le32(w->out, (uint32_t)i);
	} else {
		/* Two's complement in the fewest bytes that hold the sign. */
		while (len < 8 && (i >= INT64_C(1) << (8 * len - 1) || i < -(INT64_C(1) << (8 * len - 1))))
			len++;
		op(w, '\x8a');
		ck_buf_byte(w->out, (unsigned char)len);
		for (unsigned k = 0; k < len; k++)
			ck_buf_byte(w->out, (unsigned char)((uint64_t)i >> 8 * k));
	}
}

static int put_bigint(struct ck_pickle_writer *w, const struct ck_value *v, struct ck_error *err)
{
	uint8_t bytes[CK_PICKLE_INT_BYTES];
	size_t len;
	int rc = ck_pickle_int_encode(v->s, v->len, bytes, &len, err);

	if (rc)
		return rc;
	if (len < 256) {
		op(w, '\x8a');
		ck_buf_byte(w->out, (unsigned char)len);
	} else {
		op(w, '\x8b');
		ck_buf_le32(w->out, (uint32_t)len);
	}
	ck_buf_append(w->out, bytes, len);
	return CK_OK;
}

static void put_float(struct ck_pickle_writer *w, double f)
{
	uint64_t bits;

	memcpy(&bits, &f, sizeof(bits));
	op(w, 'G');
	ck_buf_le64(w->out, __builtin_bswap64(bits));
}

static int put_items(struct ck_pickle_writer *w, const struct ck_value *items, size_t len, struct ck_error *err)
{
	int rc = CK_OK;

	for (size_t i = 0; i < len && !rc; i++)
		rc = ck_pickle_put(w, &items[i], err);
	return rc;
}

static int put_tuple(struct ck_pickle_writer *w, const struct ck_value *items, uint32_t len, struct ck_error *err)
{
	static const char codes[] = { ')', '\x85', '\x86', '\x87' };
	int rc;

	if (len > 3)
		op(w, '(');
	rc = put_items(w, items, len, err);
	op(w, len > 3 ? 't' : codes[len]);
	return rc;
}

static int put_list(struct ck_pickle_writer *w, const struct ck_list *list, struct ck_error *err)
{
	int rc = CK_OK;

	op(w, ']');
	for (size_t i = 0; i < list->len && !rc; i += BATCH) {
		size_t count = list->len - i < BATCH ? list->len - i : BATCH;

		if (count > 1)
			op(w, '(');
		rc = put_items(w, list->items + i, count, err);
		op(w, count > 1 ? 'e' : 'a');
	}
	return rc;
}

static int put_pairs(struct ck_pickle_writer *w, const struct ck_dict *dict, struct ck_error *err)
{
	int rc = CK_OK;

	for (size_t i = 0; i < dict->len && !rc; i += BATCH) {
		size_t end = dict->len - i < BATCH ? dict->len : i + BATCH;
		bool single = end - i == 1;

		if (!single)
			op(w, '(');
		for (size_t k = i; k < end && !rc; k++) {
			rc = ck_pickle_put(w, &dict->pairs[k].key, err);
			if (!rc)
				rc = ck_pickle_put(w, &dict->pairs[k].value, err);
		}
		op(w, single ? 's' : 'u');
	}
	return rc;
}

/* STATE, unless it is None, for the object written last. */
static int put_state(struct ck_pickle_writer *w, const struct ck_value *state, struct ck_error *err)
{
	int rc;

	if (state->kind == CK_NONE)
		return CK_OK;
	rc = ck_pickle_put(w, state, err);
	op(w, 'b');
	return rc;
}

static int put_dict(struct ck_pickle_writer *w, const struct ck_dict *dict, struct ck_error *err)
{
	int rc;

	if (!dict->ordered) {
		op(w, '}');
		return put_pairs(w, dict, err);
	}
	rc = put_global(w, CK_G_ORDERED_DICT, err);
	op(w, ')');
	op(w, 'R');
	if (!rc)
		rc = put_pairs(w, dict, err);
	return rc ? rc : put_state(w, &dict->state, err);
}

/* set([...]): protocol 2 has no opcode for sets. */
static int put_set(struct ck_pickle_writer *w, const struct ck_value *v, struct ck_error *err)
{
	int rc = put_global(w, v->kind == CK_SET ? CK_G_SET : CK_G_FROZENSET, err);

	if (!rc)
		rc = put_list(w, v->list, err);
	op(w, '\x85');
	op(w, 'R');
	return rc;
}

/*
 * _codecs.encode("...", "latin1"): protocol 2 has no opcode for bytes. CPython writes empty bytes as bytes(), which
 * torch.load(weights_only=True) refuses; it takes an encoded empty string.
 */
static int put_bytes(struct ck_pickle_writer *w, const struct ck_value *v, struct ck_error *err)
{
	char *text = malloc(2 * (size_t)v->len + 1);
	size_t len = 0;
	int rc;

	if (!text)
		return ck_fail_nomem(err);
	for (uint32_t i = 0; i < v->len; i++)
		len += ck_utf8_encode(text + len, (unsigned char)v->s[i]);
	rc = len > UINT32_MAX ? ck_fail(err, CK_ERR_LIMIT, "%u bytes in one object", v->len) :
				put_global(w, CK_G_ENCODE, err);
	if (!rc)
		rc = put_str(w, text, (uint32_t)len, err);
	if (!rc)
		rc = put_str(w, "latin1", 6, err);
	op(w, '\x86');
	op(w, 'R');
	free(text);
	return rc;
}

static int put_bytearray(struct ck_pickle_writer *w, const struct ck_value *v, struct ck_error *err)
{
	int rc = put_global(w, CK_G_BYTEARRAY, err);

	if (!rc && v->len)
		rc = put_bytes(w, v, err);
	op(w, v->len ? '\x85' : ')');
	op(w, 'R');
	return rc;
}

static int put_call(struct ck_pickle_writer *w, const struct ck_call *call, struct ck_error *err)
{
	int rc;

	if (call->callee.kind != CK_GLOBAL || call->args.kind != CK_TUPLE)
		return ck_fail(err, CK_ERR_INVALID, "expected a call of a global with a tuple, found another");
	rc = ck_pickle_put(w, &call->callee, err);
	if (!rc)
		rc = ck_pickle_put(w, &call->args, err);
	op(w, 'R');
	return rc;
}

static int put_persid(struct ck_pickle_writer *w, const struct ck_value *id, struct ck_error *err)
{
	int rc = ck_pickle_put(w, id, err);

	op(w, 'Q');
	return rc;
}

static int put_tensor(struct ck_pickle_writer *w, int64_t index, struct ck_error *err)
{
	if (!w->tensor)
		return ck_fail(err, CK_ERR_INVALID, "a tensor where only plain values can be");
	return w->tensor(w, index, w->arg, err);
}

static int put_value(struct ck_pickle_writer *w, const struct ck_value *v, struct ck_error *err)
{
	switch ((enum ck_kind)v->kind) {
	case CK_NONE:
		op(w, 'N');
		return CK_OK;
	case CK_BOOL:
		op(w, v->i ? '\x88' : '\x89');
		return CK_OK;
	case CK_INT:
		put_int(w, v->i);
		return CK_OK;
	case CK_FLOAT:
		put_float(w, v->f);
		return CK_OK;
	case CK_BIGINT:
		return put_bigint(w, v, err);
	case CK_STR:
		return put_str(w, v->s, v->len, err);
	case CK_BYTES:
		return put_bytes(w, v, err);
	case CK_BYTEARRAY:
		return put_bytearray(w, v, err);
	case CK_TUPLE:
		return put_tuple(w, v->items, v->len, err);
	case CK_LIST:
		return put_list(w, v->list, err);
	case CK_SET:
	case CK_FROZENSET:
		return put_set(w, v, err);
	case CK_DICT:
		return put_dict(w, v->dict, err);
	case CK_GLOBAL:
		return put_global(w, v->i, err);
	case CK_CALL:
		return put_call(w, v->call, err);
	case CK_PERSID:
		return put_persid(w, v->items, err);
	case CK_TENSOR:
		return put_tensor(w, v->i, err);
	case CK_MADE:
		break;
	}
	return ck_fail(err, CK_ERR_INVALID, "a value of an unknown kind");
}

static bool is_container(unsigned kind)
{
	return kind == CK_TUPLE || kind == CK_LIST || kind == CK_SET || kind == CK_FROZENSET || kind == CK_DICT ||
	       kind == CK_CALL || kind == CK_PERSID;
}

/* Counts depth as the reader does, so that the reader takes whatever is written. */
int ck_pickle_put(struct ck_pickle_writer *w, const struct ck_value *value, struct ck_error *err)
{
	int rc;

	if (!is_container(value->kind))
		return put_value(w, value, err);
	if (w->depth == CK_PICKLE_MAX_DEPTH)
		return ck_fail(err, CK_ERR_LIMIT, "values nested more than %d deep", CK_PICKLE_MAX_DEPTH);
	w->depth++;
	rc = put_value(w, value, err);
	w->depth--;
	return rc;
}

int ck_pickle_write(struct ck_buf *out, const struct ck_value *value, ck_pickle_tensor_fn tensor, void *arg,
		    struct ck_error *err)
{
	struct ck_pickle_writer w = { .out = out, .tensor = tensor, .arg = arg, .key = ck_hash_key_new() };
	int rc;

	out->max = out->len + CK_PICKLE_MAX_BYTES;
	ck_buf_append(out, "\x80\x02", 2);
	rc = ck_pickle_put(&w, value, err);
	op(&w, '.');
	if (!rc && out->failed)
		rc = stopped(out, err);
	out->max = 0;
	free(w.slots);
	return rc;
}
