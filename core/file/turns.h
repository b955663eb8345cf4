/*
 * turns - how many reads of one file go side by side, reads ahead and readers for themselves (ahead.h). The callers of
 * all of these hold the lock.
 *
 * A store may have one stream for each open file: then a read elsewhere makes it seek, and of two reads side by side,
 * which the kernel sends in pieces, each piece does (rclone 1.60 waits 20 ms before each, --vfs-read-wait). So as long
 * as somebody reads a file in order, as many read it side by side as the store serves best (pace.h), one to begin with:
 * streams as they came, the readers of a stream in the file's order. The kernel sends two or more requests of one
 * reader at once, and of a view that has the tensors in another order they are at two places. In a file that all read
 * here and there only those wait for each other who read at the same place.
 *
 * Of rclone this is known (rclone.h): no second read beside the first is ever tried, small reads take turns as well,
 * and the driver asks for one large read of a file after another (fs/loop.h). A model of 100 MB as .safetensors takes 6
 * seeks so, by sftp, 3 of them to open the file; before, 36.
 *
 * Who waits is woken by CK_AHEAD's done, whenever a read ends and whenever somebody no longer waits for his turn.
 */
#ifndef CK_TURNS_H
#define CK_TURNS_H

#include "core/file/chunks.h"

/* Readers for themselves take turns from so many bytes on: what is smaller is seldom part of a stream. Where an open
   file is one stream, all do: each costs two seeks. */
#define TURNS_LARGE ((size_t)64 << 10)

/* Whether there are reads of FILE, or readers that wait for their turn. */
bool turns_any(struct ck_ahead *a, const struct ck_file *file);
/* Whether S is not to be read ahead further for now, because of other reads of its file. */
bool turns_is_busy(struct ck_ahead *a, const struct stream *s);
/* Whether ME, who is queued in S, may read for himself. */
bool turns_is_mine(struct ck_ahead *a, const struct stream *s, const struct reader *me);

#endif
