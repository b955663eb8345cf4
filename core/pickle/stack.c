/* The stack of the unpickler, and its marks. Implements stack.h. */
#include "core/pickle/stack.h"

#include <stdlib.h>

#define FIRST_CAP 256u
#define MAX_STACK ((size_t)1 << 20)   /* 16 MiB. CPython fills containers in batches of 1000: only tuples need more */

void ck_stack_free(struct ck_pickle_stack *s)
{
	free(s->values);
	ck_budget_give(s->budget, s->cap * sizeof(*s->values));
	*s = (struct ck_pickle_stack){ .budget = s->budget };
}

/* Room for one value more, in an array that grows by doubling. */
static int reserve(struct ck_pickle_stack *s, struct ck_error *err)
{
	size_t more = s->cap ? s->cap * 2 : FIRST_CAP;
	struct ck_value *grown;

	if (s->depth < s->cap)
		return CK_OK;
	if (more > MAX_STACK)
		return ck_fail(err, CK_ERR_LIMIT, "a stack of more than %zu values", MAX_STACK);
	if (!ck_budget_take(s->budget, (more - s->cap) * sizeof(*grown)))
		return ck_fail(err, CK_ERR_LIMIT, "a stack that needs more memory than opening a file may");
	grown = realloc(s->values, more * sizeof(*grown));
	if (!grown) {
		ck_budget_give(s->budget, (more - s->cap) * sizeof(*grown));
		return ck_fail_nomem(err);
	}
	s->values = grown;
	s->cap = more;
	return CK_OK;
}

int ck_stack_push(struct ck_pickle_stack *s, struct ck_value v, struct ck_error *err)
{
	int rc = reserve(s, err);

	if (!rc)
		s->values[s->depth++] = v;
	return rc;
}

static int too_few(struct ck_error *err)
{
	return ck_fail(err, CK_ERR_CORRUPT, "too few values on the stack");
}

int ck_stack_drop(struct ck_pickle_stack *s, struct ck_error *err)
{
	if (s->depth == 0)
		return too_few(err);
	s->depth--;
	return CK_OK;
}

struct ck_value *ck_stack_top(struct ck_pickle_stack *s, size_t count, struct ck_error *err)
{
	bool enough = count <= s->depth;

	for (size_t i = 1; i <= count && enough; i++)
		enough = s->values[s->depth - i].kind != CK_MARK;
	if (enough)
		return s->values + (s->depth - count);
	too_few(err);
	return NULL;
}

struct ck_value *ck_stack_pop_to_mark(struct ck_pickle_stack *s, size_t *count, struct ck_error *err)
{
	size_t mark = s->depth;

	while (mark > 0 && s->values[mark - 1].kind != CK_MARK)
		mark--;
	if (mark == 0) {
		ck_error_set(err, CK_ERR_CORRUPT, "expected a mark on the stack, found none");
		return NULL;
	}
	*count = s->depth - mark;
	s->depth = mark - 1;
	return s->values + mark;
}
