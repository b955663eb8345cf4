/*
 * pickle_memo - the memo of the machine that a pickle is a program for: of the entries that are fetched alone.
 *
 * torch.save puts eight values of each tensor into the memo and fetches hardly any: kept, they would take more than all
 * else. So a first pass over the opcodes notes which entries some GET names (ck_memo_want), and the others are let go
 * when they are put. A wanted entry is found by counting the wanted ones below it.
 */
#ifndef CK_PICKLE_MEMO_H
#define CK_PICKLE_MEMO_H

#include "core/base/value.h"

struct ck_pickle_memo {
	uint64_t *wanted;               /* a bit for each index */
	uint32_t *below;                /* for each word of these, how many bits are set in the words before */
	struct ck_value *values;        /* of the wanted entries, by index */
	size_t words, count;
	uint64_t next;                  /* one past the highest index put: what MEMOIZE puts */
	size_t taken;                   /* of the budget */
};

void ck_memo_free(struct ck_pickle_memo *memo, struct ck_budget *budget);

/* The first pass: entry INDEX is fetched somewhere. Then, once: CK_ERR_LIMIT where the budget has no room for them. */
int ck_memo_want(struct ck_pickle_memo *memo, uint64_t index, struct ck_budget *budget, struct ck_error *err);
int ck_memo_ready(struct ck_pickle_memo *memo, struct ck_budget *budget, struct ck_error *err);

/* Puts V under INDEX; whether that is kept. */
bool ck_memo_put(struct ck_pickle_memo *memo, uint64_t index, const struct ck_value *v);

/* What was put under INDEX; NULL where nothing was. */
const struct ck_value *ck_memo_get(const struct ck_pickle_memo *memo, uint64_t index);

#endif
