/*
 * fs - the driver: FUSE's requests as calls of core. Only the files of this folder see FUSE.
 */
#ifndef CKPTFS_FS_H
#define CKPTFS_FS_H

#include "core/draft/change.h"
#include "core/draft/dirs.h"
#include "core/draft/draft.h"
#include "core/draft/file.h"
#include "core/draft/links.h"
#include "core/draft/numbers.h"
#include "core/file/ahead.h"
#include "core/file/rclone.h"
#include "core/tree/tree.h"
#include "buffers.h"
#include "log.h"
#include "loop.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdatomic.h>

/* Since the mount. A read that the kernel answers from its cache is not among them. */
struct fs_counts {
	atomic_ullong reads, read_bytes, writes, written_bytes, errors;
};

static inline void fs_count(atomic_ullong *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

struct options;

/* What every handler gets as its user data. */
struct fs {
	struct ck_tree *tree;
	struct ck_drafts *drafts;
	bool read_only;                 /* drafts are shown, and nothing is written */
	struct ck_scratch *scratch;     /* temporary space */
	struct ck_ahead *ahead;         /* reads ahead of streams */
	struct ck_rclone rclone;        /* rclone's mounts, as they were at the start */
	struct log *log;
	/* what the mount was given, in bytes; 0: the kernel's own */
	unsigned readahead;
	struct loop *loop;
	/* look-ups in one directory may run side by side: what INIT's answer still has to say */
	atomic_bool parallel_dirops;
	struct buffers buffers;         /* for replies */
	struct fs_counts counts;
	const struct options *options;  /* for status.h, with the two that follow */
	time_t started;
	int64_t started_ms;             /* of the monotonic clock */
	/* in the background: the parent waits on it until the mount answers; else -1 */
	int ready_fd;
	const char *note;               /* said on stderr when the mount answers, or NULL */
	const char *in_place;           /* logged then, or NULL */
	void (*ready)(struct fs *fs);   /* called when the kernel's first request came in */
};

extern const struct fuse_lowlevel_ops fs_ops;

/* After the mount: SESSION reads and writes its device as the driver wants it to. -1 with errno. */
int fs_use_device(struct fuse_session *session);

/* The hooks of the loop; ARG is the struct fs. */
uint64_t fs_thing(void *arg, const struct fuse_in_header *request);
void fs_tick(void *arg);

/* The only table from an error to an errno. */
int fs_errno(const struct ck_error *err);

/* Replies with the errno of ERR, and logs it where it tells of a fault rather than of an absence.
   CONTEXT is the operation's name. */
void fs_reply_error(fuse_req_t req, const char *context, const struct ck_error *err);

/* Replies with LEN bytes of VIEW, or of a draft's FILE, at OFFSET. */
void fs_reply_view(fuse_req_t req, const struct ck_view *view, uint64_t offset, size_t len);
void fs_reply_draft(fuse_req_t req, struct ck_draft_file *file, uint64_t offset, size_t len);

static inline struct fs *fs_of(fuse_req_t req) { return fuse_req_userdata(req); }

static inline void fs_entry(const struct ck_attr *attr, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = attr->st.st_ino,
		.attr = attr->st,
		.attr_timeout = attr->attr_timeout,
		.entry_timeout = attr->entry_timeout,
	};
}

/* What an open file's handle holds: a view, or (the lowest bit says so) a file of a draft. */
static inline struct ck_view *fs_view(const struct fuse_file_info *fi)
{
	return fi->fh & 1 ? NULL : (struct ck_view *)(uintptr_t)fi->fh;
}

static inline struct ck_draft_file *fs_draft_file(const struct fuse_file_info *fi)
{
	return fi && fi->fh & 1 ? (struct ck_draft_file *)(uintptr_t)(fi->fh - 1) : NULL;
}

static inline void fs_set_draft_file(struct fuse_file_info *fi, struct ck_draft_file *file)
{
	fi->fh = (uintptr_t)file + 1;
	/* A program that only writes can't map the file. So its bytes need not go through the mount's pages in the
	   kernel on their way to the pages of the store's file. */
	fi->direct_io = (fi->flags & O_ACCMODE) == O_WRONLY && !ck_draft_is_ordinary(file);
}

/* ops_write.c; the table is in ops.c. */
void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi);
void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
		  unsigned flags);
void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi);
void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

#endif
