/* The table of dtype.h, and the ways to look in it. */
#include "core/tensor/dtype.h"

#include <string.h>

/* Ranks are the places in safetensors' Dtype. */
static const struct ck_dtype_info table[CK_DTYPE_COUNT] = {
	[CK_BOOL8]       = { "bool", "BoolStorage", "|b1", "BOOL", 0, 1, 1 },
	[CK_U8]          = { "uint8", "ByteStorage", "|u1", "U8", 4, 1, 1 },
	[CK_I8]          = { "int8", "CharStorage", "|i1", "I8", 5, 1, 1 },
	[CK_F8_E5M2]     = { "float8_e5m2", NULL, "|V1", "F8_E5M2", 6, 1, 1 },
	[CK_F8_E4M3FN]   = { "float8_e4m3fn", NULL, "|V1", "F8_E4M3", 7, 1, 1 },
	[CK_F8_E4M3FNUZ] = { "float8_e4m3fnuz", NULL, "|V1", "F8_E4M3FNUZ", 9, 1, 1 },
	[CK_F8_E5M2FNUZ] = { "float8_e5m2fnuz", NULL, "|V1", "F8_E5M2FNUZ", 10, 1, 1 },
	[CK_F8_E8M0]     = { "float8_e8m0fnu", NULL, "|V1", "F8_E8M0", 8, 1, 1 },
	[CK_F4X2]        = { "float4_e2m1fn_x2", NULL, "|V1", "F4", 1, 1, 1 },
	[CK_I16]         = { "int16", "ShortStorage", "<i2", "I16", 11, 2, 2 },
	[CK_U16]         = { "uint16", NULL, "<u2", "U16", 12, 2, 2 },
	[CK_F16]         = { "float16", "HalfStorage", "<f2", "F16", 13, 2, 2 },
	[CK_BF16]        = { "bfloat16", "BFloat16Storage", "<V2", "BF16", 14, 2, 2 },
	[CK_I32]         = { "int32", "IntStorage", "<i4", "I32", 15, 4, 4 },
	[CK_U32]         = { "uint32", NULL, "<u4", "U32", 16, 4, 4 },
	[CK_F32]         = { "float32", "FloatStorage", "<f4", "F32", 17, 4, 4 },
	[CK_C64]         = { "complex64", "ComplexFloatStorage", "<c8", "C64", 18, 8, 4 },
	[CK_F64]         = { "float64", "DoubleStorage", "<f8", "F64", 19, 8, 8 },
	[CK_I64]         = { "int64", "LongStorage", "<i8", "I64", 20, 8, 8 },
	[CK_U64]         = { "uint64", NULL, "<u8", "U64", 21, 8, 8 },
	[CK_C128]        = { "complex128", "ComplexDoubleStorage", "<c16", NULL, 22, 16, 8 },
	[CK_C32]         = { "complex32", NULL, NULL, NULL, 0, 4, 2 },
	[CK_QU8]         = { "quint8", "QUInt8Storage", NULL, NULL, 0, 1, 1 },
	[CK_QI8]         = { "qint8", "QInt8Storage", NULL, NULL, 0, 1, 1 },
	[CK_QI32]        = { "qint32", "QInt32Storage", NULL, NULL, 0, 4, 4 },
	[CK_QU4X2]       = { "quint4x2", "QUInt4x2Storage", NULL, NULL, 0, 1, 1 },
	[CK_QU2X4]       = { "quint2x4", "QUInt2x4Storage", NULL, NULL, 0, 1, 1 },
	[CK_BITS8]       = { "bits8", NULL, NULL, NULL, 0, 1, 1 },
	[CK_BITS16]      = { "bits16", NULL, NULL, NULL, 0, 2, 2 },
	[CK_BITS1X8]     = { "bits1x8", NULL, NULL, NULL, 0, 1, 1 },
	[CK_BITS2X4]     = { "bits2x4", NULL, NULL, NULL, 0, 1, 1 },
	[CK_BITS4X2]     = { "bits4x2", NULL, NULL, NULL, 0, 1, 1 },
	/* torch gives these a byte an element, and packs nothing */
	[CK_U1]          = { "uint1", NULL, NULL, NULL, 0, 1, 1 },
	[CK_U2]          = { "uint2", NULL, NULL, NULL, 0, 1, 1 },
	[CK_U3]          = { "uint3", NULL, NULL, NULL, 0, 1, 1 },
	[CK_U4]          = { "uint4", NULL, NULL, NULL, 0, 1, 1 },
	[CK_U5]          = { "uint5", NULL, NULL, NULL, 0, 1, 1 },
	[CK_U6]          = { "uint6", NULL, NULL, NULL, 0, 1, 1 },
	[CK_U7]          = { "uint7", NULL, NULL, NULL, 0, 1, 1 },
	[CK_I1]          = { "int1", NULL, NULL, NULL, 0, 1, 1 },
	[CK_I2]          = { "int2", NULL, NULL, NULL, 0, 1, 1 },
	[CK_I3]          = { "int3", NULL, NULL, NULL, 0, 1, 1 },
	[CK_I4]          = { "int4", NULL, NULL, NULL, 0, 1, 1 },
	[CK_I5]          = { "int5", NULL, NULL, NULL, 0, 1, 1 },
	[CK_I6]          = { "int6", NULL, NULL, NULL, 0, 1, 1 },
	[CK_I7]          = { "int7", NULL, NULL, NULL, 0, 1, 1 },
};

const struct ck_dtype_info *ck_dtype_info(enum ck_dtype dtype)
{
	return &table[dtype];
}

/* Where in struct ck_dtype_info the name lies that is looked for. */
static int by_name(size_t member, const char *name, size_t len)
{
	for (int i = 0; i < CK_DTYPE_COUNT; i++) {
		const char *have;

		memcpy(&have, (const char *)&table[i] + member, sizeof(have));
		if (have && strlen(have) == len && memcmp(have, name, len) == 0)
			return i;
	}
	return -1;
}

int ck_dtype_by_torch(const char *name, size_t len)
{
	return by_name(offsetof(struct ck_dtype_info, torch), name, len);
}

int ck_dtype_by_storage(const char *name, size_t len)
{
	return by_name(offsetof(struct ck_dtype_info, storage), name, len);
}

int ck_dtype_by_safetensors(const char *name, size_t len)
{
	return by_name(offsetof(struct ck_dtype_info, safetensors), name, len);
}
