/*
 * clock - how time goes on, and until when to wait.
 */
#ifndef CK_CLOCK_H
#define CK_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of the monotonic clock, to a few of them. */
static inline int64_t ck_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Nanoseconds of it, as exact as they come: to measure with. */
static inline int64_t ck_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A caller that waits for another thread looks this often whether the program behind it has given up. */
#define CK_LOOK_NS 50000000

/* The point of the realtime clock, which pthread's timed calls go by, that is NS (less than a second) away. */
static inline struct timespec ck_time_in(long ns)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += ns;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

#endif
