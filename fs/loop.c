#include "loop.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Requests served at a time: many may wait for a disk. */
#define MAX_WORKERS 64
/* Workers that wait at the device, where what is asked is small: the one that just replied, and those
   that take what comes before it is back. With 2, lookups and reads of 4 KiB were a third slower. */
#define WAITING 3
/* A read as large as only those ask for who read on. */
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
};

struct loop {
	struct fuse_session *session;
	int ended;              /* an eventfd, readable once the loop ends by itself */
	/* Guards what follows, and `called`, `below` and `thread` of the workers. Held for a few
	   instructions. */
	pthread_mutex_t lock;
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
		/* If there are enough, or no more can be made, the first that is done goes. */
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

/* Returns once W is called, or the loop ends. The lock is held, but not meanwhile. */
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
		/* Memory comes back; a mount that has ended doesn't. */
		if (n == -ENOMEM)
			usleep(10000);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	} while (n == -EINTR || n == -EAGAIN || n == -ENOMEM);
	if (n > 0)
		return true;
	pthread_mutex_lock(&l->lock);
	l->ends = true;
	/* Aborted while a request was copied, the device says so once; and ENODEV, an end like any,
	   to whoever asks next. */
	if (!l->error && n != -ECONNABORTED)
		l->error = -n;
	pthread_mutex_unlock(&l->lock);
	eventfd_write(l->ended, 1);
	return false;
}

/* Whether the request reads on where the one before it read. The lock is held. */
static bool is_stream(struct loop *l, const struct fuse_in_header *header)
{
	const struct fuse_read_in *read = (const void *)(header + 1);
	uint64_t last = l->stream;

	if (header->opcode != FUSE_READ || read->size < STREAM)
		return false;
	l->stream = read->fh;
	return read->fh == last;
}

/* They come in thousands, and nobody waits for an answer. */
static bool is_forget(const struct fuse_in_header *header)
{
	return header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct loop *l = w->loop;
	bool stream, ends = false;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	while (!ends && receive(w)) {
		pthread_mutex_lock(&l->lock);
		l->waiting--;
		stream = is_stream(l, w->request.mem);
		if (!stream && !is_forget(w->request.mem))
			call(l);
		pthread_mutex_unlock(&l->lock);
		fuse_session_process_buf(l->session, &w->request);
		pthread_mutex_lock(&l->lock);
		/* Whoever serves a stream alone finds the next request there already, without sleep. */
		if (l->waiting >= (stream ? 1 : WAITING))
			rest(w);
		else
			l->waiting++;
		ends = l->ends;
		pthread_mutex_unlock(&l->lock);
	}
	return NULL;
}

struct loop *loop_new(struct fuse_session *session)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->ended = eventfd(0, EFD_CLOEXEC);
	if (l->ended < 0) {
		free(l);
		return NULL;
	}
	l->session = session;
	pthread_mutex_init(&l->lock, NULL);
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
	pthread_mutex_destroy(&l->lock);
	close(l->ended);
	free(l);
}

static void stop(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->ends = true;         /* from now on no thread is started */
	for (struct worker *w = l->resting; w; w = w->below)
		pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&l->lock);
	for (unsigned i = 0; i < l->count; i++)
		pthread_cancel(l->workers[i].thread);
	for (unsigned i = 0; i < l->count; i++)
		pthread_join(l->workers[i].thread, NULL);
}

int loop_run(struct loop *l)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	struct pollfd ended = { .fd = l->ended, .events = POLLIN };
	sigset_t signals, before;
	bool started;

	/* They reach this thread alone, and only while it waits: none is missed. */
	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sigaddset(&signals, numbers[i]);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	pthread_mutex_lock(&l->lock);
	call(l);
	started = l->count;
	pthread_mutex_unlock(&l->lock);
	while (started && !fuse_session_exited(l->session) && ppoll(&ended, 1, NULL, &before) <= 0)
		;
	/* The requests in hand may take long: SIGQUIT, which is nobody's handler's, ends even that. */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	stop(l);
	errno = l->error;
	return l->error ? -1 : 0;
}
