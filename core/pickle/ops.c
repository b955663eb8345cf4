/* What each opcode of a pickle does. Implements ops.h; the table is at the end. */
#include "core/pickle/ops.h"

#include "core/pickle/globals.h"
#include "core/pickle/text.h"

#include <string.h>

#define MAX_PROTOCOL 5

static int push(struct ck_pickle_machine *m, struct ck_value v, struct ck_error *err)
{
	return ck_stack_push(&m->stack, v, err);
}

static struct ck_value *top(struct ck_pickle_machine *m, size_t count, struct ck_error *err)
{
	return ck_stack_top(&m->stack, count, err);
}

static int op_proto(struct ck_pickle_machine *m, struct ck_error *err)
{
	if (m->number > MAX_PROTOCOL)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "protocol %u, the newest known is %d", (unsigned)m->number,
			       MAX_PROTOCOL);
	return CK_OK;
}

/* Unpicklers differ on a frame whose length is wrong. Here no opcode may cross the end of its frame. */
static int op_frame(struct ck_pickle_machine *m, struct ck_error *err)
{
	if (m->frame_end)
		return ck_fail(err, CK_ERR_CORRUPT, "a frame inside a frame");
	if (m->number > ck_cursor_left(&m->in))
		return ck_fail(err, CK_ERR_CORRUPT, "a frame of %llu bytes, %zu are left",
			       (unsigned long long)m->number, ck_cursor_left(&m->in));
	m->frame_end = m->in.pos + (size_t)m->number;
	return CK_OK;
}

/* The value at the top is the result. Python and torch ignore the values below it, and the bytes behind the STOP. */
static int op_stop(struct ck_pickle_machine *m, struct ck_error *err)
{
	if (!top(m, 1, err))
		return CK_ERR_CORRUPT;
	m->stopped = true;
	return CK_OK;
}

static int op_mark(struct ck_pickle_machine *m, struct ck_error *err)
{
	return push(m, (struct ck_value){ .kind = CK_MARK }, err);
}

/* Drops a value or a mark: protocol 0 drops a mark where a tuple turned out to contain itself. */
static int op_pop(struct ck_pickle_machine *m, struct ck_error *err)
{
	return ck_stack_drop(&m->stack, err);
}

static int op_pop_mark(struct ck_pickle_machine *m, struct ck_error *err)
{
	size_t count;

	return ck_stack_pop_to_mark(&m->stack, &count, err) ? CK_OK : CK_ERR_CORRUPT;
}

static int op_none(struct ck_pickle_machine *m, struct ck_error *err)
{
	return push(m, ck_none(), err);
}

static int op_bool(struct ck_pickle_machine *m, struct ck_error *err)
{
	return push(m, ck_bool(m->op->arg), err);
}

static int op_int(struct ck_pickle_machine *m, struct ck_error *err)
{
	return push(m, ck_int((int64_t)m->number), err);
}

static int op_binint(struct ck_pickle_machine *m, struct ck_error *err)
{
	return push(m, ck_int((int32_t)(uint32_t)m->number), err);
}

static int op_binfloat(struct ck_pickle_machine *m, struct ck_error *err)
{
	uint64_t bits = __builtin_bswap64(m->number);
	double f;

	memcpy(&f, &bits, sizeof(f));
	return push(m, ck_float(f), err);
}

static int op_long(struct ck_pickle_machine *m, struct ck_error *err)
{
	struct ck_value v;
	int rc = ck_pickle_int_bytes(m->build.arena, (const uint8_t *)m->text.s, m->text.len, &v, err);

	return rc ? rc : push(m, v, err);
}

static int op_string(struct ck_pickle_machine *m, struct ck_error *err)
{
	struct ck_value v;
	int rc = ck_pickle_string(m->build.arena, (enum ck_kind)m->op->arg, m->text.s, m->text.len, &v, err);

	return rc ? rc : push(m, v, err);
}

static int push_tuple(struct ck_pickle_machine *m, const struct ck_value *items, size_t count, struct ck_error *err)
{
	struct ck_value tuple;
	int rc = ck_tuple_new(m->build.arena, (uint32_t)count, &tuple, err);

	if (rc)
		return rc;
	if (count)
		memcpy(tuple.items, items, count * sizeof(*items));
	return push(m, tuple, err);
}

/* TUPLE1 to TUPLE3, EMPTY_TUPLE. */
static int op_tuple_of(struct ck_pickle_machine *m, struct ck_error *err)
{
	size_t count = (size_t)m->op->arg;
	struct ck_value *items = NULL;

	if (count) {
		items = top(m, count, err);
		if (!items)
			return CK_ERR_CORRUPT;
		m->stack.depth -= count;
	}
	return push_tuple(m, items, count, err);
}

static int op_tuple(struct ck_pickle_machine *m, struct ck_error *err)
{
	size_t count;
	struct ck_value *items = ck_stack_pop_to_mark(&m->stack, &count, err);

	return items ? push_tuple(m, items, count, err) : CK_ERR_CORRUPT;
}

static int op_empty(struct ck_pickle_machine *m, struct ck_error *err)
{
	enum ck_kind kind = (enum ck_kind)m->op->arg;
	struct ck_value v;
	int rc = kind == CK_DICT ? ck_dict_new(m->build.arena, &v, err) :
				   ck_list_new(m->build.arena, kind, &v, err);

	return rc ? rc : push(m, v, err);
}

/* Puts ITEMS into TARGET, which must be of KIND. Filling anything else is an attack: torch.save never does it. */
static int fill(struct ck_pickle_machine *m, struct ck_value target, enum ck_kind kind, const struct ck_value *items,
		size_t count, struct ck_error *err)
{
	int rc = CK_OK;

	if (target.kind != kind)
		return ck_fail(err, CK_ERR_CORRUPT, "on %s, needs %s", ck_kind_name(target.kind), ck_kind_name(kind));
	if (kind == CK_DICT && count % 2)
		return ck_fail(err, CK_ERR_CORRUPT, "a key without its value");
	if (kind == CK_DICT)
		rc = ck_pickle_set_pairs(&m->build, target.dict, items, count / 2, err);
	else if (kind != CK_LIST)
		rc = ck_pickle_set_items(&m->build, target.list, items, count, err);
	for (size_t i = 0; i < count && !rc && kind == CK_LIST; i++)
		rc = ck_list_append(m->build.arena, target.list, items[i], err);
	return rc;
}

/* APPENDS, SETITEMS, ADDITEMS. */
static int op_fill(struct ck_pickle_machine *m, struct ck_error *err)
{
	size_t count;
	struct ck_value *items = ck_stack_pop_to_mark(&m->stack, &count, err), *target = items ? top(m, 1, err) : NULL;

	return target ? fill(m, *target, (enum ck_kind)m->op->arg, items, count, err) : CK_ERR_CORRUPT;
}

static int op_append(struct ck_pickle_machine *m, struct ck_error *err)
{
	struct ck_value *v = top(m, 2, err);

	if (!v)
		return CK_ERR_CORRUPT;
	m->stack.depth -= 1;
	return fill(m, v[0], CK_LIST, &v[1], 1, err);
}

static int op_setitem(struct ck_pickle_machine *m, struct ck_error *err)
{
	struct ck_value *v = top(m, 3, err);

	if (!v)
		return CK_ERR_CORRUPT;
	m->stack.depth -= 2;
	return fill(m, v[0], CK_DICT, &v[1], 2, err);
}

/* A new frozenset of what lies above the mark. */
static int op_frozenset(struct ck_pickle_machine *m, struct ck_error *err)
{
	size_t count;
	struct ck_value *items = ck_stack_pop_to_mark(&m->stack, &count, err);
	int rc = items ? op_empty(m, err) : CK_ERR_CORRUPT;

	/* The new frozenset took the mark's place, below the items. */
	return rc ? rc : fill(m, items[-1], CK_FROZENSET, items, count, err);
}

/* Pickles number memo entries from 0 up, and each put takes a byte, so a number past the offset is wrong. */
static int put(struct ck_pickle_machine *m, uint64_t index, struct ck_error *err)
{
	const struct ck_value *v = top(m, 1, err);

	if (!v)
		return CK_ERR_CORRUPT;
	if (index >= m->in.pos)
		return ck_fail(err, CK_ERR_CORRUPT, "memo entry %llu, so many can't have been made by here",
			       (unsigned long long)index);
	return ck_memo_put(&m->memo, index, v, err);
}

static int op_put(struct ck_pickle_machine *m, struct ck_error *err)
{
	return put(m, m->number, err);
}

static int op_memoize(struct ck_pickle_machine *m, struct ck_error *err)
{
	return put(m, m->memo.count, err);
}

static int op_get(struct ck_pickle_machine *m, struct ck_error *err)
{
	const struct ck_value *v = ck_memo_get(&m->memo, m->number);

	if (!v)
		return ck_fail(err, CK_ERR_CORRUPT, "expected memo entry %llu, found none of that number",
			       (unsigned long long)m->number);
	return push(m, *v, err);
}

static int find_global(struct ck_pickle_machine *m, struct ck_span module, struct ck_span name, struct ck_error *err)
{
	int global = ck_global_find(module.s, module.len, name.s, name.len);

	if (global < 0)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "%.*s.%.*s is not among the globals that a checkpoint may name",
			       (int)(module.len < 100 ? module.len : 100), module.s,
			       (int)(name.len < 100 ? name.len : 100), name.s);
	return push(m, (struct ck_value){ .kind = CK_GLOBAL, .i = global }, err);
}

static int op_global(struct ck_pickle_machine *m, struct ck_error *err)
{
	return find_global(m, m->text, m->more, err);
}

static int op_stack_global(struct ck_pickle_machine *m, struct ck_error *err)
{
	struct ck_value *v = top(m, 2, err);

	if (!v)
		return CK_ERR_CORRUPT;
	if (v[0].kind != CK_STR || v[1].kind != CK_STR)
		return ck_fail(err, CK_ERR_CORRUPT, "a global named by %s and %s", ck_kind_name(v[0].kind),
			       ck_kind_name(v[1].kind));
	m->stack.depth -= 2;
	return find_global(m, (struct ck_span){ v[0].s, v[0].len }, (struct ck_span){ v[1].s, v[1].len }, err);
}

/* Refused, as no checkpoint has it. The opcode calls a global at once; the message names that global. */
static int op_inst(struct ck_pickle_machine *m, struct ck_error *err)
{
	return ck_fail(err, CK_ERR_UNSUPPORTED,
		       "expected an opcode that torch.save writes, found one that makes an object of %.*s.%.*s",
		       (int)(m->text.len < 100 ? m->text.len : 100), m->text.s,
		       (int)(m->more.len < 100 ? m->more.len : 100), m->more.s);
}

/* REDUCE and NEWOBJ. */
static int op_call(struct ck_pickle_machine *m, struct ck_error *err)
{
	struct ck_value *v = top(m, 2, err), made;
	int rc;

	if (!v)
		return CK_ERR_CORRUPT;
	rc = ck_pickle_call(&m->build, &v[0], &v[1], m->op->arg, &made, err);
	if (!rc && m->user && made.kind == CK_CALL)
		rc = m->user->made(m->user->arg, m->build.arena, &made, err);
	if (rc)
		return rc;
	m->stack.depth -= 1;
	v[0] = made;
	return CK_OK;
}

static int op_build(struct ck_pickle_machine *m, struct ck_error *err)
{
	struct ck_value *v = top(m, 2, err);

	if (!v)
		return CK_ERR_CORRUPT;
	m->stack.depth -= 1;
	return ck_pickle_set_state(&v[0], &v[1], err);
}

static int op_binpersid(struct ck_pickle_machine *m, struct ck_error *err)
{
	struct ck_value *v = top(m, 1, err), id;
	int rc;

	if (!v)
		return CK_ERR_CORRUPT;
	rc = ck_tuple_new(m->build.arena, 1, &id, err);
	if (rc)
		return rc;
	id.kind = CK_PERSID;
	id.items[0] = *v;
	*v = id;
	if (m->user)
		m->user->persid(m->user->arg, v);
	return CK_OK;
}

#define NUMBER(n) .operand = CK_OPERAND_NUMBER, .width = (n)
#define COUNTED(n) .operand = CK_OPERAND_COUNTED, .width = (n)

const struct ck_opcode ck_opcodes[256] = {
	['('] = { .name = "MARK", .run = op_mark },
	['.'] = { .name = "STOP", .run = op_stop },
	['0'] = { .name = "POP", .run = op_pop },
	['1'] = { .name = "POP_MARK", .run = op_pop_mark },
	['2'] = { .name = "DUP" },
	['B'] = { .name = "BINBYTES", .run = op_string, COUNTED(4), .arg = CK_BYTES },
	['C'] = { .name = "SHORT_BINBYTES", .run = op_string, COUNTED(1), .arg = CK_BYTES },
	['F'] = { .name = "FLOAT" },
	['G'] = { .name = "BINFLOAT", .run = op_binfloat, NUMBER(8) },
	['I'] = { .name = "INT" },
	['J'] = { .name = "BININT", .run = op_binint, NUMBER(4) },
	['K'] = { .name = "BININT1", .run = op_int, NUMBER(1) },
	['L'] = { .name = "LONG" },
	['M'] = { .name = "BININT2", .run = op_int, NUMBER(2) },
	['N'] = { .name = "NONE", .run = op_none },
	['P'] = { .name = "PERSID" },
	['Q'] = { .name = "BINPERSID", .run = op_binpersid },
	['R'] = { .name = "REDUCE", .run = op_call, .arg = false },
	['S'] = { .name = "STRING" },
	['T'] = { .name = "BINSTRING", .run = op_string, COUNTED(4), .arg = CK_STR },
	['U'] = { .name = "SHORT_BINSTRING", .run = op_string, COUNTED(1), .arg = CK_STR },
	['V'] = { .name = "UNICODE" },
	['X'] = { .name = "BINUNICODE", .run = op_string, COUNTED(4), .arg = CK_STR },
	[')'] = { .name = "EMPTY_TUPLE", .run = op_tuple_of, .arg = 0 },
	[']'] = { .name = "EMPTY_LIST", .run = op_empty, .arg = CK_LIST },
	['}'] = { .name = "EMPTY_DICT", .run = op_empty, .arg = CK_DICT },
	['a'] = { .name = "APPEND", .run = op_append },
	['b'] = { .name = "BUILD", .run = op_build },
	['c'] = { .name = "GLOBAL", .run = op_global, .operand = CK_OPERAND_LINES },
	['d'] = { .name = "DICT" },
	['e'] = { .name = "APPENDS", .run = op_fill, .arg = CK_LIST },
	['g'] = { .name = "GET" },
	['h'] = { .name = "BINGET", .run = op_get, NUMBER(1) },
	['i'] = { .name = "INST", .run = op_inst, .operand = CK_OPERAND_LINES },
	['j'] = { .name = "LONG_BINGET", .run = op_get, NUMBER(4) },
	['l'] = { .name = "LIST" },
	['o'] = { .name = "OBJ" },
	['p'] = { .name = "PUT" },
	['q'] = { .name = "BINPUT", .run = op_put, NUMBER(1) },
	['r'] = { .name = "LONG_BINPUT", .run = op_put, NUMBER(4) },
	['s'] = { .name = "SETITEM", .run = op_setitem },
	['t'] = { .name = "TUPLE", .run = op_tuple },
	['u'] = { .name = "SETITEMS", .run = op_fill, .arg = CK_DICT },
	[0x80] = { .name = "PROTO", .run = op_proto, NUMBER(1) },
	[0x81] = { .name = "NEWOBJ", .run = op_call, .arg = true },
	[0x82] = { .name = "EXT1" },
	[0x83] = { .name = "EXT2" },
	[0x84] = { .name = "EXT4" },
	[0x85] = { .name = "TUPLE1", .run = op_tuple_of, .arg = 1 },
	[0x86] = { .name = "TUPLE2", .run = op_tuple_of, .arg = 2 },
	[0x87] = { .name = "TUPLE3", .run = op_tuple_of, .arg = 3 },
	[0x88] = { .name = "NEWTRUE", .run = op_bool, .arg = true },
	[0x89] = { .name = "NEWFALSE", .run = op_bool, .arg = false },
	[0x8a] = { .name = "LONG1", .run = op_long, COUNTED(1) },
	[0x8b] = { .name = "LONG4", .run = op_long, COUNTED(4) },
	[0x8c] = { .name = "SHORT_BINUNICODE", .run = op_string, COUNTED(1), .arg = CK_STR },
	[0x8d] = { .name = "BINUNICODE8", .run = op_string, COUNTED(8), .arg = CK_STR },
	[0x8e] = { .name = "BINBYTES8", .run = op_string, COUNTED(8), .arg = CK_BYTES },
	[0x8f] = { .name = "EMPTY_SET", .run = op_empty, .arg = CK_SET },
	[0x90] = { .name = "ADDITEMS", .run = op_fill, .arg = CK_SET },
	[0x91] = { .name = "FROZENSET", .run = op_frozenset, .arg = CK_FROZENSET },
	[0x92] = { .name = "NEWOBJ_EX" },
	[0x93] = { .name = "STACK_GLOBAL", .run = op_stack_global },
	[0x94] = { .name = "MEMOIZE", .run = op_memoize },
	[0x95] = { .name = "FRAME", .run = op_frame, NUMBER(8) },
	[0x96] = { .name = "BYTEARRAY8", .run = op_string, COUNTED(8), .arg = CK_BYTEARRAY },
	[0x97] = { .name = "NEXT_BUFFER" },
	[0x98] = { .name = "READONLY_BUFFER" },
};
