/*
 * loop - the threads that serve a session.
 *
 * libfuse's own loop has every idle thread wait at the device, and the kernel wakes them in turn. For
 * who reads one thing after the other that is costly: while one thread copies a MiB, a second is
 * woken for the next one, and on few processors gets in the way of the reader itself. So here a
 * stream is served by one thread, as long as the data is in memory; and as with libfuse's loop
 * everything else finds a thread waiting, so that a slow store, or a publication, holds up nobody
 * but those who want it.
 */
#ifndef CKPTFS_LOOP_H
#define CKPTFS_LOOP_H

#include <fuse_lowlevel.h>

struct loop;

/* NULL with errno. The session is borrowed; it outlives the loop. */
struct loop *loop_new(struct fuse_session *session);
void loop_free(struct loop *loop);      /* NULL is allowed */

/*
 * Serves until the session ends: unmounted, or by a signal whose handler is libfuse's
 * (fuse_set_signal_handlers). Requests that are being served are finished. Called once, by the
 * process's first thread, which is the one that signals reach. -1 with errno when the device failed,
 * or no thread could be made; else 0.
 */
int loop_run(struct loop *loop);

/* For a handler of reads, before it waits: another thread takes the requests meanwhile. */
void loop_hand_on(struct loop *loop);

#endif
