/* How many reads side by side a store is found to serve best (core/file/pace.h): stores that are formulas, and no clock. */
#include "core/file/pace.h"
#include "check.h"

#define MIB (1u << 20)

/* What a read takes that begins at NOW, in nanoseconds, with so many on their way, itself included. */
typedef int64_t store_fn(unsigned flying, unsigned number);

/* Reads COUNT MiB, as wide as P says, and on until no trial runs. Returns how long that takes; *MOST is the largest width. */
static int64_t run(struct ck_pace *p, store_fn *store, unsigned count, int64_t now, unsigned *most)
{
	int64_t ends[CK_PACE_MOST];
	unsigned flying = 0, first, number = 0;
	const int64_t began = now;

	*most = 0;
	while (count || p->state != CK_PACE_SETTLED) {
		while (flying < p->width) {
			flying++;
			ends[flying - 1] = now + store(flying, number++);
		}
		*most = p->width > *most ? p->width : *most;
		first = 0;
		for (unsigned i = 1; i < flying; i++)
			if (ends[i] < ends[first])
				first = i;
		now = ends[first];
		ends[first] = ends[--flying];
		count -= count > 0;
		ck_pace_done(p, MIB, now);
	}
	return now - began;
}

/* 20 ms of delay, and ten reads side by side at most: sshfs. The others wait in line. */
static int64_t delayed(unsigned flying, unsigned number)
{
	(void)number;
	return flying <= 10 ? 20000000 : 40000000;
}

/* A handle that is one stream: what comes beside it makes it seek. */
static int64_t single(unsigned flying, unsigned number)
{
	return flying == 1 ? 10000000 + number % 3 * 1000000 : 60000000 * (int64_t)flying;
}

/* The link is full with one. */
static int64_t full(unsigned flying, unsigned number)
{
	(void)number;
	return 10000000 * (int64_t)flying;
}

/* Of any width. */
static int64_t any(unsigned flying, unsigned number)
{
	(void)flying;
	(void)number;
	return 100000000;
}

/* Asleep at first; one stream. */
static int64_t sleepy(unsigned flying, unsigned number)
{
	return number < 3 ? 200000000 : single(flying, number);
}

/* Answers at once. */
static int64_t quick(unsigned flying, unsigned number)
{
	(void)number;
	return 2000000 * (int64_t)flying;
}

static unsigned settled(store_fn *store, unsigned count)
{
	struct ck_pace p;
	unsigned most;

	ck_pace_init(&p, 0);
	run(&p, store, count, 0, &most);
	return p.width;
}

static void a_store_with_a_delay_gets_many(void)
{
	CHECK(settled(delayed, 200) == 8);
	CHECK(settled(any, 200) == CK_PACE_MOST);
}

static void a_store_that_is_one_stream_gets_one(void)
{
	CHECK(settled(single, 100) == 1);
	CHECK(settled(full, 100) == 1);
	CHECK(settled(sleepy, 200) == 1);
}

static void a_trial_that_loses_is_short(void)
{
	struct ck_pace p;
	unsigned most;
	int64_t took;

	ck_pace_init(&p, 0);
	took = run(&p, single, 1000, 0, &most);
	CHECK(most == 2);
	/* With one read at a time it is 11 s. */
	CHECK(took < 12000000000);
}

static void a_quick_store_is_left_alone_at_first(void)
{
	struct ck_pace p;
	unsigned most;

	ck_pace_init(&p, 0);
	run(&p, quick, 200, 0, &most);
	CHECK(most == 1);
	run(&p, quick, 400, 1000000000, &most);
	CHECK(most == 2);
	CHECK(p.width == 1);
}

static void a_store_that_changes_is_found_out(void)
{
	struct ck_pace p;
	unsigned most;

	ck_pace_init(&p, 0);
	run(&p, delayed, 200, 0, &most);
	CHECK(p.width == 8);
	run(&p, single, 400, 100000000000, &most);
	CHECK(p.width == 1);
	run(&p, delayed, 20000, 200000000000, &most);
	CHECK(p.width == 8);
}

static void of_a_store_that_is_known_nothing_is_tried(void)
{
	struct ck_pace p;
	unsigned most = 0;

	ck_pace_init_single(&p, 0);
	run(&p, delayed, 20000, 0, &most);
	CHECK(p.width == 1 && most == 1);
}

static void what_was_disturbed_does_not_count(void)
{
	struct ck_pace p;

	ck_pace_init(&p, 0);
	for (int64_t now = 0; now < 1000; now++) {
		ck_pace_done(&p, MIB, now * 100000000);
		ck_pace_disturb(&p, now * 100000000);
	}
	CHECK(p.width == 1 && p.state == CK_PACE_FIRST);
}

int main(void)
{
	RUN(a_store_with_a_delay_gets_many);
	RUN(a_store_that_is_one_stream_gets_one);
	RUN(a_trial_that_loses_is_short);
	RUN(a_quick_store_is_left_alone_at_first);
	RUN(a_store_that_changes_is_found_out);
	RUN(of_a_store_that_is_known_nothing_is_tried);
	RUN(what_was_disturbed_does_not_count);
	CHECK_EXIT();
}
