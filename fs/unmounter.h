/*
 * unmounter - a process that unmounts for a daemon which no longer may.
 *
 * Unmounting takes what the sandbox takes away: umount2(2) for root, the set-user-ID program
 * fusermount3 for everyone else. So a child is forked before, which knows one mountpoint, holds one
 * pipe, and does one thing when one byte comes. It ends with the daemon, however that ends. What it
 * leaves alone: a mount that the user or the kernel took down, and, without auto_unmount, the dead
 * mount of a daemon that was killed.
 *
 * libfuse's own auto_unmount isn't used. fusermount3 looks once, as root, whether the mount is dead,
 * and of 3.14 a user's mount tells that to nobody but the user (EACCES): it stayed each time. And a
 * daemon that is killed may close fusermount3's socket before the device.
 */
#ifndef CKPTFS_UNMOUNTER_H
#define CKPTFS_UNMOUNTER_H

#include <stdbool.h>
#include <sys/types.h>

struct unmounter {
	pid_t pid;      /* 0: there is none */
	int order;      /* the pipe's end to write to */
};

/* Forks it: before there is a second thread. MOUNTPOINT is absolute. ALWAYS: the mount goes also when the daemon was
   killed. -1 with errno. */
int unmounter_start(struct unmounter *u, const char *mountpoint, bool always);

/*
 * Unmounts, unless the mount is gone already, and ends the child. DEVICE is the open /dev/fuse,
 * which is closed and replaced by something that libfuse takes for the device of a mount that is
 * gone. -1 when the mount stays.
 */
int unmounter_finish(struct unmounter *u, int device);

#endif
