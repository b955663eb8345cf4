/* The drafts that the mount knows, found by their directory. Implements table.h and status.h; begin with
 * draft_get(). */
#include "core/draft/table.h"

#include "core/draft/lock.h"
#include "core/draft/owner.h"
#include "core/draft/private.h"
#include "core/draft/shared.h"
#include "core/draft/status.h"
#include "core/file/dir.h"
#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The draft's directories on disk. A half-made one (without files/) does not count as a draft, and is
   cleared at the next mount. */
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

/* TAG's last two names, as "base_checkpoints/d12". */
static const char *tail_of(const char *tag)
{
	const char *at = tag + strlen(tag);

	for (int slashes = 0; at > tag && (at[-1] != '/' || ++slashes < 2); at--)
		;
	return at;
}

size_t ck_drafts_status(struct ck_drafts *d, struct ck_draft_status *out, size_t max)
{
	size_t count = 0;

	pthread_mutex_lock(&d->lock);
	for (const struct draft *draft = d->drafts; draft; draft = draft->next) {
		const char *slash = strrchr(draft->dir, '/');

		if (draft->kind > CK_DRAFT_OPTIM || draft->gone || !slash || count++ >= max)
			continue;
		snprintf(out->name, sizeof(out->name), "%s%s", tail_of(draft->tag), slash);
		snprintf(out->failure, sizeof(out->failure), "%s", draft->failure ? draft->failure : "");
		out->writers = draft->writers;
		out->waiting = draft->waiting;
		out++;
	}
	pthread_mutex_unlock(&d->lock);
	return count;
}

const char *ck_drafts_alone(struct ck_drafts *d)
{
	return ck_locks_alone(d->locks);
}

void ck_drafts_unable(struct ck_drafts *d, char *why, size_t size)
{
	ck_locks_unable(d->locks, why, size);
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
	/* A rename waits for no data. A lookup of either name finds the one that is there. */
	pthread_mutex_lock(&d->lock);
	if (ck_rename_new(draft->dir, dir, false) < 0) {
		rc = ck_fail_sys(err, "rename");
		free(path);
	} else {
		/* A concurrent lookup may have created an empty draft for the new name; it is stale now. */
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
