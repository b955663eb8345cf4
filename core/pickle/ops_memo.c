/* The opcodes that put values into the memo and fetch them. Implements a part of ops.h. */
#include "core/pickle/ops.h"

#include "core/pickle/text.h"

void ck_op_pin(struct ck_pickle_machine *m)
{
	m->pinned = ck_arena_mark(m->build.arena);
}

static bool is_scalar(const struct ck_value *v)
{
	return v->kind == CK_NONE || v->kind == CK_BOOL || v->kind == CK_INT || v->kind == CK_FLOAT ||
	       v->kind == CK_GLOBAL;
}

/* Entries are numbered as they come, and each takes a byte: none can have a number past its offset. */
static int put(struct ck_pickle_machine *m, uint64_t index, struct ck_error *err)
{
	const struct ck_value *v = ck_stack_top(&m->stack, 1, err);

	if (!v)
		return CK_ERR_CORRUPT;
	if (index >= m->in.pos)
		return ck_fail(err, CK_ERR_CORRUPT, "memo entry %llu, so many can't have been made by here",
			       (unsigned long long)index);
	if (ck_memo_put(&m->memo, index, v) && !is_scalar(v))
		ck_op_pin(m);
	return CK_OK;
}

int ck_op_put(struct ck_pickle_machine *m, struct ck_error *err)
{
	return put(m, m->number, err);
}

int ck_op_memoize(struct ck_pickle_machine *m, struct ck_error *err)
{
	return put(m, m->memo.next, err);
}

/* What is wrong with a GET is said when it is run. */
int ck_scan_get(struct ck_pickle_machine *m, struct ck_error *err)
{
	return m->number < m->in.pos ? ck_memo_want(&m->memo, m->number, ck_arena_budget(m->build.arena), err) : CK_OK;
}

int ck_op_push_global(struct ck_pickle_machine *m, int64_t global, struct ck_error *err)
{
	size_t mark = ck_arena_mark(m->build.arena);

	return ck_stack_push(&m->stack, (struct ck_value){ .kind = CK_GLOBAL, .i = global,
				.len = mark < UINT32_MAX ? (uint32_t)mark : UINT32_MAX }, err);
}

int ck_op_get(struct ck_pickle_machine *m, struct ck_error *err)
{
	const struct ck_value *v = ck_memo_get(&m->memo, m->number);

	if (!v)
		return ck_fail(err, CK_ERR_CORRUPT, "expected memo entry %llu, found none of that number",
			       (unsigned long long)m->number);
	if (v->kind == CK_GLOBAL)
		return ck_op_push_global(m, v->i, err);
	m->aliased |= v->kind == CK_LIST || v->kind == CK_DICT || v->kind == CK_SET || v->kind == CK_CALL;
	return ck_stack_push(&m->stack, *v, err);
}

static int text_number(struct ck_pickle_machine *m, struct ck_error *err)
{
	struct ck_value v;
	int rc = ck_pickle_int_text(m->build.arena, m->text.s, m->text.len, &v, err);

	if (rc)
		return rc;
	if (v.kind != CK_INT || v.i < 0)
		return ck_fail(err, CK_ERR_CORRUPT, "expected the number of a memo entry, found another text");
	m->number = (uint64_t)v.i;
	return CK_OK;
}

int ck_op_put_text(struct ck_pickle_machine *m, struct ck_error *err)
{
	int rc = text_number(m, err);

	return rc ? rc : ck_op_put(m, err);
}

int ck_op_get_text(struct ck_pickle_machine *m, struct ck_error *err)
{
	int rc = text_number(m, err);

	return rc ? rc : ck_op_get(m, err);
}

int ck_scan_get_text(struct ck_pickle_machine *m, struct ck_error *err)
{
	return text_number(m, NULL) ? CK_OK : ck_scan_get(m, err);
}
