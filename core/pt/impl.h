/*
 * impl - the parts of rebuild: rebuild.c takes calls apart and makes plain tensors, rebuild_storage.c finds
 * their storages, rebuild_odd.c makes the tensors that are not arrays.
 */
#ifndef CK_PT_IMPL_H
#define CK_PT_IMPL_H

#include "core/pickle/pickle.h"
#include "core/pt/rebuild.h"

#include <inttypes.h>

/* Where a tensor lies: the arguments that all rebuild functions share. */
struct ck_geometry {
	const struct ck_value *offset, *size, *stride;
};

/* Records CK_ERR_CORRUPT for a call of FUNCTION. */
int ck_rebuild_bad_args(int64_t function, struct ck_error *err);

/*
 * Finds the storage of V, which must be the persistent id ('storage', type, key, location, numel): sets archive, entry
 * and dtype of T, and *NUMEL to the number of elements that the id declares. Sets r->missing, see ck_rebuild.
 */
int ck_rebuild_find(struct ck_rebuilder *r, const struct ck_value *v, struct ck_tensor *t, uint64_t *numel,
		    struct ck_error *err);

/* Reads a tuple or list of ints, or a torch.Size. */
int ck_rebuild_ints(const struct ck_value *v, const char *what, int64_t out[static CK_MAX_DIMS], uint32_t *len,
		    struct ck_error *err);

/* Sets shape, strides, numel and offset of T from G. NUMEL: how many elements the storage has; the tensor must lie
   inside. NULL: the tensor has no storage. */
int ck_rebuild_place(struct ck_rebuilder *r, const struct ck_geometry *g, const uint64_t *numel, struct ck_tensor *t,
		     struct ck_error *err);

/* The dtype of V (torch.float32); -1 for another value. */
int ck_rebuild_dtype(const struct ck_value *v);

/* Sets requires_grad of T. Only dtypes with fractions may have it. */
int ck_rebuild_grad(const struct ck_value *v, struct ck_tensor *t, struct ck_error *err);

/* Makes T from a call of FUNCTION, one of CK_G_REBUILD_SPARSE to CK_G_REBUILD_NESTED. */
int ck_rebuild_odd(struct ck_rebuilder *r, int64_t function, const struct ck_value *args, struct ck_tensor *t,
		   struct ck_error *err);

#endif
