/*
 * pace - how many reads side by side a store serves fastest: found by measuring while it is read.
 *
 * A store behind a network may take as long for one read as for sixteen at a time (sshfs, NFS). Another has one stream
 * for each open file, and a second read beside the first makes it seek (rclone). So the width begins at one and is
 * doubled as long as that makes the store clearly faster; a width that doesn't is taken back. Later both neighbours of
 * the width are tried again, more and more rarely.
 *
 * A trial of a width lets as many reads end as are side by side, and measures the time from then until as many more
 * have ended: reads of a store with a delay come back in bursts, and so each burst counts once. A trial counts only if
 * the width was used all the time, which the caller says.
 *
 * Nothing here reads a clock or takes a lock; the caller has both.
 */
#ifndef CK_PACE_H
#define CK_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define CK_PACE_MOST 32u        /* reads side by side */

enum ck_pace_state { CK_PACE_FIRST, CK_PACE_WIDER, CK_PACE_NARROWER, CK_PACE_SETTLED };

struct ck_pace {
	enum ck_pace_state state;
	unsigned width;                 /* reads side by side, from now on */
	double rate;                    /* bytes in a nanosecond, with the width that was settled on last */
	/* The trial: nanoseconds when it began and when its reads began to count, how many have ended, and the bytes of
	   those that count. */
	int64_t began, counts_from;
	unsigned ended;
	uint64_t bytes;
	uint64_t since, interval;       /* bytes since it settled, and until a neighbour is tried */
	bool narrower_next, fell;
};

/* A store of which nothing is known yet. */
void ck_pace_init(struct ck_pace *p, int64_t now);
/* A store that serves one at a time best, as is known: nothing else is ever tried. */
void ck_pace_init_single(struct ck_pace *p, int64_t now);
/* What was measured since the trial began doesn't count: there was less to read than the width allows. */
void ck_pace_disturb(struct ck_pace *p, int64_t now);
/* A read of BYTES has ended at NOW. */
void ck_pace_done(struct ck_pace *p, uint64_t bytes, int64_t now);

#endif
