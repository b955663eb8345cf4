/*
 * unmounter - a process that unmounts for a daemon which no longer may.
 *
 * Unmounting takes what the sandbox takes away: umount2(2) for root, the set-user-ID program
 * fusermount3 for everyone else. So a child is forked before, which knows one mountpoint, holds one
 * pipe, and does one thing when one byte comes. It ends with the daemon, however that ends. What it
 * leaves alone: a mount that the user or the kernel took down, and the dead mount of a daemon that
 * was killed.
 */
#ifndef CKPTFS_UNMOUNTER_H
#define CKPTFS_UNMOUNTER_H

#include <sys/types.h>

struct unmounter {
	pid_t pid;      /* 0: there is none */
	int order;      /* the pipe's end to write to */
};

/* Forks it: before there is a second thread. MOUNTPOINT is absolute. -1 with errno. */
int unmounter_start(struct unmounter *u, const char *mountpoint);

/*
 * Unmounts, unless the mount is gone already, and ends the child. DEVICE is the open /dev/fuse,
 * which is closed and replaced by something that libfuse takes for the device of a mount that is
 * gone. -1 when the mount stays.
 */
int unmounter_finish(struct unmounter *u, int device);

#endif
