/*
 * content - what a .pt plainly holds, by its outermost values: a model, an optimizer's state, or neither. For who must
 * not put one in the other's place.
 */
#ifndef CK_CONTENT_H
#define CK_CONTENT_H

#include "core/base/value.h"

enum ck_content {
	CK_CONTENT_OTHER,
	CK_CONTENT_MODEL,       /* a dict of tensors and nothing else, at least one */
	CK_CONTENT_OPTIM,       /* a dict with `state` and `param_groups`, or a list of such dicts */
};

/* Of the values of data.pkl, whose tensors may have been taken (CK_TENSOR) or not. */
enum ck_content ck_content_of(const struct ck_value *root);

#endif
