/* Writers: a tree of values grown from the input is what is read back, from its pickle and from its outline. */
#include "fuzz.h"

#include "core/base/cursor.h"
#include "core/pickle/pickle.h"
#include "core/base/utf8.h"

#include <string.h>

#define MAX_DEPTH 12u
#define MAX_NODES 4000u

struct grower {
	struct ck_cursor in;
	struct ck_arena *arena;
	unsigned depth, nodes;
	bool pickle;    /* with calls and persistent ids, which only a pickle can say; else with tensors */
};

static struct ck_value grow(struct grower *g);

/* A string ends where its bytes are no UTF-8. */
static size_t utf8_len(const char *s, size_t len)
{
	uint32_t cp;
	size_t i = 0, n = 1;

	for (; i < len && n; i += n)
		n = ck_utf8_decode(s + i, len - i, &cp);
	return i;
}

static struct ck_value text(struct grower *g, enum ck_kind kind)
{
	size_t len = ck_cursor_u8(&g->in);
	struct ck_value v;
	char *s;

	if (len > ck_cursor_left(&g->in))
		len = ck_cursor_left(&g->in);
	s = ck_arena_dup(g->arena, g->in.data + g->in.pos, len);
	MUST(s);
	ck_cursor_take(&g->in, len);
	v = ck_str(s, kind == CK_STR ? utf8_len(s, len) : len);
	v.kind = (uint8_t)kind;
	return v;
}

/* A digit or two short of, or beyond, what 64 bits hold. */
static struct ck_value bigint(struct grower *g)
{
	struct ck_buf digits = CK_BUF_INIT;
	unsigned count = 20 + ck_cursor_u8(&g->in);
	struct ck_value v;

	if (count & 1)
		ck_buf_byte(&digits, '-');
	ck_buf_byte(&digits, (unsigned char)('1' + ck_cursor_u8(&g->in) % 9));
	for (unsigned i = 0; i < count; i++)
		ck_buf_byte(&digits, (unsigned char)('0' + (ck_cursor_u8(&g->in) + i * 7) % 10));
	v = ck_str(ck_arena_dup(g->arena, digits.data, digits.len), digits.len);
	v.kind = CK_BIGINT;
	ck_buf_free(&digits);
	return v;
}

static struct ck_value list(struct grower *g, enum ck_kind kind)
{
	unsigned count = ck_cursor_u8(&g->in) % 16;
	struct ck_value v;

	MUST(ck_list_new(g->arena, kind, &v, NULL) == CK_OK);
	while (count-- > 0)
		MUST(ck_list_append(g->arena, v.list, grow(g), NULL) == CK_OK);
	return v;
}

static struct ck_value tuple(struct grower *g)
{
	struct ck_value v;

	MUST(ck_tuple_new(g->arena, ck_cursor_u8(&g->in) % 6, &v, NULL) == CK_OK);
	for (uint32_t i = 0; i < v.len; i++)
		v.items[i] = grow(g);
	return v;
}

/* Keys that can't be hashed are left out. */
static struct ck_value dict(struct grower *g)
{
	unsigned flags = ck_cursor_u8(&g->in), count = flags % 16;
	struct ck_value v, key, state;

	MUST(ck_dict_new(g->arena, &v, NULL) == CK_OK);
	v.dict->ordered = flags & 0x80;
	while (count-- > 0) {
		key = grow(g);
		ck_dict_set(g->arena, v.dict, key, grow(g), NULL);
	}
	if (v.dict->ordered && flags & 0x40 && g->depth < MAX_DEPTH) {
		g->depth++;
		state = dict(g);
		v.dict->state = state;
		g->depth--;
	}
	return v;
}

/* Members of a dict are different, and can be hashed. */
static struct ck_value set(struct grower *g, enum ck_kind kind)
{
	struct ck_value members = dict(g), v;

	MUST(ck_list_new(g->arena, kind, &v, NULL) == CK_OK);
	for (uint32_t i = 0; i < members.dict->len; i++)
		MUST(ck_list_append(g->arena, v.list, members.dict->pairs[i].key, NULL) == CK_OK);
	return v;
}

static struct ck_value call(struct grower *g)
{
	/* The reader looks at no arguments of these. */
	static const uint8_t callees[] = { CK_G_REBUILD_TENSOR_V2, CK_G_REBUILD_PARAMETER, CK_G_REBUILD_SPARSE,
					   CK_G_REBUILD_QTENSOR, CK_G_PARAMETER };
	struct ck_call *c = ck_arena_alloc(g->arena, sizeof(*c));

	MUST(c);
	c->callee = (struct ck_value){ .kind = CK_GLOBAL, .i = callees[ck_cursor_u8(&g->in) % sizeof(callees)] };
	c->args = tuple(g);
	ck_cursor_u8(&g->in);   /* the corpus has a byte here */
	return (struct ck_value){ .kind = CK_CALL, .call = c };
}

static struct ck_value persid(struct grower *g)
{
	struct ck_value v;

	MUST(ck_tuple_new(g->arena, 1, &v, NULL) == CK_OK);
	v.items[0] = grow(g);
	v.kind = CK_PERSID;
	return v;
}

static struct ck_value scalar(struct grower *g, unsigned kind)
{
	double f;
	uint64_t bits;

	switch (kind) {
	case 0: return ck_bool(ck_cursor_u8(&g->in) & 1);
	case 1: return ck_int((int8_t)ck_cursor_u8(&g->in));
	case 2: return ck_int((int64_t)ck_cursor_u64(&g->in));
	case 3:
		bits = ck_cursor_u64(&g->in);
		memcpy(&f, &bits, sizeof(f));
		return ck_float(f);
	case 4: return bigint(g);
	case 5: return text(g, CK_STR);
	case 6: return text(g, CK_BYTES);
	case 7: return text(g, CK_BYTEARRAY);
	case 8:
		return (struct ck_value){ .kind = CK_GLOBAL, .i = CK_G_DTYPE + ck_cursor_u8(&g->in) % CK_DTYPE_COUNT };
	case 9:
		if (!g->pickle)
			return (struct ck_value){ .kind = CK_TENSOR, .i = ck_cursor_u8(&g->in) % 64 };
		return ck_none();
	default: return ck_none();
	}
}

static struct ck_value container(struct grower *g, unsigned kind)
{
	switch (kind) {
	case 0: return list(g, CK_LIST);
	case 1: return tuple(g);
	case 2: return set(g, CK_SET);
	case 3: return set(g, CK_FROZENSET);
	case 4: return g->pickle ? call(g) : tuple(g);
	case 5: return g->pickle ? persid(g) : list(g, CK_LIST);
	default: return dict(g);
	}
}

static struct ck_value grow(struct grower *g)
{
	unsigned kind = ck_cursor_u8(&g->in);
	struct ck_value v;

	if (kind < 0x80 || g->depth == MAX_DEPTH || ++g->nodes > MAX_NODES)
		return scalar(g, kind % 12);
	g->depth++;
	v = container(g, kind % 8);
	g->depth--;
	return v;
}

static void pickle_round_trip(const struct ck_value *value)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf out = CK_BUF_INIT;
	struct ck_arena *arena = ck_arena_new((size_t)256 << 20);
	struct ck_value back;
	int rc = fuzz_error(ck_pickle_write(&out, value, NULL, NULL, &err), &err);

	MUST(arena && rc == CK_OK);
	MUST(fuzz_error(ck_pickle_read(out.data, out.len, arena, NULL, &back, &err), &err) == CK_OK);
	MUST(fuzz_same(value, &back));
	ck_arena_free(arena);
	ck_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct grower g = { .in = ck_cursor(data, size), .arena = ck_arena_new((size_t)64 << 20) };
	struct ck_value value;

	MUST(g.arena);
	g.pickle = ck_cursor_u8(&g.in) & 1;
	value = grow(&g);
	if (g.pickle)
		pickle_round_trip(&value);
	else
		fuzz_outline_round_trip(&value);
	ck_arena_free(g.arena);
	return 0;
}
