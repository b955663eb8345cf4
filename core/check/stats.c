/* Statistics of elements. Implements stats.h. Blocks have a constant length, so that the compiler vectorises the loops.
 */
#include "core/check/stats.h"

#include "core/tensor/convert.h"

#include <math.h>
#include <string.h>

#define BLOCK 1024

struct counts {
	uint32_t nan, inf;
};

/* An IEEE type of BITS: infinity is the exponent all ones and nothing else. */
#define COUNTER(name, type, abs_mask, infinity)                                                                        \
	static struct counts name(const type *x, size_t n)                                                             \
	{                                                                                                              \
		struct counts c = {0};                                                                                 \
                                                                                                                       \
		for (size_t i = 0; i < n; i++) {                                                                       \
			type bits = x[i] & (type)(abs_mask);                                                           \
                                                                                                                       \
			c.inf += bits == (type)(infinity);                                                             \
			c.nan += bits > (type)(infinity);                                                              \
		}                                                                                                      \
		return c;                                                                                              \
	}
COUNTER(count_f16, uint16_t, 0x7fff, 0x7c00)
COUNTER(count_bf16, uint16_t, 0x7fff, 0x7f80)
COUNTER(count_f32, uint32_t, 0x7fffffff, 0x7f800000)
COUNTER(count_f64, uint64_t, 0x7fffffffffffffff, 0x7ff0000000000000)

/* The 8-bit types: which of their 256 values are NaN and infinite (torch/headeronly/util/Float8_*.h; ml_dtypes). */
static struct counts count_f8(enum ck_dtype dtype, const uint8_t *x, size_t n)
{
	struct counts c = {0};

	for (size_t i = 0; i < n; i++) {
		uint8_t bits = x[i] & 0x7f;

		switch (dtype) {
		case CK_F8_E5M2:
			c.inf += bits == 0x7c;
			c.nan += bits > 0x7c;
			break;
		case CK_F8_E4M3FN:
			c.nan += bits == 0x7f;
			break;
		case CK_F8_E5M2FNUZ:
		case CK_F8_E4M3FNUZ:
			c.nan += x[i] == 0x80;
			break;
		case CK_F8_E8M0:
			c.nan += x[i] == 0xff;
			break;
		default:
			break;
		}
	}
	return c;
}

/* A complex element counts once: as NaN where either part is. */
static struct counts count_complex(const void *data, size_t n, bool wide)
{
	struct counts c = {0}, one;

	for (size_t i = 0; i < n; i++) {
		one = wide ? count_f64((const uint64_t *)data + 2 * i, 2)
			   : count_f32((const uint32_t *)data + 2 * i, 2);
		c.nan += one.nan > 0;
		c.inf += one.nan == 0 && one.inf > 0;
	}
	return c;
}

static struct counts count_block(enum ck_dtype dtype, const void *data, size_t n)
{
	/* The constant is what lets the compiler vectorise a whole block. */
	switch (dtype) {
	case CK_F32:
		return n == BLOCK ? count_f32(data, BLOCK) : count_f32(data, n);
	case CK_BF16:
		return n == BLOCK ? count_bf16(data, BLOCK) : count_bf16(data, n);
	case CK_F16:
		return n == BLOCK ? count_f16(data, BLOCK) : count_f16(data, n);
	case CK_F64:
		return n == BLOCK ? count_f64(data, BLOCK) : count_f64(data, n);
	case CK_C64:
	case CK_C128:
		return count_complex(data, n, dtype == CK_C128);
	case CK_F8_E5M2:
	case CK_F8_E4M3FN:
	case CK_F8_E5M2FNUZ:
	case CK_F8_E4M3FNUZ:
	case CK_F8_E8M0:
		return count_f8(dtype, data, n);
	default:
		return (struct counts){0};
	}
}

static double from_f16(uint16_t h)
{
	int exponent = h >> 10 & 31, mantissa = h & 1023;
	double x = exponent == 31 ? (mantissa ? NAN : INFINITY)
		   : exponent     ? ldexp(1024 + mantissa, exponent - 25)
				  : ldexp(mantissa, -24);

	return h & 0x8000 ? -x : x;
}

#define WIDEN(type)                                                                                                    \
	for (size_t i = 0; i < n; i++)                                                                                 \
		to[i] = (double)((const type *)data)[i];                                                               \
	return true

/* The elements as float64. False for types that have no statistics. */
static bool widen(enum ck_dtype dtype, const void *data, size_t n, double to[static BLOCK])
{
	static const struct ck_conversion half = {.from = CK_BF16, .to = CK_F32};
	float single[BLOCK];

	switch (dtype) {
	case CK_F32:
		WIDEN(float);
	case CK_F64:
		WIDEN(double);
	case CK_BF16:
		ck_convert(&half, single, data, n);
		data = single;
		WIDEN(float);
	case CK_F16:
		for (size_t i = 0; i < n; i++)
			to[i] = from_f16(((const uint16_t *)data)[i]);
		return true;
	case CK_BOOL8:
	case CK_U8:
		WIDEN(uint8_t);
	case CK_I8:
		WIDEN(int8_t);
	case CK_I16:
		WIDEN(int16_t);
	case CK_U16:
		WIDEN(uint16_t);
	case CK_I32:
		WIDEN(int32_t);
	case CK_U32:
		WIDEN(uint32_t);
	case CK_I64:
		WIDEN(int64_t);
	case CK_U64:
		WIDEN(uint64_t);
	default:
		return false;
	}
}

/* Sums of a block and how it joins the rest: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
   computing sample variances", 1979. */
static void add_block(struct ck_stats *s, const double *x, size_t n)
{
	double sum = 0, m2 = 0, squares = 0, mean, delta;
	uint64_t all = s->finite + n;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		sum += x[i];
		squares += x[i] * x[i];
		s->zeros += x[i] == 0;
		s->min = x[i] < s->min ? x[i] : s->min;
		s->max = x[i] > s->max ? x[i] : s->max;
	}
	mean = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		m2 += (x[i] - mean) * (x[i] - mean);
	delta = mean - s->mean;
	s->m2 += m2 + delta * delta * ((double)s->finite * (double)n / (double)all);
	s->mean += delta * ((double)n / (double)all);
	s->squares += squares;
	s->finite = all;
}

void ck_stats_begin(struct ck_stats *s, enum ck_dtype dtype, bool full)
{
	double none[BLOCK] = {0};

	*s = (struct ck_stats){.dtype = dtype, .stored = dtype, .min = INFINITY, .max = -INFINITY};
	s->full = full && widen(dtype, none, 0, none);
}

void ck_stats_add(struct ck_stats *s, const void *data, size_t count)
{
	const size_t width = ck_dtype_info(s->dtype)->width;
	const uint8_t *at = data;
	double x[BLOCK];

	s->count += count;
	for (size_t n; count > 0; count -= n, at += n * width) {
		struct counts c;
		uint64_t aligned[BLOCK * 2];
		const void *block = at;
		size_t kept = 0;

		n = count < BLOCK ? count : BLOCK;
		if ((uintptr_t)at % 8 != 0)
			block = memcpy(aligned, at, n * width);
		c = count_block(s->dtype, block, n);
		s->nan += c.nan;
		s->inf += c.inf;
		if (!s->full || !widen(s->dtype, block, n, x))
			continue;
		kept = n;
		if (c.nan || c.inf) {
			kept = 0;
			for (size_t i = 0; i < n; i++)
				if (isfinite(x[i]))
					x[kept++] = x[i];
		}
		add_block(s, x, kept);
	}
}

void ck_stats_repeat(struct ck_stats *s, uint64_t times)
{
	s->count *= times;
	s->nan *= times;
	s->inf *= times;
	s->zeros *= times;
	s->finite *= times;
	s->m2 *= (double)times;
	s->squares *= (double)times;
}

double ck_stats_min(const struct ck_stats *s) { return s->finite ? s->min : NAN; }
double ck_stats_max(const struct ck_stats *s) { return s->finite ? s->max : NAN; }
double ck_stats_mean(const struct ck_stats *s) { return s->finite ? s->mean : NAN; }

double ck_stats_std(const struct ck_stats *s) { return s->finite ? sqrt(s->m2 / (double)s->finite) : NAN; }

double ck_stats_norm(const struct ck_stats *s) { return sqrt(s->squares); }
