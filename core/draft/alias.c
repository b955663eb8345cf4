/* Numbers of directories that were a draft's and are a step's now. Implements alias.h and a part of numbers.h. */
#include "core/draft/alias.h"

#include "core/draft/numbers.h"
#include "core/tree/tree.h"

#include <stdlib.h>

struct alias {
	UT_hash_handle hh;              /* by outer */
	UT_hash_handle by_inner;        /* by inner: the last draft of a step counts */
	ck_ino outer, inner;            /* the draft's number, and the tree's, of which a lookup is held */
	bool is_last;
};

static struct alias *find_outer(const struct ck_drafts *d, ck_ino ino)
{
	struct alias *a;

	HASH_FIND(hh, d->aliases, &ino, sizeof(ino), a);
	return a;
}

static struct alias *find_inner(const struct ck_drafts *d, ck_ino ino)
{
	struct alias *a;

	HASH_FIND(by_inner, d->inner_aliases, &ino, sizeof(ino), a);
	return a;
}

bool alias_has(const struct ck_drafts *d, ck_ino ino) { return find_outer(d, ino) != NULL; }

ck_ino ck_drafts_inner(struct ck_drafts *d, ck_ino ino)
{
	const struct alias *a;

	if (!ck_is_draft(ino))
		return ino;
	pthread_mutex_lock(&d->lock);
	a = find_outer(d, ino);
	if (a)
		ino = a->inner;
	pthread_mutex_unlock(&d->lock);
	return ino;
}

ck_ino ck_drafts_outer(struct ck_drafts *d, ck_ino ino)
{
	const struct alias *a;

	if (ck_is_draft(ino) || !atomic_load(&d->has_aliases))
		return ino;
	pthread_mutex_lock(&d->lock);
	a = find_inner(d, ino);
	if (a)
		ino = a->outer;
	pthread_mutex_unlock(&d->lock);
	return ino;
}

/* Takes over a lookup of INNER. */
void alias_add(struct ck_drafts *d, ck_ino outer, ck_ino inner)
{
	struct alias *a = calloc(1, sizeof(*a)), *old;

	pthread_mutex_lock(&d->lock);
	if (!a || find_outer(d, outer)) {
		pthread_mutex_unlock(&d->lock);
		free(a);
		ck_tree_forget(d->tree, inner, 1);
		return;
	}
	old = find_inner(d, inner);
	if (old) {
		HASH_DELETE(by_inner, d->inner_aliases, old);
		old->is_last = false;
	}
	*a = (struct alias){ .outer = outer, .inner = inner, .is_last = true };
	HASH_ADD(hh, d->aliases, outer, sizeof(a->outer), a);
	HASH_ADD(by_inner, d->inner_aliases, inner, sizeof(a->inner), a);
	atomic_store(&d->has_aliases, true);
	pthread_mutex_unlock(&d->lock);
}

void alias_free_all(struct ck_drafts *d)
{
	struct alias *next, *first = d->aliases;

	HASH_CLEAR(by_inner, d->inner_aliases);
	HASH_CLEAR(hh, d->aliases);
	for (struct alias *a = first; a; a = next) {
		next = a->hh.next;
		free(a);
	}
}
