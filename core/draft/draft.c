/* The drafts of a mount, from its beginning to its end. Implements draft.h. */
#include "core/draft/draft.h"

#include "core/draft/alias.h"
#include "core/draft/lock.h"
#include "core/draft/log.h"
#include "core/draft/private.h"
#include "core/draft/table.h"
#include "core/file/real.h"
#include "core/tree/store.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* TAG takes PATH_MAX bytes, and becomes a real path. */
static void enter_tag(struct ck_drafts *d, char *tag)
{
	struct ck_error err = CK_ERROR_INIT;
	char home[PATH_MAX];
	struct ck_lock *lock;
	struct stat st;

	if (ck_tree_real(d->tree, tag, NULL) || !ck_path_join(home, tag, CK_DRAFT_DIR) || ck_real_stat(home, &st) < 0)
		return;
	lock = ck_lock_of(d->locks, tag);
	if (lock && ck_lock_clear(lock, &err) && err.code != CK_ERR_ROFS && err.sys != EACCES && err.sys != EROFS)
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
	d->log = options->log;
	d->log_arg = options->log_arg;
	d->may_delete = options->may_delete;
	d->native = options->native;
	d->gave_up = options->gave_up;
	d->gave_up_arg = options->gave_up_arg;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->released, NULL);
	d->locks = ck_locks_new(options->rclone, d->log, d->log_arg);
	if (!d->locks) {
		ck_drafts_free(d);
		return ck_fail_nomem(err);
	}
	if (strlen(options->store) >= sizeof(path)) {
		ck_drafts_free(d);
		return ck_fail_long_path(err);
	}
	if (options->level == CK_LEVEL_BASE && ck_path_join(path, options->store, "tokenizer"))
		d->guarded = strdup(path);
	strcpy(path, options->store);
	*out = d;
	if (options->read_only)
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

	if (!d)
		return;
	alias_free_all(d);
	/* The kernel doesn't forget what it knew of a mount that ends. */
	HASH_ITER(hh, d->inodes, node, next_node) {
		HASH_DEL(d->inodes, node);
		if (!node->dead)
			HASH_DELETE(by_file, d->files, node);
		draft_put(d, node->draft);
		free(node->name);
		free(node);
	}
	if (d->plain)
		draft_put(d, d->plain);
	ck_locks_free(d->locks);
	free(d->guarded);
	pthread_cond_destroy(&d->released);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
