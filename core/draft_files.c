#include "draft_private.h"

#include "io.h"
#include "plan.h"
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the kernel does itself (append, the creation) is not for the store's file; a link in its place is not followed. */
static int store_flags(int flags)
{
	return (flags & (O_ACCMODE | O_TRUNC)) | O_CLOEXEC | O_NOFOLLOW;
}

/* An open file of NODE, whose reference it takes; FD too, also on failure. */
static int new_file(struct ck_drafts *d, struct dnode *node, int fd, int flags, struct ck_draft_file **out, struct ck_error *err)
{
	struct ck_draft_file *file = calloc(1, sizeof(*file));

	if (!file) {
		close(fd);
		dnode_put(d, node);
		return ck_fail_nomem(err);
	}
	file->fd = fd;
	file->flags = flags;
	file->node = node;
	file->writable = (flags & O_ACCMODE) != O_RDONLY;
	file->dirty = (flags & O_TRUNC) != 0;
	if (file->writable) {
		pthread_mutex_lock(&d->lock);
		node->draft->writers++;
		pthread_mutex_unlock(&d->lock);
	}
	*out = file;
	return CK_OK;
}

/* Opens or makes the file at PATH; *MADE says which. */
static int open_or_make(const char *path, mode_t mode, int flags, struct ck_owner owner, bool *made, int *fd, struct ck_error *err)
{
	*fd = open(path, store_flags(flags) | O_CREAT | O_EXCL, mode & 0777);
	*made = *fd >= 0;
	if (*fd < 0 && errno == EEXIST && !(flags & O_EXCL))
		*fd = open(path, store_flags(flags));
	if (*fd < 0)
		return ck_fail_sys(err, "open");
	if (*made && geteuid() == 0 && (owner.uid || owner.gid) && fchown(*fd, owner.uid, owner.gid) < 0 && errno != EPERM && errno != EINVAL)
		return ck_fail_sys(err, "chown");
	return CK_OK;
}

/* A file at W. NAME is in the directory; SHOWN the name under which it counts: nanochat's own where it is staged for it. */
static int create_at(struct ck_drafts *d, struct where *w, const char *name, mode_t mode, int flags, struct ck_owner owner,
		     struct ck_attr *attr, struct ck_draft_file **out, struct ck_error *err)
{
	char path[PATH_MAX];
	struct dnode *node;
	struct stat st;
	bool made = false;
	int fd = -1, rc;

	rc = where_path(d, w, name, path) ? open_or_make(path, mode, flags, owner, &made, &fd, err)
					  : ck_fail(err, CK_ERR_INVALID, "the path is too long");
	if (!rc && fstat(fd, &st) < 0)
		rc = ck_fail_sys(err, "fstat");
	if (!rc && made && w->draft->kind != DRAFT_STAGED)
		rc = ck_order_append(w->draft->dir, st.st_ino, err);
	if (rc) {
		if (fd >= 0)
			close(fd);
		if (made)
			unlink(path);
		return rc;
	}
	node = dnode_get(d, w->draft, w->dir, name, &st);
	if (!node) {
		close(fd);
		return ck_fail_nomem(err);
	}
	dnode_attr(node, &st, attr);
	return new_file(d, node, fd, flags, out, err);
}

/* A file under one of nanochat's own names is written beside its place, under a name that nobody looks up. */
static void staged_name(struct ck_drafts *d, const struct ck_file_name *native, char *name, size_t size)
{
	char text[64];
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = ++d->next_ino;
	pthread_mutex_unlock(&d->lock);
	snprintf(name, size, "@%d.%llu-%s", getpid(), (unsigned long long)n, ck_file_name_format(native, text, sizeof(text)));
}

static int create_staged(struct ck_drafts *d, struct where *w, const struct ck_file_name *native, mode_t mode, int flags,
			 struct ck_owner owner, struct ck_attr *attr, struct ck_draft_file **out, struct ck_error *err)
{
	char name[128];
	int rc;

	staged_name(d, native, name, sizeof(name));
	rc = create_at(d, w, name, mode, flags | O_EXCL, owner, attr, out, err);
	if (!rc) {
		(*out)->native = *native;
		(*out)->has_native = true;
	}
	return rc;
}

int ck_drafts_create(struct ck_drafts *d, ck_ino parent, const char *name, mode_t mode, int flags, struct ck_owner owner,
		     struct ck_attr *attr, struct ck_draft_file **file, struct ck_error *err)
{
	struct ck_file_name native;
	struct where w;
	int rc = where_find(d, parent, true, &w, err);

	if (rc)
		return rc;
	rc = draft_begin(w.draft, err);
	if (rc)
		goto out;
	if (w.draft->kind == DRAFT_STAGED && ck_file_name_parse(name, &native)) {
		rc = create_staged(d, &w, &native, mode, flags, owner, attr, file, err);
	} else {
		rc = where_allows(d, parent, &w, name, err);
		if (!rc)
			rc = create_at(d, &w, name, mode, flags, owner, attr, file, err);
	}
	if (!rc)
		dnode_look_up(d, (*file)->node);
	draft_end(w.draft);
out:
	where_put(d, &w);
	return rc;
}

static int open_draft(struct ck_drafts *d, ck_ino ino, int flags, struct ck_draft_file **file, struct ck_error *err)
{
	struct dnode *node = dnode_find(d, ino);
	struct draft *draft;
	char path[PATH_MAX];
	int fd, rc;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	draft = node->draft;
	rc = draft_begin(draft, err);
	if (rc) {
		dnode_put(d, node);
		return rc;
	}
	fd = !node->dead && dnode_path(d, node, NULL, path) ? open(path, store_flags(flags)) : (errno = ESTALE, -1);
	rc = fd < 0 ? ck_fail_sys(err, "open") : CK_OK;
	if (rc)
		dnode_put(d, node);
	else
		rc = new_file(d, node, fd, flags, file, err);
	draft_end(draft);
	return rc;
}

/* The bytes that the stored file has now, for a writer that doesn't begin with none. */
static int copy_stored(const char *path, int fd, struct ck_error *err)
{
	struct ck_view *view = ck_view_new();
	struct ck_file *file = NULL;
	int rc = view ? ck_file_open(path, &file, err) : ck_fail_nomem(err);

	if (!rc)
		rc = ck_view_add_range(view, file, 0, ck_file_size(file), err);
	if (!rc)
		rc = ck_view_save(view, fd, 0, NULL, err);
	ck_file_unref(file);
	ck_view_unref(view);
	return rc;
}

static int open_native(struct ck_drafts *d, const struct ck_place *place, int flags, struct ck_owner owner, struct ck_draft_file **file,
		       struct ck_error *err)
{
	char path[PATH_MAX + 64], name[64];
	struct ck_attr attr;
	struct where w = { 0 };
	int rc = draft_get(d, place->path, DRAFT_STAGED, 0, true, &w.draft, err);

	if (rc)
		return rc;
	rc = create_staged(d, &w, &place->name, 0644, flags, owner, &attr, file, err);
	if (!rc && !(flags & O_TRUNC)) {
		snprintf(path, sizeof(path), "%s/%s", place->path, ck_file_name_format(&place->name, name, sizeof(name)));
		rc = copy_stored(path, (*file)->fd, err);
		if (rc)
			ck_draft_release(d, *file);
	}
	where_put(d, &w);
	return rc;
}

int ck_drafts_open(struct ck_drafts *d, ck_ino ino, int flags, struct ck_owner owner, struct ck_draft_file **file, struct ck_error *err)
{
	struct ck_place place;
	int rc;

	if (ck_is_draft(ino))
		return open_draft(d, ino, flags, file, err);
	rc = ck_tree_place(d->tree, ino, &place, err);
	if (rc)
		return rc;
	if (place.kind != CK_PLACE_NATIVE)
		return ck_fail(err, CK_ERR_PERM, "a published step can't be changed");
	return open_native(d, &place, flags, owner, file, err);
}

int ck_draft_read(struct ck_draft_file *file, uint64_t offset, void *buf, size_t len, size_t *got, struct ck_error *err)
{
	ssize_t n;

	for (*got = 0; *got < len; *got += (size_t)n) {
		do
			n = pread(file->fd, (char *)buf + *got, len - *got, (off_t)(offset + *got));
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return ck_fail_sys(err, "read");
		if (n == 0)
			break;
	}
	return CK_OK;
}

int ck_draft_write(struct ck_draft_file *file, uint64_t offset, const void *buf, size_t len, struct ck_error *err)
{
	struct draft *draft = file->node->draft;
	int rc = draft_begin(draft, err);

	if (rc)
		return rc;
	file->dirty = true;
	rc = ck_write_full(file->fd, offset, buf, len, err);
	draft_end(draft);
	return rc;
}

int ck_draft_fsync(struct ck_draft_file *file, struct ck_error *err)
{
	return ck_sync_fd(file->fd, err);
}

/* The file is in place once it is what its name says. An empty one isn't yet: a shell's redirection closes it once before it writes. */
static int flush_native(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err)
{
	struct draft *draft = file->node->draft;
	char path[PATH_MAX];
	struct stat st;
	int rc = draft_begin(draft, err);

	if (rc)
		return rc;
	if (file->published || fstat(file->fd, &st) < 0 || st.st_size == 0)
		goto out;
	rc = dnode_path(d, file->node, NULL, path) ? ck_publish_native(draft->tag, path, &file->native, err)
						   : ck_fail(err, CK_ERR_INVALID, "the path is too long");
	file->published = !rc;
out:
	draft_end(draft);
	return rc;
}

int ck_draft_flush(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err)
{
	struct dnode *node = file->node;

	if (!file->writable)
		return CK_OK;
	if (file->has_native)
		return flush_native(d, file, err);
	return draft_arrived(d, node, 1, err);
}

void ck_draft_release(struct ck_drafts *d, struct ck_draft_file *file)
{
	char path[PATH_MAX];

	if (file->writable) {
		pthread_mutex_lock(&d->lock);
		file->node->draft->writers--;
		pthread_mutex_unlock(&d->lock);
	}
	/* A save that was cut short (its writer was killed) leaves nothing. */
	if (file->has_native && !file->published && dnode_path(d, file->node, NULL, path))
		unlink(path);
	close(file->fd);
	dnode_put(d, file->node);
	free(file);
}
