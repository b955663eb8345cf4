#include "core/tensor/dtype.h"

#include <string.h>

/* Ranks are the places in safetensors' Dtype, which also lists types below a byte: torch.save has none of these. */
static const struct ck_dtype_info table[CK_DTYPE_COUNT] = {
	[CK_BOOL8]       = { "bool", "BoolStorage", "|b1", "BOOL", 0, 1, 1 },
	[CK_U8]          = { "uint8", "ByteStorage", "|u1", "U8", 4, 1, 1 },
	[CK_I8]          = { "int8", "CharStorage", "|i1", "I8", 5, 1, 1 },
	[CK_F8_E5M2]     = { "float8_e5m2", NULL, "|V1", "F8_E5M2", 6, 1, 1 },
	[CK_F8_E4M3FN]   = { "float8_e4m3fn", NULL, "|V1", "F8_E4M3", 7, 1, 1 },
	[CK_F8_E4M3FNUZ] = { "float8_e4m3fnuz", NULL, "|V1", "F8_E4M3FNUZ", 9, 1, 1 },
	[CK_F8_E5M2FNUZ] = { "float8_e5m2fnuz", NULL, "|V1", "F8_E5M2FNUZ", 10, 1, 1 },
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
