/* The drafts of a mount, from its beginning to its end: implements draft.h and private.h's part. */
#include "core/draft/private.h"

#include "core/file/io.h"
#include "core/draft/owner.h"
#include "core/draft/plan.h"
#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* So often who waits looks whether who asked has given up. */
#define GAVE_UP_NS 50000000

static bool draft_dir(char *path, const char *tag, enum ck_draft_kind kind, uint64_t step)
{
	char name[64] = "staged";

	if (kind != DRAFT_STAGED)
		ck_draft_format(kind, step, name, sizeof(name));
	return ck_path_join(path, tag, CK_DRAFT_DIR) && ck_path_join(path, path, name);
}

bool draft_files_path(struct ck_drafts *d, const struct draft *draft, char *path)
{
	pthread_mutex_lock(&d->lock);
	strcpy(path, draft->dir);
	pthread_mutex_unlock(&d->lock);
	return draft->kind == DRAFT_STAGED || draft->kind == DRAFT_PLAIN || ck_path_join(path, path, "files");
}

/* A directory of a draft, for MAKER; for the staged files, which belong to the tag. */
static int make_dir(const struct draft *draft, const char *path, const struct ck_owner *maker, struct ck_error *err)
{
	struct stat tag;

	if (ck_real_mkdir(path, 0755) < 0)
		return errno == EEXIST ? CK_OK : ck_fail_sys(err, "mkdir");
	if (draft->kind != DRAFT_STAGED)
		return ck_give_made(path, maker->uid, maker->gid, 0755, err);
	return ck_real_stat(draft->tag, &tag) < 0 ? ck_fail_sys(err, "stat")
						  : ck_give_new(path, &tag, (tag.st_mode & 07777) | 0700, err);
}

/* The draft's directories on disk. Half-made ones (no files/) are no draft, and are cleared at the next mount. */
static int make_on_disk(struct ck_drafts *d, struct draft *draft, const char *dir, const struct ck_owner *maker,
			struct ck_error *err)
{
	char path[PATH_MAX];
	int rc = ck_lock_hold(draft->tag_lock, true, err);

	if (rc)
		return rc;
	rc = make_dir(draft, dir, maker, err);
	if (!rc && draft->kind != DRAFT_STAGED)
		rc = draft_files_path(d, draft, path) ? make_dir(draft, path, maker, err)
						      : ck_fail_long_path(err);
	ck_lock_drop(draft->tag_lock);
	return rc;
}

static struct draft *find_draft(struct ck_drafts *d, const char *dir)
{
	struct draft *draft = d->drafts;

	while (draft && (draft->gone || strcmp(draft->dir, dir) != 0))
		draft = draft->next;
	return draft;
}

static void free_draft(struct draft *draft)
{
	if (!draft)
		return;
	free(draft->tag);
	free(draft->failure);
	free(draft->report);
	free(draft->dir);
	free(draft);
}

static struct draft *add_draft(struct ck_drafts *d, const char *tag, const char *dir, enum ck_draft_kind kind,
			       uint64_t step)
{
	struct draft *draft = calloc(1, sizeof(*draft));

	if (draft) {
		draft->tag = strdup(tag);
		draft->dir = strdup(dir);
		draft->tag_lock = kind == DRAFT_PLAIN ? NULL : ck_lock_of(d->locks, tag);
	}
	if (!draft || !draft->tag || !draft->dir || (kind != DRAFT_PLAIN && !draft->tag_lock)) {
		free_draft(draft);
		return NULL;
	}
	draft->drafts = d;
	draft->partial = kind == CK_DRAFT_PARTIAL;
	draft->kind = draft->partial ? CK_DRAFT_STEP : kind;
	draft->step = step;
	pthread_rwlock_init(&draft->lock, NULL);
	draft->next = d->drafts;
	d->drafts = draft;
	return draft;
}

int draft_get(struct ck_drafts *d, const char *tag, enum ck_draft_kind kind, uint64_t step,
	      const struct ck_owner *maker, struct draft **out, struct ck_error *err)
{
	char dir[PATH_MAX], files[PATH_MAX];
	struct draft *draft;
	struct stat st;
	int rc = CK_OK;

	if (strlen(tag) >= PATH_MAX || !draft_dir(dir, tag, kind, step))
		return ck_fail_long_path(err);
	pthread_mutex_lock(&d->lock);
	draft = find_draft(d, dir);
	if (!draft)
		draft = add_draft(d, tag, dir, kind, step);
	if (draft)
		draft->refs++;
	pthread_mutex_unlock(&d->lock);
	if (!draft)
		return ck_fail_nomem(err);
	if (maker)
		rc = make_on_disk(d, draft, dir, maker, err);
	else if (!draft_files_path(d, draft, files) || ck_real_stat(files, &st) < 0 || !S_ISDIR(st.st_mode))
		rc = ck_fail(err, CK_ERR_NOENT, "no such draft");
	if (rc)
		draft_put(d, draft);
	else
		*out = draft;
	return rc;
}

int draft_get_plain(struct ck_drafts *d, struct draft **out, struct ck_error *err)
{
	pthread_mutex_lock(&d->lock);
	if (!d->plain)
		d->plain = add_draft(d, "", "", DRAFT_PLAIN, 0);
	/* The mount's own reference, which ck_drafts_free drops. */
	if (d->plain)
		d->plain->refs += d->plain->refs ? 1 : 2;
	*out = d->plain;
	pthread_mutex_unlock(&d->lock);
	return *out ? CK_OK : ck_fail_nomem(err);
}

void draft_put_locked(struct ck_drafts *d, struct draft *draft)
{
	struct draft **at = &d->drafts;

	if (--draft->refs)
		return;
	while (*at != draft)
		at = &(*at)->next;
	*at = draft->next;
	pthread_rwlock_destroy(&draft->lock);
	free_draft(draft);
}

void draft_put(struct ck_drafts *d, struct draft *draft)
{
	pthread_mutex_lock(&d->lock);
	draft_put_locked(d, draft);
	pthread_mutex_unlock(&d->lock);
}

int draft_move(struct ck_drafts *d, struct draft *draft, const char *dir, bool partial, uint64_t step,
	       struct ck_error *err)
{
	char *path = strdup(dir);
	struct draft *other;
	int rc = CK_OK;

	if (!path)
		return ck_fail_nomem(err);
	/* A rename waits for no data; whoever looks for either name finds the one that is there. */
	pthread_mutex_lock(&d->lock);
	if (ck_real_rename(draft->dir, dir, RENAME_NOREPLACE) < 0) {
		rc = ck_fail_sys(err, "rename");
		free(path);
	} else {
		/* One that is looked for, in vain. */
		other = find_draft(d, dir);
		if (other)
			other->gone = true;
		free(draft->dir);
		draft->dir = path;
		draft->partial = partial;
		draft->step = step;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int draft_sync(struct ck_drafts *d, struct draft *draft, bool way, struct ck_error *err)
{
	char dir[PATH_MAX];
	int rc = CK_OK;

	pthread_mutex_lock(&d->lock);
	strcpy(dir, draft->dir);
	pthread_mutex_unlock(&d->lock);
	if (atomic_exchange(&draft->unsynced, false)) {
		rc = ck_order_sync(dir, err);
		if (rc)
			atomic_store(&draft->unsynced, true);
	}
	/* The draft, TAG/.ckptfs, TAG. */
	for (int level = 0; way && level < 3 && !rc; level++) {
		rc = ck_real_sync(dir, err);
		*strrchr(dir, '/') = '\0';
	}
	return rc;
}

/* PATH lies in DIR/files; what the order calls it. */
static const char *name_in_order(const struct draft *draft, const char *path)
{
	return path + strlen(draft->dir) + strlen("/files/");
}

int draft_note_made(struct draft *draft, const char *path, struct ck_error *err)
{
	if (draft->kind == DRAFT_STAGED || draft->kind == DRAFT_PLAIN)
		return CK_OK;
	atomic_store(&draft->unsynced, true);
	return ck_order_append(draft->dir, name_in_order(draft, path), err);
}

int draft_note_moved(struct draft *draft, const char *from, const char *to, struct ck_error *err)
{
	if (draft->kind == DRAFT_STAGED || draft->kind == DRAFT_PLAIN)
		return CK_OK;
	atomic_store(&draft->unsynced, true);
	return ck_order_rename(draft->dir, name_in_order(draft, from), name_in_order(draft, to), err);
}

/* Waits with WAIT, a timed lock, in small steps: who asked may give up. */
static int wait_for_lock(struct draft *draft, int (*wait)(pthread_rwlock_t *, const struct timespec *),
			 struct ck_error *err)
{
	const struct ck_drafts *d = draft->drafts;
	struct timespec until;
	int rc;

	do {
		if (d->gave_up && d->gave_up(d->gave_up_arg)) {
			errno = EINTR;
			return ck_fail_sys(err, "waiting for the draft");
		}
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += GAVE_UP_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		rc = wait(&draft->lock, &until);
	} while (rc == ETIMEDOUT);
	errno = rc;
	return rc ? ck_fail_sys(err, "locking the draft") : CK_OK;
}

int draft_begin_read(struct draft *draft, struct ck_error *err)
{
	int rc = CK_OK;

	if (pthread_rwlock_tryrdlock(&draft->lock))
		rc = wait_for_lock(draft, pthread_rwlock_timedrdlock, err);
	if (rc || !draft->gone)
		return rc;
	pthread_rwlock_unlock(&draft->lock);
	return ck_fail(err, CK_ERR_STALE, "the draft was published or removed");
}

void draft_end_read(struct draft *draft) { pthread_rwlock_unlock(&draft->lock); }

int draft_hold(struct draft *draft, struct ck_error *err)
{
	return draft->tag_lock ? ck_lock_hold(draft->tag_lock, false, err) : CK_OK;
}

void draft_drop(struct draft *draft)
{
	if (draft->tag_lock)
		ck_lock_drop(draft->tag_lock);
}

int draft_begin(struct draft *draft, struct ck_error *err)
{
	int rc = draft_hold(draft, err);

	if (rc)
		return rc;
	rc = draft_begin_read(draft, err);
	if (rc)
		draft_drop(draft);
	return rc;
}

void draft_end(struct draft *draft)
{
	pthread_rwlock_unlock(&draft->lock);
	draft_drop(draft);
}

int draft_begin_alone(struct draft *draft, struct ck_error *err)
{
	int rc = draft_hold(draft, err);

	if (!rc && pthread_rwlock_trywrlock(&draft->lock)) {
		rc = wait_for_lock(draft, pthread_rwlock_timedwrlock, err);
		if (rc)
			draft_drop(draft);
	}
	return rc;
}

void draft_say(struct ck_drafts *d, const struct ck_error *err)
{
	char line[768];

	if (d->log)
		d->log(d->log_arg, ck_error_line(err, line, sizeof(line)));
}

/* ---- the beginning and the end ---- */

/* TAG takes PATH_MAX bytes, and becomes a real path. */
static void enter_tag(struct ck_drafts *d, char *tag)
{
	struct ck_error err = CK_ERROR_INIT;
	char home[PATH_MAX];
	struct ck_lock *lock;
	struct stat st;

	if (ck_tree_real(d->tree, tag, NULL) || !ck_path_join(home, tag, CK_DRAFT_DIR) || ck_real_stat(home, &st) < 0)
		return;
	lock = ck_lock_of(d->locks, tag);
	if (lock && ck_lock_clear(lock, &err) && err.sys != EACCES && err.sys != EROFS)
		draft_say(d, &err);
}

static void enter_source(struct ck_drafts *d, char *source)
{
	struct ck_names tags;
	char path[PATH_MAX];

	if (ck_tree_real(d->tree, source, NULL) || ck_store_tags(source, &tags, NULL))
		return;
	for (size_t i = 0; i < tags.count; i++)
		if (ck_path_join(path, source, tags.names[i]))
			enter_tag(d, path);
	ck_names_free(&tags);
}

int ck_drafts_new(struct ck_tree *tree, const struct ck_tree_options *options, struct ck_drafts **out,
		  struct ck_error *err)
{
	struct ck_drafts *d = calloc(1, sizeof(*d));
	char path[PATH_MAX];

	if (!d)
		return ck_fail_nomem(err);
	d->tree = tree;
	d->log = options->log;
	d->log_arg = options->log_arg;
	d->may_delete = options->may_delete;
	d->gave_up = options->gave_up;
	d->gave_up_arg = options->gave_up_arg;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->released, NULL);
	d->locks = ck_locks_new(d->log, d->log_arg);
	if (!d->locks) {
		ck_drafts_free(d);
		return ck_fail_nomem(err);
	}
	if (strlen(options->store) >= sizeof(path)) {
		ck_drafts_free(d);
		return ck_fail_long_path(err);
	}
	strcpy(path, options->store);
	*out = d;
	if (options->read_only)
		return CK_OK;
	if (options->level == CK_LEVEL_TAG)
		enter_tag(d, path);
	if (options->level == CK_LEVEL_SOURCE)
		enter_source(d, path);
	for (size_t i = 0; options->level == CK_LEVEL_BASE && i < sizeof(ck_sources) / sizeof(*ck_sources); i++)
		if (ck_path_join(path, options->store, ck_sources[i].dir))
			enter_source(d, path);
	return CK_OK;
}

void ck_drafts_free(struct ck_drafts *d)
{
	struct dnode *node, *next_node;

	if (!d)
		return;
	alias_free_all(d);
	/* The kernel doesn't forget what it knew of a mount that ends. */
	HASH_ITER(hh, d->inodes, node, next_node) {
		HASH_DEL(d->inodes, node);
		if (!node->dead)
			HASH_DELETE(by_file, d->files, node);
		draft_put(d, node->draft);
		free(node->name);
		free(node);
	}
	if (d->plain)
		draft_put(d, d->plain);
	ck_locks_free(d->locks);
	pthread_cond_destroy(&d->released);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
