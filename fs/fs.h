/*
 * fs - the driver: FUSE's requests as calls of core. Only the files of this folder see FUSE.
 */
#ifndef CKPTFS_FS_H
#define CKPTFS_FS_H

#include "../core/tree.h"
#include "log.h"

#include <fuse_lowlevel.h>

/* What every handler gets as its user data. */
struct fs {
	struct ck_tree *tree;
	struct log *log;
	int ready_fd;           /* in the background: the parent waits on it until the mount answers; else -1 */
	void (*ready)(struct fs *fs);   /* called when the kernel's first request came in */
};

extern const struct fuse_lowlevel_ops fs_ops;

/* The only table from an error to an errno. */
int fs_errno(const struct ck_error *err);

/* Replies with the errno of ERR, and logs it where it tells of a fault rather than of an absence. CONTEXT is the operation's name. */
void fs_reply_error(fuse_req_t req, const char *context, const struct ck_error *err);

/* Replies with LEN bytes of VIEW at OFFSET. */
void fs_reply_view(fuse_req_t req, const struct ck_view *view, uint64_t offset, size_t len);

static inline struct fs *fs_of(fuse_req_t req) { return fuse_req_userdata(req); }

#endif
