/* loop - the threads that serve a session. Implements fs/loop.h, which says how requests share the threads. */
#include "loop.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_WORKERS 64
/* Requests served at a time: many may wait for a disk. One worker always takes the next request. */
#define MAX_SERVED (MAX_WORKERS - 1)
/* Memory of parked requests. Only writes are large; when they pass it, they wait in the kernel. */
#define MAX_PARKED ((size_t)64 << 20)
#define TICK_SECONDS 5
/* Workers that wait at the device, where what is asked is small: the one that just replied, and those
   that take what comes before it is back. With 2, lookups and reads of 4 KiB were a third slower. */
#define WAITING 3
/* Reads this large come only from sequential readers (readahead). */
#define STREAM ((size_t)64 << 10)
/* Resting workers that keep their buffer: a MiB each, once something as large was written. */
#define BUFFERS_KEPT 8

struct worker {
	struct loop *loop;
	pthread_t thread;
	struct fuse_buf request;
	pthread_cond_t wake;    /* it is called, or the loop ends */
	bool called;
	struct worker *below;   /* in the stack of resting ones */
	bool serves;            /* a request of this thing and this number */
	bool in_turn;           /* is_in_turn() of that request */
	uint64_t thing, unique;
	atomic_bool interrupted;        /* that request */
};

/* A request that waits until its thing has a worker again. */
struct parked {
	struct parked *next;
	uint64_t thing;
	struct fuse_buf request;
};

struct loop {
	struct fuse_session *session;
	struct loop_hooks hooks;
	pthread_key_t self;     /* the worker that a thread is */
	int ended;              /* an eventfd, readable once the loop ends by itself */
	/* Guards what follows, and `called`, `below`, `thread` and what they serve of the workers. Held
	   for a few instructions. */
	pthread_mutex_t lock;
	unsigned served;        /* workers that serve a request */
	struct parked *first, **last;
	size_t parked;          /* bytes of these */
	unsigned parked_count;
	pthread_cond_t room;    /* these became fewer, or the loop ends */
	unsigned waiting;       /* workers at the device, or on their way to it */
	struct worker *resting; /* the last to come is called first: it is warm */
	unsigned resting_count;
	unsigned count;         /* workers that were started */
	uint64_t stream;        /* the file handle that the last large read was for */
	bool ends;
	int error;              /* the first that ended it, or 0 */
	struct worker workers[MAX_WORKERS];
};

static void *work(void *arg);

/* Sees to it that somebody waits at the device. The lock is held. */
static void call(struct loop *l)
{
	struct worker *w = l->resting;
	int rc;

	if (l->waiting || l->ends)
		return;
	if (w) {
		l->resting = w->below;
		l->resting_count--;
		w->called = true;
		pthread_cond_signal(&w->wake);
	} else {
		w = l->workers + l->count;
		/* If there are enough workers, or no more can be made, the first that is done takes the next request.
		   */
		if (l->count == MAX_WORKERS)
			return;
		rc = pthread_create(&w->thread, NULL, work, w);
		if (rc) {
			if (!l->count)
				l->error = rc;
			return;
		}
		l->count++;
	}
	l->waiting++;
}

void loop_hand_on(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	call(l);
	pthread_mutex_unlock(&l->lock);
}

/* Returns once W is called, or the loop ends. The caller holds the lock, which is free while this waits. */
static void rest(struct worker *w)
{
	struct loop *l = w->loop;

	if (l->resting_count >= BUFFERS_KEPT) {
		free(w->request.mem);
		w->request = (struct fuse_buf){ 0 };
	}
	w->called = false;
	w->below = l->resting;
	l->resting = w;
	l->resting_count++;
	while (!w->called && !l->ends)
		pthread_cond_wait(&w->wake, &l->lock);
}

/* The next request, in memory: it would come in a pipe only if we had asked for splicing writes. False:
   the session has ended. Only here a thread may be cancelled. */
static bool receive(struct worker *w)
{
	struct loop *l = w->loop;
	int n;

	do {
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		n = fuse_session_receive_buf(l->session, &w->request);
		/* A lack of memory passes; the end of the mount doesn't. */
		if (n == -ENOMEM)
			usleep(10000);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	} while (n == -EINTR || n == -EAGAIN || n == -ENOMEM);
	if (n > 0)
		return true;
	pthread_mutex_lock(&l->lock);
	l->ends = true;
	/* Aborted while a request was copied, the device says so once; and ENODEV, an end like any,
	   to the next that asks. */
	if (!l->error && n != -ECONNABORTED)
		l->error = -n;
	pthread_mutex_unlock(&l->lock);
	eventfd_write(l->ended, 1);
	return false;
}

static bool reads_much(const struct fuse_in_header *header)
{
	return header->opcode == FUSE_READ && ((const struct fuse_read_in *)(header + 1))->size >= STREAM;
}

/* Whether the request reads on where the one before it read. The lock is held. */
static bool is_stream(struct loop *l, const struct fuse_in_header *header)
{
	const struct fuse_read_in *read = (const void *)(header + 1);
	uint64_t last = l->stream;

	if (!reads_much(header))
		return false;
	l->stream = read->fh;
	return read->fh == last;
}

/* Forgets come in thousands, and nobody waits for an answer. */
static bool is_forget(const struct fuse_in_header *header)
{
	return header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET;
}

/* ---- parking ---- */

/* Whether the request waits for those of its kind that came before it. */
static bool is_in_turn(const struct loop *l, const struct fuse_in_header *header)
{
	return l->hooks.reads_in_turn && reads_much(header);
}

/* Whether one more worker may serve the request HEADER, for THING. The lock is held. */
static bool admits(const struct loop *l, uint64_t thing, const struct fuse_in_header *header)
{
	unsigned free = l->served < MAX_SERVED ? MAX_SERVED - l->served : 0, of_thing = 0;
	const bool in_turn = is_in_turn(l, header);

	if (l->served <= free && !in_turn)
		return true;
	for (const struct worker *w = l->workers; w < l->workers + l->count; w++) {
		if (!w->serves || w->thing != thing)
			continue;
		if (in_turn && w->in_turn)
			return false;
		of_thing++;
	}
	return l->served <= free || of_thing < free;
}

/* The lock is held. */
static void begin(struct worker *w, uint64_t thing, const struct fuse_buf *request)
{
	const struct fuse_in_header *header = request->mem;

	w->serves = true;
	w->thing = thing;
	w->unique = header->unique;
	w->in_turn = is_in_turn(w->loop, header);
	atomic_store(&w->interrupted, false);
	w->loop->served++;
}

/* The lock is held. */
static void end(struct worker *w)
{
	w->serves = false;
	w->loop->served--;
}

/* Keeps a copy of the request that W received. False: no memory. The lock is held. */
static bool park(struct worker *w, uint64_t thing)
{
	struct loop *l = w->loop;
	size_t size = w->request.size;
	struct parked *p = malloc(sizeof(*p) + size);

	if (!p)
		return false;
	*p = (struct parked){ .thing = thing, .request = { .size = size, .mem = p + 1 } };
	memcpy(p->request.mem, w->request.mem, size);
	*l->last = p;
	l->last = &p->next;
	l->parked += size;
	l->parked_count++;
	while (l->parked > MAX_PARKED && !l->ends)
		pthread_cond_wait(&l->room, &l->lock);
	return true;
}

/* Takes the parked request at *AT out of the queue. The lock is held. */
static struct parked *take(struct loop *l, struct parked **at)
{
	struct parked *p = *at;

	*at = p->next;
	if (!p->next)
		l->last = at;
	l->parked -= p->request.size;
	l->parked_count--;
	pthread_cond_broadcast(&l->room);
	return p;
}

/* The first parked request that may be served now, or NULL. The lock is held. */
static struct parked *next_parked(struct loop *l)
{
	struct parked **at = &l->first;
	uint64_t refused = 0;

	for (; *at; at = &(*at)->next) {
		/* Thousands may be parked, most of them for one thing. */
		if (at != &l->first && (*at)->thing == refused)
			continue;
		if (admits(l, (*at)->thing, (*at)->request.mem))
			return take(l, at);
		refused = (*at)->thing;
	}
	return NULL;
}

/* Out of line: a worker is cancelled in work(), and would leave this variable's red zones (ASan) on its stack. */
static __attribute__((noinline)) void answer(struct loop *l, uint64_t unique, int error)
{
	const struct fuse_out_header out = { .len = sizeof(out), .error = -error, .unique = unique };
	ssize_t ignored = write(fuse_session_fd(l->session), &out, sizeof(out));

	(void)ignored;  /* the request was answered already */
}

/* The program that asked has got a signal. EAGAIN: another worker has just received the request, and the
   kernel shall say it again. */
static void interrupt(struct loop *l, const struct fuse_in_header *header)
{
	const struct fuse_interrupt_in *in = (const void *)(header + 1);
	struct parked **at = &l->first;
	bool served = false;

	pthread_mutex_lock(&l->lock);
	while (*at && ((const struct fuse_in_header *)(*at)->request.mem)->unique != in->unique)
		at = &(*at)->next;
	if (*at)
		free(take(l, at));
	else
		at = NULL;
	for (struct worker *w = l->workers; w < l->workers + l->count; w++) {
		if (!w->serves || w->unique != in->unique)
			continue;
		atomic_store(&w->interrupted, true);
		served = true;
	}
	pthread_mutex_unlock(&l->lock);
	if (at)
		answer(l, in->unique, EINTR);
	else if (!served)
		answer(l, header->unique, EAGAIN);
}

bool loop_is_interrupted(struct loop *l)
{
	struct worker *w = pthread_getspecific(l->self);

	return w && atomic_load(&w->interrupted);
}

void loop_status(struct loop *l, struct loop_status *out)
{
	pthread_mutex_lock(&l->lock);
	*out = (struct loop_status){ .served = l->served, .parked = l->parked_count, .workers = l->count };
	pthread_mutex_unlock(&l->lock);
}

/* Serves the request that W received and was let in, and parked ones that may be served after it. */
static void serve(struct worker *w)
{
	struct loop *l = w->loop;
	struct parked *p;

	fuse_session_process_buf(l->session, &w->request);
	for (;;) {
		pthread_mutex_lock(&l->lock);
		end(w);
		p = l->first && !l->ends ? next_parked(l) : NULL;
		if (p)
			begin(w, p->thing, &p->request);
		pthread_mutex_unlock(&l->lock);
		if (!p)
			return;
		fuse_session_process_buf(l->session, &p->request);
		free(p);
	}
}

/* ---- the workers ---- */

static void *work(void *arg)
{
	struct worker *w = arg;
	struct loop *l = w->loop;
	bool stream, ends = false;
	uint64_t thing;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_setspecific(l->self, w);
	while (!ends && receive(w)) {
		const struct fuse_in_header *header = w->request.mem;

		if (header->opcode == FUSE_INTERRUPT) {
			interrupt(l, header);
			continue;
		}
		thing = l->hooks.thing(l->hooks.arg, header);
		pthread_mutex_lock(&l->lock);
		if (!admits(l, thing, header) && !is_forget(header) && park(w, thing)) {
			pthread_mutex_unlock(&l->lock);
			continue;
		}
		l->waiting--;
		begin(w, thing, &w->request);
		stream = is_stream(l, header);
		if (!stream && !is_forget(header))
			call(l);
		pthread_mutex_unlock(&l->lock);
		serve(w);
		pthread_mutex_lock(&l->lock);
		/* A thread that serves a stream alone finds the next request there already, without sleep. */
		if (l->waiting >= (stream ? 1 : WAITING))
			rest(w);
		else
			l->waiting++;
		ends = l->ends;
		pthread_mutex_unlock(&l->lock);
	}
	return NULL;
}

struct loop *loop_new(struct fuse_session *session, const struct loop_hooks *hooks)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->ended = eventfd(0, EFD_CLOEXEC);
	if (l->ended < 0 || (errno = pthread_key_create(&l->self, NULL))) {
		if (l->ended >= 0)
			close(l->ended);
		free(l);
		return NULL;
	}
	l->session = session;
	l->hooks = *hooks;
	l->last = &l->first;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->room, NULL);
	for (struct worker *w = l->workers; w < l->workers + MAX_WORKERS; w++) {
		w->loop = l;
		pthread_cond_init(&w->wake, NULL);
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (struct worker *w = l->workers; w < l->workers + MAX_WORKERS; w++) {
		pthread_cond_destroy(&w->wake);
		free(w->request.mem);
	}
	while (l->first)
		free(take(l, &l->first));
	pthread_cond_destroy(&l->room);
	pthread_mutex_destroy(&l->lock);
	pthread_key_delete(l->self);
	close(l->ended);
	free(l);
}

static void stop(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->ends = true;         /* from now on no thread is started */
	for (struct worker *w = l->resting; w; w = w->below)
		pthread_cond_signal(&w->wake);
	pthread_cond_broadcast(&l->room);
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->count; i++)
		pthread_cancel(l->workers[i].thread);
	for (unsigned i = 0; i < l->count; i++)
		pthread_join(l->workers[i].thread, NULL);
}

int loop_run(struct loop *l)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	const struct timespec tick = { .tv_sec = TICK_SECONDS };
	struct pollfd ended = { .fd = l->ended, .events = POLLIN };
	sigset_t signals, before;
	bool started;

	/* Signals reach this thread alone, and only while it waits, so that none is missed. */
	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sigaddset(&signals, numbers[i]);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	pthread_mutex_lock(&l->lock);
	call(l);
	started = l->count;
	pthread_mutex_unlock(&l->lock);
	while (started && !fuse_session_exited(l->session) && ppoll(&ended, 1, &tick, &before) <= 0)
		l->hooks.tick(l->hooks.arg);
	/* The requests being served may take long. SIGQUIT, which has no handler, ends even that. */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	stop(l);
	errno = l->error;
	return l->error ? -1 : 0;
}
