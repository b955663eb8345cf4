/* An open file of a draft: its creation, reads and writes. Implements open.h and a part of file.h. */
#include "core/draft/open.h"

#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/file.h"
#include "core/draft/note.h"
#include "core/draft/owner.h"
#include "core/draft/publish.h"
#include "core/draft/report.h"
#include "core/draft/use.h"
#include "core/draft/where.h"
#include "core/file/fd.h"
#include "core/file/io.h"
#include "core/file/real.h"
#include "core/tensor/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* An open file of NODE, whose reference it takes; FD (or of DRAFT.error TEXT) too, also on failure. */
int draft_file_new(struct ck_drafts *d, struct dnode *node, int fd, char *text, int flags, pid_t opener,
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

/* What the kernel does itself (append, the creation) is not for the store's file. */
int draft_file_flags(int flags) { return flags & (O_ACCMODE | O_TRUNC); }

/* Opens or makes the file at PATH; *MADE says which. */
static int open_or_make(const char *path, mode_t mode, int flags, struct ck_owner owner, bool *made, int *fd,
			struct ck_error *err)
{
	*fd = ck_real_open(path, draft_file_flags(flags) | O_CREAT | O_EXCL, mode & 0777);
	*made = *fd >= 0;
	if (*fd < 0 && errno == EEXIST && !(flags & O_EXCL))
		*fd = ck_real_open(path, draft_file_flags(flags), 0);
	if (*fd < 0)
		return ck_fail_sys(err, "open");
	if (!*made)
		return CK_OK;
	/* MODE is what the writer's umask left of it. The daemon's umask must not change it. */
	return ck_give_made_file(*fd, owner.uid, owner.gid, mode, err);
}

int draft_file_create(struct ck_drafts *d, struct where *w, const char *name, mode_t mode, int flags,
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
	return draft_file_new(d, node, fd, NULL, flags, owner.pid, out, err);
}

/* A file of it that was open has just been closed: see struct draft. */
static void remove_left(const struct draft *draft)
{
	char path[PATH_MAX];

	if (draft->left && ck_discarded_path(path, draft->dir))
		ck_remove_tree(path);
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
	remove_left(file->node->draft);
	pthread_mutex_destroy(&file->old_lock);
	dnode_put(d, file->node);
	free(file);
}

bool ck_draft_is_report(const struct ck_draft_file *file) { return file->text != NULL; }

bool ck_draft_is_ordinary(const struct ck_draft_file *file) { return file->node->draft->kind == DRAFT_PLAIN; }

/*
 * Only those of an ordinary file that has not changed since an open at which it had not changed for a while. A change
 * within a tick of the clock moves no time of the file, so that the kernel may have pages from before it.
 */
bool ck_draft_keeps_pages(struct ck_draft_file *file)
{
	const long long while_ns = 2000000000;
	long long changed, age;
	struct timespec now;
	struct stat st;

	if (!ck_draft_is_ordinary(file) || fstat(file->fd, &st) < 0)
		return false;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	changed = (long long)((unsigned long long)st.st_ctim.tv_sec * 1000000000) + st.st_ctim.tv_nsec;
	age = (now.tv_sec - st.st_ctim.tv_sec) * 1000000000LL + now.tv_nsec - st.st_ctim.tv_nsec;
	/* A time in the future tells nothing about the age. */
	return atomic_exchange(&file->node->settled, age > -while_ns && age < while_ns ? 0 : changed) == changed;
}

/* Before the first change of a file that replaces a stored one: it begins with the stored one's bytes, unless it is
 * emptied. */
int draft_file_copy_old(struct ck_draft_file *file, bool wanted, struct ck_error *err)
{
	struct ck_view *view = NULL;
	int rc = CK_OK;

	pthread_mutex_lock(&file->old_lock);
	if (!file->old)
		goto out;
	if (wanted) {
		view = ck_view_new();
		rc = view ? ck_view_add_range(view, file->old, 0, ck_file_size(file->old), err) : ck_fail_nomem(err);
		if (!rc)
			rc = ck_view_save(view, file->fd, 0, NULL, err);
		ck_view_unref(view);
	}
	if (!rc) {
		ck_file_unref(file->old);
		file->old = NULL;
	}
out:
	pthread_mutex_unlock(&file->old_lock);
	return rc;
}

bool draft_file_has_old(struct ck_draft_file *file)
{
	bool has;

	pthread_mutex_lock(&file->old_lock);
	has = file->old != NULL;
	pthread_mutex_unlock(&file->old_lock);
	return has;
}

int ck_draft_read(struct ck_draft_file *file, uint64_t offset, void *buf, size_t len, size_t *got, struct ck_error *err)
{
	ssize_t n;
	int rc = draft_file_copy_old(file, true, err);

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

void draft_file_set_published(struct ck_drafts *d, struct dnode *node, bool published)
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

void draft_file_set_closed(struct ck_drafts *d, struct ck_draft_file *file)
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

bool draft_file_is_pending(struct ck_drafts *d, const struct ck_draft_file *file)
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
			     : draft_file_copy_old(file, keep, err);
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
	ck_error_copy(err, &why);
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
