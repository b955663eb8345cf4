/* Implements turns.h. */
#include "core/file/turns.h"

#include "core/base/clock.h"

/* So many reads in order are more than chance. A reader that has paused for so long doesn't count. */
#define STEPS 4
#define RECENT_MS 1000

/* Whether somebody reads FILE in order. */
static bool has_stream(struct ck_ahead *a, const struct ck_file *file)
{
	const int64_t now = ck_now_ms();

	FOR_STREAMS(a, s)
		if (s->file == file && (s->active || (s->steps >= STEPS && now - s->used_ms <= RECENT_MS)))
			return true;
	return false;
}

/* How many reads of FILE are under way; with QUEUED also who waits for his turn. */
static unsigned reads_of(struct ck_ahead *a, const struct ck_file *file, bool queued)
{
	unsigned n = chunks_flying(a, file);

	FOR_STREAMS(a, s)
		for (const struct reader *r = s->file == file ? s->readers : NULL; r; r = r->next)
			n += r->reads || (queued && r->queued);
	return n;
}

bool turns_any(struct ck_ahead *a, const struct ck_file *file) { return reads_of(a, file, true) > 0; }

bool turns_is_busy(struct ck_ahead *a, const struct stream *s)
{
	const unsigned width = s->store->pace.width;

	/* A reader that has gone elsewhere in the file would have to wait for what nobody reads just now. */
	if (width == 1)
		FOR_STREAMS(a, other)
			if (other->file == s->file && other->used > s->used)
				return true;
	return reads_of(a, s->file, true) >= width;
}

/* Who of S waits for longest. NULL: nobody waits. */
static const struct reader *longest_queued(const struct stream *s)
{
	const struct reader *first = NULL;

	for (const struct reader *r = s->readers; r; r = r->next)
		if (r->queued && (!first || r->number < first->number))
			first = r;
	return first;
}

/* The stream of FILE whose turn it is: each in the order in which it came. */
static const struct stream *first_queued(struct ck_ahead *a, const struct ck_file *file)
{
	const struct stream *first = NULL;
	uint64_t least = UINT64_MAX;

	FOR_STREAMS(a, s) {
		const struct reader *r = s->file == file ? longest_queued(s) : NULL;

		if (r && r->number < least) {
			first = s;
			least = r->number;
		}
	}
	return first;
}

bool turns_is_mine(struct ck_ahead *a, const struct stream *s, const struct reader *me)
{
	unsigned n = 0;

	for (const struct reader *r = s->readers; r; r = r->next) {
		if (r->queued && r->offset < me->offset)
			return false;
		n += r->reads;
	}
	if (!has_stream(a, s->file))
		return n < s->store->pace.width;
	return reads_of(a, s->file, false) < s->store->pace.width && first_queued(a, s->file) == s;
}
