/*
 * readahead - how far the kernel reads ahead of a sequential reader of the mount.
 */
#ifndef CKPTFS_READAHEAD_H
#define CKPTFS_READAHEAD_H

/*
 * Raises the readahead of the mount at MOUNTPOINT from 128 KiB to what one read can carry, and returns it in bytes: the
 * answer to the kernel's init must not ask for less. Only root may; 0 when nothing was changed. To be called after the
 * mount and before the first reply.
 */
unsigned readahead_raise(const char *mountpoint);

#endif
