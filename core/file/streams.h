/*
 * streams - which readers go through a file in order, and what is to be read ahead of them (ahead.h). The callers of
 * all of these hold the lock.
 */
#ifndef CK_STREAMS_H
#define CK_STREAMS_H

#include "core/file/chunks.h"

/* The stream whose reader may ask for these bytes of FILE next, or NULL. */
struct stream *stream_find(struct ck_ahead *a, const struct ck_file *file, uint64_t offset, size_t len);
/* A stream to be that begins with these bytes, in the place of the one that was idle longest. NULL: all are read ahead.
   */
struct stream *stream_begin(struct ck_ahead *a, struct ck_file *file, uint64_t offset, size_t len);
/* Its reader asks for these bytes. */
void stream_go_on(struct ck_ahead *a, struct stream *s, uint64_t offset, size_t len);
/* It is read ahead from now on, if it is long enough and had to wait: from OFFSET, or from where a reader before that
   still waits. */
void stream_activate(struct ck_ahead *a, struct stream *s, uint64_t offset);
/* Whether what is at OFFSET is to be read ahead of it now. */
bool stream_covers(const struct stream *s, uint64_t offset);
/* It is not read ahead any more. */
void stream_stop(struct ck_ahead *a, struct stream *s);

/* Stops those that have not read for MS, and for which nobody waits; below 0: all. */
void streams_stop_idle(struct ck_ahead *a, int64_t ms);
unsigned streams_active(struct ck_ahead *a);
/* Asks for what is to be read ahead now: the stream that has the least comes first. */
void streams_schedule(struct ck_ahead *a);

struct store *streams_store(struct ck_ahead *a, const struct ck_file *file);

#endif
