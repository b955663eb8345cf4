/*
 * outline - a checkpoint's whole structure as JSON (optim/rankN.json), exact both ways.
 *
 * Plain JSON wherever JSON can say it. What it can't is an object with one key that begins with '$':
 *   {"$tuple": [...]}  {"$set": [...]}  {"$frozenset": [...]}  {"$float": "nan" | "inf" | "-inf"}
 *   {"$bytes": "latin-1 text"}  {"$bytearray": "latin-1 text"}  {"$complex": [re, im]}
 *   {"$size": [2, 3]}  {"$dtype": "float32"}  {"$device": "cpu"} or "cuda:0"      torch.Size, torch.dtype, torch.device
 *   {"$layout": "sparse_coo"}  {"$qscheme": "per_tensor_affine"}                  torch.layout, torch.qscheme
 *   {"$utf8": "latin-1 text"}              a string with lone surrogates, which jq refuses, by its bytes here
 *   {"$tensor": "state.0.exp_avg"}         the file PATH.npy, by its path; more keys may follow and are for people
 *                                          (dtype, shape) but "requires_grad": true and "parameter": true, which count
 *                                          (a path with lone surrogates is a {"$utf8": ...}). "storage": true says that
 *                                          it was a bare storage, "error" why there is PATH.error in the file's place
 *   {"$unsupported": "torch._utils._rebuild_x"}  any other call or global, for people; it can't be read back
 *
 * A dict whose keys are all strings (without lone surrogates) is an object; a key that begins with '$' gets a second
 * '$'. One whose keys are all ints is an object with "$keys": "int" first; any other is {"$dict": [[key, value], ...]}.
 * An OrderedDict has "$ordered": true first (after it, "$keys"), then "$state" where it has attributes, then the keys
 * or "$dict". When it is read, the order of these does not matter.
 *
 * There are no NaN literals: jq reads an outline. What doesn't survive: the payload of a NaN.
 */
#ifndef CK_OUTLINE_H
#define CK_OUTLINE_H

#include "core/base/buf.h"
#include "core/tensor/tensor.h"
#include "core/base/value.h"

/* The longest outline. Containers that a pickle shares are written out at each place, which multiplies. */
#define CK_OUTLINE_MAX_BYTES ((size_t)24 << 20)

/*
 * Appends the outline of VALUE (CK_TENSOR values index TENSORS, whose keys are the paths) with INDENT as json.dump's.
 * CK_ERR_LIMIT past CK_OUTLINE_MAX_BYTES, or MAX if that is less, or 130 levels.
 */
int ck_outline_write(struct ck_buf *out, const struct ck_value *value, const struct ck_tensor *tensors, int indent,
		     size_t max, struct ck_error *err);

/* The budget for the arena of an outline of LEN bytes. */
size_t ck_outline_budget(size_t len);

/* Returns the index of the tensor at PATH, a string value, or -1. */
typedef int64_t (*ck_outline_find_fn)(void *arg, const char *path, size_t len);

/*
 * Reads an outline back. Tensors become CK_TENSOR with the index that FIND gives. FLAGS, if not NULL, is called with
 * "requires_grad" and "parameter" of each. CK_ERR_INVALID names what is wrong: no JSON, an unknown '$' key, a tensor
 * that isn't there; its subject is the innermost key. CK_ERR_LIMIT as for ck_json_read, and past CK_OUTLINE_MAX_BYTES.
 */
typedef void (*ck_outline_flags_fn)(void *arg, int64_t index, bool requires_grad, bool parameter);
int ck_outline_read(const char *text, size_t len, struct ck_arena *arena, ck_outline_find_fn find,
		    ck_outline_flags_fn flags, void *arg, struct ck_value *out, struct ck_error *err);

#endif
