/* Link counts of the tree's directories: how many subdirectories each shows. Implements count.h. */
#include "core/tree/count.h"

#include "core/file/follow.h"
#include "core/file/real.h"
#include "core/tree/contain.h"
#include "core/tree/cut.h"
#include "core/tree/form.h"
#include "core/tree/joined.h"
#include "core/tree/key.h"
#include "core/tree/plain.h"
#include "core/tree/tag.h"
#include "core/tree/shown.h"
#include "core/tree/store.h"
#include "core/tree/there.h"
#include "core/tree/trash.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- of the base, of a source, of a tag ---- */

static nlink_t count_sources(const struct ck_tree *tree, const struct node *base)
{
	char path[PATH_MAX];
	struct stat st;
	nlink_t count = 0;

	for (size_t i = 0; i < sizeof(ck_sources) / sizeof(*ck_sources); i++)
		count += ck_sources[i].always ||
			 (ck_path_join(path, base->path, ck_sources[i].dir) && ck_follow_stat(path, &st) == 0 &&
			  S_ISDIR(st.st_mode));
	return tree->options.native ? count + ck_plain_count_dirs(base->path, CK_LEVEL_BASE) : count;
}

static nlink_t count_tags(const struct node *source)
{
	struct ck_names tags;
	nlink_t count;

	if (ck_store_tags(source->path, &tags, NULL))
		return 0;
	count = tags.count + ck_plain_count_dirs(source->path, CK_LEVEL_SOURCE);
	ck_names_free(&tags);
	return count;
}

static int count_steps(struct ck_tree *tree, const struct node *tag, nlink_t *count, struct ck_error *err)
{
	struct ck_names drafts;
	char path[PATH_MAX];
	uint64_t *steps;
	size_t found;
	int rc = tree_steps(tree, tag->path, &steps, &found, err);

	if (rc)
		return rc;
	free(steps);
	*count = found + tree_plain_dirs(tree, tag->path);
	strcpy(path, tag->path);
	if (tree_has_home(tree, tag->path) && tree_real(tree, path, NULL) == CK_OK &&
	    ck_store_drafts(path, &drafts, NULL) == CK_OK) {
		*count += drafts.count;
		ck_names_free(&drafts);
	}
	*count += trash_count(tree, tag) > 0;
	return CK_OK;
}

/* ---- of a step and its optim/ ---- */

/* How many forms are directories: each is there whatever the file holds. */
static nlink_t count_of_one(void)
{
	nlink_t count = 0;

	for (size_t i = 0; i < TREE_FORMS; i++)
		count += S_ISDIR(tree_forms[i].type);
	return count;
}

/* The directories that a stored file is shown as: none where it can't be shown. */
static nlink_t count_forms(struct ck_tree *tree, struct node *step, enum node_type type,
			   const struct ck_file_name *name)
{
	char path[PATH_MAX];
	struct node_key key;

	if (key_of_stored(tree, step, type, name, path, &key, NULL) || !node_is_shown(tree, &key))
		return 0;
	return count_of_one();
}

/* Whether the shards are shown joined, or cut: 1, 0, or -1, not known yet. */
static int is_shown_joined(struct ck_tree *tree, struct node *step, const char *tag, enum node_type type)
{
	ck_ino parent = ino_of(step, LOCAL_OPTIM);
	char path[PATH_MAX];
	struct node_key key;

	return key_of_joined(tree, tag, step->name.step, type, 0, parent, path, &key, NULL)
		       ? 0
		       : node_is_joined(tree, &key);
}

/* ST: of its model. */
static nlink_t count_step(struct ck_tree *tree, struct node *step, const struct stat *st)
{
	char tag[PATH_MAX], path[PATH_MAX];
	struct node_key key;
	nlink_t forms = 0;
	int hf = 0;

	/* hf/ comes first: where its answer isn't known, the file need not be asked whether it can be shown. */
	if (S_ISREG(st->st_mode)) {
		key_of_model(tree, step, st, &key);
		hf = node_has_hf(tree, &key);
		if (hf < 0)
			return COUNT_UNKNOWN;
		forms = node_is_shown(tree, &key) ? count_of_one() : 0;
	}
	path_of_tag(step, tag);
	return forms + (nlink_t)hf +
	       (tree_has_ranks(tree, tag, step->name.step) || tree_path_of_written(tree, step, path));
}

/* The directories of shards that are being written. */
static nlink_t count_written(struct ck_tree *tree, const struct node *step)
{
	char path[PATH_MAX], one[PATH_MAX];
	struct ck_names names;
	struct stat st;
	nlink_t count = 0;

	if (!tree_path_of_written(tree, step, path) || ck_list_real_dir(path, &names, NULL))
		return 0;
	for (size_t i = 0; i < names.count; i++)
		count += ck_path_join(one, path, names.names[i]) && ck_real_stat(one, &st) == 0 && S_ISDIR(st.st_mode);
	ck_names_free(&names);
	return count;
}

static int count_optim(struct ck_tree *tree, struct node *step, nlink_t *count, struct ck_error *err)
{
	struct ck_file_name shard = { .kind = CK_FILE_OPTIM, .step = step->name.step };
	char tag[PATH_MAX];
	uint64_t *ranks;
	size_t found;
	int rc, all, cut;

	path_of_tag(step, tag);
	rc = tree_ranks(tree, tag, shard.step, &ranks, &found, err);
	if (rc)
		return rc;
	all = is_shown_joined(tree, step, tag, NODE_ALL);
	cut = tree_may_cut(tree, tag, shard.step) ? is_shown_joined(tree, step, tag, NODE_CUT) : 0;
	*count = all < 0 || cut < 0 ? COUNT_UNKNOWN : count_written(tree, step) + (nlink_t)all * count_of_one();
	if (cut > 0 && *count != COUNT_UNKNOWN)
		*count += tree->options.ranks * count_of_one();
	for (size_t i = 0; i < found && cut == 0 && *count != COUNT_UNKNOWN; i++) {
		shard.rank = ranks[i];
		*count += count_forms(tree, step, NODE_OPTIM, &shard);
	}
	free(ranks);
	return CK_OK;
}

int tree_count_subdirs(struct ck_tree *tree, struct node *n, uint32_t local, const struct stat *st, nlink_t *count,
		       struct ck_error *err)
{
	switch (n->type) {
	case NODE_BASE:
		*count = count_sources(tree, n);
		return CK_OK;
	case NODE_SOURCE:
		*count = count_tags(n);
		return CK_OK;
	case NODE_TAG:
		if (local != LOCAL_TRASH)
			return count_steps(tree, n, count, err);
		*count = trash_count(tree, n);
		return CK_OK;
	default:
		if (local == LOCAL_OPTIM)
			return count_optim(tree, n, count, err);
		*count = count_step(tree, n, st);
		return CK_OK;
	}
}
