/* Open, close and fsync of files that are written. Implements a part of file.h; open.h has the open file. */
#include "core/draft/file.h"

#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/log.h"
#include "core/draft/native.h"
#include "core/draft/note.h"
#include "core/draft/open.h"
#include "core/draft/ordinary.h"
#include "core/draft/report.h"
#include "core/draft/trigger.h"
#include "core/draft/use.h"
#include "core/draft/where.h"
#include "core/file/fd.h"
#include "core/file/io.h"
#include "core/file/real.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

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
			rc = draft_file_create(d, &w, name, mode, flags, owner, attr, file, err);
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
	struct stat st;
	int fd, rc;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	draft = node->draft;
	if (node->report) {
		rc = report_open(d, node, &text, err);
		if (rc)
			dnode_put(d, node);
		return rc ? rc : draft_file_new(d, node, -1, text, O_RDONLY, opener, file, err);
	}
	rc = draft_begin_read(draft, err);
	if (rc) {
		dnode_put(d, node);
		return rc;
	}
	fd = !node->dead && dnode_path(d, node, NULL, path) ? ck_real_open(path, draft_file_flags(flags), 0)
							    : (errno = ESTALE, -1);
	/* Others may have moved it away; the kernel then looks the name up again. */
	if (draft->kind == DRAFT_PLAIN && (fd < 0 ? errno == ENOENT : fstat(fd, &st) == 0 && !ordinary_is(node, &st)))
		rc = ck_fail(err, CK_ERR_STALE, "expected the file under its name, found it gone");
	else
		rc = fd < 0 ? ck_fail_sys(err, "open") : ck_fd_may_stay(fd, err);
	if (rc && fd >= 0)
		close(fd);
	if (rc)
		dnode_put(d, node);
	else
		rc = draft_file_new(d, node, fd, NULL, flags, opener, file, err);
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

int ck_draft_fsync(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err)
{
	int rc = file->text ? CK_OK : ck_sync_fd(file->fd, err);

	return rc ? rc : draft_sync(d, file->node->draft, false, err);
}

/*
 * Whether CLOSER has FILE's descriptor from the opener, and the opener still lives. In a shell's { ...; } > FILE each
 * child ends, and closes, before FILE is complete. Where /proc doesn't tell, CLOSER counts as the opener.
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

/* A client of a network's store may still have what was written, and tells at a close what became of it. */
static int flush_stored(const struct ck_draft_file *file, struct ck_error *err)
{
	int fd = file->text ? -1 : fcntl(file->fd, F_DUPFD_CLOEXEC, 0);

	/* Without a descriptor to spare, fsync tells. */
	if (fd < 0 || close(fd) == 0 || errno == EINTR)
		return CK_OK;
	return ck_fail_sys(err, "close in the store");
}

/* FILE is complete. */
static int complete(struct ck_drafts *d, struct ck_draft_file *file, struct ck_error *err)
{
	draft_file_set_closed(d, file);
	return file->has_native ? native_flush(d, file, err) : draft_arrived(d, file->node, 1, err);
}

int ck_draft_flush(struct ck_drafts *d, struct ck_draft_file *file, pid_t closer, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc = file->writable ? flush_stored(file, &why) : CK_OK;

	if (!rc && file->writable && !is_inherited(file, closer))
		rc = complete(d, file, &why);
	/* A program that was killed while it waited: the release does it. */
	if (rc == CK_ERR_SYS && why.sys == EINTR) {
		pthread_mutex_lock(&d->lock);
		file->pending = true;
		pthread_mutex_unlock(&d->lock);
	}
	if (rc)
		ck_error_copy(err, &why);
	return rc;
}

void ck_draft_release(struct ck_drafts *d, struct ck_draft_file *file)
{
	struct draft *draft = file->node->draft;
	struct ck_error err = CK_ERROR_INIT;
	struct ck_draft_file **at;

	/* It was last written by a process that had it from its opener. */
	if (draft_file_is_pending(d, file) && complete(d, file, &err) && err.code != CK_ERR_INVALID)
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
