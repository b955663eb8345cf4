/*
 * ahead - reads ahead of sequential readers of stores that wait for a network, for a whole mount.
 *
 * A stream is a reader that goes through a stored file in order, by whichever views: .npy after .npy is a stream as
 * well, since the tensors lie so in the file. Once a stream's reads had to wait, threads of our own keep reads of 1 MiB
 * in flight before it, in the file's order, into buffers. How many side by side, of each file: as many as this store
 * serves faster (pace.h). How far: twice that, and never farther than the stream has come already; all streams share
 * CK_AHEAD_MAX bytes in equal parts. Where reads ahead are answered from memory, they end. A reader that asks for other
 * places causes no read of ours, and one that stops gives its buffers back within seconds. What isn't read ahead its
 * reader reads himself; from 64 KiB on such reads of a file count among those that are side by side, and wait their
 * turn.
 *
 * Why buffers, and not the page cache of the store. On FUSE (sshfs, rclone) the kernel fills pages by requests of at
 * most 128 KiB, 12 at a time, of which libfuse's programs serve 10. Reads that bypass the page cache carry 1 MiB. sshfs
 * with 20 ms of delay, 16 threads: 52 MB/s into the page cache, 248 MB/s past it; with 100 ms 11 and 97 (Linux 6.18,
 * sshfs 3.7.3). rclone, one thread: 255 and 278. GlusterFS, 4 threads: 625 and 951. So on FUSE a file has O_DIRECT
 * while it is read ahead; elsewhere the reads go through the page cache.
 *
 * It is only for files whose file system can't tell what is in memory (RWF_NOWAIT); where the kernel can, its own
 * readahead does well. A failed read ahead is silent: the reader's own read tells. The caller verifies the file after
 * it has the bytes, as after a read: what was read earlier is of the same version if the file is still the same.
 */
#ifndef CK_AHEAD_H
#define CK_AHEAD_H

#include "core/file/io.h"

#include <stddef.h>

#define CK_AHEAD_MAX ((size_t)64 << 20) /* bytes of all buffers */

struct ck_ahead;
struct ck_rclone;

/* RCLONE outlives it; NULL: none is known. NULL when out of memory. Threads are started when they are needed, and end
   when they are idle. */
struct ck_ahead *ck_ahead_new(const struct ck_rclone *rclone);
/* Nobody reads any more. Doesn't wait long for a store that hangs: the process's end is near, which ends the reads
   too. NULL is allowed. */
void ck_ahead_free(struct ck_ahead *a);

/* As ck_file_read, perhaps from a buffer. FILE is held by the caller. Thread-safe. */
int ck_ahead_read(struct ck_ahead *a, struct ck_file *file, uint64_t offset, void *buf, size_t len,
		  struct ck_error *err);
/* The same if all of it is in buffers, else CK_ERR_AGAIN. */
int ck_ahead_read_now(struct ck_ahead *a, struct ck_file *file, uint64_t offset, void *buf, size_t len);

/* Whether the kernel is not to be asked for these bytes, which somebody wants soon: a stream comes by there, or an open
   file is one stream. */
bool ck_ahead_comes_by(struct ck_ahead *a, const struct ck_file *file, uint64_t offset, size_t len);

/* Gives back what stopped readers have left: to be called now and then. */
void ck_ahead_tidy(struct ck_ahead *a);

struct ck_ahead_status {
	size_t bytes, most_bytes;       /* of buffers, now and at most since the mount */
	uint64_t read_bytes;            /* read ahead since the mount */
	unsigned streams, threads;
	unsigned side_by_side;          /* reads of one file, as the store that was read ahead last serves them best */
};
void ck_ahead_status(struct ck_ahead *a, struct ck_ahead_status *out);

#endif
