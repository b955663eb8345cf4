/* What was read last of a tag's directory, for all steps. Implements core/tree/shards.h. */
#include "core/tree/shards.h"

#include "core/base/clock.h"
#include "core/file/follow.h"

#include <stdlib.h>
#include <string.h>

/* Less than what an answer holds (CK_TIMEOUT_CHANGING): both together pass no second. */
#define KEPT_MS 250
/* Two changes within one tick of a file system's clock have one mtime. */
#define TICK_NS INT64_C(20000000)

/* Whether a directory with the attributes ST could change unseen: it did so just now. */
static bool just_changed(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - st->st_mtim.tv_sec) * INT64_C(1000000000) + now.tv_nsec - st->st_mtim.tv_nsec < TICK_NS;
}

static bool is_known(const struct ck_sharded *memo, const char *tag, const struct stat *st)
{
	return memo->tag && strcmp(memo->tag, tag) == 0 && ck_now_ms() - memo->seen_ms < KEPT_MS &&
	       memo->st.st_dev == st->st_dev && memo->st.st_ino == st->st_ino &&
	       memo->st.st_mtim.tv_sec == st->st_mtim.tv_sec && memo->st.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

static int copy_ranks(const struct ck_sharded *memo, uint64_t step, uint64_t **out, size_t *count, struct ck_error *err)
{
	size_t first = ck_shards_first(memo->shards, memo->count, step), end = first;

	while (end < memo->count && memo->shards[end].step == step)
		end++;
	*count = end - first;
	*out = NULL;
	if (end == first)
		return CK_OK;
	*out = malloc(*count * sizeof(**out));
	if (!*out)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < *count; i++)
		(*out)[i] = memo->shards[first + i].rank;
	return CK_OK;
}

static void sharded_free(struct ck_sharded *memo)
{
	free(memo->tag);
	free(memo->shards);
}

int tree_ranks(struct ck_tree *tree, const char *tag, uint64_t step, uint64_t **out, size_t *count,
	       struct ck_error *err)
{
	struct ck_sharded fresh = { .seen_ms = ck_now_ms() }, old = { 0 };
	bool seen = ck_follow_stat(tag, &fresh.st) == 0, known;
	int rc = CK_OK;

	pthread_mutex_lock(&tree->lock);
	known = seen && is_known(&tree->sharded, tag, &fresh.st);
	if (known)
		rc = copy_ranks(&tree->sharded, step, out, count, err);
	pthread_mutex_unlock(&tree->lock);
	if (known)
		return rc;
	rc = ck_store_shards(tag, &fresh.shards, &fresh.count, err);
	if (rc)
		return rc;
	rc = copy_ranks(&fresh, step, out, count, err);
	if (rc || !seen || just_changed(&fresh.st) || !(fresh.tag = strdup(tag))) {
		sharded_free(&fresh);
		return rc;
	}
	pthread_mutex_lock(&tree->lock);
	old = tree->sharded;
	tree->sharded = fresh;
	pthread_mutex_unlock(&tree->lock);
	sharded_free(&old);
	return CK_OK;
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
