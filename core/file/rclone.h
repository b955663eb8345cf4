/*
 * rclone - which devices are mounts of rclone, of which two things are known that can't be found out in time by trying.
 *
 * An open file is one stream there: a read elsewhere, or beside another, makes it seek, and waits for 20 ms before that
 * (1.60, --vfs-read-wait). And a file made with O_EXCL is made in a cache of its own and sent later, so that two
 * machines make the same one.
 *
 * Its mounts have the type fuse.rclone.
 */
#ifndef CK_RCLONE_H
#define CK_RCLONE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CK_MOST_RCLONE 16

struct ck_rclone {
	dev_t devices[CK_MOST_RCLONE];
	size_t count;
};

/* Those of now, in /proc/self/mountinfo. Before the sandbox. */
void ck_rclone_find(struct ck_rclone *out);
/* ALL may be NULL: none is known. */
bool ck_rclone_has(const struct ck_rclone *all, dev_t device);

#endif
