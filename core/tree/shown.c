/* Answers are read in a thread of their own where the store doesn't have them at hand. Implements core/tree/shown.h. */
#include "core/tree/shown.h"

#include "core/base/clock.h"
#include "core/pt/forms.h"
#include "core/tree/contain.h"
#include "core/tree/node_load.h"

#include <stdlib.h>
#include <string.h>

/* So many files are asked in the background at a time; any further file is taken for a good one. */
#define MAX_ASKED 8u
/* So long a link count waits for an answer. A disk takes a few milliseconds. */
#define PATIENCE_NS 50000000

/* A zip that torch wrote ends in its "end of central directory", which has no comment. */
#define ZIP_END_BYTES 22

/* NOW: only a look at what is in memory; false if the end of the file isn't. */
static bool ends_as_zip(const struct ck_tree *tree, const char *path, bool now)
{
	char end[ZIP_END_BYTES];
	struct ck_origin origin = { .now = now };
	bool ends;

	if (tree_open(tree, path, &origin.file, NULL))
		return false;
	ends = ck_file_size(origin.file) >= sizeof(end) &&
	       ck_origin_read(&origin, ck_file_size(origin.file) - sizeof(end), end, sizeof(end), NULL) == CK_OK &&
	       memcmp(end, "PK\5\6", 4) == 0;
	ck_file_unref(origin.file);
	return ends;
}

struct question {
	struct ck_tree *tree;
	struct node *node;
	bool seen;      /* it was loaded before: its end doesn't tell enough */
};

/* Reads as much of the file as is needed. The node then says whether the file is bad. */
static void *ask(void *arg)
{
	struct question *q = arg;
	struct ck_error why = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	struct ck_tree *tree = q->tree;

	if (q->seen || !ends_as_zip(tree, q->node->path, false))
		node_checkpoint(tree, q->node, &c, &why);
	ck_checkpoint_unref(c);
	pthread_mutex_lock(&tree->lock);
	q->node->bad = why.code && node_error_is_shown(&why);
	q->node->asked = q->node->slow = false;
	pthread_mutex_unlock(&tree->lock);
	node_put(tree, q->node, 1);
	free(q);
	pthread_mutex_lock(&tree->lock);
	tree->asked--;
	pthread_cond_broadcast(&tree->loaded);
	pthread_mutex_unlock(&tree->lock);
	return NULL;
}

/* Starts a thread that asks; without one the node stays as it is. The lock is held. */
static void begin_to_ask(struct ck_tree *tree, struct node *n)
{
	struct question *q = tree->asked < MAX_ASKED ? malloc(sizeof(*q)) : NULL;
	pthread_t thread;

	if (!q)
		return;
	*q = (struct question){ tree, n, n->state != LOAD_NONE };
	if (pthread_create(&thread, NULL, ask, q)) {
		free(q);
		return;
	}
	pthread_detach(thread);
	n->refs++;
	n->asked = true;
	tree->asked++;
}

/* Waits a little until the node has been asked. The lock is held. */
static void wait_for_answer(struct ck_tree *tree, struct node *n)
{
	const struct timespec until = ck_time_in(PATIENCE_NS);

	while (n->asked && !n->slow)
		if (pthread_cond_timedwait(&tree->loaded, &tree->lock, &until))
			n->slow = n->asked;
}

bool node_is_shown(struct ck_tree *tree, const struct node_key *key)
{
	struct node *n = node_get(tree, key);
	bool known, shown;

	if (!n)
		return true;
	pthread_mutex_lock(&tree->lock);
	known = (n->state == LOAD_READY || n->state == LOAD_FAILED) && (!n->young || node_is_young(n));
	if (known)
		n->bad = n->state == LOAD_FAILED && node_error_is_shown(n->error);
	shown = !n->bad;
	pthread_mutex_unlock(&tree->lock);
	if (!known && !(shown && ends_as_zip(tree, key->path, true))) {
		pthread_mutex_lock(&tree->lock);
		if (!n->asked)
			begin_to_ask(tree, n);
		wait_for_answer(tree, n);
		shown = !n->bad;
		pthread_mutex_unlock(&tree->lock);
	}
	node_put(tree, n, 1);
	return shown;
}

int node_has_hf(struct ck_tree *tree, const struct node_key *key)
{
	struct node *n;
	int has = -1;

	/* Without meta.json no model has it. */
	if (!key->meta.ino)
		return 0;
	n = node_get(tree, key);
	if (!n)
		return -1;
	pthread_mutex_lock(&tree->lock);
	if (n->state == LOAD_READY && n->checkpoint)
		has = ck_checkpoint_has(n->checkpoint, CK_FORM_HF_CONFIG);
	else if (n->state == LOAD_FAILED && node_error_is_shown(n->error))
		has = 0;
	pthread_mutex_unlock(&tree->lock);
	node_put(tree, n, 1);
	return has;
}

int node_is_joined(struct ck_tree *tree, const struct node_key *key)
{
	struct node *n = node_get(tree, key);
	int is = -1;

	if (!n)
		return -1;
	pthread_mutex_lock(&tree->lock);
	if (n->state == LOAD_READY)
		is = 1;
	else if (n->state == LOAD_FAILED && node_error_is_shown(n->error))
		is = 0;
	pthread_mutex_unlock(&tree->lock);
	node_put(tree, n, 1);
	return is;
}

void node_wait_for_threads(struct ck_tree *tree)
{
	pthread_mutex_lock(&tree->lock);
	while (tree->asked || tree->loads)
		pthread_cond_wait(&tree->loaded, &tree->lock);
	pthread_mutex_unlock(&tree->lock);
}
