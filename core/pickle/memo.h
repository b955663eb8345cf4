/*
 * pickle_memo - the unpickler's memo: values that a pickle puts under a number and fetches again.
 */
#ifndef CK_PICKLE_MEMO_H
#define CK_PICKLE_MEMO_H

#include "core/base/value.h"

struct ck_pickle_memo {
	struct ck_value *values;
	size_t count, cap;              /* COUNT is one past the highest number put: where MEMOIZE puts next */
	struct ck_budget *budget;       /* pays for VALUES */
};

void ck_memo_free(struct ck_pickle_memo *memo);

/* Puts V under INDEX. CK_ERR_LIMIT: the budget has no room for that many entries. CK_ERR_NOMEM. */
int ck_memo_put(struct ck_pickle_memo *memo, uint64_t index, const struct ck_value *v, struct ck_error *err);

/* The value under INDEX, or NULL. It is valid until the next put. */
const struct ck_value *ck_memo_get(const struct ck_pickle_memo *memo, uint64_t index);

#endif
