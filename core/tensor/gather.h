/*
 * gather - elements of a strided tensor in C order, converted: what a view does for a tensor that
 * isn't a range.
 */
#ifndef CK_GATHER_H
#define CK_GATHER_H

#include "core/tensor/tensor.h"

/*
 * Writes COUNT elements as shown, from flat C-order index FIRST on, to DST. FIRST + COUNT must be
 * within numel. ORIGIN: where the tensor's first element lies (ck_tensor_locate; not used for a
 * fill). Reads only what the elements need, in runs along the smallest stride. CK_ERR_SYS,
 * CK_ERR_CHANGED, CK_ERR_NOMEM; CK_ERR_AGAIN as ck_origin_read.
 */
int ck_gather(const struct ck_tensor *t, const struct ck_origin *origin, uint64_t first, uint64_t count, void *dst,
	      struct ck_error *err);

#endif
