/* Implements streams.h; begin with streams_schedule(). */
#include "core/file/streams.h"

#include "core/base/clock.h"
#include "core/file/turns.h"

#define STREAMS_OF_FILE 4       /* readers of one file that are told apart while nothing is read ahead of them */
/* What a stream skips between two tensors: a local header and its padding. */
#define GAP ((uint64_t)64 << 10)
/* Bytes in order that make a reader a stream. */
#define ENOUGH ((uint64_t)256 << 10)
/* What is rather read than skipped, where one read at a time is best: such a store may take as long to begin elsewhere.
   A reader in the order of names comes back for it. */
#define PATIENCE ((uint64_t)8 << 20)
/* A reader that has not read for so long doesn't count when buffers are shared out, and later loses its own. */
#define PAUSED_MS 300
#define STALLED_MS 1000

void stream_stop(struct ck_ahead *a, struct stream *s)
{
	if (s->active)
		a->dropped[a->dropped_count++] = s->file;
	s->active = false;
	s->waits = false;
	s->fast = 0;
	FOR_CHUNKS(a, c)
		if (c->state != CHUNK_FREE && c->stream == s)
			chunk_give_up(a, c);
	/* Who waits for one of these reads for himself now. */
	pthread_cond_broadcast(&a->done);
}

void streams_stop_idle(struct ck_ahead *a, int64_t ms)
{
	FOR_STREAMS(a, s)
		if (s->active && (ms < 0 || (!s->readers && ck_now_ms() - s->used_ms > ms)))
			stream_stop(a, s);
}

static uint64_t skipped_at_most(const struct stream *s)
{
	return s->active && s->store->pace.width == 1 ? PATIENCE : 0;
}

/* Whether a reader of S may have asked for these bytes next: reads that the kernel sends at once arrive in any order,
   and grow while it reads ahead. */
static bool is_near(const struct stream *s, uint64_t offset, uint64_t len)
{
	const uint64_t reach = GAP + (len > s->len ? len : s->len);

	return offset <= s->next + reach + skipped_at_most(s) && s->next <= offset + len + reach;
}

struct stream *stream_find(struct ck_ahead *a, const struct ck_file *file, uint64_t offset, size_t len)
{
	const struct chunk *c = chunk_at(a, file, offset);

	if (c && c->stream)
		return c->stream;
	FOR_STREAMS(a, s)
		if (s->file == file && is_near(s, offset, len))
			return s;
	return NULL;
}

void stream_go_on(struct ck_ahead *a, struct stream *s, uint64_t offset, size_t len)
{
	const uint64_t end = offset + len;

	s->len = len;
	if (end > s->next) {
		s->run += end - s->next;
		s->steps++;
		s->next = end;
	}
	s->used_ms = ck_now_ms();
	s->used = a->number++;
}

/* Where S is read ahead to, for now. */
static uint64_t goal_of(const struct stream *s)
{
	const uint64_t size = ck_file_size(s->file), most = (2 * (uint64_t)s->store->pace.width + 2) * CHUNK;
	uint64_t window = 2 * s->run < most ? 2 * s->run : most;

	if (window < CHUNK)
		window = CHUNK;
	return s->next < size && window < size - s->next ? s->next + window : size;
}

bool stream_covers(const struct stream *s, uint64_t offset)
{
	return s->active && offset >= s->ahead && offset < goal_of(s);
}

void stream_activate(struct ck_ahead *a, struct stream *s, uint64_t offset)
{
	if (s->active || !s->waits || s->run < ENOUGH)
		return;
	/* None of its readers has to read for himself now: whose turn comes after theirs goes on. */
	pthread_cond_broadcast(&a->done);
	for (struct reader *r = s->readers; r; r = r->next) {
		if (r->queued && r->offset < offset)
			offset = r->offset;
		r->queued = false;
	}
	ck_file_ref(s->file);
	s->active = true;
	s->ahead = offset;
	ck_pace_disturb(&s->store->pace, ck_now_ns());
}

struct store *streams_store(struct ck_ahead *a, const struct ck_file *file)
{
	const dev_t dev = ck_file_ident(file)->dev;
	struct store *store;

	for (store = a->stores; store < a->stores + STORES; store++)
		if (store->known && store->dev == dev)
			return store;
	/* Streams and chunks may still point to it: then they count as the new store's. */
	store = &a->stores[a->next_store++ % STORES];
	store->dev = dev;
	store->known = true;
	store->typed = store->direct = false;
	store->single = ck_rclone_has(a->rclone, dev);
	(store->single ? ck_pace_init_single : ck_pace_init)(&store->pace, ck_now_ns());
	return store;
}

struct stream *stream_begin(struct ck_ahead *a, struct ck_file *file, uint64_t offset, size_t len)
{
	struct stream *oldest = NULL, *own = NULL;
	unsigned of_file = 0;

	FOR_STREAMS(a, s) {
		if (s->active || s->readers)
			continue;
		if (!oldest || !s->file || (oldest->file && s->used_ms < oldest->used_ms))
			oldest = s;
		if (s->file != file)
			continue;
		of_file++;
		if (!own || s->used_ms < own->used_ms)
			own = s;
	}
	if (of_file >= STREAMS_OF_FILE)
		oldest = own;
	if (oldest)
		*oldest = (struct stream){ .file = file, .store = streams_store(a, file), .next = offset + len,
					   .run = len, .len = len, .used_ms = ck_now_ms(),
					   .used = a->number++ };
	return oldest;
}

unsigned streams_active(struct ck_ahead *a)
{
	unsigned n = 0;

	FOR_STREAMS(a, s)
		n += s->active;
	return n;
}

/* What S's readers have jumped over isn't read ahead. */
static void skip(struct stream *s)
{
	uint64_t wanted = s->next - s->len;

	for (const struct reader *r = s->readers; r; r = r->next)
		if (r->offset < wanted)
			wanted = r->offset;
	if (s->ahead + skipped_at_most(s) < wanted)
		s->ahead = wanted;
}

/* Gives back what the reader of S has read. What it has skipped it may come back for: tensors of a .safetensors are in
   the order of their names. If S has its SHARE of chunks, all that is behind the reader goes. */
static void trim(struct ck_ahead *a, struct stream *s, unsigned share)
{
	const bool all = chunks_of(a, s) >= share;
	const uint64_t behind = all ? s->len : 2 * s->len;

	FOR_CHUNKS(a, c)
		if (c->state == CHUNK_READY && c->stream == s && c->offset + c->len + behind <= s->next &&
		    (all || c->taken >= c->len))
			chunk_give_up(a, c);
}

/* A free chunk, if need be taken from a reader that has stalled. */
static struct chunk *free_chunk(struct ck_ahead *a)
{
	struct chunk *c = chunk_free(a);

	if (c)
		return c;
	streams_stop_idle(a, STALLED_MS);
	return chunk_free(a);
}

/* Asks for the next chunk of S. False: that can't be done now. */
static bool ask(struct ck_ahead *a, struct stream *s)
{
	const uint64_t left = ck_file_size(s->file) - s->ahead;
	struct chunk *c = free_chunk(a);

	/* The search may have stopped S. */
	if (!c || !s->active)
		return false;
	if (s->store->direct && !chunks_have(a, s->file))
		chunks_set_direct(s->file, true);
	*c = (struct chunk){ .state = CHUNK_ASKED, .file = ck_file_ref(s->file), .stream = s, .store = s->store,
			     .offset = s->ahead, .len = left < CHUNK ? left : CHUNK, .number = a->number++,
			     .data = c->data };
	s->ahead += c->len;
	a->last = s->store;
	return true;
}

static bool wants(struct ck_ahead *a, const struct stream *s, unsigned share)
{
	return s->active && s->ahead < goal_of(s) && chunks_of(a, s) < share && !turns_is_busy(a, s);
}

/* A width is measured while it is used, and no other file of the store is read. */
static bool is_measured(struct ck_ahead *a, const struct stream *s)
{
	FOR_STREAMS(a, other)
		if (other->active && other->file != s->file && other->store == s->store &&
		    chunks_flying(a, other->file) > 0)
			return false;
	return chunks_flying(a, s->file) >= s->store->pace.width;
}

/* How many chunks each stream may have: the same for all that go on. */
static unsigned fair_share(struct ck_ahead *a)
{
	const int64_t now = ck_now_ms();
	unsigned n = 0;

	FOR_STREAMS(a, s)
		n += s->active && now - s->used_ms <= PAUSED_MS;
	return CHUNKS / (n ? n : 1);
}

void streams_schedule(struct ck_ahead *a)
{
	const unsigned share = fair_share(a);
	struct stream *first;

	FOR_STREAMS(a, s) {
		if (!s->active)
			continue;
		skip(s);
		trim(a, s, share);
	}
	do {
		first = NULL;
		FOR_STREAMS(a, s)
			if (wants(a, s, share) && (!first || chunks_of(a, s) < chunks_of(a, first)))
				first = s;
	} while (first && ask(a, first));
	FOR_STREAMS(a, s)
		if (s->active && !is_measured(a, s))
			ck_pace_disturb(&s->store->pace, ck_now_ns());
}

