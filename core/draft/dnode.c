/* The table of drafts' inodes. Implements dnode.h and a part of numbers.h. */
#include "core/draft/dnode.h"

#include "core/draft/alias.h"
#include "core/draft/numbers.h"
#include "core/draft/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Marks the numbers that are counted, not computed. */
#define OWN_NUMBER ((ck_ino)1 << 62)

/* Tags may lie on different devices, on which the same numbers are in use. */
static ck_ino number_of(const struct stat *st)
{
	uint64_t device = (uint64_t)st->st_dev * UINT64_C(0x9e3779b97f4a7c15) >> 42;

	return CK_INO_DRAFT | (((uint64_t)st->st_ino ^ device << 40) & ~OWN_NUMBER & ~CK_INO_DRAFT);
}

/* The number that a file gets: not that of a published directory, whose file is gone. With the lock held. */
static ck_ino free_number(const struct ck_drafts *d, const struct stat *st)
{
	ck_ino ino = number_of(st);

	while (alias_has(d, ino))
		ino = CK_INO_DRAFT | ((ino + UINT64_C(0x9e3779b97f4a7c15)) & ~OWN_NUMBER & ~CK_INO_DRAFT);
	return ino;
}

static struct dnode *find_ino(struct ck_drafts *d, ck_ino ino)
{
	struct dnode *node;

	HASH_FIND(hh, d->inodes, &ino, sizeof(ino), node);
	return node;
}

/* The living inode of a file. */
static struct dnode *find_file(struct ck_drafts *d, const struct stat *st)
{
	struct file_id id = { (uint64_t)st->st_dev, (uint64_t)st->st_ino };
	struct dnode *node;

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): it hashes the bytes of a struct */
	HASH_FIND(by_file, d->files, &id, sizeof(id), node);
	return node;
}

ck_ino dnode_number(struct ck_drafts *d, const struct stat *st)
{
	const struct dnode *node;
	ck_ino ino;

	pthread_mutex_lock(&d->lock);
	node = find_file(d, st);
	ino = node ? node->ino : free_number(d, st);
	pthread_mutex_unlock(&d->lock);
	return ino;
}

/* With the lock held. */
static void kill_node(struct ck_drafts *d, struct dnode *node)
{
	if (node->dead)
		return;
	node->dead = true;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what is in a table isn't in an empty one */
	HASH_DELETE(by_file, d->files, node);
}

/* With the lock held: drops NODE, and what it alone kept, when nobody needs it any more. */
static void release(struct ck_drafts *d, struct dnode *node)
{
	struct dnode *parent;

	while (node && node->lookups == 0 && node->refs == 0) {
		parent = node->parent;
		kill_node(d, node);
		HASH_DEL(d->inodes, node);
		DL_DELETE2(node->draft->nodes, node, before, after);
		draft_put_locked(d, node->draft);
		free(node->name);
		free(node);
		if (parent)
			parent->refs--;
		node = parent;
	}
}

/* With the lock held. */
static int put_in(struct ck_drafts *d, struct dnode *node, struct draft *draft, struct dnode *parent, const char *name)
{
	char *copy;
	struct dnode *old = node->parent;

	if (node->name && node->draft == draft && node->parent == parent && strcmp(node->name, name) == 0)
		return 0;
	copy = strdup(name);
	if (!copy)
		return -1;
	free(node->name);
	node->name = copy;
	/* It never gets into another draft: so its draft is read without the lock. */
	if (!node->draft) {
		draft->refs++;
		node->draft = draft;
		DL_APPEND2(draft->nodes, node, before, after);
	}
	if (parent)
		parent->refs++;
	node->parent = parent;
	if (old) {
		old->refs--;
		release(d, old);
	}
	return 0;
}

/* With the lock held. */
static struct dnode *add_node(struct ck_drafts *d, struct draft *draft, struct dnode *parent, const char *name,
			      const struct stat *st)
{
	struct dnode *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	if (put_in(d, node, draft, parent, name) < 0) {
		free(node);
		return NULL;
	}
	node->file = (struct file_id){ (uint64_t)st->st_dev, (uint64_t)st->st_ino };
	node->ino = free_number(d, st);
	while (find_ino(d, node->ino))
		node->ino = CK_INO_DRAFT | OWN_NUMBER | ++d->next_ino;
	HASH_ADD(hh, d->inodes, ino, sizeof(node->ino), node);
	HASH_ADD(by_file, d->files, file, sizeof(node->file), node);
	return node;
}

/* With the lock held. */
static struct dnode *get(struct ck_drafts *d, struct draft *draft, struct dnode *parent, const char *name,
			 const struct stat *st)
{
	struct dnode *node = find_file(d, st);

	/* No file moves between drafts: the number belonged to a file that is being removed. */
	if (node && node->draft != draft) {
		kill_node(d, node);
		node = NULL;
	}
	if (!node)
		node = add_node(d, draft, parent, name, st);
	else if (put_in(d, node, draft, parent, name) < 0)
		node = NULL;
	if (node)
		node->refs++;
	return node;
}

struct dnode *dnode_get(struct ck_drafts *d, struct draft *draft, struct dnode *parent, const char *name,
			const struct stat *st)
{
	struct dnode *node;

	pthread_mutex_lock(&d->lock);
	node = get(d, draft, parent, name, st);
	pthread_mutex_unlock(&d->lock);
	return node;
}

struct dnode *dnode_get_unmoved(struct ck_drafts *d, struct draft *draft, struct dnode *parent, const char *name,
				const struct stat *st, uint64_t moves)
{
	struct dnode *node;

	pthread_mutex_lock(&d->lock);
	node = d->moves == moves ? get(d, draft, parent, name, st) : NULL;
	pthread_mutex_unlock(&d->lock);
	return node;
}

uint64_t dnode_moves(struct ck_drafts *d)
{
	uint64_t moves;

	pthread_mutex_lock(&d->lock);
	moves = d->moves;
	pthread_mutex_unlock(&d->lock);
	return moves;
}

struct dnode *dnode_find(struct ck_drafts *d, ck_ino ino)
{
	struct dnode *node;

	pthread_mutex_lock(&d->lock);
	node = find_ino(d, ino);
	if (node)
		node->refs++;
	pthread_mutex_unlock(&d->lock);
	return node;
}

uint64_t ck_drafts_thing(struct ck_drafts *d, ck_ino ino)
{
	const struct dnode *node;
	uint64_t thing;

	pthread_mutex_lock(&d->lock);
	node = find_ino(d, ino);
	thing = node ? (uintptr_t)node->draft : ino;
	pthread_mutex_unlock(&d->lock);
	return thing;
}

void dnode_put(struct ck_drafts *d, struct dnode *node)
{
	if (!node)
		return;
	pthread_mutex_lock(&d->lock);
	node->refs--;
	release(d, node);
	pthread_mutex_unlock(&d->lock);
}

void dnode_look_up(struct ck_drafts *d, struct dnode *node)
{
	pthread_mutex_lock(&d->lock);
	node->lookups++;
	pthread_mutex_unlock(&d->lock);
}

void ck_drafts_forget(struct ck_drafts *d, ck_ino ino, uint64_t count)
{
	struct dnode *node;

	pthread_mutex_lock(&d->lock);
	node = find_ino(d, ino);
	if (node) {
		node->lookups -= count < node->lookups ? count : node->lookups;
		release(d, node);
	}
	pthread_mutex_unlock(&d->lock);
}

struct dnode *dnode_kill(struct ck_drafts *d, const struct stat *st)
{
	struct dnode *node;

	pthread_mutex_lock(&d->lock);
	/* What has another name lives on. */
	node = S_ISDIR(st->st_mode) || st->st_nlink < 2 ? find_file(d, st) : NULL;
	if (node) {
		node->refs++;
		kill_node(d, node);
	}
	pthread_mutex_unlock(&d->lock);
	return node;
}

void dnode_revive(struct ck_drafts *d, struct dnode *node)
{
	struct dnode *other;

	if (!node)
		return;
	pthread_mutex_lock(&d->lock);
	HASH_FIND(by_file, d->files, &node->file, sizeof(node->file), other);
	if (node->dead && !other) {
		node->dead = false;
		HASH_ADD(by_file, d->files, file, sizeof(node->file), node);
	}
	pthread_mutex_unlock(&d->lock);
}

void dnode_move(struct ck_drafts *d, const struct stat *st, struct draft *draft, struct dnode *parent, const char *name)
{
	struct dnode *node;

	pthread_mutex_lock(&d->lock);
	d->moves++;
	node = find_file(d, st);
	/* Without memory for the name the inode is lost to the kernel, not the file. */
	if (node && put_in(d, node, draft, parent, name) < 0)
		kill_node(d, node);
	pthread_mutex_unlock(&d->lock);
}

void draft_set_gone(struct ck_drafts *d, struct draft *draft)
{
	struct dnode *node, *next;

	pthread_mutex_lock(&d->lock);
	draft->gone = true;
	for (node = draft->nodes; node; node = next) {
		next = node->after;
		kill_node(d, node);
	}
	pthread_mutex_unlock(&d->lock);
}
