#include "core/tensor/convert.h"
#include "check.h"

#include <stdlib.h>

static void same(const void *got, const void *want, size_t len, enum ck_dtype dtype, int line, const char *how)
{
	if (memcmp(got, want, len) == 0)
		return;
	printf("FAIL line %d: %s, %s\n", line, ck_dtype_info(dtype)->torch, how);
	check_failures++;
}

/* Converts the bytes at SRC and compares with those at WANT, out of place and, where widths are equal, in place. */
static void expect(struct ck_conversion c, size_t count, const void *src, const void *want, int line)
{
	size_t from = count * ck_dtype_info(c.from)->width;
	size_t to = count * ck_dtype_info(c.to)->width;

	/* Shifted by a byte too: no alignment is asked. Blocks of the exact size, so that ASan sees a byte too many. */
	for (size_t shift = 0; shift < 2; shift++) {
		char *in = malloc(from + shift), *out = malloc(to + shift);

		memcpy(in + shift, src, from);
		ck_convert(&c, out + shift, in + shift, count);
		same(out + shift, want, to, c.from, line, "out of place");
		if (c.from == c.to) {
			ck_convert(&c, in + shift, in + shift, count);
			same(in + shift, want, to, c.from, line, "in place");
		}
		free(in);
		free(out);
	}
}

#define EXPECT(count, src, want, ...) expect((struct ck_conversion){ __VA_ARGS__ }, count, src, want, __LINE__)

/* bfloat16 bit patterns and the float32 ones that they stand for: 1, -2, 0, -0, inf, -inf, quiet and signalling
   NaNs with payloads, the least subnormal, the greatest finite. */
static const uint16_t brain[] = {
	0x3f80, 0xc000, 0x0000, 0x8000, 0x7f80, 0xff80, 0x7fc0, 0x7f81, 0xffd5, 0x0001, 0x7f7f,
};
static const uint32_t single[] = {
	0x3f800000, 0xc0000000, 0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f810000, 0xffd50000,
	0x00010000, 0x7f7f0000,
};
#define PATTERNS (sizeof(brain) / sizeof(brain[0]))

static void bfloat16_widens(void)
{
	EXPECT(PATTERNS, brain, single, .from = CK_BF16, .to = CK_F32);
}

/* Every length around a block's: each pattern must come out at its place and nothing beyond it. */
static void bfloat16_widens_at_every_length(void)
{
	for (size_t count = 0; count < 131; count++) {
		uint16_t in[131];
		uint32_t out[132], want[132];

		for (size_t i = 0; i < count; i++) {
			in[i] = brain[i % PATTERNS];
			want[i] = single[i % PATTERNS];
		}
		out[count] = want[count] = 0xdeadbeef;
		ck_convert(&(struct ck_conversion){ .from = CK_BF16, .to = CK_F32 }, out, in, count);
		CHECK(memcmp(out, want, (count + 1) * sizeof(*out)) == 0);
	}
}

static void bfloat16_widens_swapped_and_negated(void)
{
	static const uint8_t big[] = { 0x3f, 0x80, 0xc0, 0x00, 0x7f, 0x81 };
	static const uint32_t want[] = { 0x3f800000, 0xc0000000, 0x7f810000 };
	static const uint32_t negated[] = { 0xbf800000, 0x40000000, 0xff810000 };
	static const uint16_t little[] = { 0x3f80, 0xc000, 0x7f81 };

	EXPECT(3, big, want, .from = CK_BF16, .to = CK_F32, .swap = true);
	EXPECT(3, big, negated, .from = CK_BF16, .to = CK_F32, .swap = true, .neg = true);
	EXPECT(3, little, negated, .from = CK_BF16, .to = CK_F32, .neg = true);
}

static void every_dtype_swaps_its_words(void)
{
	uint8_t in[37 * 16], want[sizeof(in)];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7 + i / 256);
	for (enum ck_dtype d = 0; d < CK_DTYPE_ARRAYS; d++) {
		size_t width = ck_dtype_info(d)->width;
		size_t word = d == CK_C64 ? 4 : d == CK_C128 ? 8 : width;

		for (size_t i = 0; i < 37 * width; i++)
			want[i] = in[i / word * word + (word - 1 - i % word)];
		EXPECT(37, in, want, .from = d, .to = d, .swap = true);
		EXPECT(37, in, in, .from = d, .to = d);
	}
}

static void floats_negate_by_their_sign(void)
{
	EXPECT(3, ((uint16_t[]){ 0x3c00, 0x8000, 0x7e01 }), ((uint16_t[]){ 0xbc00, 0x0000, 0xfe01 }),
	       .from = CK_F16, .to = CK_F16, .neg = true);
	EXPECT(2, ((uint16_t[]){ 0x3f80, 0xffc1 }), ((uint16_t[]){ 0xbf80, 0x7fc1 }),
	       .from = CK_BF16, .to = CK_BF16, .neg = true);
	EXPECT(3, ((uint32_t[]){ 0x3f800000, 0, 0x7fc00001 }), ((uint32_t[]){ 0xbf800000, 0x80000000, 0xffc00001 }),
	       .from = CK_F32, .to = CK_F32, .neg = true);
	EXPECT(2, ((uint64_t[]){ 0x3ff0000000000000, 0x8000000000000000 }), ((uint64_t[]){ 0xbff0000000000000, 0 }),
	       .from = CK_F64, .to = CK_F64, .neg = true);
	EXPECT(3, ((uint8_t[]){ 0x38, 0x00, 0xff }), ((uint8_t[]){ 0xb8, 0x80, 0x7f }),
	       .from = CK_F8_E4M3FN, .to = CK_F8_E4M3FN, .neg = true);
	EXPECT(3, ((uint8_t[]){ 0x3c, 0x00, 0xfd }), ((uint8_t[]){ 0xbc, 0x80, 0x7d }),
	       .from = CK_F8_E5M2, .to = CK_F8_E5M2, .neg = true);
	/* 0x80 is the NaN of the fnuz types, and 0 is the only zero. */
	EXPECT(4, ((uint8_t[]){ 0x40, 0x00, 0x80, 0xff }), ((uint8_t[]){ 0xc0, 0x00, 0x80, 0x7f }),
	       .from = CK_F8_E4M3FNUZ, .to = CK_F8_E4M3FNUZ, .neg = true);
	EXPECT(4, ((uint8_t[]){ 0x40, 0x00, 0x80, 0xff }), ((uint8_t[]){ 0xc0, 0x00, 0x80, 0x7f }),
	       .from = CK_F8_E5M2FNUZ, .to = CK_F8_E5M2FNUZ, .neg = true);
}

static void integers_negate_in_twos_complement(void)
{
	EXPECT(3, ((int8_t[]){ 1, -128, 0 }), ((int8_t[]){ -1, -128, 0 }), .from = CK_I8, .to = CK_I8, .neg = true);
	EXPECT(2, ((uint8_t[]){ 1, 200 }), ((uint8_t[]){ 255, 56 }), .from = CK_U8, .to = CK_U8, .neg = true);
	EXPECT(2, ((int16_t[]){ 300, -1 }), ((int16_t[]){ -300, 1 }), .from = CK_I16, .to = CK_I16, .neg = true);
	EXPECT(2, ((uint16_t[]){ 1, 0 }), ((uint16_t[]){ 65535, 0 }), .from = CK_U16, .to = CK_U16, .neg = true);
	EXPECT(2, ((int32_t[]){ 70000, -1 }), ((int32_t[]){ -70000, 1 }), .from = CK_I32, .to = CK_I32, .neg = true);
	EXPECT(1, ((uint32_t[]){ 1 }), ((uint32_t[]){ 4294967295 }), .from = CK_U32, .to = CK_U32, .neg = true);
	EXPECT(2, ((int64_t[]){ INT64_C(1) << 40, INT64_MIN }), ((int64_t[]){ -(INT64_C(1) << 40), INT64_MIN }),
	       .from = CK_I64, .to = CK_I64, .neg = true);
	EXPECT(1, ((uint64_t[]){ 1 }), ((uint64_t[]){ UINT64_MAX }), .from = CK_U64, .to = CK_U64, .neg = true);
	EXPECT(2, ((uint8_t[]){ 1, 0 }), ((uint8_t[]){ 1, 0 }), .from = CK_BOOL8, .to = CK_BOOL8, .neg = true);
}

static void complex_conjugates_and_negates(void)
{
	static const float a[] = { 1, 2, -3, -4 }, conj[] = { 1, -2, -3, 4 }, neg[] = { -1, -2, 3, 4 };
	static const float both[] = { -1, 2, 3, -4 };
	static const double b[] = { 1, 2, -3, -4 }, conj2[] = { 1, -2, -3, 4 }, neg2[] = { -1, -2, 3, 4 };
	static const double both2[] = { -1, 2, 3, -4 };
	static const uint8_t big[] = { 0x3f, 0x80, 0, 0, 0x40, 0, 0, 0 };  /* 1 + 2i */

	EXPECT(2, a, conj, .from = CK_C64, .to = CK_C64, .conj = true);
	EXPECT(2, a, neg, .from = CK_C64, .to = CK_C64, .neg = true);
	EXPECT(2, a, both, .from = CK_C64, .to = CK_C64, .conj = true, .neg = true);
	EXPECT(2, b, conj2, .from = CK_C128, .to = CK_C128, .conj = true);
	EXPECT(2, b, neg2, .from = CK_C128, .to = CK_C128, .neg = true);
	EXPECT(2, b, both2, .from = CK_C128, .to = CK_C128, .conj = true, .neg = true);
	EXPECT(1, big, conj, .from = CK_C64, .to = CK_C64, .conj = true, .swap = true);
	EXPECT(4, a, a, .from = CK_F32, .to = CK_F32, .conj = true);
}

static void identity_is_told(void)
{
	for (enum ck_dtype d = 0; d < CK_DTYPE_ARRAYS; d++) {
		bool complex = d == CK_C64 || d == CK_C128;

		CHECK(ck_conversion_identity(&(struct ck_conversion){ .from = d, .to = d }));
		CHECK(ck_conversion_identity(&(struct ck_conversion){ .from = d, .to = d, .swap = true }) ==
		      (ck_dtype_info(d)->width == 1));
		CHECK(ck_conversion_identity(&(struct ck_conversion){ .from = d, .to = d, .conj = true }) == !complex);
		CHECK(ck_conversion_identity(&(struct ck_conversion){ .from = d, .to = d, .neg = true }) ==
		      (d == CK_BOOL8));
	}
	CHECK(!ck_conversion_identity(&(struct ck_conversion){ .from = CK_BF16, .to = CK_F32 }));
}

int main(void)
{
	RUN(bfloat16_widens);
	RUN(bfloat16_widens_at_every_length);
	RUN(bfloat16_widens_swapped_and_negated);
	RUN(every_dtype_swaps_its_words);
	RUN(floats_negate_by_their_sign);
	RUN(integers_negate_in_twos_complement);
	RUN(complex_conjugates_and_negates);
	RUN(identity_is_told);
	CHECK_EXIT();
}
