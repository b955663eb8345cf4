#include "core/draft/private.h"

#include "core/draft/owner.h"
#include "core/draft/plan.h"
#include "core/draft/publish.h"
#include "core/file/io.h"
#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the kernel does itself (append, the creation) is not for the store's file. */
static int store_flags(int flags) { return flags & (O_ACCMODE | O_TRUNC); }

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* An open file of NODE, whose reference it takes; FD (or of DRAFT.error TEXT) too, also on failure. */
static int new_file(struct ck_drafts *d, struct dnode *node, int fd, char *text, int flags, pid_t opener,
		    struct ck_draft_file **out, struct ck_error *err)
{
	struct ck_draft_file *file = calloc(1, sizeof(*file));
	bool writable = (flags & O_ACCMODE) != O_RDONLY;
	int rc = file ? CK_OK : ck_fail_nomem(err);

	if (!rc && writable)
		rc = draft_hold(node->draft, err);
	if (rc) {
		free(file);
		close_fd(fd);
		free(text);
		dnode_put(d, node);
		return rc;
	}
	file->refs = 1;
	file->fd = fd;
	file->text = text;
	file->opener = opener;
	file->node = node;
	file->writable = writable;
	pthread_mutex_init(&file->old_lock, NULL);
	pthread_mutex_lock(&d->lock);
	file->next = node->open;
	node->open = file;
	node->draft->writers += file->writable;
	pthread_mutex_unlock(&d->lock);
	*out = file;
	return CK_OK;
}

/* Opens or makes the file at PATH; *MADE says which. */
static int open_or_make(const char *path, mode_t mode, int flags, struct ck_owner owner, bool *made, int *fd,
			struct ck_error *err)
{
	*fd = ck_real_open(path, store_flags(flags) | O_CREAT | O_EXCL, mode & 0777);
	*made = *fd >= 0;
	if (*fd < 0 && errno == EEXIST && !(flags & O_EXCL))
		*fd = ck_real_open(path, store_flags(flags), 0);
	if (*fd < 0)
		return ck_fail_sys(err, "open");
	if (!*made)
		return CK_OK;
	/* MODE is what the writer's umask left of it; ours has no say. */
	return ck_give_made_file(*fd, owner.uid, owner.gid, mode, err);
}

int draft_create_at(struct ck_drafts *d, struct where *w, const char *name, mode_t mode, int flags,
		    struct ck_owner owner, struct ck_attr *attr, struct ck_draft_file **out, struct ck_error *err)
{
	char path[PATH_MAX];
	struct dnode *node;
	struct stat st;
	bool made = false;
	int fd = -1, rc;

	rc = where_path(d, w, name, path) ? open_or_make(path, mode, flags, owner, &made, &fd, err)
					  : ck_fail_long_path(err);
	if (!rc && fstat(fd, &st) < 0)
		rc = ck_fail_sys(err, "fstat");
	if (!rc && made)
		rc = draft_note_made(w->draft, path, err);
	if (rc) {
		if (fd >= 0)
			close(fd);
		if (made)
			ck_real_unlink(path);
		return rc;
	}
	node = where_node(d, w, name, &st);
	if (!node) {
		close(fd);
		return ck_fail_nomem(err);
	}
	dnode_attr(d, node, &st, attr);
	return new_file(d, node, fd, NULL, flags, owner.pid, out, err);
}

int ck_drafts_create(struct ck_drafts *d, ck_ino parent, const char *name, mode_t mode, int flags,
		     struct ck_owner owner, struct ck_attr *attr, struct ck_draft_file **file, struct ck_error *err)
{
	struct ck_file_name native;
	struct where w;
	int rc = where_find(d, parent, &owner, &w, err);

	if (rc)
		return rc;
	rc = draft_begin(w.draft, err);
	if (rc)
		goto out;
	draft_changed(w.draft);
	if (w.kind == CK_PLACE_TAG && w.base && ck_file_name_parse(name, &native)) {
		rc = native_create(d, w.base, &native, mode, flags, owner, attr, file, err);
	} else {
		rc = where_allows(d, parent, &w, name, err);
		if (!rc)
			rc = where_make(&w, owner, err);
		if (!rc)
			rc = draft_create_at(d, &w, name, mode, flags, owner, attr, file, err);
	}
	if (!rc)
		dnode_look_up(d, (*file)->node);
	draft_end(w.draft);
out:
	where_put(d, &w);
	return rc;
}

static int open_draft(struct ck_drafts *d, ck_ino ino, int flags, pid_t opener, struct ck_draft_file **file,
		      struct ck_error *err)
{
	struct dnode *node = dnode_find(d, ino);
	struct draft *draft;
	char path[PATH_MAX], *text;
	int fd, rc;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	draft = node->draft;
	if (node->report) {
		rc = report_open(d, node, &text, err);
		if (rc)
			dnode_put(d, node);
		return rc ? rc : new_file(d, node, -1, text, O_RDONLY, opener, file, err);
	}
	rc = draft_begin_read(draft, err);
	if (rc) {
		dnode_put(d, node);
		return rc;
	}
	fd = !node->dead && dnode_path(d, node, NULL, path) ? ck_real_open(path, store_flags(flags), 0)
							    : (errno = ESTALE, -1);
	rc = fd < 0 ? ck_fail_sys(err, "open") : ck_fd_may_stay(fd, err);
	if (rc && fd >= 0)
		close(fd);
	if (rc)
		dnode_put(d, node);
	else
		rc = new_file(d, node, fd, NULL, flags, opener, file, err);
	draft_end_read(draft);
	return rc;
}

int ck_drafts_open(struct ck_drafts *d, ck_ino ino, int flags, struct ck_owner owner, struct ck_draft_file **file,
		   struct ck_error *err)
{
	struct ck_place place;
	int rc;

	if (ck_is_draft(ino))
		return open_draft(d, ino, flags, owner.pid, file, err);
	rc = ck_tree_place(d->tree, ino, &place, err);
	if (rc)
		return rc;
	if (place.kind != CK_PLACE_NATIVE)
		return ck_fail(err, CK_ERR_PERM, "a published step can't be changed");
	return native_open(d, ino, &place, flags, owner, file, err);
}

bool ck_draft_is_report(const struct ck_draft_file *file) { return file->text != NULL; }

int ck_draft_read(struct ck_draft_file *file, uint64_t offset, void *buf, size_t len, size_t *got, struct ck_error *err)
{
	ssize_t n;
	int rc = native_take_old(file, true, err);

	if (rc)
		return rc;
	if (file->text) {
		*got = strnlen(file->text, REPORT_MAX);
		*got = offset < *got ? *got - (size_t)offset : 0;
		*got = *got < len ? *got : len;
		memcpy(buf, file->text + (*got ? offset : 0), *got);
		return CK_OK;
	}
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

void draft_set_published(struct ck_drafts *d, struct dnode *node, bool published)
{
	pthread_mutex_lock(&d->lock);
	for (struct ck_draft_file *file = node->open; file; file = file->next)
		file->published = published;
	pthread_mutex_unlock(&d->lock);
}

/* FILE is about to change: so it isn't complete before it is closed again. */
static void mark_pending(struct ck_drafts *d, struct ck_draft_file *file)
{
	pthread_mutex_lock(&d->lock);
	file->node->draft->closed -= file->closed;
	file->closed = false;
	file->pending = true;
	pthread_mutex_unlock(&d->lock);
}

static void mark_closed(struct ck_drafts *d, struct ck_draft_file *file)
{
	pthread_mutex_lock(&d->lock);
	/* A redirection in a shell closes the file once before anything is written: then it is closed no longer. */
	if (!file->closed) {
		file->closed = true;
		file->node->draft->closed++;
	}
	file->pending = false;
	pthread_mutex_unlock(&d->lock);
}

static bool is_pending(struct ck_drafts *d, const struct ck_draft_file *file)
{
	bool pending;

	pthread_mutex_lock(&d->lock);
	pending = file->pending;
	pthread_mutex_unlock(&d->lock);
	return pending;
}

/* Between BEGIN and draft_end, FILE's bytes may be changed. */
static int begin_change(struct ck_drafts *d, struct ck_draft_file *file, bool keep, struct ck_error *err)
{
	struct draft *draft = file->node->draft;
	int rc = draft_begin(draft, err);

	if (rc)
		return rc;
	rc = file->published ? ck_fail(err, CK_ERR_STALE, "the file is in its place")
			     : native_take_old(file, keep, err);
	if (rc)
		draft_end(draft);
	else
		mark_pending(d, file);
	draft_changed(draft);
	return rc;
}

int ck_draft_write(struct ck_drafts *d, struct ck_draft_file *file, uint64_t offset, const void *buf, size_t len,
		   struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int none = 0, rc;

	/* A copy of another draft's, by cp -r: as a form that is only shown. */
	if (file->text)
		return CK_OK;
	rc = begin_change(d, file, true, err);
	if (rc)
		return rc;
	rc = ck_write_full(file->fd, offset, buf, len, &why);
	draft_end(file->node->draft);
	if (!rc)
		return CK_OK;
	atomic_compare_exchange_strong(&file->failed, &none, why.sys);
	if (err && !err->code)
		*err = why;
	return rc;
}

int draft_file_truncate(struct ck_drafts *d, struct ck_draft_file *file, off_t size, struct ck_error *err)
{
	int rc = file->text ? CK_OK : begin_change(d, file, size != 0, err);

	if (rc || file->text)
		return rc;
	rc = ftruncate(file->fd, size) < 0 ? ck_fail_sys(err, "truncate") : CK_OK;
	draft_end(file->node->draft);
	return rc;
}

int ck_draft_fsync(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err)
{
	int rc = file->text ? CK_OK : ck_sync_fd(file->fd, err);

	return rc ? rc : draft_sync(d, file->node->draft, false, err);
}

/*
 * Whether CLOSER has FILE's descriptor from its opener, who still lives: a child that a shell's { ...; } > FILE runs
 * ends before FILE is complete. Where we can't see, it counts as the opener.
 */
static bool is_inherited(const struct ck_draft_file *file, pid_t closer)
{
	char path[64];
	struct stat st;

	if (file->opener <= 0 || closer <= 0 || file->opener == closer)
		return false;
	/* A thread of the same process may close what another opened. */
	snprintf(path, sizeof(path), "/proc/%ld/task/%ld", (long)closer, (long)file->opener);
	if (stat(path, &st) == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%ld", (long)file->opener);
	return stat(path, &st) == 0;
}

/* FILE is complete. */
static int settle(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err)
{
	mark_closed(d, file);
	return file->has_native ? native_flush(d, file, err) : draft_arrived(d, file->node, 1, err);
}

int ck_draft_flush(struct ck_drafts *d, struct ck_draft_file *file, pid_t closer, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc = !file->writable || is_inherited(file, closer) ? CK_OK : settle(d, file, &why);

	/* A program that was killed while it waited: the release does it. */
	if (rc == CK_ERR_SYS && why.sys == EINTR) {
		pthread_mutex_lock(&d->lock);
		file->pending = true;
		pthread_mutex_unlock(&d->lock);
	}
	if (rc && err && !err->code)
		*err = why;
	return rc;
}

void draft_file_put(struct ck_drafts *d, struct ck_draft_file *file)
{
	bool last;

	pthread_mutex_lock(&d->lock);
	last = --file->refs == 0;
	pthread_mutex_unlock(&d->lock);
	if (!last)
		return;
	close_fd(file->fd);
	free(file->text);
	ck_file_unref(file->old);
	pthread_mutex_destroy(&file->old_lock);
	dnode_put(d, file->node);
	free(file);
}

void ck_draft_release(struct ck_drafts *d, struct ck_draft_file *file)
{
	struct draft *draft = file->node->draft;
	struct ck_error err = CK_ERROR_INIT;
	struct ck_draft_file **at;

	/* It was last written by a process that had it from its opener. */
	if (is_pending(d, file) && settle(d, file, &err) && err.code != CK_ERR_INVALID)
		draft_say(d, &err);
	pthread_mutex_lock(&d->lock);
	for (at = &file->node->open; *at != file; at = &(*at)->next)
		;
	*at = file->next;
	draft->closed -= file->closed;
	draft->writers -= file->writable;
	pthread_cond_broadcast(&d->released);
	pthread_mutex_unlock(&d->lock);
	if (file->writable)
		draft_released(d, file->node);
	if (file->has_native)
		native_release(d, file);
	if (file->writable)
		draft_drop(draft);
	draft_file_put(d, file);
}
