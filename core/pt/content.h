/*
 * content - whether a .pt holds a model, an optimizer's state, or neither, by its outermost values. For callers that
 * must not accept one in place of the other.
 */
#ifndef CK_CONTENT_H
#define CK_CONTENT_H

#include "core/base/value.h"

enum ck_content {
	CK_CONTENT_OTHER,
	CK_CONTENT_MODEL,       /* a dict of tensors and nothing else, at least one */
	CK_CONTENT_OPTIM,       /* a dict with `state` and `param_groups`, or a list of such dicts */
};

/* ROOT: the values of data.pkl, before or after tensors were replaced by CK_TENSOR. */
enum ck_content ck_content_of(const struct ck_value *root);

#endif
