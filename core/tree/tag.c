/* What was read last of a tag's directory, for all steps. Implements core/tree/tag.h. */
#include "core/tree/tag.h"

#include "core/base/clock.h"
#include "core/file/follow.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Less than what an answer holds (CK_TIMEOUT_CHANGING): both together pass no second. */
#define KEPT_MS 250
/* Two changes within one tick of a file system's clock have one mtime. */
#define TICK_NS INT64_C(20000000)
/* Some count whole seconds, as SFTP does, and perhaps by a clock that isn't ours: what this mount changed is looked at
   again for so long. */
#define COARSE_TICK_NS INT64_C(2000000000)
#define COARSE_MS 1000

static bool is_coarse(const struct stat *st) { return st->st_mtim.tv_nsec == 0; }

static int64_t age_ns(const struct timespec *now, const struct timespec *then)
{
	return (now->tv_sec - then->tv_sec) * INT64_C(1000000000) + now->tv_nsec - then->tv_nsec;
}

/* Whether a directory with the attributes ST could change unseen: it did so just now. Its mtime may have been set to an
   old one since, as rsync -a does; its ctime can't. */
static bool just_changed(const struct stat *st)
{
	const int64_t tick = is_coarse(st) ? COARSE_TICK_NS : TICK_NS;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return age_ns(&now, &st->st_mtim) < tick || age_ns(&now, &st->st_ctim) < tick;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The lock is held. */
static bool is_known(struct ck_tree *tree, const char *tag, const struct stat *st)
{
	const struct tag_memo *memo = &tree->tag;
	int64_t now = ck_now_ms();

	if (is_coarse(st) && now - atomic_load(&tree->wrote_ms) < COARSE_MS)
		return false;
	return memo->tag && strcmp(memo->tag, tag) == 0 && now - memo->seen_ms < KEPT_MS &&
	       memo->st.st_dev == st->st_dev && memo->st.st_ino == st->st_ino &&
	       is_same_time(&memo->st.st_mtim, &st->st_mtim) && is_same_time(&memo->st.st_ctim, &st->st_ctim);
}

static void memo_free(struct tag_memo *memo)
{
	free(memo->tag);
	ck_tag_names_free(&memo->names);
}

void tree_forget_tag(struct ck_tree *tree) { memo_free(&tree->tag); }

/* A question: its answer is taken from NAMES, to ARG. */
typedef int answer(const struct ck_tag_names *names, void *arg, struct ck_error *err);

static int ask(struct ck_tree *tree, const char *tag, answer *take, void *arg, struct ck_error *err)
{
	struct tag_memo fresh = { .seen_ms = ck_now_ms() }, old = { 0 };
	bool seen = ck_follow_stat(tag, &fresh.st) == 0, known;
	int rc = CK_OK;

	pthread_mutex_lock(&tree->lock);
	known = seen && is_known(tree, tag, &fresh.st);
	if (known)
		rc = take(&tree->tag.names, arg, err);
	pthread_mutex_unlock(&tree->lock);
	if (known)
		return rc;
	rc = ck_store_look(tag, &fresh.names, err);
	if (rc)
		return rc;
	rc = take(&fresh.names, arg, err);
	if (rc || !seen || just_changed(&fresh.st) || !(fresh.tag = strdup(tag))) {
		memo_free(&fresh);
		return rc;
	}
	pthread_mutex_lock(&tree->lock);
	old = tree->tag;
	tree->tag = fresh;
	pthread_mutex_unlock(&tree->lock);
	memo_free(&old);
	return CK_OK;
}

/* ---- what is asked ---- */

struct numbers {
	uint64_t step;          /* of the ranks */
	uint64_t *data;
	size_t count;
};

static int take_steps(const struct ck_tag_names *names, void *arg, struct ck_error *err)
{
	struct numbers *n = arg;

	n->count = names->step_count;
	n->data = malloc((n->count + 1) * sizeof(*n->data));
	if (!n->data)
		return ck_fail_nomem(err);
	if (n->count)
		memcpy(n->data, names->steps, n->count * sizeof(*n->data));
	return CK_OK;
}

static int take_ranks(const struct ck_tag_names *names, void *arg, struct ck_error *err)
{
	struct numbers *n = arg;

	return ck_tag_names_ranks(names, n->step, &n->data, &n->count, err);
}

static int take_home(const struct ck_tag_names *names, void *arg, struct ck_error *err)
{
	(void)err;
	*(bool *)arg = names->home;
	return CK_OK;
}

static int take_plain(const struct ck_tag_names *names, void *arg, struct ck_error *err)
{
	(void)err;
	*(size_t *)arg = names->plain_dirs;
	return CK_OK;
}

int tree_steps(struct ck_tree *tree, const char *tag, uint64_t **out, size_t *count, struct ck_error *err)
{
	struct numbers n = { 0 };
	int rc = ask(tree, tag, take_steps, &n, err);

	*out = n.data;
	*count = n.count;
	return rc;
}

int tree_ranks(struct ck_tree *tree, const char *tag, uint64_t step, uint64_t **out, size_t *count,
	       struct ck_error *err)
{
	struct numbers n = { .step = step };
	int rc = ask(tree, tag, take_ranks, &n, err);

	*out = n.data;
	*count = n.count;
	return rc;
}

bool tree_has_ranks(struct ck_tree *tree, const char *tag, uint64_t step)
{
	uint64_t *ranks;
	size_t count;

	if (tree_ranks(tree, tag, step, &ranks, &count, NULL))
		return false;
	free(ranks);
	return count > 0;
}

bool tree_has_home(struct ck_tree *tree, const char *tag)
{
	bool has = true;

	ask(tree, tag, take_home, &has, NULL);
	return has;
}

size_t tree_plain_dirs(struct ck_tree *tree, const char *tag)
{
	size_t count = 0;

	ask(tree, tag, take_plain, &count, NULL);
	return count;
}
