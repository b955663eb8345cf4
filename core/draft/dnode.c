#include "core/draft/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* cp and others write as much at once: each write is a request, and brings another along (the
   kernel asks for security.capability before it). */
#define DRAFT_BLOCK (1 << 20)

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
		draft_put_locked(d, node->draft);
		free(node->name);
		free(node);
		if (parent)
			parent->refs--;
		node = parent;
	}
}

/* With the lock held. */
static int place(struct ck_drafts *d, struct dnode *node, struct draft *draft, struct dnode *parent, const char *name)
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
	if (place(d, node, draft, parent, name) < 0) {
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

	/* No file moves between drafts: the number was that of one that is being removed. */
	if (node && node->draft != draft) {
		kill_node(d, node);
		node = NULL;
	}
	if (!node)
		node = add_node(d, draft, parent, name, st);
	else if (place(d, node, draft, parent, name) < 0)
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
	node = find_file(d, st);
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

int dnode_dup(struct ck_drafts *d, struct dnode *node)
{
	int fd = -1;

	pthread_mutex_lock(&d->lock);
	if (node->dead && node->open)
		fd = fcntl(node->open->fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&d->lock);
	return fd;
}

void dnode_move(struct ck_drafts *d, const struct stat *st, struct draft *draft, struct dnode *parent, const char *name)
{
	struct dnode *node;

	pthread_mutex_lock(&d->lock);
	d->moves++;
	node = find_file(d, st);
	/* Without memory for the name the inode is lost to the kernel, not the file. */
	if (node && place(d, node, draft, parent, name) < 0)
		kill_node(d, node);
	pthread_mutex_unlock(&d->lock);
}

void draft_set_gone(struct ck_drafts *d, struct draft *draft)
{
	struct dnode *node, *next;

	pthread_mutex_lock(&d->lock);
	draft->gone = true;
	HASH_ITER(hh, d->inodes, node, next)
	if (node->draft == draft)
		kill_node(d, node);
	pthread_mutex_unlock(&d->lock);
}

/* Prepends "/NAME" to the path that ends at *AT. */
static bool prepend(char *path, size_t *at, const char *name)
{
	size_t len = strlen(name);

	if (len + 1 > *at)
		return false;
	*at -= len;
	memcpy(path + *at, name, len);
	path[--*at] = '/';
	return true;
}

bool dnode_path(struct ck_drafts *d, struct dnode *node, const char *name, char *path)
{
	char tail[PATH_MAX], base[PATH_MAX];
	size_t at = sizeof(tail) - 1;
	const struct draft *draft = node->draft;
	bool fits;

	tail[at] = '\0';
	fits = !name || prepend(tail, &at, name);
	pthread_mutex_lock(&d->lock);
	for (; node->parent && fits; node = node->parent)
		fits = prepend(tail, &at, node->name);
	/* A staged file has no parent, but a name; an ordinary one of a tag or a source has its path for one. */
	if (fits && (draft->kind == DRAFT_STAGED || draft->kind == DRAFT_PLAIN))
		fits = prepend(tail, &at, node->name);
	pthread_mutex_unlock(&d->lock);
	if (!fits)
		errno = ENAMETOOLONG;
	if (!fits || !draft_files_path(d, draft, base))
		return false;
	/* TAIL begins with a slash, where there is one. */
	return tail[at] ? ck_path_join(path, base, tail + at + 1) : strcpy(path, base) != NULL;
}

ck_ino dnode_parent_number(struct ck_drafts *d, const struct dnode *node)
{
	ck_ino ino;

	pthread_mutex_lock(&d->lock);
	ino = node->parent ? node->parent->ino : 0;
	pthread_mutex_unlock(&d->lock);
	return ino;
}

void dnode_attr(struct ck_drafts *d, const struct dnode *node, const struct stat *st, struct ck_attr *out)
{
	bool entrance, ours;
	double timeout;

	pthread_mutex_lock(&d->lock);
	entrance = !node->parent && node->draft->kind != DRAFT_PLAIN;
	ours = entrance || node->report;
	pthread_mutex_unlock(&d->lock);
	/* The way into a draft is asked for each time: publishing turns it into a step. So is DRAFT.error. */
	timeout = ours ? 0 : CK_TIMEOUT_CHANGING;
	*out = (struct ck_attr){ .st = *st,
				 .entry_timeout = timeout,
				 .attr_timeout = entrance ? CK_TIMEOUT_CHANGING : timeout };
	out->st.st_ino = node->ino;
	out->st.st_blksize = DRAFT_BLOCK;
}
