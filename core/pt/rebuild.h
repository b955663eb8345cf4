/*
 * rebuild - makes a tensor of what torch.save writes for a tensor (a call of torch._utils._rebuild_*) or for a storage
 * (a persistent id). Source: torch/_utils.py and torch/serialization.py, 1.6 to 2.10.
 *
 * A call may make a tensor that is not an array (sparse, quantized, nested, on the device meta): its `unshown` says
 * why. What torch refuses is refused.
 */
#ifndef CK_REBUILD_H
#define CK_REBUILD_H

#include "core/tensor/tensor.h"
#include "core/base/value.h"

/* The first declaration of a storage in a file, which torch goes by. A file that declares one storage in two ways
   was made to be read in two ways. */
struct ck_declared {
	uint64_t numel;
	uint8_t dtype;
	bool seen;
};

/* What a tensor is rebuilt from and with. */
struct ck_rebuilder {
	struct ck_archive *archive;     /* borrowed by the tensors */
	bool big_endian;                /* as the file's `byteorder` says */
	struct ck_arena *arena;         /* holds shapes, and strides where a tensor isn't contiguous */
	struct ck_declared *declared;   /* one for each entry of ARCHIVE */
	/* Calls inside V are CK_MADE already, or have failed. They aren't tried again, so that deep nesting stays
	   cheap. */
	bool flat;
	bool missing;                   /* output: the last failure was a record that is missing or too short */
};

/* Whether V is a call that makes a tensor or a parameter, or a CK_MADE, which holds a struct ck_tensor. */
bool ck_is_tensor(const struct ck_value *v);

/*
 * Fills T, except its key, from V, for which ck_is_tensor is true. The storage must hold the declared elements, and the
 * tensor must lie inside them. CK_ERR_CORRUPT, CK_ERR_UNSUPPORTED, CK_ERR_LIMIT say what was expected. They are marked
 * `refused`, unless the record of a storage is missing or too short.
 */
int ck_rebuild(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *t, struct ck_error *err);

/* The same for V, a CK_PERSID: makes a 1-d tensor of a bare storage. */
int ck_rebuild_storage(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *t, struct ck_error *err);

/* Checks the storage of V, a CK_PERSID, without making a tensor. */
int ck_rebuild_check(struct ck_rebuilder *r, const struct ck_value *v, struct ck_error *err);

#endif
