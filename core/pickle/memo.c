/* The memo of a pickle: the values that it names by numbers. Implements memo.h. */
#include "core/pickle/memo.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u
#define FIRST_WORDS 64u

#define NOTHING ((uint8_t)0xff)       /* the kind of an entry that was not put yet */

void ck_memo_free(struct ck_pickle_memo *memo, struct ck_budget *budget)
{
	free(memo->wanted);
	free(memo->below);
	free(memo->values);
	ck_budget_give(budget, memo->taken);
	*memo = (struct ck_pickle_memo){ 0 };
}

static int too_large(struct ck_error *err)
{
	return ck_fail(err, CK_ERR_LIMIT, "memo entries that need more memory than opening a file may");
}

static int reserve(struct ck_pickle_memo *memo, size_t size, struct ck_budget *budget, struct ck_error *err)
{
	if (!ck_budget_take(budget, size))
		return too_large(err);
	memo->taken += size;
	return CK_OK;
}

int ck_memo_want(struct ck_pickle_memo *memo, uint64_t index, struct ck_budget *budget, struct ck_error *err)
{
	size_t word = (size_t)(index / WORD_BITS), words = memo->words ? memo->words : FIRST_WORDS;
	uint64_t *grown;
	int rc;

	if (word >= memo->words) {
		while (words <= word)
			words *= 2;
		rc = reserve(memo, (words - memo->words) * sizeof(*grown), budget, err);
		if (rc)
			return rc;
		grown = realloc(memo->wanted, words * sizeof(*grown));
		if (!grown)
			return ck_fail_nomem(err);
		memset(grown + memo->words, 0, (words - memo->words) * sizeof(*grown));
		memo->wanted = grown;
		memo->words = words;
	}
	memo->wanted[word] |= UINT64_C(1) << index % WORD_BITS;
	return CK_OK;
}

int ck_memo_ready(struct ck_pickle_memo *memo, struct ck_budget *budget, struct ck_error *err)
{
	int rc;

	if (!memo->words)
		return CK_OK;
	rc = reserve(memo, memo->words * sizeof(*memo->below), budget, err);
	if (rc)
		return rc;
	memo->below = malloc(memo->words * sizeof(*memo->below));
	if (!memo->below)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < memo->words; i++) {
		memo->below[i] = (uint32_t)memo->count;
		memo->count += (unsigned)__builtin_popcountll(memo->wanted[i]);
	}
	rc = reserve(memo, memo->count * sizeof(*memo->values), budget, err);
	if (rc)
		return rc;
	memo->values = malloc(memo->count * sizeof(*memo->values));
	if (!memo->values)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < memo->count; i++)
		memo->values[i].kind = NOTHING;
	return CK_OK;
}

/* The place of entry INDEX; NULL when nobody wants it. */
static struct ck_value *place(const struct ck_pickle_memo *memo, uint64_t index)
{
	uint64_t bit = UINT64_C(1) << index % WORD_BITS, word;

	if (index / WORD_BITS >= memo->words)
		return NULL;
	word = memo->wanted[index / WORD_BITS];
	if (!(word & bit))
		return NULL;
	return memo->values + memo->below[index / WORD_BITS] + __builtin_popcountll(word & (bit - 1));
}

bool ck_memo_put(struct ck_pickle_memo *memo, uint64_t index, const struct ck_value *v)
{
	struct ck_value *at = place(memo, index);

	if (index >= memo->next)
		memo->next = index + 1;
	if (at)
		*at = *v;
	return at != NULL;
}

const struct ck_value *ck_memo_get(const struct ck_pickle_memo *memo, uint64_t index)
{
	const struct ck_value *at = place(memo, index);

	return at && at->kind != NOTHING ? at : NULL;
}
