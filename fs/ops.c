/* FUSE's requests that read. Implements fs.h with ops_write.c; each handler is one call of core. */
#include "fs.h"

#include "core/tree/list.h"
#include "status.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	/* O_TRUNC comes as a setattr, so that the driver says what it does to the inode: see open_draft. */
	conn->want &= ~(unsigned)FUSE_CAP_ATOMIC_O_TRUNC;
	/* The answer to this request is the next that goes to the kernel: see fs/device.c. */
	fs->parallel_dirops = conn->capable & FUSE_CAP_PARALLEL_DIROPS;
	/* Reads ahead, and asynchronous reads, wait in the kernel once there are this many, all files in one line. With
	   the default of 12, a dozen reads of a slow file would stop all others. Here they don't (loop.h). */
	conn->max_background = UINT16_MAX;
	conn->congestion_threshold = UINT16_MAX / 4 * 3;
	/* The kernel takes the smaller of this and of what the mount has. */
	if (fs->readahead)
		conn->max_readahead = fs->readahead;
	fs->ready(fs);
}

/* Where a step was a draft on this mount, the kernel knows its directories by the draft's numbers. */
static void use_outer(struct fs *fs, struct ck_attr *attr)
{
	ck_ino ino = ck_drafts_outer(fs->drafts, attr->st.st_ino);

	if (ino == attr->st.st_ino)
		return;
	ck_tree_forget(fs->tree, attr->st.st_ino, 1);
	attr->st.st_ino = ino;
}

/* Published names come first, then what is being written. */
static int lookup(struct fs *fs, ck_ino parent, const char *name, struct ck_attr *out, struct ck_error *err)
{
	int rc = CK_ERR_NOENT;

	if (strlen(name) > NAME_MAX) {
		errno = ENAMETOOLONG;
		return ck_fail_sys(err, "lookup");
	}
	parent = ck_drafts_inner(fs->drafts, parent);
	if (!ck_is_draft(parent)) {
		rc = ck_tree_lookup(fs->tree, parent, name, out, err);
		if (!rc)
			use_outer(fs, out);
		if (rc != CK_ERR_NOENT)
			return rc;
		ck_error_clear(err);
	}
	return ck_drafts_lookup(fs->drafts, parent, name, out, err);
}

static void forget(struct fs *fs, ck_ino ino, uint64_t count)
{
	if (ck_is_draft(ino))
		ck_drafts_forget(fs->drafts, ino, count);
	else
		ck_tree_forget(fs->tree, ino, count);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ck_error err = CK_ERROR_INIT;
	struct fuse_entry_param e;
	struct ck_attr attr;

	if (lookup(fs_of(req), parent, name, &attr, &err) == CK_OK) {
		fs_entry(&attr, &e);
	} else if (err.code == CK_ERR_NOENT) {
		/* Inode 0: the kernel remembers that there is no such name. */
		e = (struct fuse_entry_param){ .entry_timeout = attr.entry_timeout };
	} else {
		fs_reply_error(req, "lookup", &err);
		return;
	}
	fuse_reply_entry(req, &e);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	forget(fs_of(req), ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ck_error err = CK_ERROR_INIT;
	ck_ino inner = ck_drafts_inner(fs_of(req)->drafts, ino);
	struct ck_attr attr;

	if (ck_is_draft(inner))
		ck_drafts_getattr(fs_of(req)->drafts, inner, fs_draft_file(fi), &attr, &err);
	else
		ck_tree_getattr(fs_of(req)->tree, inner, &attr, &err);
	attr.st.st_ino = ino;
	if (err.code)
		fs_reply_error(req, "getattr", &err);
	else
		fuse_reply_attr(req, &attr.st, attr.attr_timeout);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct ck_error err = CK_ERROR_INIT;
	char target[PATH_MAX];

	if (ck_is_draft(ino) ? ck_drafts_readlink(fs_of(req)->drafts, ino, target, sizeof(target), &err)
			     : ck_tree_readlink(fs_of(req)->tree, ino, target, sizeof(target), &err))
		fs_reply_error(req, "readlink", &err);
	else
		fuse_reply_readlink(req, target);
}

/* A file of a draft, or a file that is to replace a stored one under nanochat's own name. */
static void open_draft(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_draft_file *file;

	if (fs_of(req)->read_only && (fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (ck_drafts_open(fs_of(req)->drafts, ino, fi->flags, (struct ck_owner){ctx->uid, ctx->gid, ctx->pid}, &file,
			   &err)) {
		fs_reply_error(req, "open", &err);
		return;
	}
	fs_set_draft_file(fi, file);
	/* A program that replaces a stored file writes past the page cache, which belongs to the readers of the old
	   file. */
	fi->direct_io = !ck_is_draft(ino) || ck_draft_is_report(file);
	fi->keep_cache = ck_draft_keeps_pages(file);
	if (fuse_reply_open(req, fi) < 0)
		ck_draft_release(fs_of(req)->drafts, file);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_view *view;
	bool keep;

	if (ck_is_draft(ino) || (fi->flags & O_ACCMODE) != O_RDONLY) {
		open_draft(req, ino, fi);
		return;
	}
	if (ck_tree_open(fs_of(req)->tree, ino, &view, &keep, &err)) {
		fs_reply_error(req, "open", &err);
		return;
	}
	fi->fh = (uintptr_t)view;
	fi->keep_cache = keep;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) < 0)
		ck_view_unref(view);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	if (fs_draft_file(fi))
		fs_reply_draft(req, fs_draft_file(fi), (uint64_t)off, size);
	else
		fs_reply_view(req, fs_view(fi), (uint64_t)off, size);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (fs_draft_file(fi))
		ck_draft_release(fs_of(req)->drafts, fs_draft_file(fi));
	else
		ck_view_unref(fs_view(fi));
	fuse_reply_err(req, 0);
}

/* An open directory: its listing, made again when the reader goes back to the start (rewinddir). */
struct open_dir {
	struct ck_dir *listing;
	bool begun;
};

static struct open_dir *dir_of(const struct fuse_file_info *fi)
{
	return (struct open_dir *)(uintptr_t)fi->fh;
}

static int list(struct fs *fs, ck_ino ino, struct ck_dir **out, struct ck_error *err)
{
	int rc;

	ino = ck_drafts_inner(fs->drafts, ino);
	if (ck_is_draft(ino))
		return ck_drafts_opendir(fs->drafts, ino, out, err);
	rc = ck_tree_opendir(fs->tree, ino, out, err);
	if (rc)
		return rc;
	rc = ck_drafts_list(fs->drafts, ino, *out, err);
	if (rc)
		ck_dir_close(*out);
	return rc;
}

static void close_dir(struct open_dir *dir)
{
	ck_dir_close(dir->listing);
	free(dir);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ck_error err = CK_ERROR_INIT;
	struct open_dir *dir = calloc(1, sizeof(*dir));
	int rc;

	rc = dir ? list(fs_of(req), ino, &dir->listing, &err) : ck_fail_nomem(&err);
	if (rc) {
		free(dir);
		fs_reply_error(req, "opendir", &err);
		return;
	}
	fi->fh = (uintptr_t)dir;
	if (fuse_reply_open(req, fi) < 0)
		close_dir(dir);
}

/* Appends entry D at POSITION; 0 when it doesn't fit. With PLUS its attributes too, where they are
   cheap. */
static size_t add_entry(fuse_req_t req, fuse_ino_t parent, const struct ck_dirent *d, uint64_t position, bool plus,
			char *buf, size_t size)
{
	struct stat st = { .st_ino = ck_drafts_outer(fs_of(req)->drafts, d->ino), .st_mode = d->type };
	/* Inode 0: a name and a type only; the kernel looks it up if someone wants more. */
	struct fuse_entry_param e = { .attr = st };
	struct ck_attr attr;
	size_t used;

	if (!plus)
		return fuse_add_direntry(req, buf, size, d->name, &st, (off_t)position + 1);
	if (d->cheap && lookup(fs_of(req), parent, d->name, &attr, NULL) == CK_OK)
		fs_entry(&attr, &e);
	used = fuse_add_direntry_plus(req, buf, size, d->name, &e, (off_t)position + 1);
	if (used > size && e.ino)
		forget(fs_of(req), e.ino, 1);
	return used;
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	struct ck_error err = CK_ERROR_INIT;
	struct open_dir *dir = dir_of(fi);
	struct ck_dir *fresh;
	struct ck_dirent d;
	size_t used = 0, one;
	char *buf = malloc(size);
	int rc = buf ? CK_OK : ck_fail_nomem(&err);

	if (!rc && off == 0 && dir->begun) {
		rc = list(fs_of(req), ino, &fresh, &err);
		if (!rc) {
			ck_dir_close(dir->listing);
			dir->listing = fresh;
		}
	}
	if (rc) {
		free(buf);
		fs_reply_error(req, "readdir", &err);
		return;
	}
	dir->begun = true;
	for (uint64_t position = (uint64_t)off; ck_dir_entry(dir->listing, position, &d); position++) {
		one = add_entry(req, ino, &d, position, plus, buf + used, size - used);
		if (one > size - used)
			break;
		used += one;
	}
	fuse_reply_buf(req, buf, used);
	free(buf);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi, true);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	close_dir(dir_of(fi));
	fuse_reply_err(req, 0);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct ck_error err = CK_ERROR_INIT;
	struct statvfs st;

	(void)ino;
	if (ck_tree_statfs(fs_of(req)->tree, &st, &err))
		fs_reply_error(req, "statfs", &err);
	else
		fuse_reply_statfs(req, &st);
}

/* xattr(7): size 0 asks for the size, a buffer too small is ERANGE. */
static void reply_xattr(fuse_req_t req, char *value, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, len);
	free(value);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct ck_error err = CK_ERROR_INIT;
	char *value;
	size_t len;
	int rc;

	/* ls -l asks for security.selinux and system.posix_acl_access: after EOPNOTSUPP for one file it stops asking,
	   after ENODATA it asks for each file. */
	if (strncmp(name, "user.", 5) != 0) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (ino == CK_ROOT_INO && strcmp(name, STATUS_XATTR) == 0) {
		rc = status_make(fs_of(req), fuse_req_ctx(req)->uid, &value, &len, &err);
		if (rc)
			fs_reply_error(req, "status", &err);
		else
			reply_xattr(req, value, len, size);
		return;
	}
	ino = ck_drafts_inner(fs_of(req)->drafts, ino);
	rc = ck_is_draft(ino) ? ck_drafts_getxattr(fs_of(req)->drafts, ino, name, &value, &len, &err)
			      : ck_tree_getxattr(fs_of(req)->tree, ino, name, &value, &len, &err);
	if (rc == CK_OK)
		reply_xattr(req, value, len, size);
	else if (err.code == CK_ERR_NOENT)
		fuse_reply_err(req, ENODATA);
	else
		fs_reply_error(req, "getxattr", &err);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct ck_error err = CK_ERROR_INIT;
	char *names;
	size_t len;

	ino = ck_drafts_inner(fs_of(req)->drafts, ino);
	if (ck_is_draft(ino) ? ck_drafts_listxattr(fs_of(req)->drafts, ino, &names, &len, &err)
			     : ck_tree_listxattr(fs_of(req)->tree, ino, &names, &len, &err))
		fs_reply_error(req, "listxattr", &err);
	else
		reply_xattr(req, names, len, size);
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = fs_op_setxattr,
	.removexattr = fs_op_removexattr,
	.setattr = fs_op_setattr,
	.mkdir = fs_op_mkdir,
	.create = fs_op_create,
	.unlink = fs_op_unlink,
	.rmdir = fs_op_rmdir,
	.rename = fs_op_rename,
	.mknod = fs_op_mknod,
	.symlink = fs_op_symlink,
	.link = fs_op_link,
	.write = fs_op_write,
	.flush = fs_op_flush,
	.fsync = fs_op_fsync,
	.fsyncdir = fs_op_fsyncdir,
};
