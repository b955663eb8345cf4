#include "core/draft/private.h"

#include "core/draft/plan.h"
#include "core/draft/publish.h"
#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* A draft whose step came to be by another way gets a name by which it can be reached. */
static void set_aside(const char *dir)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s.partial", dir) < sizeof(path))
		ck_real_rename(dir, path, RENAME_NOREPLACE);
}

/* Whether a draft of shards has none left: at most our report of an earlier try is there. While
   the step has no shard at all it stands for optim/, which somebody made. */
static bool is_spent(const char *tag, const char *files, uint64_t step)
{
	struct ck_names names;
	char optim[PATH_MAX];
	uint64_t *ranks;
	struct stat st;
	size_t count;
	bool spent;

	if (!ck_path_join(optim, files, "optim") || ck_store_ranks(tag, step, &ranks, &count, NULL))
		return false;
	free(ranks);
	if (ck_real_stat(optim, &st) < 0 && errno == ENOENT)
		return true;
	if (count == 0 || ck_list_real_dir(optim, &names, NULL))
		return false;
	spent = names.count == 0 || (names.count == 1 && strcmp(names.names[0], "DRAFT.error") == 0);
	ck_names_free(&names);
	return spent;
}

/* The order of creation, of the directories for which it matters: those of tensors. */
static int complete_order(const char *dir, const char *files, struct ck_error *err)
{
	struct ck_names names = { 0 };
	char sub[PATH_MAX], optim[PATH_MAX];
	struct stat st;
	int rc = ck_order_complete(dir, "model", err);

	if (!rc && ck_path_join(optim, files, "optim") && ck_real_stat(optim, &st) == 0)
		rc = ck_list_real_dir(optim, &names, err);
	for (size_t i = 0; i < names.count && !rc; i++)
		if (ck_path_join(sub, "optim", names.names[i]))
			rc = ck_order_complete(dir, sub, err);
	ck_names_free(&names);
	return rc;
}

static void recover_draft(struct ck_drafts *d, const char *tag, const char *path, enum ck_draft_kind kind,
			  uint64_t step)
{
	struct ck_error err = CK_ERROR_INIT;
	char files[PATH_MAX];
	struct stat st;
	bool gone = false;
	int rc;

	if (!ck_path_join(files, path, "files"))
		return;
	if (ck_real_stat(files, &st) < 0) {
		/* Half-made, or half-removed. */
		if (errno == ENOENT)
			ck_remove_tree(path);
		return;
	}
	rc = ck_publish_recover(tag, path, kind, &gone, &err);
	if (!rc && !gone)
		rc = complete_order(path, files, &err);
	if (rc)
		draft_say(d, &err);
	else if (!gone && kind == CK_DRAFT_OPTIM && is_spent(tag, files, step))
		ck_remove_tree(path);
	else if (!gone && kind == CK_DRAFT_STEP && ck_store_has_model(tag, step))
		set_aside(path);
}

/* One entry of TAG/.ckptfs, of which no living mount knows. */
static void recover_entry(struct ck_drafts *d, const char *tag, const char *home, const char *name)
{
	const char *dot = strrchr(name, '.');
	enum ck_draft_kind kind;
	char path[PATH_MAX];
	uint64_t step;

	if (!ck_path_join(path, home, name))
		return;
	if (strcmp(name, "staged") == 0 || (dot && strcmp(dot, ".trash") == 0))
		ck_remove_tree(path);
	else if (ck_draft_parse(name, &kind, &step))
		recover_draft(d, tag, path, kind, step);
}

static void recover_tag(struct ck_drafts *d, const char *tag, const char *home)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_names names;

	if (ck_list_real_dir(home, &names, &err)) {
		draft_say(d, &err);
		return;
	}
	for (size_t i = 0; i < names.count; i++)
		recover_entry(d, tag, home, names.names[i]);
	ck_names_free(&names);
}

/* Whether TAG's lock is held, and still the one that others find: somebody may have removed HOME by hand. The one that
   was taken last comes first. */
static bool holds(struct ck_drafts *d, const char *tag, const char *home)
{
	struct stat held = { 0 }, found;
	char path[PATH_MAX];
	struct tag_lock *t;
	bool is_held;

	pthread_mutex_lock(&d->lock);
	for (t = d->tags; t && strcmp(t->tag, tag) != 0; t = t->next)
		;
	is_held = t && fstat(t->fd, &held) == 0;
	pthread_mutex_unlock(&d->lock);
	return is_held && ck_path_join(path, home, "lock") && ck_real_stat(path, &found) == 0 &&
	       found.st_dev == held.st_dev && found.st_ino == held.st_ino;
}

/* The lock, alone if nobody else has it (then leftovers are cleared) and shared in the end. A
   descriptor, or -1. */
static int take_lock(struct ck_drafts *d, const char *tag, const char *home, bool create, struct ck_error *err)
{
	char path[PATH_MAX];
	int fd = -1;

	if (create && ck_real_mkdir(home, 0777) < 0 && errno != EEXIST) {
		ck_error_set_sys(err, "mkdir");
		return -1;
	}
	if (ck_path_join(path, home, "lock"))
		fd = ck_real_open(path, O_RDWR | O_CREAT, 0666);
	else
		errno = ENAMETOOLONG;
	if (fd < 0) {
		ck_error_set_sys(err, "open of the tag's lock");
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		recover_tag(d, tag, home);
	/* A file system without locks: then nothing tells two mounts apart, and nothing is
	   cleared while it may be in use. */
	while (flock(fd, LOCK_SH) < 0 && errno == EINTR)
		;
	return fd;
}

int tag_lock(struct ck_drafts *d, const char *tag, bool create, struct ck_error *err)
{
	struct tag_lock *t;
	char home[PATH_MAX];

	if (d->read_only)
		return CK_OK;
	if (!ck_path_join(home, tag, CK_DRAFT_DIR))
		return ck_fail(err, CK_ERR_INVALID, "the path is too long");
	if (holds(d, tag, home))
		return CK_OK;
	t = malloc(sizeof(*t) + strlen(tag) + 1);
	if (!t)
		return ck_fail_nomem(err);
	strcpy(t->tag, tag);
	t->fd = take_lock(d, tag, home, create, err);
	if (t->fd < 0) {
		free(t);
		ck_error_file(err, home);
		return CK_ERR_SYS;
	}
	pthread_mutex_lock(&d->lock);
	/* Another thread may have been as quick; two locks are as good as one. */
	t->next = d->tags;
	d->tags = t;
	pthread_mutex_unlock(&d->lock);
	return CK_OK;
}

void tag_unlock(struct ck_drafts *d, const char *tag, const char *home)
{
	struct tag_lock **at = &d->tags, *t;
	char path[PATH_MAX];

	if (ck_path_join(path, home, "lock"))
		ck_real_unlink(path);
	ck_real_rmdir(home);
	pthread_mutex_lock(&d->lock);
	while ((t = *at)) {
		if (strcmp(t->tag, tag) != 0) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		close(t->fd);
		free(t);
	}
	pthread_mutex_unlock(&d->lock);
}

/* TAG takes PATH_MAX bytes, and becomes a real path. */
static void enter_tag(struct ck_drafts *d, char *tag)
{
	struct ck_error err = CK_ERROR_INIT;
	char home[PATH_MAX];
	struct stat st;

	if (ck_tree_real(d->tree, tag, NULL) || !ck_path_join(home, tag, CK_DRAFT_DIR) || ck_real_stat(home, &st) < 0)
		return;
	if (tag_lock(d, tag, false, &err) && err.sys != EACCES && err.sys != EROFS)
		draft_say(d, &err);
}

static void enter_source(struct ck_drafts *d, char *source)
{
	struct ck_names tags;
	char path[PATH_MAX];

	if (ck_tree_real(d->tree, source, NULL) || ck_store_tags(source, &tags, NULL))
		return;
	for (size_t i = 0; i < tags.count; i++)
		if (ck_path_join(path, source, tags.names[i]))
			enter_tag(d, path);
	ck_names_free(&tags);
}

int ck_drafts_new(struct ck_tree *tree, const struct ck_tree_options *options, struct ck_drafts **out,
		  struct ck_error *err)
{
	struct ck_drafts *d = calloc(1, sizeof(*d));
	char path[PATH_MAX];

	if (!d)
		return ck_fail_nomem(err);
	d->tree = tree;
	d->read_only = options->read_only;
	d->log = options->log;
	d->log_arg = options->log_arg;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->released, NULL);
	if (strlen(options->store) >= sizeof(path)) {
		ck_drafts_free(d);
		return ck_fail(err, CK_ERR_INVALID, "the path is too long");
	}
	strcpy(path, options->store);
	*out = d;
	if (d->read_only)
		return CK_OK;
	if (options->level == CK_LEVEL_TAG)
		enter_tag(d, path);
	if (options->level == CK_LEVEL_SOURCE)
		enter_source(d, path);
	for (size_t i = 0; options->level == CK_LEVEL_BASE && i < sizeof(ck_sources) / sizeof(*ck_sources); i++)
		if (ck_path_join(path, options->store, ck_sources[i].dir))
			enter_source(d, path);
	return CK_OK;
}

void ck_drafts_free(struct ck_drafts *d)
{
	struct dnode *node, *next_node;
	struct tag_lock *t, *next_tag;

	if (!d)
		return;
	/* The kernel doesn't forget what it knew of a mount that ends. */
	HASH_ITER(hh, d->inodes, node, next_node) {
		HASH_DEL(d->inodes, node);
		if (!node->dead)
			HASH_DELETE(by_file, d->files, node);
		draft_put(d, node->draft);
		free(node->name);
		free(node);
	}
	for (t = d->tags; t; t = next_tag) {
		next_tag = t->next;
		close(t->fd);
		free(t);
	}
	pthread_cond_destroy(&d->released);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
