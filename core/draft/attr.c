/* Attributes of drafts' files, and what changes them. Implements parts of dirs.h and change.h. */
#include "core/draft/change.h"

#include "core/draft/dirs.h"
#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/ordinary.h"
#include "core/draft/native.h"
#include "core/draft/open.h"
#include "core/draft/report.h"
#include "core/draft/successor.h"
#include "core/draft/use.h"
#include "core/file/real.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static int stat_node(struct ck_drafts *d, struct dnode *node, const struct ck_draft_file *file, struct stat *st,
		     struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	char path[PATH_MAX];
	int fd, rc;

	if (node->report && !node->draft->gone)
		return report_stat(d, node->draft, node->parent, st, err);
	if (file && !file->text)
		return fstat(file->fd, st) < 0 ? ck_fail_sys(err, "fstat") : CK_OK;
	rc = node->dead ? CK_ERR_STALE : ordinary_stat(d, node, path, st, &why);
	fd = rc == CK_ERR_STALE ? dnode_dup(d, node, false) : -1;
	if (fd >= 0) {
		rc = fstat(fd, st) < 0 ? ck_fail_sys(err, "fstat") : CK_OK;
		close(fd);
		return rc;
	}
	if (node->dead)
		return ck_fail(err, CK_ERR_STALE, "the file is gone");
	if (rc && err && !err->code)
		*err = why;
	return rc;
}

int ck_drafts_getattr(struct ck_drafts *d, ck_ino ino, struct ck_draft_file *file, struct ck_attr *out,
		      struct ck_error *err)
{
	struct dnode *node = dnode_find(d, ino);
	struct stat st;
	int rc;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	rc = stat_node(d, node, file, &st, err);
	if (!rc)
		dnode_attr(d, node, &st, out);
	dnode_put(d, node);
	return rc;
}

int ck_drafts_readlink(struct ck_drafts *d, ck_ino ino, char *buf, size_t size, struct ck_error *err)
{
	struct dnode *node = dnode_find(d, ino);
	char path[PATH_MAX];
	struct stat st;
	int rc = CK_OK;
	ssize_t len;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	if (node->draft->kind != DRAFT_PLAIN) {
		errno = ELOOP;
		rc = ck_fail_sys(err, "a link in a draft, which is not followed");
	} else {
		rc = ordinary_stat(d, node, path, &st, err);
	}
	if (!rc) {
		len = ck_real_readlink(path, buf, size - 1);
		if (len < 0)
			rc = ck_fail_sys(err, "readlink");
		else
			buf[len] = '\0';
	}
	dnode_put(d, node);
	return rc;
}

static struct timespec time_of(bool set, bool now, struct timespec t)
{
	if (!set)
		t.tv_nsec = UTIME_OMIT;
	else if (now)
		t.tv_nsec = UTIME_NOW;
	return t;
}

/* The change of the file at PATH, or of FD where it isn't -1. */
static int apply(const char *path, int fd, const struct ck_change *c, struct ck_error *err)
{
	struct timespec times[2] = { time_of(c->atime, c->atime_now, c->st.st_atim),
				     time_of(c->mtime, c->mtime_now, c->st.st_mtim) };
	uid_t uid = c->uid ? c->st.st_uid : (uid_t)-1;
	gid_t gid = c->gid ? c->st.st_gid : (gid_t)-1;

	if (c->mode && (fd >= 0 ? fchmod(fd, c->st.st_mode & 07777) : ck_real_chmod(path, c->st.st_mode & 07777)) < 0)
		return ck_fail_sys(err, "chmod");
	if ((c->uid || c->gid) && (fd >= 0 ? fchown(fd, uid, gid) : ck_real_chown(path, uid, gid)) < 0)
		return ck_fail_sys(err, "chown");
	if (c->size && (fd >= 0 ? ftruncate(fd, c->st.st_size) : ck_real_truncate(path, c->st.st_size)) < 0)
		return ck_fail_sys(err, "truncate");
	if ((c->atime || c->mtime) &&
	    (fd >= 0 ? futimens(fd, times) : ck_real_utimens(path, times)) < 0)
		return ck_fail_sys(err, "utimens");
	return CK_OK;
}

static int change_draft(struct ck_drafts *d, struct dnode *node, struct ck_draft_file *file,
			const struct ck_change *change, struct ck_attr *out, struct ck_error *err)
{
	struct ck_change rest = *change;
	struct draft *draft = node->draft;
	char path[PATH_MAX];
	struct stat st;
	int fd = file ? -1 : dnode_dup(d, node, true), rc = CK_OK;

	/* What cp -a or chmod -R does to DRAFT.error changes nothing. */
	if (node->report) {
		rc = stat_node(d, node, NULL, &st, err);
		if (!rc)
			dnode_attr(d, node, &st, out);
		goto out;
	}
	if (change->size && file && file->writable) {
		rc = draft_file_truncate(d, file, change->st.st_size, err);
		rest.size = false;
	}
	if (!rc)
		rc = draft_begin(draft, err);
	if (rc)
		goto out;
	if (!file && fd < 0)
		rc = ordinary_stat(d, node, path, &st, err);
	if (!rc)
		rc = apply(path, file ? file->fd : fd, &rest, err);
	if (rest.size)
		draft_changed(draft);
	if (!rc)
		rc = stat_node(d, node, file, &st, err);
	if (!rc)
		dnode_attr(d, node, &st, out);
	draft_end(draft);
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

/*
 * A program that has a file under nanochat's own name open to replace it means its new file. But the kernel, and the
 * readers of the stored file, know the stored file by this inode: the stored file's attributes are the answer.
 */
static int change_replacement(struct ck_drafts *d, ck_ino ino, struct ck_draft_file *file,
			      const struct ck_change *change, struct ck_attr *out, struct ck_error *err)
{
	int rc = change_draft(d, file->node, file, change, out, err);

	if (!rc && ck_tree_getattr(d->tree, ino, out, NULL))
		out->st.st_ino = ino; /* somebody else has replaced it since */
	return rc;
}

/*
 * Changes the attributes of a stored file or directory. The kernel has checked that the caller may. A view shows the
 * stored file's read bits alone, and a change of the view's mode changes those bits alone.
 */
static int change_stored(struct ck_drafts *d, ck_ino ino, const struct ck_change *change, struct ck_attr *out,
			 struct ck_error *err)
{
	struct timespec times[2] = { time_of(change->atime, change->atime_now, change->st.st_atim),
				     time_of(change->mtime, change->mtime_now, change->st.st_mtim) };
	struct ck_change rest = *change;
	char path[PATH_MAX];
	struct stat st;
	bool view;
	int rc;

	if (change->size)
		return ck_fail(err, CK_ERR_PERM, "a published step can't be changed");
	rc = ck_tree_stored(d->tree, ino, path, &view, err);
	if (!rc && view && change->mode) {
		if (ck_real_stat(path, &st) < 0)
			return ck_fail_sys(err, "stat");
		rest.st.st_mode = (st.st_mode & 07777 & ~(mode_t)0444) | (change->st.st_mode & 0444);
	}
	rest.atime = rest.mtime = false;
	if (!rc)
		rc = apply(path, -1, &rest, err);
	if (!rc && (change->atime || change->mtime) && ck_tree_utimens(d->tree, path, times) < 0)
		rc = ck_fail_sys(err, "utimens");
	ck_tree_changed(d->tree, ino);
	return rc ? rc : ck_tree_getattr(d->tree, ino, out, err);
}

/* A file of a draft that was published since the kernel looked it up: the step's is meant. */
static int change_published(struct ck_drafts *d, struct dnode *node, const struct ck_change *change,
			    struct ck_attr *out, struct ck_error *err)
{
	ck_ino ino = successor_of_file(d, node);
	int rc;

	if (!ino)
		return ck_fail(err, CK_ERR_STALE, "the draft was published or removed");
	rc = change_stored(d, ino, change, out, err);
	ck_tree_forget(d->tree, ino, 1);
	out->st.st_ino = node->ino;
	out->attr_timeout = 0;
	return rc;
}

int ck_drafts_setattr(struct ck_drafts *d, ck_ino ino, struct ck_draft_file *file, const struct ck_change *change,
		      struct ck_attr *out, struct ck_error *err)
{
	struct ck_draft_file *replacement;
	struct dnode *node;
	int rc;

	if (!ck_is_draft(ino)) {
		replacement = native_find(d, ino, change->pid);
		/* What wasn't written to is still the stored one. */
		if (replacement && (change->size || !draft_file_has_old(replacement)))
			rc = change_replacement(d, ino, replacement, change, out, err);
		else
			rc = change_stored(d, ino, change, out, err);
		if (replacement)
			draft_file_put(d, replacement);
		return rc;
	}
	node = dnode_find(d, ino);
	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	rc = node->draft->gone && !node->report && !change->size ? change_published(d, node, change, out, err)
								 : change_draft(d, node, file, change, out, err);
	dnode_put(d, node);
	return rc;
}
