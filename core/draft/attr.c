#include "core/draft/private.h"

#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int stat_node(struct ck_drafts *d, struct dnode *node, const struct ck_draft_file *file, struct stat *st,
		     struct ck_error *err)
{
	char path[PATH_MAX];
	int fd, rc;

	if (file)
		return fstat(file->fd, st) < 0 ? ck_fail_sys(err, "fstat") : CK_OK;
	fd = dnode_dup(d, node);
	if (fd >= 0) {
		rc = fstat(fd, st) < 0 ? ck_fail_sys(err, "fstat") : CK_OK;
		close(fd);
		return rc;
	}
	if (node->dead || node->draft->gone)
		return ck_fail(err, CK_ERR_STALE, "the file is gone");
	if (!dnode_path(d, node, NULL, path))
		return ck_fail_long_path(err);
	return ck_real_stat(path, st) < 0 ? ck_fail_sys(err, "stat") : CK_OK;
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
	int rc = CK_OK;
	ssize_t len;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	if (node->draft->kind != DRAFT_PLAIN) {
		errno = ELOOP;
		rc = ck_fail_sys(err, "a link in a draft, which is not followed");
	} else if (node->dead || !dnode_path(d, node, NULL, path)) {
		rc = ck_fail(err, CK_ERR_STALE, "the link is gone");
	} else {
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
	int fd = file ? -1 : dnode_dup(d, node), rc = CK_OK;

	if (change->size && file && file->writable) {
		rc = draft_file_truncate(d, file, change->st.st_size, err);
		rest.size = false;
	}
	if (!rc)
		rc = draft_begin(draft, err);
	if (rc)
		goto out;
	if (!file && fd < 0 && (node->dead || !dnode_path(d, node, NULL, path)))
		rc = ck_fail(err, CK_ERR_STALE, "the file is gone");
	if (!rc)
		rc = apply(path, file ? file->fd : fd, &rest, err);
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
 * Who has a file under nanochat's own name open to replace it means that one. But the kernel, and the readers of the
 * stored file, know the stored one by this inode, and its attributes are the answer.
 */
static int change_replacement(struct ck_drafts *d, ck_ino ino, struct ck_draft_file *file,
			      const struct ck_change *change, struct ck_attr *out, struct ck_error *err)
{
	int rc = change_draft(d, file->node, file, change, out, err);

	if (!rc && ck_tree_getattr(d->tree, ino, out, NULL))
		out->st.st_ino = ino; /* somebody else has replaced it meanwhile */
	return rc;
}

/* Of the tree's things, directories that nanochat makes and files under its names may be chmodded, chowned and touched,
 * as in a plain directory. */
static int change_stored(struct ck_drafts *d, ck_ino ino, const struct ck_change *change, struct ck_attr *out,
			 struct ck_error *err)
{
	struct ck_place place;
	char name[64];
	int rc = ck_tree_place(d->tree, ino, &place, err);

	if (rc)
		return rc;
	if (change->size ||
	    (place.kind != CK_PLACE_TAG && place.kind != CK_PLACE_SOURCE && place.kind != CK_PLACE_NATIVE))
		return ck_fail(err, CK_ERR_PERM, "a published step can't be changed");
	if (place.kind == CK_PLACE_NATIVE) {
		ck_file_name_format(&place.name, name, sizeof(name));
		rc = ck_path_join(place.path, place.path, name) ? ck_tree_real(d->tree, place.path, err)
								: ck_fail_long_path(err);
	}
	if (!rc)
		rc = apply(place.path, -1, change, err);
	return rc ? rc : ck_tree_getattr(d->tree, ino, out, err);
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
		if (replacement && (change->size || !native_has_old(replacement)))
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
	rc = change_draft(d, node, file, change, out, err);
	dnode_put(d, node);
	return rc;
}
