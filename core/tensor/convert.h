/*
 * convert - element kernels: buffer to buffer, no I/O, no allocation.
 */
#ifndef CK_CONVERT_H
#define CK_CONVERT_H

#include "core/tensor/dtype.h"

#include <stdbool.h>

struct ck_conversion {
	enum ck_dtype from, to;  /* equal, or bfloat16 to float32 */
	bool swap;               /* the source is big-endian */
	bool conj;               /* torch's conjugate bit: negate the imaginary parts */
	bool neg;                /* torch's negative bit: negate */
};

/* Whether the bytes stay as they are. */
bool ck_conversion_identity(const struct ck_conversion *c);

/* Converts COUNT elements from SRC to DST. They may be the same buffer when the widths are equal,
   else they must not overlap. No alignment is asked of either. bfloat16 to float32 moves bits (a
   NaN keeps its payload), as torch's .float() does. */
void ck_convert(const struct ck_conversion *c, void *dst, const void *src, size_t count);

#endif
