/* Implements ahead.h: the threads, and the readers. Read ahead.h first; then ck_ahead_read(), and streams.c. */
#include "core/file/ahead.h"

#include "core/base/clock.h"
#include "core/file/streams.h"
#include "core/file/turns.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#define THREADS CK_PACE_MOST
#define FAST_FILLS 4            /* reads ahead in a row that came from memory: they gain nothing */
#define IDLE_MS 2000            /* a stream that has not read for so long has stopped */
#define THREAD_IDLE_S 5
#define END_NS 900000000        /* how long ck_ahead_free() waits for reads in flight */

_Static_assert(CHUNKS * CHUNK == CK_AHEAD_MAX, "the buffers are as large as promised");

static bool is_from_memory(uint64_t bytes, int64_t ns) { return ns < 50000 + (int64_t)bytes; }

/* ---- the threads ---- */

/* What kind of file system C lies on: once for a store, as the store may have to be asked. */
static void find_type(struct ck_ahead *a, struct chunk *c)
{
	struct statfs fs;
	bool direct;

	chunks_unlock(a);
	direct = fstatfs(ck_file_fd(c->file), &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC;
	pthread_mutex_lock(&a->lock);
	c->store->typed = true;
	c->store->direct = direct;
	if (direct)
		chunks_set_direct(c->file, true);
}

static void refuse_direct(struct store *store, const struct ck_file *file)
{
	store->direct = false;
	chunks_set_direct(file, false);
}

/* Reads chunk C, which was asked for. */
static void fill(struct ck_ahead *a, struct chunk *c)
{
	struct ck_error err = CK_ERROR_INIT;
	int64_t began, ended;
	struct stream *s;
	int rc;

	c->state = CHUNK_READING;
	if (!c->store->typed)
		find_type(a, c);
	chunks_unlock(a);
	began = ck_now_ns();
	rc = ck_file_read(c->file, c->offset, c->data, (size_t)c->len, &err);
	ended = ck_now_ns();
	pthread_mutex_lock(&a->lock);
	s = c->stream;
	c->state = CHUNK_READY;
	if (rc && err.sys == EINVAL && c->store->direct)
		refuse_direct(c->store, c->file);
	if (!rc)
		ck_pace_done(&c->store->pace, c->len, ended);
	if (s && !rc)
		s->fast = is_from_memory(c->len, ended - began) ? s->fast + 1 : 0;
	a->read_bytes += rc ? 0 : c->len;
	if (rc || !s)
		chunk_give_up(a, c);
	if (s && (rc || s->fast == FAST_FILLS))
		stream_stop(a, s);
	pthread_cond_broadcast(&a->done);
}

static struct chunk *next_asked(struct ck_ahead *a)
{
	struct chunk *first = NULL;

	FOR_CHUNKS(a, c)
		if (c->state == CHUNK_ASKED && (!first || c->number < first->number))
			first = c;
	return first;
}

static void advance(struct ck_ahead *a);

static void *work(void *arg)
{
	struct ck_ahead *a = arg;
	struct timespec until;
	struct chunk *c;
	bool late = false;

	pthread_mutex_lock(&a->lock);
	a->idle--;
	while (!a->ends) {
		c = next_asked(a);
		if (c) {
			fill(a, c);
			advance(a);
			late = false;
			continue;
		}
		if (late)
			break;
		until = ck_time_in(0);
		until.tv_sec += THREAD_IDLE_S;
		a->idle++;
		late = pthread_cond_timedwait(&a->work, &a->lock, &until) == ETIMEDOUT;
		a->idle--;
	}
	a->threads--;
	pthread_cond_broadcast(&a->done);
	chunks_unlock(a);
	return NULL;
}

static bool add_thread(struct ck_ahead *a)
{
	sigset_t all, before;
	pthread_t thread;
	bool made;

	/* Signals are for the process's first thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	made = pthread_create(&thread, NULL, work, a) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (made) {
		pthread_detach(thread);
		a->threads++;
		a->idle++;
	}
	return made;
}

/* Asks for what is to be read now, and sees to it that threads read it. */
static void advance(struct ck_ahead *a)
{
	unsigned asked = 0;

	if (!a->ends)
		streams_schedule(a);
	FOR_CHUNKS(a, c)
		asked += c->state == CHUNK_ASKED;
	for (unsigned i = 0; i < asked && i < a->idle; i++)
		pthread_cond_signal(&a->work);
	for (unsigned i = a->idle; i < asked && a->threads < THREADS; i++)
		if (!add_thread(a))
			break;
	/* Nobody may wait for what no thread reads. */
	if (asked && a->threads == 0)
		streams_stop_idle(a, -1);
}

/* ---- readers ---- */

/* Copies from the chunk that holds OFFSET, if it is there: how much. */
static size_t take(struct ck_ahead *a, const struct ck_file *file, uint64_t offset, void *buf, size_t len)
{
	struct chunk *c = chunk_at(a, file, offset);

	if (!c || c->state != CHUNK_READY)
		return 0;
	if (len > c->len - (offset - c->offset))
		len = (size_t)(c->len - (offset - c->offset));
	c->users++;
	if (offset - c->offset <= c->taken && offset - c->offset + len > c->taken)
		c->taken = offset - c->offset + len;
	chunks_unlock(a);
	memcpy(buf, c->data + (offset - c->offset), len);
	pthread_mutex_lock(&a->lock);
	chunk_done(a, c);
	return len;
}

/* Whether what is at OFFSET comes if the reader waits: S, the reader's stream or NULL, is read ahead, and some read is
   under way whose end brings it on. */
static bool comes(struct ck_ahead *a, const struct ck_file *file, const struct stream *s, uint64_t offset)
{
	if (chunk_at(a, file, offset))
		return true;
	return s && stream_covers(s, offset) && turns_any(a, file);
}

/* The reader's own read, of at most LEN bytes, up to what is read ahead; *GOT of them. */
static int read_own(struct ck_ahead *a, struct ck_file *file, struct stream *s, uint64_t offset, void *buf, size_t len,
		    size_t *got, struct ck_error *err)
{
	struct ck_error found = CK_ERROR_INIT;
	int64_t took;
	int rc;

	len = (size_t)(chunk_behind(a, file, offset, offset + len) - offset);
	chunks_unlock(a);
	took = -ck_now_ns();
	rc = ck_file_read(file, offset, buf, len, &found);
	took += ck_now_ns();
	pthread_mutex_lock(&a->lock);
	*got = len;
	if (rc && found.sys == EINVAL && streams_store(a, file)->direct) {
		/* It reads once more. */
		refuse_direct(streams_store(a, file), file);
		*got = 0;
		rc = CK_OK;
	} else if (rc) {
		ck_error_copy(err, &found);
	} else if (s && !is_from_memory(len, took)) {
		s->waits = true;
	}
	return rc;
}

/* ME waits for his turn, or no longer. Others may wait for him to. */
static void set_queued(struct ck_ahead *a, struct reader *me, bool queued)
{
	if (me->queued && !queued)
		pthread_cond_broadcast(&a->done);
	me->queued = queued;
}

/* Reads what ME wants next, at most LEN bytes: *GOT of them, perhaps 0, when something has changed. */
static int read_next(struct ck_ahead *a, struct ck_file *file, struct stream *s, struct reader *me, void *buf,
		     size_t len, size_t *got, struct ck_error *err)
{
	bool waits;
	int rc;

	*got = take(a, file, me->offset, buf, len);
	if (*got) {
		set_queued(a, me, false);
		return CK_OK;
	}
	/* Who waits for what is to be read ahead is not in its way. */
	if (s && stream_covers(s, me->offset))
		set_queued(a, me, false);
	advance(a);
	waits = comes(a, file, s, me->offset);
	set_queued(a, me, s && !waits && (len >= TURNS_LARGE || s->store->single));
	if (waits || (me->queued && !turns_is_mine(a, s, me))) {
		pthread_cond_wait(&a->done, &a->lock);
		return CK_OK;
	}
	me->reads = me->queued;
	set_queued(a, me, false);
	rc = read_own(a, file, s, me->offset, buf, len, got, err);
	me->reads = false;
	advance(a);
	pthread_cond_broadcast(&a->done);
	return rc;
}

static void leave(struct stream *s, const struct reader *me)
{
	struct reader **at = &s->readers;

	while (*at != me)
		at = &(*at)->next;
	*at = me->next;
}

int ck_ahead_read(struct ck_ahead *a, struct ck_file *file, uint64_t offset, void *buf, size_t len,
		  struct ck_error *err)
{
	struct reader me = { .offset = offset };
	struct stream *s;
	char *to = buf;
	size_t got;
	int rc = CK_OK;

	if (offset > ck_file_size(file) || len > ck_file_size(file) - offset)
		return ck_file_read(file, offset, buf, len, err);
	pthread_mutex_lock(&a->lock);
	s = stream_find(a, file, offset, len);
	if (s)
		stream_go_on(a, s, offset, len);
	else
		s = stream_begin(a, file, offset, len);
	if (s) {
		me.number = a->number++;
		me.next = s->readers;
		s->readers = &me;
	}
	while (len && !rc) {
		if (s)
			stream_activate(a, s, me.offset);
		rc = read_next(a, file, s, &me, to, len, &got, err);
		to += got;
		me.offset += got;
		len -= got;
	}
	if (s)
		leave(s, &me);
	chunks_unlock(a);
	return rc;
}

int ck_ahead_read_now(struct ck_ahead *a, struct ck_file *file, uint64_t offset, void *buf, size_t len)
{
	const struct chunk *c;
	struct stream *s;
	uint64_t at, end;
	size_t got = 0;

	if (len > UINT64_MAX - offset)
		return CK_ERR_AGAIN;
	end = offset + len;
	pthread_mutex_lock(&a->lock);
	for (at = offset; at < end; at = c->offset + c->len) {
		c = chunk_at(a, file, at);
		if (!c || c->state != CHUNK_READY)
			break;
	}
	s = at >= end ? stream_find(a, file, offset, len) : NULL;
	if (s) {
		stream_go_on(a, s, offset, len);
		advance(a);
	}
	while (at >= end && offset < end && (got = take(a, file, offset, buf, (size_t)(end - offset)))) {
		buf = (char *)buf + got;
		offset += got;
	}
	chunks_unlock(a);
	return offset == end ? CK_OK : CK_ERR_AGAIN;
}

bool ck_ahead_comes_by(struct ck_ahead *a, const struct ck_file *file, uint64_t offset, size_t len)
{
	const struct stream *s;
	bool by;

	pthread_mutex_lock(&a->lock);
	s = stream_find(a, file, offset, len);
	by = (s && s->active) || streams_store(a, file)->single;
	pthread_mutex_unlock(&a->lock);
	return by;
}

/* ---- the whole ---- */

struct ck_ahead *ck_ahead_new(const struct ck_rclone *rclone)
{
	struct ck_ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->rclone = rclone;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->done, NULL);
	return a;
}

void ck_ahead_tidy(struct ck_ahead *a)
{
	pthread_mutex_lock(&a->lock);
	streams_stop_idle(a, IDLE_MS);
	FOR_CHUNKS(a, c) {
		if (c->state == CHUNK_FREE) {
			free(c->data);
			c->data = NULL;
		}
	}
	chunks_unlock(a);
}

void ck_ahead_free(struct ck_ahead *a)
{
	struct timespec until;
	bool ended;

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->ends = true;
	streams_stop_idle(a, -1);
	pthread_cond_broadcast(&a->work);
	until = ck_time_in(END_NS);
	while (a->threads && pthread_cond_timedwait(&a->done, &a->lock, &until) == 0)
		;
	ended = a->threads == 0;
	chunks_unlock(a);
	/* The threads that are left go on with what is left. */
	if (!ended)
		return;
	for (struct chunk *c = a->chunks; c < a->chunks + CHUNKS; c++)
		free(c->data);
	pthread_cond_destroy(&a->work);
	pthread_cond_destroy(&a->done);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

void ck_ahead_status(struct ck_ahead *a, struct ck_ahead_status *out)
{
	pthread_mutex_lock(&a->lock);
	*out = (struct ck_ahead_status){ .most_bytes = a->most_bytes, .read_bytes = a->read_bytes,
					 .streams = streams_active(a), .threads = a->threads,
					 .side_by_side = a->last ? a->last->pace.width : 0 };
	FOR_CHUNKS(a, c)
		out->bytes += c->data ? CHUNK : 0;
	pthread_mutex_unlock(&a->lock);
}
