/* Implements value.h: containers, equality as in Python, and the hash index of large dicts. */
#include "core/base/value.h"

#include "core/base/hash.h"

#include <math.h>
#include <string.h>

#define FIRST_CAP 4u
#define INDEX_FROM 16u  /* pairs from which a dict keeps a hash index */
#define TWO_63 9223372036854775808.0
#define KEY_NODES 1000u /* values in one key, tuples taken apart */

struct ck_value ck_none(void) { return (struct ck_value){ .kind = CK_NONE }; }
struct ck_value ck_bool(bool b) { return (struct ck_value){ .kind = CK_BOOL, .i = b }; }
struct ck_value ck_int(int64_t i) { return (struct ck_value){ .kind = CK_INT, .i = i }; }
struct ck_value ck_float(double f) { return (struct ck_value){ .kind = CK_FLOAT, .f = f }; }

struct ck_value ck_str(const char *s, size_t len)
{
	return (struct ck_value){ .kind = CK_STR, .len = (uint32_t)len, .s = s };
}

int ck_list_new(struct ck_arena *arena, enum ck_kind kind, struct ck_value *out, struct ck_error *err)
{
	struct ck_list *list = ck_arena_alloc(arena, sizeof(*list));

	if (!list)
		return ck_fail_room(err);
	*out = (struct ck_value){ .kind = (uint8_t)kind, .list = list };
	return CK_OK;
}

int ck_dict_new(struct ck_arena *arena, struct ck_value *out, struct ck_error *err)
{
	struct ck_dict *dict = ck_arena_alloc(arena, sizeof(*dict));

	if (!dict)
		return ck_fail_room(err);
	*out = (struct ck_value){ .kind = CK_DICT, .dict = dict };
	return CK_OK;
}

int ck_tuple_new(struct ck_arena *arena, uint32_t len, struct ck_value *out, struct ck_error *err)
{
	struct ck_value *items = NULL;

	if (len) {
		items = ck_arena_alloc(arena, len * sizeof(*items));
		if (!items)
			return ck_fail_room(err);
	}
	*out = (struct ck_value){ .kind = CK_TUPLE, .len = len, .items = items };
	return CK_OK;
}

/* The array for one more item of SIZE bytes: the same, or a doubled one. */
static void *room_for_one(struct ck_arena *arena, void *items, uint32_t len, uint32_t *cap, size_t size)
{
	uint32_t more;
	void *grown;

	if (len < *cap)
		return items;
	more = *cap ? *cap * 2 : FIRST_CAP;
	if (more <= *cap)
		return NULL;
	grown = ck_arena_grow(arena, items, *cap * size, more * size);
	if (grown)
		*cap = more;
	return grown;
}

int ck_list_append(struct ck_arena *arena, struct ck_list *list, struct ck_value v, struct ck_error *err)
{
	struct ck_value *items = room_for_one(arena, list->items, list->len, &list->cap, sizeof(v));

	if (!items)
		return ck_fail_room(err);
	list->items = items;
	items[list->len++] = v;
	return CK_OK;
}

static bool is_number(const struct ck_value *v)
{
	return v->kind == CK_BOOL || v->kind == CK_INT || v->kind == CK_FLOAT;
}

/* An int64 and a double are equal only when the double is that integer exactly. */
static bool int_equals_float(int64_t i, double f)
{
	return f >= -TWO_63 && f < TWO_63 && f == floor(f) && (int64_t)f == i;
}

static bool numbers_equal(const struct ck_value *a, const struct ck_value *b)
{
	if (a->kind == CK_FLOAT && b->kind == CK_FLOAT)
		return a->f == b->f;
	if (a->kind == CK_FLOAT)
		return int_equals_float(b->i, a->f);
	if (b->kind == CK_FLOAT)
		return int_equals_float(a->i, b->f);
	return a->i == b->i;
}

static bool items_equal(const struct ck_value *a, const struct ck_value *b, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (!ck_value_equal(&a[i], &b[i]))
			return false;
	return true;
}

static int64_t dict_find(const struct ck_dict *dict, const struct ck_value *key);

/* Order counts between two OrderedDicts only. */
static bool dicts_equal(const struct ck_dict *a, const struct ck_dict *b)
{
	if (a->len != b->len)
		return false;
	for (uint32_t i = 0; i < a->len; i++) {
		int64_t at = dict_find(b, &a->pairs[i].key);

		if (at < 0 || (a->ordered && b->ordered && at != i) ||
		    !ck_value_equal(&a->pairs[i].value, &b->pairs[at].value))
			return false;
	}
	return true;
}

/* Quadratic: in the key of a dict a set is small, see hash_set. Equal sets mostly have one order, too. */
static bool sets_equal(const struct ck_list *a, const struct ck_list *b)
{
	uint32_t at = 0, tries;

	if (a->len != b->len)
		return false;
	for (uint32_t i = 0; i < a->len; i++) {
		for (tries = 0; tries < b->len && !ck_value_equal(&a->items[i], &b->items[at]); tries++)
			at = at + 1 < b->len ? at + 1 : 0;
		if (tries == b->len)
			return false;
	}
	return true;
}

static bool is_set(const struct ck_value *v)
{
	return v->kind == CK_SET || v->kind == CK_FROZENSET;
}

bool ck_value_equal(const struct ck_value *a, const struct ck_value *b)
{
	if (is_number(a) && is_number(b))
		return numbers_equal(a, b);
	if (is_set(a) && is_set(b))
		return sets_equal(a->list, b->list);
	if (a->kind != b->kind)
		return false;
	switch ((enum ck_kind)a->kind) {
	case CK_NONE:
		return true;
	case CK_BIGINT: case CK_STR: case CK_BYTES: case CK_BYTEARRAY:
		return a->len == b->len && (a->len == 0 || memcmp(a->s, b->s, a->len) == 0);
	case CK_TUPLE:
		return a->len == b->len && items_equal(a->items, b->items, a->len);
	case CK_LIST:
		return a->list->len == b->list->len && items_equal(a->list->items, b->list->items, a->list->len);
	case CK_DICT:
		return dicts_equal(a->dict, b->dict);
	default:
		return a->i == b->i;
	}
}

bool ck_value_is_str(const struct ck_value *v, const char *s)
{
	return v->kind == CK_STR && v->len == strlen(s) && memcmp(v->s, s, v->len) == 0;
}

/* The hash of a key. A file can't know what it is keyed by: the dict's address, which the system randomises. Different
   keys give different words: each value says its kind, and its length where it has one. */
struct hasher {
	struct ck_hash_key key;
	uint64_t state;
	uint64_t nan;           /* the word for a NaN, which equals nothing: another one for each key of a dict */
	unsigned nodes;         /* values that may still be visited */
};

static void mix(struct hasher *h, uint64_t v)
{
	h->state = ck_hash_keyed(&h->key, (uint64_t[]){ h->state, v }, 2 * sizeof(v));
}

/* For the key of DICT's pair I, or for one that is looked for or comes next (I is the number of pairs). */
static struct hasher hasher_of(const struct ck_dict *dict, uint32_t i)
{
	uint64_t secret = (uint64_t)(uintptr_t)dict * UINT64_C(0x9e3779b97f4a7c15);

	return (struct hasher){ .key = { secret, secret | 1 }, .nan = i, .nodes = KEY_NODES };
}

static bool hash_value(struct hasher *h, const struct ck_value *v);

static bool hash_items(struct hasher *h, const struct ck_value *items, uint32_t len)
{
	mix(h, CK_TUPLE);
	mix(h, len);
	for (uint32_t i = 0; i < len; i++)
		if (!hash_value(h, &items[i]))
			return false;
	return true;
}

/* The order of a set's items doesn't count: each is hashed alone and the sum taken. A set counts for as many values as
   sets_equal may take time: of 90 items it is too large for a key. */
static bool hash_set(struct hasher *h, const struct ck_list *set)
{
	uint64_t before = h->state, sum = set->len, cost = sum * sum / 8;

	if (cost > h->nodes)
		return false;
	h->nodes -= (unsigned)cost;
	for (uint32_t i = 0; i < set->len; i++) {
		h->state = 0;
		if (!hash_value(h, &set->items[i]))
			return false;
		sum += h->state;
	}
	h->state = before;
	mix(h, CK_FROZENSET);
	mix(h, sum);
	return true;
}

/* A float that is an integer hashes as that integer, which it equals. */
static void hash_float(struct hasher *h, double f)
{
	bool integer = f >= -TWO_63 && f < TWO_63 && f == floor(f);
	uint64_t bits;

	memcpy(&bits, &f, sizeof(bits));
	mix(h, integer ? CK_INT : CK_FLOAT);
	mix(h, integer ? (uint64_t)(int64_t)f : f == f ? bits : h->nan);
}

/*
 * Equal values hash alike: a float that is an integer as that integer. False for what Python can't
 * hash, and for a key of more nodes than any real one has: tuples that share tuples would make the
 * walk exponential.
 */
static bool hash_value(struct hasher *h, const struct ck_value *v)
{
	if (h->nodes == 0)
		return false;
	h->nodes--;
	switch ((enum ck_kind)v->kind) {
	case CK_STR: case CK_BYTES: case CK_BIGINT:
		mix(h, v->kind);
		mix(h, ck_hash_keyed(&h->key, v->s, v->len));
		return true;
	case CK_FLOAT:
		hash_float(h, v->f);
		return true;
	case CK_TUPLE:
		return hash_items(h, v->items, v->len);
	case CK_FROZENSET:
		return hash_set(h, v->list);
	case CK_LIST: case CK_DICT: case CK_SET: case CK_BYTEARRAY:
		return false;
	case CK_NONE:
		mix(h, CK_NONE);
		return true;
	case CK_BOOL: case CK_INT:
		mix(h, CK_INT);
		mix(h, (uint64_t)v->i);
		return true;
	default:
		mix(h, v->kind);
		mix(h, (uint64_t)v->i);
		return true;
	}
}

/* The slot of KEY in the index: its own, or the free one where it would go as the key of pair I. */
static uint32_t index_slot(const struct ck_dict *dict, const struct ck_value *key, uint32_t i)
{
	uint32_t mask = dict->index_size - 1, slot;
	struct hasher h = hasher_of(dict, i);

	hash_value(&h, key);
	for (slot = (uint32_t)h.state & mask; dict->index[slot]; slot = (slot + 1) & mask)
		if (ck_value_equal(&dict->pairs[dict->index[slot] - 1].key, key))
			break;
	return slot;
}

static int64_t dict_find(const struct ck_dict *dict, const struct ck_value *key)
{
	if (dict->index)
		return (int64_t)dict->index[index_slot(dict, key, dict->len)] - 1;
	for (uint32_t i = 0; i < dict->len; i++)
		if (ck_value_equal(&dict->pairs[i].key, key))
			return i;
	return -1;
}

/* Keeps the index at most half full. A larger index is filled from the pairs again. */
static int index_room(struct ck_arena *arena, struct ck_dict *dict, struct ck_error *err)
{
	uint32_t size = dict->index_size ? dict->index_size : INDEX_FROM, *index;

	if (dict->len < INDEX_FROM || dict->len < dict->index_size / 2)
		return CK_OK;
	size *= 4;
	index = ck_arena_grow(arena, dict->index, dict->index_size * sizeof(*index), size * sizeof(*index));
	if (!index)
		return ck_fail_room(err);
	memset(index, 0, size * sizeof(*index));
	dict->index = index;
	dict->index_size = size;
	for (uint32_t i = 0; i < dict->len; i++)
		dict->index[index_slot(dict, &dict->pairs[i].key, i)] = i + 1;
	return CK_OK;
}

int ck_dict_set(struct ck_arena *arena, struct ck_dict *dict, struct ck_value key, struct ck_value value,
		struct ck_error *err)
{
	struct ck_pair *pairs;
	struct hasher h = hasher_of(dict, dict->len);
	int64_t at;
	int rc;

	if (!hash_value(&h, &key))
		return ck_fail(err, CK_ERR_CORRUPT, "expected a dict key that can be hashed, of at most %u parts",
			       KEY_NODES);
	at = dict_find(dict, &key);
	if (at >= 0) {
		dict->pairs[at].value = value;
		return CK_OK;
	}
	pairs = room_for_one(arena, dict->pairs, dict->len, &dict->cap, sizeof(*pairs));
	if (!pairs)
		return ck_fail_room(err);
	dict->pairs = pairs;
	rc = index_room(arena, dict, err);
	if (rc)
		return rc;
	pairs[dict->len++] = (struct ck_pair){ key, value };
	if (dict->index)
		dict->index[index_slot(dict, &key, dict->len - 1)] = dict->len;
	return CK_OK;
}

struct ck_value *ck_dict_get(const struct ck_dict *dict, const char *key)
{
	struct ck_value k = ck_str(key, strlen(key));
	int64_t at = dict_find(dict, &k);

	return at < 0 ? NULL : &dict->pairs[at].value;
}
