/*
 * dtype - one table of the element types: torch's, NumPy's and safetensors' names, and the width.
 * Sources: torch 1.6 to 2.10 (torch.dtype, the storage classes), NumPy's format description,
 * safetensors' Dtype (its order is the one by which the library sorts tensors).
 *
 * The types up to CK_DTYPE_ARRAYS can be shown as arrays. Of the others only the names are known, so that a tensor of
 * such a type takes no other tensor down.
 */
#ifndef CK_DTYPE_H
#define CK_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum ck_dtype {
	CK_BOOL8, CK_U8, CK_I8, CK_F8_E5M2, CK_F8_E4M3FN, CK_F8_E5M2FNUZ, CK_F8_E4M3FNUZ, CK_F8_E8M0, CK_F4X2,
	CK_I16, CK_U16, CK_F16, CK_BF16, CK_I32, CK_U32, CK_F32, CK_C64, CK_F64, CK_I64, CK_U64, CK_C128,
	CK_DTYPE_ARRAYS,
	CK_C32 = CK_DTYPE_ARRAYS,
	CK_QU8, CK_QI8, CK_QI32, CK_QU4X2, CK_QU2X4,
	CK_BITS8, CK_BITS16, CK_BITS1X8, CK_BITS2X4, CK_BITS4X2,
	CK_U1, CK_U2, CK_U3, CK_U4, CK_U5, CK_U6, CK_U7, CK_I1, CK_I2, CK_I3, CK_I4, CK_I5, CK_I6, CK_I7,
	CK_DTYPE_COUNT,
};

struct ck_dtype_info {
	const char *torch;       /* "bfloat16", without "torch." */
	/* "BFloat16Storage"; NULL for types that come with _rebuild_tensor_v3 */
	const char *storage;
	/* the descr of .npy: "<f4"; "<V2" for bfloat16, "|V1" for float8 and float4; NULL behind CK_DTYPE_ARRAYS */
	const char *numpy;
	/* "BF16"; NULL where the format has none (complex128). F4 counts half bytes: float4_e2m1fn_x2 has two for each
	   element */
	const char *safetensors;
	unsigned rank;           /* place in safetensors' order, the highest first in a file */
	unsigned width;          /* bytes of an element */
	/* bytes of what a byte order swaps: the width, half of it for complex */
	unsigned swap;
};

const struct ck_dtype_info *ck_dtype_info(enum ck_dtype dtype);

/* By name; -1 when there is none. NAME need not be terminated: LEN bytes count. */
int ck_dtype_by_torch(const char *name, size_t len);
int ck_dtype_by_storage(const char *name, size_t len);
int ck_dtype_by_safetensors(const char *name, size_t len);

#endif
