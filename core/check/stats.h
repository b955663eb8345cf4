/*
 * stats - counts and statistics of a tensor's elements, a block at a time.
 */
#ifndef CK_CHECK_STATS_H
#define CK_CHECK_STATS_H

#include "core/tensor/dtype.h"

#include <stdbool.h>
#include <stdint.h>

struct ck_stats {
	enum ck_dtype dtype;    /* of the elements as they are added */
	enum ck_dtype stored;   /* of the tensor */
	uint64_t count;         /* elements; a complex one is one */
	uint64_t nan, inf;      /* elements; of a complex one either part */
	/* Of the finite elements, in float64. Complex types and float8 have none of these: FULL is false. */
	bool full;
	uint64_t finite, zeros;
	double min, max, mean;
	double m2;              /* the sum of (x - mean)^2 */
	double squares;         /* the sum of x^2 */
};

/* FULL: count, and min to squares, too; else nan and inf alone. */
void ck_stats_begin(struct ck_stats *s, enum ck_dtype dtype, bool full);

/* Adds COUNT elements, in the machine's byte order. No alignment is asked of DATA. */
void ck_stats_add(struct ck_stats *s, const void *data, size_t count);

/* As if each element had come so many TIMES. */
void ck_stats_repeat(struct ck_stats *s, uint64_t times);

/* NaN without finite elements. */
double ck_stats_min(const struct ck_stats *s);
double ck_stats_max(const struct ck_stats *s);
double ck_stats_mean(const struct ck_stats *s);
double ck_stats_std(const struct ck_stats *s);          /* of the population, as numpy.std; */
double ck_stats_norm(const struct ck_stats *s);         /* L2 */

#endif
