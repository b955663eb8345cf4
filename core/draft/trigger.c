/* When a draft is published: what a close, a rename and an fsync mean for it. Implements trigger.h and a part of
 * change.h; publish.h does it. */
#include "core/draft/trigger.h"

#include "core/draft/change.h"
#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/lock.h"
#include "core/draft/log.h"
#include "core/draft/note.h"
#include "core/draft/plan_shards.h"
#include "core/draft/publish.h"
#include "core/draft/report.h"
#include "core/draft/shared.h"
#include "core/draft/successor.h"
#include "core/draft/table.h"
#include "core/draft/use.h"
#include "core/draft/where.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RELEASE_SECONDS 1
#define MOST_CHANGES 5          /* of a draft's files while it is published */

/* The step was made in another way. The draft is kept, under a name by which it can still be reached. */
static void rename_partial(struct ck_drafts *d, struct draft *draft)
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
	struct ck_names names;
	size_t kept = 0, hidden = 0;

	if (!ck_path_join(optim, draft->dir, "files/optim") || ck_list_real_dir(optim, &names, NULL))
		return;
	/* Files that optim/ only ever shows don't keep the draft, and those that wait to be closed don't. */
	for (size_t i = 0; i < names.count; i++) {
		hidden += ck_is_hidden_open(names.names[i]);
		kept += !ck_plan_is_shown(names.names[i]) && !ck_is_hidden_open(names.names[i]);
	}
	for (size_t i = 0; i < names.count && !kept; i++)
		if (ck_path_join(path, optim, names.names[i]))
			ck_remove_tree(path);
	ck_names_free(&names);
	if (kept || (ck_real_rmdir(optim) < 0 && !hidden))
		return;
	draft_set_gone(d, draft);
	ck_remove_draft(draft->dir);
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
 * ONLY_RANK >= 0 those of that shard: files that the other ranks of a run are just writing don't count. With the lock
 * held.
 */
static unsigned count_writers(const struct draft *draft, int64_t only_rank, unsigned *closed)
{
	unsigned writers = 0;

	*closed = draft->closed;
	if (only_rank < 0)
		return draft->writers;
	*closed = 0;
	for (const struct dnode *node = draft->nodes; node; node = node->after) {
		if (!node->open || !is_of_rank(node, only_rank))
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
	writers = count_writers(draft, only_rank, &closed);
	pthread_mutex_unlock(&d->lock);
	return writers > own_writers;
}

/* With the lock held: whether an arrival of that rank is under way, before which TURN (or NULL) came. */
static bool has_later(const struct draft *draft, const struct turn *turn, int64_t rank)
{
	for (const struct turn *t = draft->turns; t && t != turn; t = t->before)
		if (t->rank == rank)
			return true;
	return false;
}

/*
 * The kernel tells that a file's last descriptor is gone a little after close(2) has returned. So this waits for files
 * that seem to be closed. With TURN, an arrival's: false if a later one is under way, which waits for this one's file.
 */
static bool wait_for_releases(struct ck_drafts *d, const struct draft *draft, int64_t only_rank, unsigned own_writers,
			      const struct turn *turn)
{
	struct timespec until;
	unsigned writers, closed;
	bool last;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RELEASE_SECONDS;
	pthread_mutex_lock(&d->lock);
	while ((last = !turn || !has_later(draft, turn, only_rank)) && !rc &&
	       (writers = count_writers(draft, only_rank, &closed)) > own_writers && writers == closed)
		rc = pthread_cond_timedwait(&d->released, &d->lock, &until);
	pthread_mutex_unlock(&d->lock);
	return last;
}

static void note_left(struct draft *draft)
{
	char path[PATH_MAX];
	struct stat st;

	draft->left = ck_discarded_path(path, draft->dir) && ck_real_stat(path, &st) == 0;
}

/* Reads a byte of each file in DIR and in so many LEVELS below it, and has the kernel ask for its attributes then. */
static void read_each(const char *dir, unsigned levels)
{
	struct ck_names names;
	char path[PATH_MAX], byte;
	struct stat st;
	int fd;

	if (ck_list_real_dir(dir, &names, NULL))
		return;
	for (size_t i = 0; i < names.count; i++) {
		fd = ck_path_join(path, dir, names.names[i]) ? ck_real_open(path, O_RDONLY, 0) : -1;
		if (fd < 0)
			continue;
		if (pread(fd, &byte, 1, 0) < 0 && errno == EISDIR && levels)
			read_each(path, levels - 1);
		fstat(fd, &st);
		close(fd);
	}
	ck_names_free(&names);
}

/*
 * ck_publish, which reads the draft's files and fails if they change. rclone moves the time of a file that it hasn't
 * sent yet when it is first read, and back when it is sent. So another try, once all were read, finds them at rest.
 * LEASE: NULL where the store is of one machine.
 */
static int publish_at_rest(const struct draft *draft, int64_t only_rank, unsigned flags, struct ck_lease *lease,
			   struct ck_error *err)
{
	int rc;

	for (int tries = 0;; tries++) {
		rc = ck_publish(draft->tag, draft->dir, draft->kind, draft->step, only_rank, flags, lease, err);
		if (rc != CK_ERR_CHANGED || !lease || tries == MOST_CHANGES)
			return rc;
		ck_error_clear(err);
		/* files, files/optim, files/optim/rank0 */
		read_each(draft->dir, 3);
	}
}

/* draft_publish, while the draft stands still for the caller alone. Until the step's lock is closed, no other mount
   publishes the draft. */
static int publish_alone(struct ck_drafts *d, struct draft *draft, int64_t only_rank, unsigned own_writers,
			 unsigned flags, struct ck_error *err)
{
	struct ck_step_lock lock = { .fd = -1 };
	int rc = CK_OK;

	if (!draft->gone)
		rc = ck_lock_step(draft->tag_lock, draft->step, draft->kind == CK_DRAFT_OPTIM, &lock, err);
	if (rc) {
		/* another mount is not done yet */
	} else if (draft->gone) {
		rc = ck_fail(err, CK_ERR_STALE, "the draft was published or removed");
	} else if (is_busy(d, draft, only_rank, own_writers)) {
		errno = EBUSY;
		rc = ck_fail_sys(err, "files of the draft are still open for writing");
	} else {
		rc = publish_at_rest(draft, only_rank, flags, lock.lease, err);
		ck_tree_renamed(d->tree);
		if (!rc)
			successor_add(d, draft);
		if (!rc && draft->kind == CK_DRAFT_OPTIM)
			shrink(d, draft);
		else if (!rc || rc == CK_ERR_STALE)
			draft_set_gone(d, draft);
		if (!rc && draft->gone)
			note_left(draft);
		if (rc && rc != CK_ERR_STALE && rc != CK_ERR_AGAIN) {
			draft_say(d, err);
			report_failure(d, draft, err);
		}
		if (rc == CK_ERR_EXIST)
			rename_partial(d, draft);
	}
	ck_unlock_step(&lock);
	return rc;
}

int draft_begin_idle(struct ck_drafts *d, struct draft *draft, struct ck_error *err)
{
	int rc;

	wait_for_releases(d, draft, -1, 0, NULL);
	rc = draft_begin_alone(draft, err);
	if (rc || !is_busy(d, draft, -1, 0))
		return rc;
	draft_end(draft);
	errno = EBUSY;
	return ck_fail_sys(err, "files of the draft are still open for writing");
}

int draft_publish(struct ck_drafts *d, struct draft *draft, int64_t only_rank, unsigned own_writers, unsigned flags,
		  struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc;

	wait_for_releases(d, draft, only_rank, own_writers, NULL);
	rc = draft_begin_alone(draft, err);
	if (rc)
		return rc;
	rc = publish_alone(d, draft, only_rank, own_writers, flags, &why);
	draft_end(draft);
	if (rc)
		ck_error_copy(err, &why);
	return rc;
}

/* A shell's redirection closes the file once before it writes: an empty file is not a commit record yet. */
static bool is_empty(struct ck_drafts *d, struct dnode *node)
{
	char path[PATH_MAX];
	struct stat st;

	return !dnode_path(d, node, NULL, path) || ck_real_stat(path, &st) < 0 || st.st_size == 0;
}

/* What the arrival of a file may be. */
enum arrival { ARRIVED_OTHER, ARRIVED_META, ARRIVED_MODEL, ARRIVED_SHARD };

/* Only a rename changes a name, and then the file arrives again. *RANK: whose shard it is part of, or -1. */
static enum arrival what_arrived(struct ck_drafts *d, const struct dnode *node, int64_t *rank)
{
	enum arrival what = ARRIVED_OTHER;
	const struct dnode *dir;
	uint64_t number;
	size_t len;

	*rank = -1;
	pthread_mutex_lock(&d->lock);
	dir = node->parent;
	if (!dir || node->dead) {
		what = ARRIVED_OTHER;
	} else if (node->draft->kind == CK_DRAFT_STEP && !node->draft->partial && !dir->parent) {
		if (strcmp(node->name, "meta.json") == 0)
			what = ARRIVED_META;
		else if (strcmp(node->name, "model.pt") == 0 || strcmp(node->name, "model.safetensors") == 0)
			what = ARRIVED_MODEL;
	} else if (node->draft->kind == CK_DRAFT_OPTIM && dir->parent) {
		/* The entry of optim/ that it is, or lies in. */
		for (dir = node; dir->parent->parent->parent; dir = dir->parent)
			;
		if (ck_rank_parse(dir->name, &number, &len))
			*rank = (int64_t)number;
		if (*rank >= 0 && dir == node &&
		    (strcmp(node->name + len, ".json") == 0 || strcmp(node->name + len, ".pt") == 0))
			what = ARRIVED_SHARD;
	}
	pthread_mutex_unlock(&d->lock);
	return what;
}

static bool has(struct ck_drafts *d, struct draft *draft, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	return draft_files_path(d, draft, path) && ck_path_join(path, path, name) && ck_real_stat(path, &st) == 0;
}

/* Whether a model in one file is all that there is of the model, beside its meta.json. */
static bool is_whole_model(struct ck_drafts *d, struct draft *draft)
{
	return has(d, draft, "meta.json") &&
	       has(d, draft, "model") + has(d, draft, "model.pt") + has(d, draft, "model.safetensors") == 1;
}

static bool is_shard_waiting(struct ck_drafts *d, struct draft *draft, int64_t rank)
{
	char json[64], pt[64];

	snprintf(json, sizeof(json), "optim/rank%lld.json", (long long)rank);
	snprintf(pt, sizeof(pt), "optim/rank%lld.pt", (long long)rank);
	return has(d, draft, json) || has(d, draft, pt);
}

static void set_waiting(struct ck_drafts *d, struct draft *draft, bool waiting)
{
	pthread_mutex_lock(&d->lock);
	draft->waiting = waiting;
	pthread_mutex_unlock(&d->lock);
}

static bool is_waiting(struct ck_drafts *d, const struct draft *draft)
{
	bool waiting;

	pthread_mutex_lock(&d->lock);
	waiting = draft->waiting;
	pthread_mutex_unlock(&d->lock);
	return waiting;
}

/* Whether what NODE's arrival means is the time to publish. */
static bool is_time(struct ck_drafts *d, struct dnode *node, int64_t *rank)
{
	enum arrival what = what_arrived(d, node, rank);

	if (what != ARRIVED_OTHER && !is_empty(d, node) && (what != ARRIVED_MODEL || is_whole_model(d, node->draft)))
		return true;
	if (!is_waiting(d, node->draft) || node->draft->partial)
		return false;
	return node->draft->kind == CK_DRAFT_STEP || (*rank >= 0 && is_shard_waiting(d, node->draft, *rank));
}

/* From now on the close of any other file takes a turn too, which is later. Without TOLD, an arrival under way does
   what there is to do: false. */
static bool begin_turn(struct ck_drafts *d, struct draft *draft, struct turn *turn, bool told)
{
	bool begun;

	pthread_mutex_lock(&d->lock);
	begun = told || !has_later(draft, NULL, turn->rank);
	if (begun) {
		turn->before = draft->turns;
		draft->turns = turn;
		draft->waiting = true;
		/* An earlier one gives way. */
		pthread_cond_broadcast(&d->released);
	}
	pthread_mutex_unlock(&d->lock);
	return begun;
}

static void end_turn(struct ck_drafts *d, struct draft *draft, const struct turn *turn)
{
	struct turn **at;

	pthread_mutex_lock(&d->lock);
	for (at = &draft->turns; *at != turn; at = &(*at)->before)
		;
	*at = turn->before;
	pthread_mutex_unlock(&d->lock);
}

static int publish_in_turn(struct ck_drafts *d, struct draft *draft, const struct turn *turn, unsigned own_writers,
			   bool told, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	bool busy;
	int rc;

	if (!wait_for_releases(d, draft, turn->rank, own_writers, turn))
		return CK_OK;
	rc = draft_begin_alone(draft, err);
	if (rc)
		return rc;
	if (told || is_waiting(d, draft))
		rc = publish_alone(d, draft, turn->rank, own_writers, CK_PLAN_COMPLETE, &why);
	busy = rc == CK_ERR_SYS && why.sys == EBUSY;
	if (busy || told || rc != CK_ERR_SYS)
		set_waiting(d, draft, busy);
	draft_end(draft);
	if (rc == CK_OK || busy || rc == CK_ERR_INVALID || rc == CK_ERR_STALE || rc == CK_ERR_AGAIN)
		return CK_OK;
	ck_error_copy(err, &why);
	return rc;
}

/*
 * TOLD: somebody is there to be told of a failure. Of another the last writer's close is told, when it tries again. A
 * release that had to wait finds that the last writer's close has published the draft, or has told why it couldn't.
 */
static int arrive(struct ck_drafts *d, struct dnode *node, unsigned own_writers, bool told, struct ck_error *err)
{
	struct draft *draft = node->draft;
	struct turn turn;
	int rc;

	if (draft->kind > CK_DRAFT_OPTIM || !is_time(d, node, &turn.rank) || !begin_turn(d, draft, &turn, told))
		return CK_OK;
	rc = publish_in_turn(d, draft, &turn, own_writers, told, err);
	end_turn(d, draft, &turn);
	return rc;
}

int draft_arrived(struct ck_drafts *d, struct dnode *node, unsigned own_writers, struct ck_error *err)
{
	return arrive(d, node, own_writers, true, err);
}

void draft_released(struct ck_drafts *d, struct dnode *node)
{
	/* A failure is logged, and DRAFT.error has it. */
	if (is_waiting(d, node->draft))
		arrive(d, node, 0, false, NULL);
}

/* Whether fsync of the directory publishes: of a draft's own, or of optim/ of one for shards. */
static bool is_door(struct ck_drafts *d, const struct where *w)
{
	bool door;

	pthread_mutex_lock(&d->lock);
	door = w->draft->kind == CK_DRAFT_OPTIM ||
	       (w->draft->kind == CK_DRAFT_STEP && !w->draft->partial && !w->dir->parent);
	pthread_mutex_unlock(&d->lock);
	return door;
}

int ck_drafts_fsyncdir(struct ck_drafts *d, ck_ino ino, struct ck_error *err)
{
	struct ck_place place;
	char path[PATH_MAX];
	struct where w;
	int rc;

	if (!ck_is_draft(ino)) {
		rc = ck_tree_place(d->tree, ino, &place, err);
		if (rc || place.kind > CK_PLACE_OPTIM)
			return rc;
		if (place.kind != CK_PLACE_OPTIM || where_find(d, ino, NULL, &w, NULL))
			return ck_real_sync(place.path, err);
	} else {
		rc = where_find(d, ino, NULL, &w, err);
		if (rc)
			return rc;
	}
	if (is_door(d, &w)) {
		rc = draft_publish(d, w.draft, -1, 0, 0, err);
	} else {
		rc = where_path(d, &w, ".", path) ? ck_real_sync(path, err)
						  : ck_fail_long_path(err);
		if (!rc && w.draft->kind != DRAFT_PLAIN)
			rc = draft_sync(d, w.draft, true, err);
	}
	where_put(d, &w);
	return rc;
}
