/* Which steps are cut for options.ranks. Implements cut.h and a part of place.h. */
#include "core/tree/cut.h"

#include "core/base/hash.h"
#include "core/base/keyname.h"
#include "core/tree/contain.h"
#include "core/tree/joined.h"
#include "core/tree/node_load.h"
#include "core/tree/place.h"
#include "core/tree/tag.h"

#include <limits.h>
#include <stdlib.h>
#include <uthash.h>

/* A step without shards. Past so many of them no further step is cut until the next mount. */
#define MAX_COMING 16384u
struct ck_coming {
	uint64_t step;          /* a hash of the tag's directory and the step */
	UT_hash_handle hh;
};

/* The same for every path that leads to the tag. */
static uint64_t hash_of(const struct ck_tree *tree, const char *tag, uint64_t step)
{
	uint64_t what[3] = { 0, 0, step };
	struct stat st;

	if (tree_stat(tree, tag, &st) == 0) {
		what[0] = st.st_dev;
		what[1] = st.st_ino;
	}
	return ck_hash(what, sizeof(what), 0);
}

/* Whether the step had no shard at the first look; a step that has NONE now becomes such a step. */
static bool is_coming(struct ck_tree *tree, const char *tag, uint64_t step, bool none)
{
	uint64_t hash = hash_of(tree, tag, step);
	struct ck_coming *found, *more = NULL;
	bool coming;

	pthread_mutex_lock(&tree->lock);
	HASH_FIND(hh, tree->coming, &hash, sizeof(hash), found);
	coming = found || HASH_COUNT(tree->coming) >= MAX_COMING;
	if (!coming && none && (more = malloc(sizeof(*more)))) {
		more->step = hash;
		HASH_ADD(hh, tree->coming, step, sizeof(more->step), more);
	}
	pthread_mutex_unlock(&tree->lock);
	return coming || none;
}

bool tree_may_cut(struct ck_tree *tree, const char *tag, uint64_t step)
{
	uint64_t *ranks, last;
	size_t count;

	if (tree->options.ranks == 0 || tree_ranks(tree, tag, step, &ranks, &count, NULL))
		return false;
	last = count ? ranks[count - 1] : 0;
	free(ranks);
	if (is_coming(tree, tag, step, count == 0))
		return false;
	return count != tree->options.ranks || last != count - 1;
}

int tree_cut_of(struct ck_tree *tree, const char *tag, uint64_t step, enum tree_cut *cut, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	char path[PATH_MAX];
	struct node_key key;
	struct node *n;
	int rc;

	*cut = CUT_NOT;
	if (!tree_may_cut(tree, tag, step))
		return CK_OK;
	rc = key_of_joined(tree, tag, step, NODE_CUT, 0, CK_ROOT_INO, path, &key, &why);
	/* A file that has just gone, or no model: there is nothing to cut. */
	if (rc == CK_ERR_NOENT)
		return CK_OK;
	if (rc) {
		ck_error_copy(err, &why);
		return rc;
	}
	n = node_get(tree, &key);
	if (!n)
		return ck_fail_nomem(err);
	/* Whether it can be cut is the same for all ranks. */
	rc = node_checkpoint(tree, n, &c, &why);
	ck_checkpoint_unref(c);
	node_put(tree, n, 1);
	if (rc && !node_error_is_shown(&why)) {
		ck_error_copy(err, &why);
		return rc;
	}
	*cut = rc ? CUT_FAILED : CUT_IS;
	return CK_OK;
}

int ck_tree_check_uncut(struct ck_tree *tree, const char *tag, uint64_t step, struct ck_error *err)
{
	enum tree_cut cut;
	int rc = tree_cut_of(tree, tag, step, &cut, err);

	if (rc || cut != CUT_IS)
		return rc;
	return ck_fail(err, CK_ERR_PERM,
		       "the optimizer of this step is shown cut for ranks=%u, and can't be changed on this "
		       "mount",
		       tree->options.ranks);
}

void tree_forget_coming(struct ck_tree *tree)
{
	struct ck_coming *first = tree->coming, *next;

	HASH_CLEAR(hh, tree->coming);
	for (; first; first = next) {
		next = first->hh.next;
		free(first);
	}
}
