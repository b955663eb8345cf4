/* The memo of a pickle: an array of values, by number. Implements memo.h. */
#include "core/pickle/memo.h"

#include <stdlib.h>

#define FIRST_CAP 64u

#define NOTHING ((uint8_t)0xff)       /* the kind of an entry that no opcode has put yet */

void ck_memo_free(struct ck_pickle_memo *memo)
{
	free(memo->values);
	ck_budget_give(memo->budget, memo->cap * sizeof(*memo->values));
	*memo = (struct ck_pickle_memo){ .budget = memo->budget };
}

static int too_large(struct ck_error *err)
{
	return ck_fail(err, CK_ERR_LIMIT, "memo entries that need more memory than opening a file may");
}

/* Room for entry INDEX, in an array that grows by doubling. */
static int reserve(struct ck_pickle_memo *memo, uint64_t index, struct ck_error *err)
{
	size_t cap = memo->cap ? memo->cap : FIRST_CAP, more;
	struct ck_value *grown;

	if (index < memo->cap)
		return CK_OK;
	if (index > memo->budget->left / sizeof(*grown) + memo->cap)
		return too_large(err);
	while (cap <= index)
		cap *= 2;
	more = (cap - memo->cap) * sizeof(*grown);
	if (!ck_budget_take(memo->budget, more))
		return too_large(err);
	grown = realloc(memo->values, cap * sizeof(*grown));
	if (!grown) {
		ck_budget_give(memo->budget, more);
		return ck_fail_nomem(err);
	}
	memo->values = grown;
	memo->cap = cap;
	return CK_OK;
}

int ck_memo_put(struct ck_pickle_memo *memo, uint64_t index, const struct ck_value *v, struct ck_error *err)
{
	int rc = reserve(memo, index, err);

	if (rc)
		return rc;
	for (; memo->count <= index; memo->count++)
		memo->values[memo->count].kind = NOTHING;
	memo->values[index] = *v;
	return CK_OK;
}

const struct ck_value *ck_memo_get(const struct ck_pickle_memo *memo, uint64_t index)
{
	return index < memo->count && memo->values[index].kind != NOTHING ? &memo->values[index] : NULL;
}
