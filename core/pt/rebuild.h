/*
 * rebuild - what torch.save writes for a tensor (a call of torch._utils._rebuild_*) or for a storage (a persistent id),
 * as a tensor. Source: torch/_utils.py and torch/serialization.py, 1.6 to 2.10.
 *
 * A call may make a tensor that is not an array (sparse, quantized, nested, on the device meta). That is a tensor, too:
 * `unshown` says why. What torch refuses is refused.
 */
#ifndef CK_REBUILD_H
#define CK_REBUILD_H

#include "core/tensor/tensor.h"
#include "core/base/value.h"

/* What a file declares of a storage, where it does so first. torch goes by that; a file that declares two things of
   one storage has been made to be read in two ways. */
struct ck_declared {
	uint64_t numel;
	uint8_t dtype;
	bool seen;
};

/* What a tensor is rebuilt from and with. */
struct ck_rebuilder {
	struct ck_archive *archive;     /* borrowed by the tensors */
	bool big_endian;                /* as the file's `byteorder` says */
	struct ck_arena *arena;         /* of shapes and strides, the latter only where they aren't contiguous */
	struct ck_declared *declared;   /* one for each entry of ARCHIVE */
	/* Calls inside of V are CK_MADE, or couldn't be made: they aren't tried again, however deep they are. */
	bool flat;
	bool missing;                   /* a result: the last failure is a record's, which is missing or short */
};

/* Whether V is a call that makes a tensor or a parameter, or the struct ck_tensor that it made (CK_MADE). */
bool ck_is_tensor(const struct ck_value *v);

/*
 * Fills T, except its key, from V, which is such a call: its storage must hold the declared elements, and the tensor
 * must lie inside of these. CK_ERR_CORRUPT, CK_ERR_UNSUPPORTED, CK_ERR_LIMIT say what was expected. They are marked
 * `refused`, unless a storage's record is missing or short.
 */
int ck_rebuild(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *t, struct ck_error *err);

/* The same of V, a CK_PERSID: the 1-d tensor that a bare storage is. */
int ck_rebuild_storage(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *t, struct ck_error *err);

/* Whether it would succeed. */
int ck_rebuild_check(struct ck_rebuilder *r, const struct ck_value *v, struct ck_error *err);

#endif
