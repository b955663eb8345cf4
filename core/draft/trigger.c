#include "core/draft/private.h"

#include "core/draft/publish.h"
#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RELEASE_SECONDS 1

/* Why the draft isn't a step: one line for the log, and for whoever looks into the draft. */
static void report(struct ck_drafts *d, const struct draft *draft, const struct ck_error *why)
{
	char path[PATH_MAX], line[768];
	int fd;

	ck_error_line(why, line, sizeof(line) - 1);
	if (d->log)
		d->log(d->log_arg, line);
	if (!ck_path_join(path, draft->dir,
			  draft->kind == CK_DRAFT_OPTIM ? "files/optim/DRAFT.error" : "files/DRAFT.error"))
		return;
	strcat(line, "\n");
	fd = ck_real_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return; /* a full disk: the log has the line */
	ck_write_full(fd, 0, line, strlen(line), NULL);
	close(fd);
}

/* The step came to be by another way. The draft is kept, under the name by which it can still be reached. */
static void set_aside(struct ck_drafts *d, struct draft *draft)
{
	char path[PATH_MAX];

	if (draft->kind == CK_DRAFT_STEP && !draft->partial &&
	    (size_t)snprintf(path, sizeof(path), "%s.partial", draft->dir) < sizeof(path))
		draft_move(d, draft, path, true, draft->step, NULL);
}

/* A published shard has left its draft; with the last one the draft goes. */
static void shrink(struct ck_drafts *d, struct draft *draft)
{
	char optim[PATH_MAX], path[PATH_MAX];

	if (!ck_path_join(optim, draft->dir, "files/optim") || !ck_path_join(path, optim, "DRAFT.error"))
		return;
	ck_real_unlink(path);
	if (ck_real_rmdir(optim) < 0)
		return;
	draft_set_gone(d, draft);
	ck_remove_tree(draft->dir);
}

/* Whether NODE is one of the files of RANK's shard, in the optim/ of a draft for shards. With the lock held. */
static bool is_of_rank(const struct dnode *node, int64_t rank)
{
	uint64_t number;
	size_t len;

	while (node->parent && node->parent->parent && node->parent->parent->parent)
		node = node->parent;
	return ck_rank_parse(node->name, &number, &len) && number == (uint64_t)rank;
}

/*
 * How many of the draft's open files may be written to, and in *CLOSED how many of those were closed. With
 * ONLY_RANK >= 0 those of that shard: what the other ranks of a run are just writing is no part of it. With the lock
 * held.
 */
static unsigned count_writers(const struct ck_drafts *d, const struct draft *draft, int64_t only_rank, unsigned *closed)
{
	unsigned writers = 0;

	*closed = draft->closed;
	if (only_rank < 0)
		return draft->writers;
	*closed = 0;
	for (const struct dnode *node = d->inodes; node; node = node->hh.next) {
		if (node->draft != draft || !node->open || !is_of_rank(node, only_rank))
			continue;
		for (const struct ck_draft_file *file = node->open; file; file = file->next) {
			writers += file->writable;
			*closed += file->closed;
		}
	}
	return writers;
}

static bool is_busy(struct ck_drafts *d, const struct draft *draft, int64_t only_rank, unsigned own_writers)
{
	unsigned writers, closed;

	pthread_mutex_lock(&d->lock);
	writers = count_writers(d, draft, only_rank, &closed);
	pthread_mutex_unlock(&d->lock);
	return writers > own_writers;
}

/*
 * The kernel tells us that a file's last descriptor is gone a little after close(2) has returned: so
 * files that seem to be closed are waited for.
 */
static void wait_for_releases(struct ck_drafts *d, const struct draft *draft, int64_t only_rank, unsigned own_writers)
{
	struct timespec until;
	unsigned writers, closed;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RELEASE_SECONDS;
	pthread_mutex_lock(&d->lock);
	while (!rc && (writers = count_writers(d, draft, only_rank, &closed)) > own_writers && writers == closed)
		rc = pthread_cond_timedwait(&d->released, &d->lock, &until);
	pthread_mutex_unlock(&d->lock);
}

/* The right to publish, for this mount alone: other mounts don't publish the draft (until *STEP_LOCK is closed), and take
   nothing for leftovers (until the tag's lock is dropped). The step's name may change before the draft stands still. */
static int lock_step(struct ck_drafts *d, const struct draft *draft, uint64_t *step, int *step_lock,
		     struct ck_error *err)
{
	int rc = ck_lock_hold(draft->tag_lock, false, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&d->lock);
	*step = draft->step;
	pthread_mutex_unlock(&d->lock);
	rc = ck_lock_step(draft->tag_lock, *step, draft->kind == CK_DRAFT_OPTIM, step_lock, err);
	if (rc)
		ck_lock_drop(draft->tag_lock);
	return rc;
}

int draft_publish(struct ck_drafts *d, struct draft *draft, int64_t only_rank, unsigned own_writers,
		  struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	uint64_t step;
	int lock, rc;

	wait_for_releases(d, draft, only_rank, own_writers);
	rc = lock_step(d, draft, &step, &lock, err);
	if (rc)
		return rc;
	pthread_rwlock_wrlock(&draft->lock);
	if (draft->gone || draft->step != step) {
		rc = ck_fail(&why, CK_ERR_STALE, "the draft was published or removed");
	} else if (is_busy(d, draft, only_rank, own_writers)) {
		errno = EBUSY;
		rc = ck_fail_sys(&why, "files of the draft are still open for writing");
	} else {
		rc = ck_publish(draft->tag, draft->dir, draft->kind, draft->step, only_rank, &why);
		if (!rc && draft->kind == CK_DRAFT_OPTIM)
			shrink(d, draft);
		else if (!rc || rc == CK_ERR_STALE)
			draft_set_gone(d, draft);
		else if (rc == CK_ERR_INVALID || rc == CK_ERR_EXIST)
			report(d, draft, &why);
		if (rc == CK_ERR_EXIST)
			set_aside(d, draft);
	}
	draft_end(draft);
	close(lock);
	if (rc && err && !err->code)
		*err = why;
	return rc;
}

/* A shell's redirection closes the file once before it writes: an empty file is no commit record yet. */
static bool is_empty(struct ck_drafts *d, struct dnode *node)
{
	char path[PATH_MAX];
	struct stat st;

	return !dnode_path(d, node, NULL, path) || ck_real_stat(path, &st) < 0 || st.st_size == 0;
}

/* Whether NODE is a commit record: a step's meta.json, or one of a shard, whose rank is then *RANK. Nobody but a rename
 * changes a name, and then it arrives again. */
static bool is_record(struct ck_drafts *d, const struct dnode *node, int64_t *rank)
{
	const struct dnode *dir;
	bool record = false;
	uint64_t number;
	size_t len;

	*rank = -1;
	pthread_mutex_lock(&d->lock);
	dir = node->parent;
	if (dir && !node->dead && node->draft->kind == CK_DRAFT_STEP && !node->draft->partial)
		record = !dir->parent && strcmp(node->name, "meta.json") == 0;
	else if (dir && !node->dead && node->draft->kind == CK_DRAFT_OPTIM && dir->parent && !dir->parent->parent &&
		 ck_rank_parse(node->name, &number, &len))
		record = strcmp(node->name + len, ".json") == 0 || strcmp(node->name + len, ".pt") == 0;
	if (record && node->draft->kind == CK_DRAFT_OPTIM)
		*rank = (int64_t)number;
	pthread_mutex_unlock(&d->lock);
	return record;
}

int draft_arrived(struct ck_drafts *d, struct dnode *node, unsigned own_writers, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int64_t rank;
	int rc;

	if (!is_record(d, node, &rank) || is_empty(d, node))
		return CK_OK;
	rc = draft_publish(d, node->draft, rank, own_writers, &why);
	if (rc == CK_OK || rc == CK_ERR_INVALID || rc == CK_ERR_STALE || (rc == CK_ERR_SYS && why.sys == EBUSY))
		return CK_OK;
	if (err && !err->code)
		*err = why;
	return rc;
}
