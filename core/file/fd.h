/*
 * fd - writes and syncs of descriptors, and how many may stay open.
 */
#ifndef CK_FD_H
#define CK_FD_H

#include "core/base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Whether FD may stay open for long. CK_ERR_SYS EMFILE: nearly as many descriptors are open as may be. The rest is kept
   for files that are opened and closed at once, so that other requests can go on. */
int ck_fd_may_stay(int fd, struct ck_error *err);

/* Writes all LEN bytes at OFFSET of the descriptor FD. CK_ERR_SYS (ENOSPC, EDQUOT, EIO, ...). */
int ck_write_full(int fd, uint64_t offset, const void *buf, size_t len, struct ck_error *err);

/* fsync. CK_ERR_SYS. */
int ck_sync_fd(int fd, struct ck_error *err);

#endif
