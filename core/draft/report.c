/*
 * DRAFT.error, the one line in every draft that says what the draft has now, what it lacks or waits for, and how it is
 * published. The file is on no disk: its text is made when a program asks. Implements report.h.
 */
#include "core/draft/report.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/plan.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/tree/list.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <stdarg.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME "DRAFT.error"
#define FRESH_MS 500
/* Sets its number apart from that of the directory that it stands in. */
#define NUMBER_BIT ((ino_t)1 << 61)

bool report_is(struct ck_drafts *d, const struct where *w, const char *name)
{
	const struct dnode *parent;
	bool is;

	if (!w->dir || w->draft->kind > CK_DRAFT_OPTIM || strcmp(name, NAME) != 0)
		return false;
	pthread_mutex_lock(&d->lock);
	parent = w->dir->parent;
	/* Of a published step's shards: in optim/. */
	is = w->draft->kind == CK_DRAFT_OPTIM ? parent && !parent->parent : !parent;
	pthread_mutex_unlock(&d->lock);
	return is;
}

/* ---- what the draft has ---- */

static size_t count_tensors(const char *files)
{
	struct ck_names names;
	char path[PATH_MAX];
	size_t count = 0;

	if (!ck_path_join(path, files, "model") || ck_list_real_dir(path, &names, NULL))
		return 0;
	for (size_t i = 0; i < names.count; i++)
		count += ck_ends_with(names.names[i], ".npy");
	ck_names_free(&names);
	return count;
}

static size_t count_shards(const char *files)
{
	struct ck_names names;
	char path[PATH_MAX];
	uint64_t rank, last = UINT64_MAX;
	size_t count = 0, len;

	if (!ck_path_join(path, files, "optim") || ck_list_real_dir(path, &names, NULL))
		return 0;
	/* Sorted by name: the files of one rank stand together. */
	for (size_t i = 0; i < names.count; i++) {
		if (!ck_rank_parse(names.names[i], &rank, &len) || rank == last)
			continue;
		last = rank;
		count++;
	}
	ck_names_free(&names);
	return count;
}

static bool exists(const char *files, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	return ck_path_join(path, files, name) && ck_real_stat(path, &st) == 0;
}

struct text {
	char *at;
	size_t size, len;
	bool passing;   /* the disk's room changes without us */
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at + t->len, t->size - t->len, format, args);
	va_end(args);
	if (n > 0)
		t->len += (size_t)n < t->size - t->len ? (size_t)n : t->size - t->len - 1;
}

/* "31 tensors, model.pt and meta.json" */
static void put_has(struct text *t, const char *files)
{
	char parts[5][48];
	size_t count = 0, n = count_tensors(files);

	if (n || exists(files, "model"))
		snprintf(parts[count++], sizeof(parts[0]), "%zu tensor%s", n, n == 1 ? "" : "s");
	if (exists(files, "model.safetensors"))
		strcpy(parts[count++], "model.safetensors");
	if (exists(files, "model.pt"))
		strcpy(parts[count++], "model.pt");
	if ((n = count_shards(files)))
		snprintf(parts[count++], sizeof(parts[0]), "%zu shard%s", n, n == 1 ? "" : "s");
	if (exists(files, "meta.json"))
		strcpy(parts[count++], "meta.json");
	for (size_t i = 0; i < count; i++)
		put(t, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", parts[i]);
	put(t, count ? ": " : "nothing yet: ");
}

/* ---- what it lacks, and what to do ---- */

static void put_how(struct text *t, const struct draft *draft)
{
	char name[32];

	if (draft->partial)
		put(t, "rename this directory to %s to publish", ck_step_format(draft->step, name, sizeof(name)));
	else
		put(t, "sync this directory to publish");
}

/* The files that are open for writing: how many, and the names of the first. With the lock held. */
static unsigned list_writers(const struct ck_drafts *d, const struct draft *draft, char *names, size_t size)
{
	struct text t = { .at = names, .size = size };
	unsigned count = 0;

	names[0] = '\0';
	for (const struct dnode *node = d->inodes; node; node = node->hh.next) {
		for (const struct ck_draft_file *f = node->draft == draft ? node->open : NULL; f; f = f->next) {
			if (!f->writable)
				continue;
			if (count++ < 3)
				put(&t, "%s%.80s", count == 1 ? "" : ", ", node->name);
			break;
		}
	}
	if (count > 3)
		put(&t, ", ...");
	return count;
}

/* Why the last try failed, if nothing was changed since. True where there is something to say. */
static bool put_failure(struct ck_drafts *d, struct draft *draft, struct text *t)
{
	bool failed;

	pthread_mutex_lock(&d->lock);
	failed = draft->failure && draft->failed_at == atomic_load(&draft->changes);
	if (failed)
		put(t, "%s; mend that, then ", draft->failure);
	pthread_mutex_unlock(&d->lock);
	return failed;
}

/* WHY in a line, without the store's path of the draft: a reader of it is in the draft. */
static const char *line_of(const struct draft *draft, const struct ck_error *why, char *line, size_t size)
{
	struct ck_error shown = *why;
	size_t len = strlen(draft->dir), most = sizeof(shown.file) - 1;
	const char *rest = shown.file + (len < most ? len : most);

	if (strncmp(shown.file, draft->dir, len < most ? len : most) == 0) {
		if (strncmp(rest, "/files/", strlen("/files/")) == 0)
			rest += strlen("/files/");
		memmove(shown.file, rest, strlen(rest) + 1);
	}
	return ck_error_line(&shown, line, size);
}

static void put_state(struct ck_drafts *d, struct draft *draft, struct text *t)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_plan plan;
	char names[320], line[768];
	unsigned writers;
	bool waiting;
	int rc;

	rc = ck_plan_make(draft->dir, draft->kind, draft->step, -1, CK_PLAN_COMPLETE | CK_PLAN_QUICK, &plan, &why);
	pthread_mutex_lock(&d->lock);
	writers = list_writers(d, draft, names, sizeof(names));
	waiting = draft->waiting;
	pthread_mutex_unlock(&d->lock);
	if (rc && rc != CK_ERR_AGAIN) {
		put(t, "%s; mend that, then ", line_of(draft, &why, line, sizeof(line)));
	} else if (writers) {
		put(t, "%u file%s open for writing (%s): %s", writers, writers == 1 ? " is" : "s are", names,
		    waiting && !rc && !draft->partial ? "closing the last of them publishes, or then "
						      : "close, then ");
	} else if (rc) {
		put(t, "%s; if that is meant, ", why.text);
	} else if (plan.count == 0) {
		put(t, "no shard is complete: write rankN.json last, or ");
	} else if (ck_plan_room(&plan, draft->dir, &why)) {
		t->passing = true;
		put(t, "%s; free some, then ", why.text);
	}
	ck_plan_free(&plan);
}

static void make_text(struct ck_drafts *d, struct draft *draft, struct text *t)
{
	char files[PATH_MAX];

	if (ck_path_join(files, draft->dir, "files"))
		put_has(t, files);
	if (!put_failure(d, draft, t))
		put_state(d, draft, t);
	put_how(t, draft);
}

/* A listing asks for the size again and again: the text is kept until something changes, and no longer than another
   mount may have changed something. With the lock held. */
static bool is_fresh(const struct draft *draft, uint64_t changes)
{
	return draft->report && draft->report_at == changes && draft->report_writers == draft->writers &&
	       ck_now_ms() - draft->report_ms < FRESH_MS;
}

/* LINE takes REPORT_MAX bytes. */
void report_text(struct ck_drafts *d, struct draft *draft, char *line)
{
	struct text t = { .at = line, .size = REPORT_MAX - 1 };
	uint64_t changes = atomic_load(&draft->changes);
	unsigned writers;
	bool fresh;

	line[0] = '\0';
	pthread_mutex_lock(&d->lock);
	writers = draft->writers;
	fresh = is_fresh(draft, changes);
	if (fresh)
		strcpy(line, draft->report);
	pthread_mutex_unlock(&d->lock);
	if (fresh)
		return;
	/* A thread that publishes the draft holds the lock for as long as that takes. */
	if (pthread_rwlock_tryrdlock(&draft->lock) != 0) {
		strcpy(line, "it is being published\n");
		return;
	}
	make_text(d, draft, &t);
	pthread_rwlock_unlock(&draft->lock);
	for (char *c = line; *c; c++)
		if (*c == '\n')
			*c = '?';
	strcat(line, "\n");
	pthread_mutex_lock(&d->lock);
	free(draft->report);
	draft->report = t.passing ? NULL : strdup(line);
	draft->report_at = changes;
	draft->report_writers = writers;
	draft->report_ms = ck_now_ms();
	pthread_mutex_unlock(&d->lock);
}

void report_failure(struct ck_drafts *d, struct draft *draft, const struct ck_error *why)
{
	char line[768];

	/* How much space is missing is looked at each time. */
	bool keep = !(why->code == CK_ERR_SYS && why->sys == ENOSPC);

	pthread_mutex_lock(&d->lock);
	line_of(draft, why, line, sizeof(line));
	free(draft->failure);
	draft->failure = keep ? strdup(line) : NULL;
	draft->failed_at = atomic_load(&draft->changes);
	free(draft->report);
	draft->report = NULL;
	pthread_mutex_unlock(&d->lock);
}

/* ---- the file ---- */

int report_stat(struct ck_drafts *d, struct draft *draft, struct dnode *dir, struct stat *st, struct ck_error *err)
{
	char path[PATH_MAX], line[REPORT_MAX];

	if (!dnode_path(d, dir, NULL, path) || ck_real_stat(path, st) < 0)
		return ck_fail(err, CK_ERR_STALE, "the draft is gone");
	report_text(d, draft, line);
	st->st_ino ^= NUMBER_BIT;
	st->st_mode = S_IFREG | 0444 | (st->st_mode & 0222);
	st->st_nlink = 1;
	st->st_size = (off_t)strlen(line);
	st->st_blocks = 1;
	return CK_OK;
}

int report_lookup(struct ck_drafts *d, struct where *w, struct ck_attr *out, struct ck_error *err)
{
	struct dnode *node;
	struct stat st;
	int rc = report_stat(d, w->draft, w->dir, &st, err);

	if (rc)
		return rc;
	node = dnode_get(d, w->draft, w->dir, NAME, &st);
	if (!node)
		return ck_fail_nomem(err);
	node->report = true;
	dnode_look_up(d, node);
	dnode_attr(d, node, &st, out);
	dnode_put(d, node);
	return CK_OK;
}

int report_list(struct ck_drafts *d, const struct where *w, struct ck_dir *dir, struct ck_error *err)
{
	char path[PATH_MAX];
	struct stat st;

	if (!report_is(d, w, NAME) || !dnode_path(d, w->dir, NULL, path) || ck_real_stat(path, &st) < 0)
		return CK_OK;
	st.st_ino ^= NUMBER_BIT;
	return ck_dir_add_dear(dir, NAME, dnode_number(d, &st), S_IFREG, err);
}

int report_open(struct ck_drafts *d, struct dnode *node, char **text, struct ck_error *err)
{
	char line[REPORT_MAX];

	if (node->draft->gone)
		return ck_fail(err, CK_ERR_STALE, "the draft was published or removed");
	report_text(d, node->draft, line);
	*text = strdup(line);
	return *text ? CK_OK : ck_fail_nomem(err);
}
