/* Implements convert.h: one loop for each kernel, then the order in which a conversion applies them. */
#include "core/tensor/convert.h"

#include <string.h>

/*
 * Every kernel has the same shape: a loop over blocks of BLOCK elements, whose inner trip count is a constant, and
 * the rest one by one. Compilers turn the inner loop into vector code even at -O2, where they leave a loop of
 * unknown length alone. Elements are loaded through types of alignment 1 that may alias anything, because a tensor
 * starts at any byte of a file.
 */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernels take the machine's integers for the file's"
#endif

#define BLOCK 32

typedef uint16_t any16 __attribute__((aligned(1), may_alias));
typedef uint32_t any32 __attribute__((aligned(1), may_alias));
typedef uint64_t any64 __attribute__((aligned(1), may_alias));

/* Defines NAME(data, count), which sets each element x of an array to EXPR. */
#define IN_PLACE(NAME, TYPE, EXPR)                                              \
	static void NAME(void *data, size_t count)                              \
	{                                                                       \
		TYPE *p = data;                                                 \
									        \
		for (; count >= BLOCK; count -= BLOCK, p += BLOCK)              \
			for (int i = 0; i < BLOCK; i++) {                       \
				TYPE x = p[i];                                  \
				p[i] = (TYPE)(EXPR);                            \
			}                                                       \
		for (; count > 0; count--, p++) {                               \
			TYPE x = *p;                                            \
			*p = (TYPE)(EXPR);                                      \
		}                                                               \
	}

IN_PLACE(swap16, any16, __builtin_bswap16(x))
IN_PLACE(swap32, any32, __builtin_bswap32(x))
IN_PLACE(swap64, any64, __builtin_bswap64(x))

IN_PLACE(flip8, uint8_t, x ^ 0x80)
IN_PLACE(flip16, any16, x ^ 0x8000)
IN_PLACE(flip32, any32, x ^ UINT32_C(0x80000000))
IN_PLACE(flip64, any64, x ^ UINT64_C(0x8000000000000000))

IN_PLACE(negate8, uint8_t, 0u - x)
IN_PLACE(negate16, any16, 0u - x)
IN_PLACE(negate32, any32, 0u - x)
IN_PLACE(negate64, any64, UINT64_C(0) - x)

/* The fnuz types have one zero, and a NaN where the others have -0. */
IN_PLACE(flip8_fnuz, uint8_t, x & 0x7f ? x ^ 0x80 : x)

static void conj128(void *data, size_t count)
{
	any64 *p = data;

	for (; count > 0; count--, p += 2)
		p[1] ^= UINT64_C(0x8000000000000000);
}

/* A bfloat16 is the upper half of a float32. */
static void widen(any32 *restrict dst, const any16 *restrict src, size_t count)
{
	for (; count >= BLOCK; count -= BLOCK, dst += BLOCK, src += BLOCK)
		for (int i = 0; i < BLOCK; i++)
			dst[i] = (uint32_t)src[i] << 16;
	for (; count > 0; count--)
		*dst++ = (uint32_t)*src++ << 16;
}

static void widen_swapped(any32 *restrict dst, const any16 *restrict src, size_t count)
{
	for (; count >= BLOCK; count -= BLOCK, dst += BLOCK, src += BLOCK)
		for (int i = 0; i < BLOCK; i++)
			dst[i] = (uint32_t)__builtin_bswap16(src[i]) << 16;
	for (; count > 0; count--)
		*dst++ = (uint32_t)__builtin_bswap16(*src++) << 16;
}

static void swap(enum ck_dtype dtype, void *data, size_t count)
{
	const struct ck_dtype_info *info = ck_dtype_info(dtype);
	size_t words = count * (info->width / info->swap);

	switch (info->swap) {
	case 2:
		swap16(data, words);
		break;
	case 4:
		swap32(data, words);
		break;
	case 8:
		swap64(data, words);
		break;
	}
}

static void negate(enum ck_dtype dtype, void *data, size_t count)
{
	switch (dtype) {
	case CK_U8: case CK_I8:
		negate8(data, count);
		break;
	case CK_U16: case CK_I16:
		negate16(data, count);
		break;
	case CK_U32: case CK_I32:
		negate32(data, count);
		break;
	case CK_U64: case CK_I64:
		negate64(data, count);
		break;
	case CK_F8_E5M2: case CK_F8_E4M3FN:
		flip8(data, count);
		break;
	case CK_F8_E5M2FNUZ: case CK_F8_E4M3FNUZ:
		flip8_fnuz(data, count);
		break;
	case CK_F16: case CK_BF16:
		flip16(data, count);
		break;
	case CK_F32:
		flip32(data, count);
		break;
	case CK_C64:
		flip32(data, 2 * count);
		break;
	case CK_F64:
		flip64(data, count);
		break;
	case CK_C128:
		flip64(data, 2 * count);
		break;
	default:        /* a bool has no sign; of the others torch writes no negative views */
		break;
	}
}

/* A complex64 is one word of 64 bits, whose top bit is the sign of the imaginary part. */
static void conjugate(enum ck_dtype dtype, void *data, size_t count)
{
	if (dtype == CK_C64)
		flip64(data, count);
	else if (dtype == CK_C128)
		conj128(data, count);
}

bool ck_conversion_identity(const struct ck_conversion *c)
{
	bool complex = c->from == CK_C64 || c->from == CK_C128;

	return c->from == c->to && !(c->swap && ck_dtype_info(c->from)->swap > 1) && !(c->conj && complex) &&
	       !(c->neg && c->from != CK_BOOL8);
}

void ck_convert(const struct ck_conversion *c, void *dst, const void *src, size_t count)
{
	if (c->from != c->to) {
		(c->swap ? widen_swapped : widen)(dst, src, count);
	} else {
		if (dst != src && count > 0)
			memcpy(dst, src, count * ck_dtype_info(c->from)->width);
		if (c->swap)
			swap(c->from, dst, count);
	}
	if (c->neg)
		negate(c->to, dst, count);
	if (c->conj)
		conjugate(c->to, dst, count);
}
