/* Listings of the tree's directories. Implements list.h; one function for each kind of directory. */
#include "core/file/follow.h"
#include "core/tree/list.h"

#include "core/pt/forms.h"
#include "core/tree/choice.h"
#include "core/tree/contain.h"
#include "core/tree/cut.h"
#include "core/tree/dir.h"
#include "core/tree/form.h"
#include "core/tree/history.h"
#include "core/tree/hub.h"
#include "core/tree/joined.h"
#include "core/tree/key.h"
#include "core/tree/node_load.h"
#include "core/tree/tag.h"
#include "core/tree/store.h"
#include "core/tree/there.h"
#include "core/tree/trash.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ck_ino ino_of_key(const struct node_key *key, uint32_t local)
{
	return node_base(key) << LOCAL_BITS | local;
}

static int list_base(struct ck_tree *tree, struct node *base, struct ck_dir *dir, struct ck_error *err)
{
	char path[PATH_MAX];
	struct node_key key;
	struct stat st;
	int rc = CK_OK;

	for (uint32_t i = 0; i < sizeof(ck_sources) / sizeof(*ck_sources) && !rc; i++) {
		key_of_source(tree, base, i, path, &key);
		if (!ck_sources[i].always && (ck_follow_stat(path, &st) < 0 || !S_ISDIR(st.st_mode)))
			continue;
		rc = dir_add(dir, ck_sources[i].name, ino_of_key(&key, LOCAL_SELF), S_IFDIR, true, err);
		if (!rc && tree->options.native)
			rc = dir_add(dir, ck_sources[i].dir, ino_of(base, LOCAL_LINK + i), S_IFLNK, true, err);
	}
	return rc;
}

static int list_source(struct ck_tree *tree, struct node *source, struct ck_dir *dir, struct ck_error *err)
{
	char path[PATH_MAX], target[NAME_MAX + 1];
	struct ck_names tags;
	struct node_key key;
	struct stat st;
	bool taken = false;
	int rc;

	/* Not made yet: empty. Any other failure (EACCES) goes to the reader. */
	if (source != tree->root && ck_follow_stat(source->path, &st) < 0 && errno == ENOENT)
		return CK_OK;
	rc = ck_store_tags(source->path, &tags, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < tags.count && !rc; i++) {
		key_of_tag(source, tags.names[i], path, &key);
		rc = dir_add(dir, tags.names[i], ino_of_key(&key, LOCAL_SELF), S_IFDIR, true, err);
		taken |= strcmp(tags.names[i], "largest") == 0;
	}
	ck_names_free(&tags);
	if (!rc && !taken && tree_largest(tree, source, target, NULL) == CK_OK)
		rc = dir_add(dir, "largest", ino_of(source, LOCAL_LINK), S_IFLNK, true, err);
	return rc;
}

/* The shards of a step that is cut, under nanochat's own names. */
static int list_native_cut(struct ck_tree *tree, struct node *tag, uint64_t step, struct ck_dir *dir,
			   struct ck_error *err)
{
	struct ck_file_name name = { .kind = CK_FILE_OPTIM, .step = step };
	char path[PATH_MAX], text[64];
	struct node_key key;
	int rc = CK_OK;

	for (name.rank = 0; name.rank < tree->options.ranks && !rc; name.rank++) {
		rc = key_of_joined(tree, tag->path, step, NODE_CUT_FILE, name.rank, ino_of(tag, LOCAL_SELF), path, &key,
				   err);
		if (!rc)
			rc = dir_add(dir, ck_file_name_format(&name, text, sizeof(text)), ino_of_key(&key, LOCAL_SELF),
				 S_IFREG, false, err);
	}
	return rc;
}

/* Every stored file under its own name, by one look at the directory. */
static int list_native(struct ck_tree *tree, struct node *tag, struct ck_dir *dir, struct ck_error *err)
{
	struct ck_file_name name, shard = { .kind = CK_FILE_META };     /* the shard that was looked at last; none */
	struct ck_names names;
	enum tree_cut cut = CUT_NOT;
	char path[PATH_MAX];
	struct node_key key;
	int rc = ck_list_dir(tag->path, &names, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < names.count && !rc; i++) {
		if (!ck_file_name_parse(names.names[i], &name))
			continue;
		/* Names are sorted: the shards of a step stand together. */
		if (name.kind == CK_FILE_OPTIM && (shard.kind != CK_FILE_OPTIM || shard.step != name.step)) {
			shard = name;
			rc = tree_cut_of(tree, tag->path, name.step, &cut, err);
			if (!rc && cut == CUT_IS)
				rc = list_native_cut(tree, tag, name.step, dir, err);
		}
		if (rc || (name.kind == CK_FILE_OPTIM && cut == CUT_IS) ||
		    key_of_stored(tree, tag, NODE_NATIVE, &name, path, &key, NULL))
			continue;
		rc = dir_add(dir, names.names[i], ino_of_key(&key, LOCAL_SELF), S_IFREG, true, err);
	}
	ck_names_free(&names);
	return rc;
}

/* What all steps together give. The attributes of the last two cost a look at the metadata of each step. */
static int list_of_steps(struct ck_tree *tree, struct node *tag, struct ck_dir *dir, struct ck_error *err)
{
	bool read, scored;
	uint64_t latest;
	int rc = CK_OK;

	if (tree_latest(tree, tag, &latest, NULL) == CK_OK) {
		rc = dir_add(dir, "latest", ino_of(tag, LOCAL_LINK), S_IFLNK, true, err);
		if (!rc && tree_shows_best(tree, tag, latest))
			rc = dir_add(dir, "best", ino_of(tag, LOCAL_BEST), S_IFLNK, false, err);
	}
	if (!rc)
		rc = dir_add(dir, "history.tsv", ino_of(tag, tree_history_known(tree, tag, &read, &scored)), S_IFREG,
			     false, err);
	return rc;
}

static int list_tag(struct ck_tree *tree, struct node *tag, struct ck_dir *dir, struct ck_error *err)
{
	char path[PATH_MAX], text[64];
	uint64_t *steps;
	struct node_key key;
	size_t count;
	int rc = tree_steps(tree, tag->path, &steps, &count, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < count && !rc; i++) {
		key_of_step(tag, steps[i], path, &key);
		/* Not cheap: the step's link count costs a look at the end of its model. */
		rc = dir_add(dir, ck_step_format(steps[i], text, sizeof(text)), ino_of_key(&key, LOCAL_SELF), S_IFDIR,
			 false, err);
	}
	free(steps);
	if (!rc && tree->options.native)
		rc = list_native(tree, tag, dir, err);
	if (!rc && count > 0)
		rc = list_of_steps(tree, tag, dir, err);
	if (!rc && trash_count(tree, tag) > 0)
		rc = dir_add(dir, CK_TRASH_NAME, ino_of(tag, LOCAL_TRASH), S_IFDIR, false, err);
	return rc;
}

static int list_trash(struct ck_tree *tree, struct node *tag, struct ck_dir *dir, struct ck_error *err)
{
	char path[PATH_MAX];
	struct ck_names names;
	struct node_key key;
	uint32_t local;
	int rc = trash_names(tree, tag, &names, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < names.count && !rc; i++)
		if (trash_key(tree, tag, names.names[i], path, &key, &local, NULL) == CK_OK)
			rc = dir_add(dir, names.names[i], ino_of_key(&key, local), S_IFDIR, false, err);
	ck_names_free(&names);
	return rc;
}

/* Checkpoint C as everything that it is shown as: STEM ("model", "rank0", "all") with each suffix; without one, WHY as
   STEM.error. */
static int list_forms(struct node *n, const struct ck_checkpoint *c, const struct ck_error *why, const char *stem,
		      struct ck_dir *dir, struct ck_error *err)
{
	bool shown = why->code && node_error_is_shown(why);
	char text[64];
	int rc = CK_OK;

	/* Neither the file nor its error could be shown, so the listing would be wrong. */
	if (why->code == CK_ERR_SYS && !shown) {
		ck_error_copy(err, why);
		return CK_ERR_SYS;
	}
	for (size_t i = 0; (c || shown) && i < TREE_FORMS && !rc; i++) {
		const struct tree_form *f = &tree_forms[i];

		if ((f->local == LOCAL_ERROR) != shown ||
		    (f->form >= 0 && !ck_checkpoint_has(c, (enum ck_form)f->form)))
			continue;
		snprintf(text, sizeof(text), "%s%s", stem, f->suffix);
		/* The size of a table costs a read for each tensor: it is computed for stat alone. */
		rc = dir_add(dir, text, ino_of(n, f->local), f->type, f->local != LOCAL_TSV, err);
	}
	return rc;
}

/* A stored file in all its forms, or as its error; and .pt. */
static int list_stored(struct ck_tree *tree, struct node *step, enum node_type type, const struct ck_file_name *name,
		       const char *stem, struct ck_dir *dir, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	struct node_key key;
	char text[64];
	struct node *n;
	int rc;

	rc = node_of_stored(tree, step, type, name, &n, &c, &why);
	if (!n)
		return rc == CK_ERR_NOMEM ? ck_fail_nomem(err) : CK_OK; /* the file went away since */
	rc = list_forms(n, c, &why, stem, dir, err);
	if (!rc && c && type == NODE_MODEL)
		rc = ck_checkpoint_has(c, CK_FORM_HF_CONFIG)
			     ? dir_add(dir, "hf", ino_of(n, LOCAL_HF), S_IFDIR, true, err)
			     : dir_add(dir, "hf.error", ino_of(n, LOCAL_HF_ERROR), S_IFREG, true, err);
	ck_checkpoint_unref(c);
	if (!rc) {
		key = (struct node_key){ .type = NODE_FILE, .path = n->path, .name = n->name, .ident = n->ident };
		snprintf(text, sizeof(text), "%s.pt", stem);
		rc = dir_add(dir, text, ino_of_key(&key, LOCAL_SELF), S_IFREG, true, err);
	}
	node_put(tree, n, 1);
	return rc;
}

static int list_meta(struct ck_tree *tree, struct node *step, struct ck_dir *dir, struct ck_error *err)
{
	struct ck_file_name name = { .kind = CK_FILE_META, .step = step->name.step };
	struct ck_error why = CK_ERROR_INIT;
	struct node *n;
	int rc;

	rc = node_of_stored(tree, step, NODE_META, &name, &n, NULL, &why);
	if (!n)
		return rc == CK_ERR_NOMEM ? ck_fail_nomem(err) : CK_OK;
	rc = CK_OK;
	if (!why.code)
		rc = dir_add(dir, "meta.json", ino_of(n, LOCAL_SELF), S_IFREG, true, err);
	else if (node_error_is_shown(&why))
		rc = dir_add(dir, "meta.error", ino_of(n, LOCAL_ERROR), S_IFREG, true, err);
	node_put(tree, n, 1);
	return rc;
}

static int list_step(struct ck_tree *tree, struct node *step, struct ck_dir *dir, struct ck_error *err)
{
	struct ck_file_name name = { .kind = CK_FILE_MODEL, .step = step->name.step };
	uint64_t *ranks;
	char path[PATH_MAX];
	size_t count;
	int rc;

	rc = list_meta(tree, step, dir, err);
	if (!rc)
		rc = list_stored(tree, step, NODE_MODEL, &name, "model", dir, err);
	if (rc)
		return rc;
	path_of_tag(step, path);
	rc = tree_ranks(tree, path, step->name.step, &ranks, &count, err);
	if (rc)
		return rc;
	free(ranks);
	return count ? dir_add(dir, "optim", ino_of(step, LOCAL_OPTIM), S_IFDIR, false, err) : CK_OK;
}

/* The joined state of all shards, or why there is none. */
static int list_all(struct ck_tree *tree, struct node *step, const char *tag, struct ck_dir *dir, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	char path[PATH_MAX];
	struct node_key key;
	struct node *n;
	int rc = key_of_joined(tree, tag, step->name.step, NODE_ALL, 0, ino_of(step, LOCAL_OPTIM), path, &key, err);

	if (rc)
		return rc == CK_ERR_NOENT ? (ck_error_clear(err), CK_OK) : rc; /* the files went away since */
	n = node_get(tree, &key);
	if (!n)
		return ck_fail_nomem(err);
	node_checkpoint(tree, n, &c, &why);
	rc = list_forms(n, c, &why, "all", dir, err);
	ck_checkpoint_unref(c);
	node_put(tree, n, 1);
	return rc;
}

/* The shards of options.ranks: which they are is known without opening them. */
static int list_cut(struct ck_tree *tree, struct node *step, const char *tag, struct ck_dir *dir, struct ck_error *err)
{
	char path[PATH_MAX], text[64];
	struct node_key key;
	int rc = CK_OK;

	for (unsigned r = 0; r < tree->options.ranks && !rc; r++) {
		rc = key_of_joined(tree, tag, step->name.step, NODE_CUT, r, ino_of(step, LOCAL_OPTIM), path, &key, err);
		for (size_t i = 0; i < TREE_FORMS && !rc; i++) {
			if (tree_forms[i].local == LOCAL_ERROR)
				continue;
			snprintf(text, sizeof(text), "rank%u%s", r, tree_forms[i].suffix);
			rc = dir_add(dir, text, ino_of_key(&key, tree_forms[i].local), tree_forms[i].type, false, err);
		}
		key.type = NODE_CUT_FILE;
		snprintf(text, sizeof(text), "rank%u.pt", r);
		if (!rc)
			rc = dir_add(dir, text, ino_of_key(&key, LOCAL_SELF), S_IFREG, false, err);
	}
	return rc;
}

static int list_optim(struct ck_tree *tree, struct node *step, struct ck_dir *dir, struct ck_error *err)
{
	struct ck_file_name name = { .kind = CK_FILE_OPTIM, .step = step->name.step };
	char path[PATH_MAX], one[PATH_MAX], stem[32];
	enum tree_cut cut;
	struct node_key key;
	uint64_t *ranks;
	size_t count;
	int rc;

	path_of_tag(step, path);
	rc = tree_cut_of(tree, path, step->name.step, &cut, err);
	if (!rc && cut == CUT_IS) {
		rc = list_cut(tree, step, path, dir, err);
		return rc ? rc : list_all(tree, step, path, dir, err);
	}
	if (!rc)
		rc = tree_ranks(tree, path, step->name.step, &ranks, &count, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < count && !rc; i++) {
		name.rank = ranks[i];
		snprintf(stem, sizeof(stem), "rank%llu", (unsigned long long)name.rank);
		rc = list_stored(tree, step, NODE_OPTIM, &name, stem, dir, err);
	}
	free(ranks);
	if (!rc && count)
		rc = list_all(tree, step, path, dir, err);
	if (!rc && cut == CUT_FAILED) {
		rc = key_of_joined(tree, path, step->name.step, NODE_CUT, 0, ino_of(step, LOCAL_OPTIM), one, &key, err);
		if (!rc)
			rc = dir_add(dir, "ranks.error", ino_of_key(&key, LOCAL_ERROR), S_IFREG, true, err);
	}
	return rc;
}

static int list_hf(struct ck_tree *tree, struct node *model, struct ck_dir *dir, struct ck_error *err)
{
	char path[PATH_MAX];
	struct node_key key;
	int rc = CK_OK;

	for (size_t i = 0; i < HUB_FILES && !rc; i++)
		rc = dir_add(dir, hub_files[i].suffix, ino_of(model, hub_files[i].local), S_IFREG, true, err);
	for (size_t i = 0; i < HUB_TOKENIZER && !rc; i++)
		if (key_of_tokenizer(tree, model, i, path, &key, NULL) == CK_OK)
			rc = dir_add(dir, hub_tokenizer[i], ino_of_key(&key, LOCAL_SELF), S_IFREG, true, err);
	return rc;
}

static int list(struct ck_tree *tree, struct node *n, uint32_t local, struct ck_dir *dir, struct ck_error *err)
{
	switch (n->type) {
	case NODE_BASE:
		return list_base(tree, n, dir, err);
	case NODE_SOURCE:
		return list_source(tree, n, dir, err);
	case NODE_TAG:
		if (local != LOCAL_TRASH)
			return list_tag(tree, n, dir, err);
		dir->parent = ino_of(n, LOCAL_SELF);
		return list_trash(tree, n, dir, err);
	case NODE_STEP:
		dir->parent = local == LOCAL_OPTIM && !node_is_shards(n) ? ino_of(n, LOCAL_SELF) : n->parent;
		return local == LOCAL_OPTIM ? list_optim(tree, n, dir, err) : list_step(tree, n, dir, err);
	case NODE_MODEL: case NODE_OPTIM: case NODE_ALL: case NODE_CUT:
		if (local == LOCAL_HF)
			return list_hf(tree, n, dir, err);
		dir->first = local == LOCAL_RAW ? LOCAL_RAW_0 : LOCAL_NPY_0;
		return node_checkpoint(tree, n, &dir->tensors, err);
	default:
		return ck_fail(err, CK_ERR_INVALID, "not a directory");
	}
}

/* Lists *DIR once more without what was removed from it. */
static int leave_out_hidden(struct ck_tree *tree, struct ck_dir **dir, struct ck_error *err)
{
	struct ck_dirent entry;
	struct ck_dir *left;
	int rc = ck_dir_new((*dir)->self, (*dir)->parent, &left, err);

	if (rc)
		return rc;
	for (uint64_t i = 2; !rc && ck_dir_entry(*dir, i, &entry); i++) {
		if (!node_hides(tree, entry.ino))
			rc = dir_add(left, entry.name, entry.ino, entry.type, entry.cheap, err);
	}
	ck_dir_close(*dir);
	*dir = left;
	return rc;
}

int ck_tree_opendir(struct ck_tree *tree, ck_ino ino, struct ck_dir **out, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);
	struct ck_error gone = CK_ERROR_INIT;
	struct ck_dir *dir = NULL;
	int rc;

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	rc = ck_dir_new(ino, n->parent, &dir, err);
	if (rc)
		return rc;
	rc = tree_check_inside(tree, n, err);
	if (!rc)
		rc = list(tree, n, local_of(ino), dir, err);
	/* A step lists at least its model: it was moved, or removed. */
	if (n->type == NODE_STEP && (rc || dir->count == 0) && tree_check_there(tree, n, local_of(ino), &gone)) {
		if (err)
			*err = gone;
		rc = CK_ERR_STALE;
	}
	if (!rc && node_is_retired(tree, n))
		rc = leave_out_hidden(tree, &dir, err);
	if (rc)
		ck_dir_close(dir);
	else
		*out = dir;
	return rc;
}
