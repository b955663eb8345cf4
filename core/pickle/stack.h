/*
 * pickle_stack - the unpickler's stack, with its marks. Every pop is checked. Errors are CK_ERR_CORRUPT unless said
 * otherwise.
 */
#ifndef CK_PICKLE_STACK_H
#define CK_PICKLE_STACK_H

#include "core/base/value.h"

/* A mark is a value of this kind. Marks never get into the memo or a container. */
#define CK_MARK ((uint8_t)0xfe)

struct ck_pickle_stack {
	struct ck_value *values;
	size_t depth, cap;
	struct ck_budget *budget;       /* pays for VALUES */
};

void ck_stack_free(struct ck_pickle_stack *s);

/* CK_ERR_LIMIT, CK_ERR_NOMEM. */
int ck_stack_push(struct ck_pickle_stack *s, struct ck_value v, struct ck_error *err);

/* Drops the topmost value or mark. */
int ck_stack_drop(struct ck_pickle_stack *s, struct ck_error *err);

/* The COUNT > 0 values at the top, in the order pushed; they stay. NULL: there are fewer, or a mark is among them. */
struct ck_value *ck_stack_top(struct ck_pickle_stack *s, size_t count, struct ck_error *err);

/* Pops the values above the last mark, and the mark. The values stay valid until the second push from now. NULL: no
   mark. */
struct ck_value *ck_stack_pop_to_mark(struct ck_pickle_stack *s, size_t *count, struct ck_error *err);

#endif
