#include "core/tensor/dtype.h"
#include "check.h"

/* Hand-written from the documents of the three: names, width, what a byte order swaps. */
static const struct {
	enum ck_dtype dtype;
	const char *torch, *storage, *numpy, *safetensors;
	unsigned width, swap;
} want[] = {
	{ CK_BOOL8, "bool", "BoolStorage", "|b1", "BOOL", 1, 1 },
	{ CK_U8, "uint8", "ByteStorage", "|u1", "U8", 1, 1 },
	{ CK_I8, "int8", "CharStorage", "|i1", "I8", 1, 1 },
	{ CK_F8_E5M2, "float8_e5m2", NULL, "|V1", "F8_E5M2", 1, 1 },
	{ CK_F8_E4M3FN, "float8_e4m3fn", NULL, "|V1", "F8_E4M3", 1, 1 },
	{ CK_F8_E5M2FNUZ, "float8_e5m2fnuz", NULL, "|V1", "F8_E5M2FNUZ", 1, 1 },
	{ CK_F8_E4M3FNUZ, "float8_e4m3fnuz", NULL, "|V1", "F8_E4M3FNUZ", 1, 1 },
	{ CK_I16, "int16", "ShortStorage", "<i2", "I16", 2, 2 },
	{ CK_U16, "uint16", NULL, "<u2", "U16", 2, 2 },
	{ CK_F16, "float16", "HalfStorage", "<f2", "F16", 2, 2 },
	{ CK_BF16, "bfloat16", "BFloat16Storage", "<V2", "BF16", 2, 2 },
	{ CK_I32, "int32", "IntStorage", "<i4", "I32", 4, 4 },
	{ CK_U32, "uint32", NULL, "<u4", "U32", 4, 4 },
	{ CK_F32, "float32", "FloatStorage", "<f4", "F32", 4, 4 },
	{ CK_C64, "complex64", "ComplexFloatStorage", "<c8", "C64", 8, 4 },
	{ CK_F64, "float64", "DoubleStorage", "<f8", "F64", 8, 8 },
	{ CK_I64, "int64", "LongStorage", "<i8", "I64", 8, 8 },
	{ CK_U64, "uint64", NULL, "<u8", "U64", 8, 8 },
	{ CK_C128, "complex128", "ComplexDoubleStorage", "<c16", NULL, 16, 8 },
};
#define COUNT (sizeof(want) / sizeof(want[0]))

static void names_and_widths(void)
{
	CHECK(COUNT == CK_DTYPE_COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		const struct ck_dtype_info *info = ck_dtype_info(want[i].dtype);

		CHECK_STR(info->torch, want[i].torch);
		CHECK_STR(info->numpy, want[i].numpy);
		CHECK_STR(info->storage ? info->storage : "", want[i].storage ? want[i].storage : "");
		CHECK_STR(info->safetensors ? info->safetensors : "", want[i].safetensors ? want[i].safetensors : "");
		CHECK(info->width == want[i].width);
		CHECK(info->swap == want[i].swap);
	}
}

static void lookup_finds_each(void)
{
	for (size_t i = 0; i < COUNT; i++) {
		int dtype = (int)want[i].dtype;

		CHECK(ck_dtype_by_torch(want[i].torch, strlen(want[i].torch)) == dtype);
		if (want[i].storage)
			CHECK(ck_dtype_by_storage(want[i].storage, strlen(want[i].storage)) == dtype);
		if (want[i].safetensors)
			CHECK(ck_dtype_by_safetensors(want[i].safetensors, strlen(want[i].safetensors)) == dtype);
	}
}

static void lookup_takes_whole_names_only(void)
{
	CHECK(ck_dtype_by_torch("float32xyz", 7) == CK_F32);
	CHECK(ck_dtype_by_torch("float3", 6) == -1);
	CHECK(ck_dtype_by_torch("float32\0", 8) == -1);
	CHECK(ck_dtype_by_torch("", 0) == -1);
	CHECK(ck_dtype_by_torch("Float32", 7) == -1);
	CHECK(ck_dtype_by_storage("UntypedStorage", 14) == -1);
	CHECK(ck_dtype_by_safetensors("C128", 4) == -1);
	CHECK(ck_dtype_by_safetensors("F4", 2) == -1);
}

/* The order of the library's Dtype: the widest last, and no two alike. */
static void ranks_rise(void)
{
	static const enum ck_dtype order[] = {
		CK_BOOL8, CK_U8, CK_I8, CK_F8_E5M2, CK_F8_E4M3FN, CK_F8_E4M3FNUZ, CK_F8_E5M2FNUZ, CK_I16, CK_U16,
		CK_F16, CK_BF16, CK_I32, CK_U32, CK_F32, CK_C64, CK_F64, CK_I64, CK_U64,
	};

	for (size_t i = 1; i < sizeof(order) / sizeof(order[0]); i++)
		CHECK(ck_dtype_info(order[i - 1])->rank < ck_dtype_info(order[i])->rank);
}

int main(void)
{
	RUN(names_and_widths);
	RUN(lookup_finds_each);
	RUN(lookup_takes_whole_names_only);
	RUN(ranks_rise);
	CHECK_EXIT();
}
