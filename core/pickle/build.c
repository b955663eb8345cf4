/* What opcodes do to values, within bounds (build.h). */
#include "core/pickle/build.h"

#include "core/pickle/globals.h"
#include "core/pickle/text.h"
#include "core/base/utf8.h"

#include <string.h>

#define KEY_COST 16u            /* for each node of a key: about what a short string costs */
#define COMPARE_COST 8u         /* for comparing a node with one that is not equal */
#define KEY_NODES 1000u         /* the most nodes of a key: ck_dict_set's own limit */
#define FREE_WORK ((uint64_t)16 << 20)
#define WORK_PER_BYTE 64u
#define FREE_NODES ((uint64_t)1 << 18)
#define NODES_PER_BYTE 2u
#define NODE_BYTES 16u          /* this many bytes of a string count as one node */

struct ck_pickle_build ck_pickle_build(struct ck_arena *arena, size_t len)
{
	return (struct ck_pickle_build){
		.arena = arena,
		.key_work = FREE_WORK + WORK_PER_BYTE * (uint64_t)len,
	};
}

void ck_pickle_build_end(struct ck_pickle_build *b)
{
	ck_arena_free(b->scratch);
	b->scratch = NULL;
	b->set = NULL;
	b->members = NULL;
}

const char *ck_kind_name(unsigned kind)
{
	static const char *const names[] = {
		[CK_NONE] = "None", [CK_BOOL] = "a bool", [CK_INT] = "an int", [CK_BIGINT] = "an int",
		[CK_FLOAT] = "a float", [CK_STR] = "a str", [CK_BYTES] = "bytes", [CK_BYTEARRAY] = "a bytearray",
		[CK_TUPLE] = "a tuple", [CK_LIST] = "a list", [CK_SET] = "a set", [CK_FROZENSET] = "a frozenset",
		[CK_DICT] = "a dict", [CK_GLOBAL] = "a global", [CK_CALL] = "an object",
		[CK_PERSID] = "a persistent id", [CK_TENSOR] = "a tensor", [CK_MADE] = "a tensor",
	};

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "a mark";
}

static int spend(uint64_t *work, uint64_t cost)
{
	if (cost > *work)
		return -1;
	*work -= cost;
	return 0;
}

/* What looking KEY up costs. Two frozensets are compared item by item. */
static int key_cost(const struct ck_value *key, uint64_t *work, unsigned depth)
{
	const struct ck_value *items = key->items;
	uint32_t count = 0;

	if (depth > CK_PICKLE_MAX_DEPTH || spend(work, KEY_COST))
		return -1;
	if (key->kind == CK_STR || key->kind == CK_BYTES || key->kind == CK_BIGINT)
		return spend(work, key->len);
	if (key->kind == CK_TUPLE)
		count = key->len;
	if (key->kind == CK_FROZENSET) {
		count = key->list->len;
		items = key->list->items;
	}
	if (count > KEY_NODES || (key->kind == CK_FROZENSET && spend(work, (uint64_t)count * count * COMPARE_COST)))
		return -1;
	for (uint32_t i = 0; i < count; i++)
		if (key_cost(&items[i], work, depth + 1))
			return -1;
	return 0;
}

static int set_pair(struct ck_pickle_build *b, struct ck_arena *arena, struct ck_dict *dict,
		    const struct ck_value *key, const struct ck_value *value, struct ck_error *err)
{
	if (key_cost(key, &b->key_work, 0))
		return ck_fail(err, CK_ERR_LIMIT, "expected keys of a pickle's size, found keys that cost more");
	return ck_dict_set(arena, dict, *key, *value, err);
}

int ck_pickle_set_pairs(struct ck_pickle_build *b, struct ck_dict *dict, const struct ck_value *items, size_t count,
			struct ck_error *err)
{
	int rc = CK_OK;

	for (size_t i = 0; i < count && !rc; i++)
		rc = set_pair(b, b->arena, dict, &items[2 * i], &items[2 * i + 1], err);
	return rc;
}

/* Makes b->members the items of SET. A pickle fills a set in batches, and batches of one set usually follow each
   other, so only the last set is remembered. */
static int read_set(struct ck_pickle_build *b, struct ck_list *set, struct ck_error *err)
{
	const struct ck_value none = ck_none();
	struct ck_value members;
	int rc;

	if (b->set == set)
		return CK_OK;
	ck_pickle_build_end(b);
	b->scratch = ck_arena_new_within(ck_arena_budget(b->arena));
	if (!b->scratch)
		return ck_fail_nomem(err);
	rc = ck_dict_new(b->scratch, &members, err);
	for (uint32_t i = 0; i < set->len && !rc; i++)
		rc = set_pair(b, b->scratch, members.dict, &set->items[i], &none, err);
	if (rc)
		return rc;
	b->set = set;
	b->members = members.dict;
	return CK_OK;
}

int ck_pickle_set_items(struct ck_pickle_build *b, struct ck_list *set, const struct ck_value *items, size_t count,
			struct ck_error *err)
{
	const struct ck_value none = ck_none();
	int rc = read_set(b, set, err);

	for (size_t i = 0; i < count && !rc; i++) {
		rc = set_pair(b, b->scratch, b->members, &items[i], &none, err);
		if (!rc && b->members->len > set->len)
			rc = ck_list_append(b->arena, set, items[i], err);
	}
	return rc;
}

static int bad_args(int global, struct ck_error *err)
{
	const char *module, *name;

	ck_global_name((enum ck_global)global, &module, &name);
	return ck_fail(err, CK_ERR_UNSUPPORTED, "a call of %s.%s with arguments that torch.save never gives it", module,
		       name);
}

/* str.encode("latin1"). */
static int to_latin1(struct ck_pickle_build *b, enum ck_kind kind, const struct ck_value *str, struct ck_value *out,
		     struct ck_error *err)
{
	char *bytes = ck_arena_alloc(b->arena, (size_t)str->len + 1);
	uint32_t cp, len = 0;

	if (!bytes)
		return ck_fail(err, CK_ERR_LIMIT, "bytes that need more memory than a pickle of this size may");
	for (size_t i = 0; i < str->len; len++) {
		i += ck_utf8_decode(str->s + i, str->len - i, &cp);
		if (cp > 0xff)
			return ck_fail(err, CK_ERR_CORRUPT, "bytes as a string with U+%04X in it", (unsigned)cp);
		bytes[len] = (char)cp;
	}
	*out = ck_str(bytes, len);
	out->kind = (uint8_t)kind;
	return CK_OK;
}

static bool is_latin1(const struct ck_value *args)
{
	return args->len == 2 && args->items[0].kind == CK_STR &&
	       (ck_value_is_str(&args->items[1], "latin1") || ck_value_is_str(&args->items[1], "latin-1"));
}

/* Protocol 2 has no opcode for bytes: it writes them as a string to be encoded, or as bytes() when empty. Python
   before 3.8 wrote a bytearray the same way. */
static int call_bytes(struct ck_pickle_build *b, int global, const struct ck_value *args, struct ck_value *out,
		      struct ck_error *err)
{
	enum ck_kind kind = global == CK_G_BYTEARRAY ? CK_BYTEARRAY : CK_BYTES;

	if (args->len == 0 && global != CK_G_ENCODE)
		return ck_pickle_string(b->arena, kind, "", 0, out, err);
	if (is_latin1(args) && global != CK_G_BYTES)
		return to_latin1(b, kind, &args->items[0], out, err);
	if (args->len == 1 && global == CK_G_BYTEARRAY && args->items[0].kind == CK_BYTES) {
		*out = args->items[0];
		out->kind = CK_BYTEARRAY;
		return CK_OK;
	}
	return bad_args(global, err);
}

static int call_set(struct ck_pickle_build *b, int global, const struct ck_value *args, struct ck_value *out,
		    struct ck_error *err)
{
	int rc;

	if (args->len > 1 || (args->len == 1 && args->items[0].kind != CK_LIST))
		return bad_args(global, err);
	rc = ck_list_new(b->arena, global == CK_G_SET ? CK_SET : CK_FROZENSET, out, err);
	if (rc || args->len == 0)
		return rc;
	return ck_pickle_set_items(b, out->list, args->items[0].list->items, args->items[0].list->len, err);
}

/* The items of a list or a tuple; false: V is neither. */
static bool sequence(const struct ck_value *v, const struct ck_value **items, uint32_t *len)
{
	if (v->kind != CK_LIST && v->kind != CK_TUPLE)
		return false;
	*items = v->kind == CK_LIST ? v->list->items : v->items;
	*len = v->kind == CK_LIST ? v->list->len : v->len;
	return true;
}

/* dict.update of pairs, as OrderedDict takes them. */
static int read_pairs(struct ck_pickle_build *b, struct ck_dict *dict, const struct ck_value *from,
		      struct ck_error *err)
{
	const struct ck_value *pairs, *pair;
	uint32_t count, len;
	int rc = CK_OK;

	if (!sequence(from, &pairs, &count))
		return bad_args(CK_G_ORDERED_DICT, err);
	for (uint32_t i = 0; i < count && !rc; i++) {
		if (!sequence(&pairs[i], &pair, &len) || len != 2)
			return bad_args(CK_G_ORDERED_DICT, err);
		rc = set_pair(b, b->arena, dict, &pair[0], &pair[1], err);
	}
	return rc;
}

static int call_dict(struct ck_pickle_build *b, int global, const struct ck_value *args, struct ck_value *out,
		     struct ck_error *err)
{
	const struct ck_value *from = args->len ? &args->items[0] : NULL;
	int rc;

	if (args->len > 1 || (from && from->kind != CK_DICT && global == CK_G_COUNTER))
		return bad_args(global, err);
	rc = ck_dict_new(b->arena, out, err);
	if (rc)
		return rc;
	out->dict->ordered = global == CK_G_ORDERED_DICT;
	if (from && from->kind != CK_DICT)
		return read_pairs(b, out->dict, from, err);
	for (uint32_t i = 0; from && i < from->dict->len && !rc; i++)
		rc = set_pair(b, b->arena, out->dict, &from->dict->pairs[i].key, &from->dict->pairs[i].value, err);
	return rc;
}

static int keep_call(struct ck_pickle_build *b, const struct ck_value *callee, const struct ck_value *args,
		     struct ck_value *out, struct ck_error *err)
{
	struct ck_call *call = ck_arena_alloc(b->arena, sizeof(*call));

	if (!call)
		return ck_fail(err, CK_ERR_LIMIT, "calls that need more memory than a pickle of this size may");
	call->callee = *callee;
	call->args = *args;
	if (!ck_global_takes((int)callee->i, b->arena, &call->args))
		return bad_args((int)callee->i, err);
	*out = (struct ck_value){ .kind = CK_CALL, .call = call };
	return CK_OK;
}

int ck_pickle_call(struct ck_pickle_build *b, const struct ck_value *callee, const struct ck_value *args, bool fresh,
		   struct ck_value *out, struct ck_error *err)
{
	const char *module, *name;
	int global;

	if (callee->kind != CK_GLOBAL)
		return ck_fail(err, CK_ERR_CORRUPT, "a call of %s", ck_kind_name(callee->kind));
	if (args->kind != CK_TUPLE)
		return ck_fail(err, CK_ERR_CORRUPT, "a call with %s for its tuple of arguments",
			       ck_kind_name(args->kind));
	global = (int)callee->i;
	/* OrderedDict.__new__ ignores its arguments. */
	if (fresh && global == CK_G_ORDERED_DICT && args->len)
		return bad_args(global, err);
	if (fresh ? !ck_global_is_class(global) : !ck_global_callable(global)) {
		ck_global_name((enum ck_global)global, &module, &name);
		return ck_fail(err, CK_ERR_UNSUPPORTED, "a call of %s.%s, where a %s is expected", module, name,
			       fresh ? "class that has such objects" : "function");
	}
	switch (global) {
	case CK_G_ORDERED_DICT:
	case CK_G_COUNTER:
		return call_dict(b, global, args, out, err);
	case CK_G_SET:
	case CK_G_FROZENSET:
		return call_set(b, global, args, out, err);
	case CK_G_BYTES:
	case CK_G_BYTEARRAY:
	case CK_G_ENCODE:
		return call_bytes(b, global, args, out, err);
	default:
		return keep_call(b, callee, args, out, err);
	}
}

int ck_pickle_set_state(const struct ck_value *target, const struct ck_value *state, struct ck_error *err)
{
	/* torch lets the attributes of a tensor replace its storage; the values shown would then be wrong. */
	if (target->kind != CK_DICT || !target->dict->ordered)
		return ck_fail(err, CK_ERR_CORRUPT, "expected no attributes for %s, found some",
			       ck_kind_name(target->kind));
	if (state->kind != CK_DICT)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "an OrderedDict with %s for its attributes",
			       ck_kind_name(state->kind));
	if (target->dict->state.kind != CK_NONE)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "attributes of one object given twice");
	target->dict->state = *state;
	return CK_OK;
}

/* A walk down the finished tree. */
struct walk {
	uint64_t nodes;     /* left */
	unsigned depth;
	const void *path[CK_PICKLE_MAX_DEPTH];
};

static int walk_value(struct walk *w, const struct ck_value *v, struct ck_error *err);

static int walk_items(struct walk *w, const struct ck_value *items, uint32_t len, struct ck_error *err)
{
	int rc = CK_OK;

	for (uint32_t i = 0; i < len && !rc; i++)
		rc = walk_value(w, &items[i], err);
	return rc;
}

static int walk_dict(struct walk *w, const struct ck_dict *dict, struct ck_error *err)
{
	int rc = walk_value(w, &dict->state, err);

	for (uint32_t i = 0; i < dict->len && !rc; i++) {
		rc = walk_value(w, &dict->pairs[i].key, err);
		if (!rc)
			rc = walk_value(w, &dict->pairs[i].value, err);
	}
	return rc;
}

static int too_deep(const struct walk *w, struct ck_error *err)
{
	for (unsigned i = 0; i < w->depth; i++)
		for (unsigned k = 0; k < i; k++)
			if (w->path[i] == w->path[k])
				return ck_fail(err, CK_ERR_CORRUPT, "a container that contains itself");
	return ck_fail(err, CK_ERR_LIMIT, "values nested more than %d deep", CK_PICKLE_MAX_DEPTH);
}

static int walk_container(struct walk *w, const struct ck_value *v, struct ck_error *err)
{
	int rc;

	if (w->depth == CK_PICKLE_MAX_DEPTH)
		return too_deep(w, err);
	w->path[w->depth++] = v->items;
	switch ((enum ck_kind)v->kind) {
	case CK_LIST:
	case CK_SET:
	case CK_FROZENSET:
		rc = walk_items(w, v->list->items, v->list->len, err);
		break;
	case CK_DICT:
		rc = walk_dict(w, v->dict, err);
		break;
	case CK_CALL:
		rc = walk_value(w, &v->call->args, err);
		break;
	default:
		rc = walk_items(w, v->items, v->len, err);
		break;
	}
	w->depth--;
	return rc;
}

static int walk_value(struct walk *w, const struct ck_value *v, struct ck_error *err)
{
	uint64_t nodes = 1;

	if (v->kind == CK_STR || v->kind == CK_BYTES || v->kind == CK_BYTEARRAY || v->kind == CK_BIGINT)
		nodes += v->len / NODE_BYTES;
	if (nodes > w->nodes)
		return ck_fail(err, CK_ERR_LIMIT, "values shared so often that the whole is too large");
	w->nodes -= nodes;
	switch ((enum ck_kind)v->kind) {
	case CK_TUPLE:
	case CK_LIST:
	case CK_SET:
	case CK_FROZENSET:
	case CK_DICT:
	case CK_CALL:
	case CK_PERSID:
		return walk_container(w, v, err);
	default:
		return CK_OK;
	}
}

/*
 * Without sharing, a tree has about one node per byte of its pickle. Real sharing (a tied tensor, a config in many
 * parameter groups) repeats small parts. A list of ten references to a list of ten references, and so on ("billion
 * laughs"), uses up the nodes, and the walk ends there. The number of nodes bounds the time of the walk.
 */
int ck_pickle_check(const struct ck_value *value, size_t len, struct ck_error *err)
{
	struct walk w = { .nodes = FREE_NODES + NODES_PER_BYTE * (uint64_t)len };

	return walk_value(&w, value, err);
}
