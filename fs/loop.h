/*
 * loop - the threads that serve a session.
 *
 * libfuse's own loop has every idle thread wait at the device, and the kernel wakes them in turn. For a sequential
 * reader that is costly: while one thread copies a MiB, a second is woken for the next one, and on few processors gets
 * in the way of the reader itself. So here a stream is served by one thread, as long as the data is in memory; and as
 * with libfuse's loop everything else finds a thread waiting.
 *
 * There are at most 64 threads, and requests may wait: for a slow file, for a draft that is being published. So that
 * one such thing never takes all threads, it may have as many as are free. Further requests for the same thing are
 * parked: they cost memory, no thread, until one of the thing's is done. An interrupted request that is parked is
 * answered with EINTR; one that is being served is told, see loop_is_interrupted().
 *
 * Measured (Linux 6.18, two processors). Against libfuse 3.14's loop with 10 threads, ten runs in turns, time: reads of
 * 4 KiB 0.85, lookups 0.97, four readers 1.05. What the thread for a stream is worth, twenty runs in turns, throughput
 * with it against without: the first sequential read with the kernel's own readahead of 128 KiB, which all but root
 * have, 1.30; with 1 MiB 1.08; bfloat16 1.14; four readers 0.90 and 0.94; random reads of 64 KiB 0.80.
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
	/* Large reads of one thing are served one after another, as they came: its file is one stream. */
	bool reads_in_turn;
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

/* For a handler of reads, before it waits: another thread takes the requests then. */
void loop_hand_on(struct loop *loop);

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
