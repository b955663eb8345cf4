#include "pickle_stack.h"

#include <stdlib.h>

#define FIRST_CAP 256u
#define MAX_STACK ((size_t)1 << 20)   /* 16 MiB. CPython fills containers in batches of 1000: only a tuple takes more */
#define MAX_MEMO ((size_t)1 << 23)    /* 128 MiB. torch.save takes about ten entries for a tensor */

#define NOTHING ((uint8_t)0xff)       /* the kind of a memo entry that was never put */

void ck_stack_free(struct ck_pickle_stack *s)
{
	free(s->values);
	free(s->memo);
	*s = (struct ck_pickle_stack){ 0 };
}

/* Room for NEED values in an array that grows by doubling. */
static int reserve(struct ck_value **values, size_t *cap, size_t need, size_t max, const char *what,
		   struct ck_error *err)
{
	size_t more = *cap ? *cap : FIRST_CAP;
	struct ck_value *grown;

	if (need <= *cap)
		return CK_OK;
	if (need > max)
		return ck_fail(err, CK_ERR_LIMIT, "a %s of more than %zu values", what, max);
	while (more < need)
		more *= 2;
	grown = realloc(*values, more * sizeof(**values));
	if (!grown)
		return ck_fail_nomem(err);
	*values = grown;
	*cap = more;
	return CK_OK;
}

int ck_stack_push(struct ck_pickle_stack *s, struct ck_value v, struct ck_error *err)
{
	int rc = reserve(&s->values, &s->cap, s->depth + 1, MAX_STACK, "stack", err);

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
		ck_error_set(err, CK_ERR_CORRUPT, "no mark on the stack");
		return NULL;
	}
	*count = s->depth - mark;
	s->depth = mark - 1;
	return s->values + mark;
}

int ck_memo_put(struct ck_pickle_stack *s, uint64_t index, uint64_t bound, struct ck_error *err)
{
	const struct ck_value *v = ck_stack_top(s, 1, err);
	int rc;

	if (!v)
		return CK_ERR_CORRUPT;
	if (index >= bound)
		return ck_fail(err, CK_ERR_CORRUPT, "memo entry %llu, so many can't have been made by here",
			       (unsigned long long)index);
	rc = reserve(&s->memo, &s->memo_cap, (size_t)index + 1, MAX_MEMO, "memo", err);
	if (rc)
		return rc;
	while (s->memo_len <= index)
		s->memo[s->memo_len++].kind = NOTHING;
	s->memo[index] = *v;
	return CK_OK;
}

int ck_memo_get(struct ck_pickle_stack *s, uint64_t index, struct ck_error *err)
{
	if (index >= s->memo_len || s->memo[index].kind == NOTHING)
		return ck_fail(err, CK_ERR_CORRUPT, "memo entry %llu, which is not there", (unsigned long long)index);
	return ck_stack_push(s, s->memo[index], err);
}
