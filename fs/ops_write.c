/* FUSE's requests that change something. Implements fs.h with ops.c. */
#include "core/tree/place.h"
#include "fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In a read-only mount the kernel refuses before we are asked, and a request that gets here all the same is answered
   the same. */
static bool writable(fuse_req_t req)
{
	if (!fs_of(req)->read_only) {
		ck_tree_wrote(fs_of(req)->tree);
		return true;
	}
	fuse_reply_err(req, EROFS);
	return false;
}

/* The drafts' and the tree's own number for a directory: see ck_drafts_inner. */
static ck_ino inner(fuse_req_t req, fuse_ino_t ino) { return ck_drafts_inner(fs_of(req)->drafts, ino); }

static struct ck_owner owner_of(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct ck_owner){ ctx->uid, ctx->gid, ctx->pid };
}

static void reply_status(fuse_req_t req, const char *context, const struct ck_error *err)
{
	/* Some take long, such as publishing. */
	ck_tree_wrote(fs_of(req)->tree);
	if (err->code)
		fs_reply_error(req, context, err);
	else
		fuse_reply_err(req, 0);
}

void fs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct ck_change change = {
		.mode = to_set & FUSE_SET_ATTR_MODE,
		.uid = to_set & FUSE_SET_ATTR_UID,
		.gid = to_set & FUSE_SET_ATTR_GID,
		.size = to_set & FUSE_SET_ATTR_SIZE,
		.atime = to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW),
		.mtime = to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW),
		.st = *st,
		.atime_now = to_set & FUSE_SET_ATTR_ATIME_NOW,
		.mtime_now = to_set & FUSE_SET_ATTR_MTIME_NOW,
		.pid = fuse_req_ctx(req)->pid,
	};
	struct ck_error err = CK_ERROR_INIT;
	struct ck_attr attr;

	if (!writable(req))
		return;
	if (ck_drafts_setattr(fs_of(req)->drafts, inner(req, ino), fs_draft_file(fi), &change, &attr, &err)) {
		fs_reply_error(req, "setattr", &err);
		return;
	}
	attr.st.st_ino = ino;
	fuse_reply_attr(req, &attr.st, attr.attr_timeout);
}

void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct ck_error err = CK_ERROR_INIT;
	struct fuse_entry_param e;
	struct ck_attr attr;

	if (!writable(req))
		return;
	if (ck_drafts_mkdir(fs_of(req)->drafts, inner(req, parent), name, mode, owner_of(req), &attr, &err)) {
		fs_reply_error(req, "mkdir", &err);
		return;
	}
	fs_entry(&attr, &e);
	fuse_reply_entry(req, &e);
}

void fs_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_draft_file *file;
	struct fuse_entry_param e;
	struct ck_attr attr;

	if (!writable(req))
		return;
	if (ck_drafts_create(fs->drafts, inner(req, parent), name, mode, fi->flags, owner_of(req), &attr, &file,
			     &err)) {
		fs_reply_error(req, "create", &err);
		return;
	}
	fs_set_draft_file(fi, file);
	fs_entry(&attr, &e);
	if (fuse_reply_create(req, &e, fi) < 0) {
		ck_draft_release(fs->drafts, file);
		ck_drafts_forget(fs->drafts, e.ino, 1);
	}
}

void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ck_error err = CK_ERROR_INIT;

	if (!writable(req))
		return;
	ck_drafts_unlink(fs_of(req)->drafts, inner(req, parent), name, &err);
	reply_status(req, "unlink", &err);
}

void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ck_error err = CK_ERROR_INIT;

	if (!writable(req))
		return;
	ck_drafts_rmdir(fs_of(req)->drafts, inner(req, parent), name, &err);
	reply_status(req, "rmdir", &err);
}

void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
		  unsigned flags)
{
	struct ck_error err = CK_ERROR_INIT;

	if (!writable(req))
		return;
	ck_drafts_rename(fs_of(req)->drafts, inner(req, parent), name, inner(req, new_parent), new_name, flags, &err);
	reply_status(req, "rename", &err);
}

/* Special files have no place in a checkpoint. */
static void refuse(fuse_req_t req)
{
	if (writable(req))
		fuse_reply_err(req, EPERM);
}

/* A regular file, as NFS servers and tar --xattrs make it. */
void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs *fs = fs_of(req);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_draft_file *file;
	struct fuse_entry_param e;
	struct ck_attr attr;

	(void)rdev;
	if (!S_ISREG(mode)) {
		refuse(req);
		return;
	}
	if (!writable(req))
		return;
	if (ck_drafts_create(fs->drafts, inner(req, parent), name, mode, O_RDONLY | O_EXCL, owner_of(req), &attr, &file,
			     &err)) {
		fs_reply_error(req, "mknod", &err);
		return;
	}
	ck_draft_release(fs->drafts, file);
	fs_entry(&attr, &e);
	fuse_reply_entry(req, &e);
}

static void reply_made(fuse_req_t req, const char *context, const struct ck_attr *attr, const struct ck_error *err)
{
	struct fuse_entry_param e;

	if (err->code) {
		fs_reply_error(req, context, err);
		return;
	}
	fs_entry(attr, &e);
	fuse_reply_entry(req, &e);
}

void fs_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_attr attr;

	if (!writable(req))
		return;
	ck_drafts_symlink(fs_of(req)->drafts, inner(req, parent), name, target, owner_of(req), &attr, &err);
	reply_made(req, "symlink", &attr, &err);
}

void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_attr attr;

	if (!writable(req))
		return;
	ck_drafts_link(fs_of(req)->drafts, ino, inner(req, new_parent), new_name, &attr, &err);
	reply_made(req, "link", &attr, &err);
}

static void set_xattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct ck_error err = CK_ERROR_INIT;

	if (!writable(req))
		return;
	/* Others than the user's mean something to the kernel, which would not see them. */
	if (strncmp(name, "user.", 5) != 0 || !ck_is_draft(ino)) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	ck_drafts_setxattr(fs_of(req)->drafts, ino, name, value, size, flags, &err);
	reply_status(req, "setxattr", &err);
}

void fs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	set_xattr(req, ino, name, value ? value : "", size, flags);
}

void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	set_xattr(req, ino, name, NULL, 0, 0);
}

void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct ck_error err = CK_ERROR_INIT;

	(void)ino;
	if (!fs_draft_file(fi))
		ck_error_set(&err, CK_ERR_PERM, "a published step can't be changed");
	else
		ck_draft_write(fs_of(req)->drafts, fs_draft_file(fi), (uint64_t)off, buf, size, &err);
	if (err.code) {
		fs_reply_error(req, "write", &err);
		return;
	}
	fs_count(&fs_of(req)->counts.writes, 1);
	fs_count(&fs_of(req)->counts.written_bytes, size);
	fuse_reply_write(req, size);
}

void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ck_error err = CK_ERROR_INIT;

	(void)ino;
	if (fs_draft_file(fi) && !fs_of(req)->read_only)
		ck_draft_flush(fs_of(req)->drafts, fs_draft_file(fi), fuse_req_ctx(req)->pid, &err);
	reply_status(req, "close", &err);
}

void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct ck_error err = CK_ERROR_INIT;

	(void)ino, (void)datasync;
	if (fs_draft_file(fi) && !fs_of(req)->read_only)
		ck_draft_fsync(fs_of(req)->drafts, fs_draft_file(fi), &err);
	reply_status(req, "fsync", &err);
}

void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct ck_error err = CK_ERROR_INIT;

	(void)datasync, (void)fi;
	if (!fs_of(req)->read_only)
		ck_drafts_fsyncdir(fs_of(req)->drafts, inner(req, ino), &err);
	reply_status(req, "fsync", &err);
}
