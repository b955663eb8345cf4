/*
 * What a published draft's inodes stand for: who stands in a directory of the draft stands in the step. Its directories
 * keep the draft's numbers, by which the kernel knows them, until the mount ends; each is the same as one of the tree's.
 * Implements draft.h and private.h.
 */
#include "core/draft/private.h"

#include <stdlib.h>
#include <string.h>

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
static void add(struct ck_drafts *d, ck_ino outer, ck_ino inner)
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

/* Names of directories that a step has, too. */
static bool is_directory_name(const char *name)
{
	uint64_t rank;
	size_t len;

	return strcmp(name, "model") == 0 || strcmp(name, "model.raw") == 0 || strcmp(name, "optim") == 0 ||
	       strcmp(name, "hf") == 0 || strcmp(name, "all") == 0 || strcmp(name, "all.raw") == 0 ||
	       (ck_rank_parse(name, &rank, &len) && (name[len] == '\0' || strcmp(name + len, ".raw") == 0));
}

/* A directory of the draft in PARENT that the kernel knows and that isn't an alias yet: its number and its name. With
   the lock held. */
static const struct dnode *next_child(const struct ck_drafts *d, const struct dnode *parent, const struct dnode *after)
{
	const struct dnode *node = after ? after->hh.next : d->inodes;

	for (; node; node = node->hh.next)
		if (node->parent == parent && node->lookups && is_directory_name(node->name))
			return node;
	return NULL;
}

/* The directories in that of number OUTER, which is INNER of the tree. */
static void add_children(struct ck_drafts *d, const struct dnode *parent, ck_ino inner, unsigned depth)
{
	struct child {
		struct dnode *node;
		char name[64];
	} children[32];
	size_t count = 0;
	struct ck_attr attr;

	pthread_mutex_lock(&d->lock);
	for (const struct dnode *n = next_child(d, parent, NULL); n && count < 32; n = next_child(d, parent, n)) {
		children[count].node = (struct dnode *)(uintptr_t)n;
		children[count].node->refs++;
		strncpy(children[count].name, n->name, sizeof(children[0].name) - 1);
		children[count++].name[sizeof(children[0].name) - 1] = '\0';
	}
	pthread_mutex_unlock(&d->lock);
	for (size_t i = 0; i < count; i++) {
		if (ck_tree_lookup(d->tree, inner, children[i].name, &attr, NULL) == CK_OK) {
			if (S_ISDIR(attr.st.st_mode)) {
				if (depth)
					add_children(d, children[i].node, attr.st.st_ino, depth - 1);
				add(d, children[i].node->ino, attr.st.st_ino);
			} else {
				ck_tree_forget(d->tree, attr.st.st_ino, 1);
			}
		}
		dnode_put(d, children[i].node);
	}
}

/* The draft's own directory, which the kernel knows; a reference. */
static struct dnode *root_of(struct ck_drafts *d, const struct draft *draft)
{
	struct dnode *node, *next;

	pthread_mutex_lock(&d->lock);
	HASH_ITER(hh, d->inodes, node, next)
	if (node->draft == draft && !node->parent)
		break;
	if (node)
		node->refs++;
	pthread_mutex_unlock(&d->lock);
	return node;
}

void alias_published(struct ck_drafts *d, struct draft *draft)
{
	struct dnode *root = root_of(d, draft);
	struct ck_attr attr;
	char name[32];

	if (!root)
		return;
	if (draft->kind == CK_DRAFT_OPTIM) {
		add_children(d, root, draft->within, 1);
	} else if (ck_tree_lookup(d->tree, draft->within, ck_step_format(draft->step, name, sizeof(name)), &attr, NULL) ==
		   CK_OK) {
		add_children(d, root, attr.st.st_ino, 1);
		add(d, root->ino, attr.st.st_ino);
	}
	dnode_put(d, root);
}

ck_ino alias_of_file(struct ck_drafts *d, struct dnode *node)
{
	struct ck_attr attr;
	char *name = NULL;
	ck_ino parent = 0;

	if (!node->draft->gone)
		return 0;
	pthread_mutex_lock(&d->lock);
	if (node->parent) {
		parent = node->parent->ino;
		name = strdup(node->name);
	}
	pthread_mutex_unlock(&d->lock);
	parent = parent ? ck_drafts_inner(d, parent) : 0;
	if (!name || ck_is_draft(parent) || ck_tree_lookup(d->tree, parent, name, &attr, NULL))
		attr.st.st_ino = 0;
	free(name);
	return attr.st.st_ino;
}

void alias_free_all(struct ck_drafts *d)
{
	struct alias *a, *next;

	HASH_ITER(hh, d->aliases, a, next) {
		if (a->is_last)
			HASH_DELETE(by_inner, d->inner_aliases, a);
		HASH_DEL(d->aliases, a);
		free(a);
	}
}
