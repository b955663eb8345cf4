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
	{ CK_F8_E8M0, "float8_e8m0fnu", NULL, "|V1", "F8_E8M0", 1, 1 },
	{ CK_F4X2, "float4_e2m1fn_x2", NULL, "|V1", "F4", 1, 1 },
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
	CHECK(COUNT == CK_DTYPE_ARRAYS);
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
	CHECK(ck_dtype_by_safetensors("F6_E2M3", 7) == -1);
}

/* What torch 2.6 and 2.8 say of dtypes that NumPy has no type for: itemsize, and the class of the storage. */
static void others_are_known_by_name(void)
{
	static const struct {
		const char *torch, *storage;
		unsigned width;
	} others[] = {
		{ "complex32", NULL, 4 }, { "quint8", "QUInt8Storage", 1 }, { "qint8", "QInt8Storage", 1 },
		{ "qint32", "QInt32Storage", 4 }, { "quint4x2", "QUInt4x2Storage", 1 },
		{ "quint2x4", "QUInt2x4Storage", 1 }, { "bits8", NULL, 1 }, { "bits16", NULL, 2 },
		{ "bits1x8", NULL, 1 }, { "bits2x4", NULL, 1 }, { "bits4x2", NULL, 1 }, { "uint1", NULL, 1 },
		{ "uint7", NULL, 1 }, { "int1", NULL, 1 }, { "int4", NULL, 1 }, { "int7", NULL, 1 },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		int dtype = ck_dtype_by_torch(others[i].torch, strlen(others[i].torch));
		const struct ck_dtype_info *info = ck_dtype_info((enum ck_dtype)dtype);

		CHECK(dtype >= CK_DTYPE_ARRAYS && dtype < CK_DTYPE_COUNT);
		CHECK(!info->numpy && !info->safetensors && info->width == others[i].width);
		CHECK_STR(info->storage ? info->storage : "", others[i].storage ? others[i].storage : "");
	}
	for (int i = 0; i < CK_DTYPE_COUNT; i++)
		CHECK(!ck_dtype_info((enum ck_dtype)i)->numpy == (i >= CK_DTYPE_ARRAYS));
}

/* The order of the library's Dtype: the widest last, and no two alike. */
static void ranks_rise(void)
{
	static const enum ck_dtype order[] = {
		CK_BOOL8, CK_F4X2, CK_U8, CK_I8, CK_F8_E5M2, CK_F8_E4M3FN, CK_F8_E8M0, CK_F8_E4M3FNUZ, CK_F8_E5M2FNUZ,
		CK_I16, CK_U16,
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
	RUN(others_are_known_by_name);
	RUN(ranks_rise);
	CHECK_EXIT();
}
