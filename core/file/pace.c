/* Implements pace.h: trials, and what follows from each. */
#include "core/file/pace.h"

/* A doubled width is kept if it is so many times as fast; a halved one if it is nearly as fast. */
#define GAIN 1.25
#define NEARLY 0.92
/* A trial takes at least so long: reads of a fast store vary, and the first of them may have woken it up. */
#define LEAST_READS 4u
#define LEAST_NS 50000000
/* A read that is back so soon hides little delay: a trial may cost more than it gains, and can wait. */
#define FAST 0.2        /* bytes in a nanosecond */
#define FIRST_INTERVAL (UINT64_C(256) << 20)
#define LAST_INTERVAL (UINT64_C(4) << 30)

/* How many reads of a trial count, behind as many as the width. */
static unsigned reads_of_trial(const struct ck_pace *p)
{
	return p->width > LEAST_READS ? p->width : LEAST_READS;
}

void ck_pace_disturb(struct ck_pace *p, int64_t now)
{
	p->began = p->counts_from = now;
	p->ended = 0;
	p->bytes = 0;
}

void ck_pace_init(struct ck_pace *p, int64_t now)
{
	*p = (struct ck_pace){ .width = 1 };
	ck_pace_disturb(p, now);
}

void ck_pace_init_single(struct ck_pace *p, int64_t now)
{
	ck_pace_init(p, now);
	p->state = CK_PACE_SETTLED;
	p->interval = UINT64_MAX;
}

static void try_width(struct ck_pace *p, enum ck_pace_state state, unsigned width)
{
	p->state = state;
	p->width = width;
}

static void settle(struct ck_pace *p, unsigned width)
{
	try_width(p, CK_PACE_SETTLED, width);
	p->since = 0;
	/* That a single read is as good is soon found out. */
	if (p->interval == 0)
		p->interval = width > 1 ? FIRST_INTERVAL / 8 : FIRST_INTERVAL;
}

/* Goes on in the direction of STATE, or settles where there is no further. */
static void go_on(struct ck_pace *p, enum ck_pace_state state)
{
	if (state == CK_PACE_WIDER && p->width < CK_PACE_MOST)
		try_width(p, state, p->width * 2);
	else if (state == CK_PACE_NARROWER && p->width > 1)
		try_width(p, state, p->width / 2);
	else
		settle(p, p->width);
}

/* Settled for a while: stores change, and a first trial may have met a store that was just waking up. */
static void try_neighbour(struct ck_pace *p)
{
	if (p->since < p->interval)
		return;
	p->interval = p->interval < LAST_INTERVAL / 4 ? p->interval * 4 : LAST_INTERVAL;
	p->narrower_next = !p->narrower_next && p->width > 1;
	go_on(p, p->narrower_next ? CK_PACE_NARROWER : CK_PACE_WIDER);
}

/* A trial of the width that was settled on: its rate moves along. If it falls twice in a row, the store has changed. */
static void settled(struct ck_pace *p, double rate)
{
	const bool fell = rate < p->rate / 2;

	p->since += p->bytes;
	if (fell && p->fell) {
		p->rate = rate;
		go_on(p, CK_PACE_NARROWER);
	} else if (!fell) {
		p->rate = (3 * p->rate + rate) / 4;
		try_neighbour(p);
	}
	p->fell = fell && !p->fell;
}

static void judge(struct ck_pace *p, double rate)
{
	const enum ck_pace_state state = p->state;

	switch (state) {
	case CK_PACE_FIRST:
		p->rate = rate;
		if (rate < FAST)
			go_on(p, CK_PACE_WIDER);
		else
			settle(p, 1);
		break;
	case CK_PACE_WIDER:
		if (rate < p->rate * GAIN) {
			settle(p, p->width / 2);
			break;
		}
		p->rate = rate;
		go_on(p, state);
		break;
	case CK_PACE_NARROWER:
		if (rate < p->rate * NEARLY) {
			settle(p, p->width * 2);
			break;
		}
		p->rate = rate;
		go_on(p, state);
		break;
	case CK_PACE_SETTLED:
		settled(p, rate);
		break;
	}
}

/* Whether a wider trial can't be won any more: a width that doesn't suit a store may be many times as slow. */
static bool is_lost(const struct ck_pace *p, uint64_t bytes, int64_t now)
{
	const double first = p->width + reads_of_trial(p) / GAIN, reads = first > p->ended ? first : p->ended;

	return p->state == CK_PACE_WIDER && (double)(now - p->began) > (double)bytes * reads / p->rate;
}

/* The first reads, which others may still have been beside, don't count. */
static bool counts(const struct ck_pace *p)
{
	return p->ended > p->width && p->counts_from - p->began >= LEAST_NS / 2;
}

void ck_pace_done(struct ck_pace *p, uint64_t bytes, int64_t now)
{
	const bool lost = is_lost(p, bytes, now);

	p->ended++;
	if (counts(p))
		p->bytes += bytes;
	else
		p->counts_from = now;
	if (!lost && (p->bytes < bytes * reads_of_trial(p) || now - p->counts_from < LEAST_NS))
		return;
	judge(p, lost ? 0 : (double)p->bytes / (double)(now - p->counts_from));
	ck_pace_disturb(p, now);
}
