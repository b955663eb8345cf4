/* What the kernel's inodes of a draft stand for once it is published. Implements successor.h. */
#include "core/draft/successor.h"

#include "core/draft/alias.h"
#include "core/draft/dnode.h"
#include "core/draft/numbers.h"
#include "core/tree/tree.h"

#include <stdlib.h>
#include <string.h>

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
				alias_add(d, children[i].node->ino, attr.st.st_ino);
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
	struct dnode *node;

	pthread_mutex_lock(&d->lock);
	node = draft->nodes;
	while (node && node->parent)
		node = node->after;
	if (node)
		node->refs++;
	pthread_mutex_unlock(&d->lock);
	return node;
}

void successor_add(struct ck_drafts *d, struct draft *draft)
{
	struct dnode *root = root_of(d, draft);
	struct ck_attr attr;
	char name[32];

	if (!root)
		return;
	ck_step_format(draft->step, name, sizeof(name));
	if (draft->kind == CK_DRAFT_OPTIM) {
		add_children(d, root, draft->within, 1);
	} else if (ck_tree_lookup(d->tree, draft->within, name, &attr, NULL) == CK_OK) {
		add_children(d, root, attr.st.st_ino, 1);
		alias_add(d, root->ino, attr.st.st_ino);
	}
	dnode_put(d, root);
}

ck_ino successor_of_file(struct ck_drafts *d, struct dnode *node)
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
