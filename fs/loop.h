/*
 * loop - the threads that serve a session.
 *
 * Requests may wait: for a slow file, for a draft that is being published. libfuse's own loop gives each a thread,
 * and once all its threads wait the mount stands still. Here are at most 64 threads, and so that one such thing never
 * takes all of them, it may have as many as are free. Further requests for the same thing are parked: they cost
 * memory, no thread, until one of the thing's is done. An interrupted request that is parked is answered with EINTR;
 * one that is being served is told, see loop_is_interrupted().
 *
 * Three threads wait at the device, not all that are idle. Time against that of libfuse 3.14's loop with 10 threads
 * (Linux 6.18, two processors, medians of ten runs in turns, readahead of a MiB / of 128 KiB): reads of 4 KiB
 * 0.85 / 0.88 and 0.86 / 0.75 of the daemon's processor time; first sequential read 1.01 / 0.99; lookups 0.97 / 1.00;
 * four readers 1.05 / 1.06. A way for one thread to serve a sequential reader alone was measured too (1.05, four
 * readers 0.98 to 1.16) and is gone.
 */
#ifndef CKPTFS_LOOP_H
#define CKPTFS_LOOP_H

#include <fuse_lowlevel.h>
#include <stdbool.h>

struct loop;
struct fuse_in_header;

struct loop_hooks {
	/* What a request may wait for: requests with equal numbers may wait for the same thing. */
	uint64_t (*thing)(void *arg, const struct fuse_in_header *request);
	/* Called every few seconds, by the thread that calls loop_run(): gives back what is idle. */
	void (*tick)(void *arg);
	void *arg;
};

/* NULL with errno. The session is borrowed; it outlives the loop. */
struct loop *loop_new(struct fuse_session *session, const struct loop_hooks *hooks);
void loop_free(struct loop *loop);      /* NULL is allowed */

/*
 * Serves until the session ends: unmounted, or by a signal whose handler is libfuse's
 * (fuse_set_signal_handlers). Requests that are being served are finished. Called once, by the
 * process's first thread, which is the one that signals reach. -1 with errno when the device failed,
 * or no thread could be made; else 0.
 */
int loop_run(struct loop *loop);

/* Whether the program whose request the calling thread serves has got a signal: a handler that waits
   for something gives up with EINTR. */
bool loop_is_interrupted(struct loop *loop);

/* For a person who finds something odd. */
struct loop_status {
	unsigned served, parked;        /* requests: with a worker, and waiting for one */
	unsigned workers;
};
void loop_status(struct loop *loop, struct loop_status *out);

#endif
