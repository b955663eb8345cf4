/*
 * pickle_memo - the memo of the machine that a pickle is a program for: the values that it put there, by number.
 */
#ifndef CK_PICKLE_MEMO_H
#define CK_PICKLE_MEMO_H

#include "core/base/value.h"

struct ck_pickle_memo {
	struct ck_value *values;
	size_t count, cap;              /* COUNT is one past the highest number put, which MEMOIZE puts next */
	struct ck_budget *budget;       /* what VALUES is taken from */
};

void ck_memo_free(struct ck_pickle_memo *memo);

/* Puts V under INDEX. CK_ERR_LIMIT where the budget has no room for so many numbers; CK_ERR_NOMEM. */
int ck_memo_put(struct ck_pickle_memo *memo, uint64_t index, const struct ck_value *v, struct ck_error *err);

/* What was put under INDEX; NULL where nothing was. Valid until the next put. */
const struct ck_value *ck_memo_get(const struct ck_pickle_memo *memo, uint64_t index);

#endif
