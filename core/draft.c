#include "draft_private.h"

#include "io.h"
#include "plan.h"
#include "real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAFT_BLOCK (1 << 20)

/* ---- drafts ---- */

static bool draft_dir(char *path, const char *tag, enum ck_draft_kind kind, uint64_t step)
{
	char name[64] = "staged";

	if (kind != DRAFT_STAGED)
		ck_draft_format(kind, step, name, sizeof(name));
	return ck_path_join(path, tag, CK_DRAFT_DIR) && ck_path_join(path, path, name);
}

bool draft_files_path(struct ck_drafts *d, const struct draft *draft, char *path)
{
	pthread_mutex_lock(&d->lock);
	strcpy(path, draft->dir);
	pthread_mutex_unlock(&d->lock);
	return draft->kind == DRAFT_STAGED || ck_path_join(path, path, "files");
}

static int make_dir(const char *path, struct ck_error *err)
{
	return ck_real_mkdir(path, 0777) < 0 && errno != EEXIST ? ck_fail_sys(err, "mkdir") : CK_OK;
}

/* The draft's directories on disk. Half-made ones (no files/) are no draft, and are cleared at the next mount. */
static int make_on_disk(struct ck_drafts *d, struct draft *draft, struct ck_error *err)
{
	char path[PATH_MAX];
	int rc = tag_lock(d, draft->tag, true, err);

	if (!rc)
		rc = make_dir(draft->dir, err);
	if (!rc && draft->kind != DRAFT_STAGED)
		rc = draft_files_path(d, draft, path) ? make_dir(path, err)
						      : ck_fail(err, CK_ERR_INVALID, "the path is too long");
	return rc;
}

static struct draft *find_draft(struct ck_drafts *d, const char *dir)
{
	struct draft *draft = d->drafts;

	while (draft && (draft->gone || strcmp(draft->dir, dir) != 0))
		draft = draft->next;
	return draft;
}

static struct draft *add_draft(struct ck_drafts *d, const char *tag, const char *dir, enum ck_draft_kind kind,
			       uint64_t step)
{
	struct draft *draft = calloc(1, sizeof(*draft));

	if (!draft)
		return NULL;
	draft->partial = kind == CK_DRAFT_PARTIAL;
	draft->kind = draft->partial ? CK_DRAFT_STEP : kind;
	draft->step = step;
	strcpy(draft->tag, tag);
	strcpy(draft->dir, dir);
	pthread_rwlock_init(&draft->lock, NULL);
	draft->next = d->drafts;
	d->drafts = draft;
	return draft;
}

int draft_get(struct ck_drafts *d, const char *tag, enum ck_draft_kind kind, uint64_t step, bool create,
	      struct draft **out, struct ck_error *err)
{
	char dir[PATH_MAX], files[PATH_MAX];
	struct draft *draft;
	struct stat st;
	int rc = CK_OK;

	if (strlen(tag) >= PATH_MAX || !draft_dir(dir, tag, kind, step))
		return ck_fail(err, CK_ERR_INVALID, "the path is too long");
	pthread_mutex_lock(&d->lock);
	draft = find_draft(d, dir);
	if (!draft)
		draft = add_draft(d, tag, dir, kind, step);
	if (draft)
		draft->refs++;
	pthread_mutex_unlock(&d->lock);
	if (!draft)
		return ck_fail_nomem(err);
	if (create)
		rc = make_on_disk(d, draft, err);
	else if (!draft_files_path(d, draft, files) || ck_real_stat(files, &st) < 0 || !S_ISDIR(st.st_mode))
		rc = ck_fail(err, CK_ERR_NOENT, "no such draft");
	else    /* perhaps another mount's: nobody may take what we use for a leftover */
		rc = tag_lock(d, tag, false, err);
	if (rc)
		draft_put(d, draft);
	else
		*out = draft;
	return rc;
}

/* With the lock held. */
static void put_draft_locked(struct ck_drafts *d, struct draft *draft)
{
	struct draft **at = &d->drafts;

	if (--draft->refs)
		return;
	while (*at != draft)
		at = &(*at)->next;
	*at = draft->next;
	pthread_rwlock_destroy(&draft->lock);
	free(draft);
}

void draft_put(struct ck_drafts *d, struct draft *draft)
{
	pthread_mutex_lock(&d->lock);
	put_draft_locked(d, draft);
	pthread_mutex_unlock(&d->lock);
}

int draft_move(struct ck_drafts *d, struct draft *draft, const char *dir, bool partial, uint64_t step,
	       struct ck_error *err)
{
	struct draft *other;
	int rc = CK_OK;

	/* A rename waits for no data; whoever looks for either name finds the one that is there. */
	pthread_mutex_lock(&d->lock);
	if (ck_real_rename(draft->dir, dir, RENAME_NOREPLACE) < 0) {
		rc = ck_fail_sys(err, "rename");
	} else {
		/* One that is looked for, in vain. */
		other = find_draft(d, dir);
		if (other)
			other->gone = true;
		strcpy(draft->dir, dir);
		draft->partial = partial;
		draft->step = step;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int draft_sync(struct ck_drafts *d, struct draft *draft, bool way, struct ck_error *err)
{
	char dir[PATH_MAX];
	int rc = CK_OK;

	pthread_mutex_lock(&d->lock);
	strcpy(dir, draft->dir);
	pthread_mutex_unlock(&d->lock);
	if (atomic_exchange(&draft->unsynced, false)) {
		rc = ck_order_sync(dir, err);
		if (rc)
			atomic_store(&draft->unsynced, true);
	}
	/* The draft, TAG/.ckptfs, TAG. */
	for (int level = 0; way && level < 3 && !rc; level++) {
		rc = ck_real_sync(dir, err);
		*strrchr(dir, '/') = '\0';
	}
	return rc;
}

int draft_begin(struct draft *draft, struct ck_error *err)
{
	pthread_rwlock_rdlock(&draft->lock);
	if (!draft->gone)
		return CK_OK;
	pthread_rwlock_unlock(&draft->lock);
	return ck_fail(err, CK_ERR_STALE, "the draft was published or removed");
}

void draft_end(struct draft *draft) { pthread_rwlock_unlock(&draft->lock); }

/* ---- inodes ---- */

/* Marks the numbers that are counted, not computed. */
#define OWN_NUMBER ((ck_ino)1 << 62)

/* Tags may lie on different devices, on which the same numbers are in use. */
static ck_ino number_of(const struct stat *st)
{
	uint64_t device = (uint64_t)st->st_dev * UINT64_C(0x9e3779b97f4a7c15) >> 42;

	return CK_INO_DRAFT | (((uint64_t)st->st_ino ^ device << 40) & ~OWN_NUMBER & ~CK_INO_DRAFT);
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
	ino = node ? node->ino : number_of(st);
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
		put_draft_locked(d, node->draft);
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
	draft->refs++;
	if (node->draft)
		put_draft_locked(d, node->draft);
	node->draft = draft;
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
	node->ino = number_of(st);
	while (find_ino(d, node->ino))
		node->ino = CK_INO_DRAFT | OWN_NUMBER | ++d->next_ino;
	HASH_ADD(hh, d->inodes, ino, sizeof(node->ino), node);
	HASH_ADD(by_file, d->files, file, sizeof(node->file), node);
	return node;
}

struct dnode *dnode_get(struct ck_drafts *d, struct draft *draft, struct dnode *parent, const char *name,
			const struct stat *st)
{
	struct dnode *node;

	pthread_mutex_lock(&d->lock);
	node = find_file(d, st);
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
	pthread_mutex_unlock(&d->lock);
	return node;
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
	/* A staged file has no parent, but a name. */
	if (fits && draft->kind == DRAFT_STAGED)
		fits = prepend(tail, &at, node->name);
	pthread_mutex_unlock(&d->lock);
	if (!fits || !draft_files_path(d, draft, base))
		return false;
	/* TAIL begins with a slash, where there is one. */
	return tail[at] ? ck_path_join(path, base, tail + at + 1) : strcpy(path, base) != NULL;
}

void dnode_attr(const struct dnode *node, const struct stat *st, struct ck_attr *out)
{
	/* The way into a draft is asked for each time: publishing turns it into a step. So is the report, which we
	   write behind the kernel's back. */
	bool ours = !node->parent || strcmp(node->name, "DRAFT.error") == 0;
	double timeout = ours ? 0 : CK_TIMEOUT_CHANGING;

	*out = (struct ck_attr){ .st = *st,
				 .entry_timeout = timeout,
				 .attr_timeout = node->parent ? timeout : CK_TIMEOUT_CHANGING };
	out->st.st_ino = node->ino;
	/* cp and others write as much at once: each write is a request, and brings another along (the
	   kernel asks for security.capability before it). */
	out->st.st_blksize = DRAFT_BLOCK;
}

void draft_say(struct ck_drafts *d, const struct ck_error *err)
{
	char line[768];

	if (d->log)
		d->log(d->log_arg, ck_error_line(err, line, sizeof(line)));
}
