/*
 * rebuild - what torch.save writes for a tensor (a call of torch._utils._rebuild_*), as a tensor.
 * Source: torch/_utils.py and torch/serialization.py, 1.6 to 2.10.
 */
#ifndef CK_REBUILD_H
#define CK_REBUILD_H

#include "core/tensor/tensor.h"
#include "core/base/value.h"

/* What a call came to, in few bytes: a tensor of an archive without its key. */
struct ck_made {
	uint64_t offset;
	const int64_t *shape, *strides;
	uint32_t entry;
	uint8_t stored_dtype, ndim;
	bool swap : 1, conj : 1, neg : 1, requires_grad : 1, parameter : 1;
};

/* A CK_MADE of T, which ck_rebuild made, in ARENA. CK_ERR_LIMIT. */
int ck_made_new(const struct ck_tensor *t, struct ck_arena *arena, struct ck_value *out, struct ck_error *err);

/* Whether V is a call that makes a tensor or a parameter, or a CK_MADE. */
bool ck_is_tensor(const struct ck_value *v);

/*
 * Fills T but for its key from V, which is one: the storage is found in ARCHIVE (borrowed by T) and must
 * hold exactly the declared elements; the tensor must lie inside it. BIG_ENDIAN as the file's
 * `byteorder` says. Shape and strides are allocated in ARENA (strides only where they aren't
 * contiguous). CK_ERR_CORRUPT, CK_ERR_UNSUPPORTED, CK_ERR_LIMIT say what was expected.
 */
int ck_rebuild(const struct ck_value *v, struct ck_archive *archive, bool big_endian, struct ck_arena *arena,
	       struct ck_tensor *t, struct ck_error *err);

#endif
