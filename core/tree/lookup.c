/* Names to nodes: what is found under a name. Implements ck_tree_lookup of tree.h. */
#include "core/tree/tree.h"

#include "core/file/follow.h"
#include "core/pt/forms.h"
#include "core/tree/attr.h"
#include "core/tree/choice.h"
#include "core/tree/contain.h"
#include "core/tree/cut.h"
#include "core/tree/form.h"
#include "core/tree/history.h"
#include "core/tree/hub.h"
#include "core/tree/joined.h"
#include "core/tree/key.h"
#include "core/tree/node.h"
#include "core/tree/node_load.h"
#include "core/tree/tag.h"
#include "core/tree/store.h"
#include "core/tree/there.h"
#include "core/tree/trash.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int not_found(struct ck_error *err)
{
	return ck_fail(err, CK_ERR_NOENT, "no such name");
}

static int get_child(struct ck_tree *tree, const struct node_key *key, struct node **child, struct ck_error *err)
{
	*child = node_get(tree, key);
	return *child ? CK_OK : ck_fail_nomem(err);
}

/* ---- one function a kind of directory ---- */

/* A source under the mount's name, or, under nanochat's, a link to it: a directory has only one parent. */
static int child_of_base(struct ck_tree *tree, struct node *base, const char *name, struct node **child,
			 uint32_t *local, struct ck_error *err)
{
	char path[PATH_MAX];
	struct node_key key;
	struct stat st;

	for (uint32_t i = 0; i < sizeof(ck_sources) / sizeof(*ck_sources); i++) {
		bool native = strcmp(name, ck_sources[i].dir) == 0;

		if (!native && strcmp(name, ck_sources[i].name) != 0)
			continue;
		key_of_source(tree, base, i, path, &key);
		if (!ck_sources[i].always && (ck_follow_stat(path, &st) < 0 || !S_ISDIR(st.st_mode)))
			break;
		if (!native)
			return get_child(tree, &key, child, err);
		*child = node_ref(tree, base);
		*local = LOCAL_LINK + i;
		return CK_OK;
	}
	return not_found(err);
}

static int child_of_source(struct ck_tree *tree, struct node *source, const char *name, struct node **child,
			   uint32_t *local, struct ck_error *err)
{
	char path[PATH_MAX], target[NAME_MAX + 1];
	struct node_key key;
	struct stat st;
	int rc;

	if (name[0] == '.')
		return not_found(err);
	key_of_tag(source, name, path, &key);
	if (!path[0])
		return ck_fail_long_path(err);
	if (ck_follow_stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return get_child(tree, &key, child, err);
	if (strcmp(name, "largest") != 0)
		return not_found(err);
	rc = tree_largest(tree, source, target, err);
	if (rc)
		return rc;
	*child = node_ref(tree, source);
	*local = LOCAL_LINK;
	return CK_OK;
}

/* The file NATIVE of a step that is cut for another number of ranks. *CUT: the step is, so no stored shard is shown. */
static int child_cut_file(struct ck_tree *tree, struct node *parent, const char *tag, const struct ck_file_name *native,
			  struct node **child, bool *cut, struct ck_error *err)
{
	char path[PATH_MAX];
	struct node_key key;
	enum tree_cut how = CUT_NOT;
	int rc = native->kind == CK_FILE_OPTIM ? tree_cut_of(tree, tag, native->step, &how, err) : CK_OK;

	if (native->kind != CK_FILE_OPTIM)
		tree_may_cut(tree, tag, native->step);
	*cut = how == CUT_IS;
	if (rc || !*cut)
		return rc;
	if (native->bare || native->rank >= tree->options.ranks)
		return not_found(err);
	rc = key_of_joined(tree, tag, native->step, NODE_CUT_FILE, native->rank, ino_of(parent, LOCAL_SELF), path, &key,
			   err);
	return rc ? rc : get_child(tree, &key, child, err);
}

static int child_of_tag(struct ck_tree *tree, struct node *tag, const char *name, struct node **child, uint32_t *local,
			struct ck_error *err)
{
	struct ck_file_name native;
	char path[PATH_MAX];
	struct node_key key;
	struct stat st;
	uint64_t step;
	bool cut;
	int rc = CK_OK;

	if (ck_step_parse(name, &step)) {
		key_of_step(tag, step, path, &key);
		if (!path[0])
			return ck_fail_long_path(err);
		tree_may_cut(tree, tag->path, step);
		if (tree_stat(tree, path, &st) < 0 || !S_ISREG(st.st_mode))
			return not_found(err);
		rc = get_child(tree, &key, child, err);
		if (!rc)
			node_saw(tree, *child, &st);
		return rc;
	}
	if (ck_file_name_parse(name, &native)) {
		rc = child_cut_file(tree, tag, tag->path, &native, child, &cut, err);
		if (rc || cut)
			return rc;
		rc = key_of_stored(tree, tag, NODE_NATIVE, &native, path, &key, err);
		return rc ? rc : get_child(tree, &key, child, err);
	}
	if (strcmp(name, "latest") == 0) {
		*local = LOCAL_LINK;
		rc = tree_latest(tree, tag, &step, err);
	} else if (strcmp(name, "best") == 0) {
		*local = LOCAL_BEST;
		rc = tree_best(tree, tag, &step, err);
	} else if (strcmp(name, CK_TRASH_NAME) == 0) {
		*local = LOCAL_TRASH;
	} else {
		rc = strcmp(name, "history.tsv") == 0 ? tree_history_local(tree, tag, local, err) : not_found(err);
	}
	if (!rc)
		*child = node_ref(tree, tag);
	return rc;
}

static int child_of_trash(struct ck_tree *tree, struct node *tag, const char *name, struct node **child,
			  uint32_t *local, struct ck_error *err)
{
	char path[PATH_MAX];
	struct node_key key;
	int rc = trash_key(tree, tag, name, path, &key, local, err);

	return rc ? rc : get_child(tree, &key, child, err);
}

/* Whether the loaded node shows LOCAL: an .error file exactly when it can't be shown. */
static int check_shown(struct ck_tree *tree, struct node *n, uint32_t local, int form, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_checkpoint *c = NULL;
	bool there;
	int rc = node_checkpoint(tree, n, &c, &why);

	if (rc && (!node_error_is_shown(&why) || (why.code == CK_ERR_SYS && local != LOCAL_ERROR))) {
		if (err)
			*err = why;
		return rc;
	}
	there = rc ? local == LOCAL_ERROR
		   : local != LOCAL_ERROR && (form < 0 || ck_checkpoint_has(c, (enum ck_form)form));
	ck_checkpoint_unref(c);
	return there ? CK_OK : not_found(err);
}

/* The node of KEY, if it shows LOCAL. */
static int get_shown(struct ck_tree *tree, const struct node_key *key, uint32_t local, int form, struct node **child,
		     struct ck_error *err)
{
	int rc = get_child(tree, key, child, err);

	if (rc)
		return rc;
	rc = check_shown(tree, *child, local, form, err);
	if (rc)
		node_put(tree, *child, 1);
	return rc;
}

/* NAME is the stem and SUFFIX: one of the files or directories that the stored file NATIVE is shown
   as. */
static int child_of_stem(struct ck_tree *tree, struct node *step, const struct ck_file_name *native, const char *suffix,
			 struct node **child, uint32_t *local, struct ck_error *err)
{
	enum node_type type = native->kind == CK_FILE_MODEL ? NODE_MODEL : NODE_OPTIM;
	bool stored = strcmp(suffix, ".pt") == 0;
	char path[PATH_MAX];
	struct node_key key;
	size_t i = 0;
	int rc;

	while (!stored && i < TREE_FORMS && strcmp(suffix, tree_forms[i].suffix) != 0)
		i++;
	if (i == TREE_FORMS)
		return not_found(err);
	rc = key_of_stored(tree, step, stored ? NODE_FILE : type, native, path, &key, err);
	if (rc)
		return rc;
	if (stored)
		return get_child(tree, &key, child, err);
	*local = tree_forms[i].local;
	return get_shown(tree, &key, *local, tree_forms[i].form, child, err);
}

/* hf/, and hf.error. */
static int child_hf(struct ck_tree *tree, struct node *step, const char *suffix, struct node **child, uint32_t *local,
		    struct ck_error *err)
{
	struct ck_file_name native = { .kind = CK_FILE_MODEL, .step = step->name.step };
	char path[PATH_MAX];
	struct node_key key;
	int rc;

	if (suffix[0] && strcmp(suffix, ".error") != 0)
		return not_found(err);
	rc = key_of_stored(tree, step, NODE_MODEL, &native, path, &key, err);
	if (rc)
		return rc;
	*local = suffix[0] ? LOCAL_HF_ERROR : LOCAL_HF;
	return get_shown(tree, &key, *local, suffix[0] ? CK_FORM_HF_ERROR : CK_FORM_HF_CONFIG, child, err);
}

static int child_in_hf(struct ck_tree *tree, struct node *model, const char *name, struct node **child, uint32_t *local,
		       struct ck_error *err)
{
	char path[PATH_MAX];
	struct node_key key;
	int rc;

	for (size_t i = 0; i < HUB_FILES; i++) {
		if (strcmp(name, hub_files[i].suffix) == 0) {
			*child = node_ref(tree, model);
			*local = hub_files[i].local;
			return CK_OK;
		}
	}
	for (size_t i = 0; i < HUB_TOKENIZER; i++) {
		if (strcmp(name, hub_tokenizer[i]) != 0)
			continue;
		rc = key_of_tokenizer(tree, model, i, path, &key, err);
		return rc ? rc : get_child(tree, &key, child, err);
	}
	return not_found(err);
}

static int child_meta(struct ck_tree *tree, struct node *step, const char *name, struct node **child, uint32_t *local,
		      struct ck_error *err)
{
	struct ck_file_name native = { .kind = CK_FILE_META, .step = step->name.step };
	struct ck_error why = CK_ERROR_INIT;
	struct ck_view *text = NULL;
	char path[PATH_MAX];
	struct node_key key;
	int rc;

	rc = key_of_stored(tree, step, NODE_META, &native, path, &key, err);
	if (!rc)
		rc = get_child(tree, &key, child, err);
	if (rc)
		return rc;
	*local = strcmp(name, "meta.json") == 0 ? LOCAL_SELF : LOCAL_ERROR;
	rc = node_text(tree, *child, &text, &why);
	ck_view_unref(text);
	if (!rc == (*local == LOCAL_SELF))
		return CK_OK;
	node_put(tree, *child, 1);
	if (rc && (!node_error_is_shown(&why) || why.code == CK_ERR_SYS)) {
		if (err)
			*err = why;
		return rc;
	}
	return not_found(err);
}

static bool has_ranks(struct ck_tree *tree, const struct node *step)
{
	char path[PATH_MAX];

	path_of_tag(step, path);
	return tree_has_ranks(tree, path, step->name.step);
}

static int child_of_step(struct ck_tree *tree, struct node *step, const char *name, struct node **child,
			 uint32_t *local, struct ck_error *err)
{
	struct ck_file_name native = { .kind = CK_FILE_MODEL, .step = step->name.step };

	if (strncmp(name, "model", 5) == 0)
		return child_of_stem(tree, step, &native, name + 5, child, local, err);
	if (strncmp(name, "hf", 2) == 0)
		return child_hf(tree, step, name + 2, child, local, err);
	if (strcmp(name, "meta.json") == 0 || strcmp(name, "meta.error") == 0)
		return child_meta(tree, step, name, child, local, err);
	if (strcmp(name, "optim") != 0 || !has_ranks(tree, step))
		return not_found(err);
	*child = node_ref(tree, step);
	*local = LOCAL_OPTIM;
	return CK_OK;
}

/* Joined state of all shards, as one of its forms: SUFFIX behind "all" or, of TYPE CUT, behind "rankN". */
static int child_joined(struct ck_tree *tree, struct node *step, enum node_type type, uint64_t rank, const char *suffix,
			struct node **child, uint32_t *local, struct ck_error *err)
{
	char tag[PATH_MAX], path[PATH_MAX];
	struct node_key key;
	size_t i = 0;
	int rc;

	while (i < TREE_FORMS && strcmp(suffix, tree_forms[i].suffix) != 0)
		i++;
	if (i == TREE_FORMS)
		return not_found(err);
	path_of_tag(step, tag);
	rc = key_of_joined(tree, tag, step->name.step, type, rank, ino_of(step, LOCAL_OPTIM), path, &key, err);
	if (rc)
		return rc;
	*local = tree_forms[i].local;
	return get_shown(tree, &key, *local, tree_forms[i].form, child, err);
}

static int child_of_optim(struct ck_tree *tree, struct node *step, const char *name, struct node **child,
			  uint32_t *local, struct ck_error *err)
{
	struct ck_file_name native = { .kind = CK_FILE_OPTIM, .step = step->name.step };
	enum tree_cut cut;
	char tag[PATH_MAX];
	size_t digits;
	bool is_cut;
	int rc;

	if (strncmp(name, "all", 3) == 0)
		return child_joined(tree, step, NODE_ALL, 0, name + 3, child, local, err);
	path_of_tag(step, tag);
	rc = tree_cut_of(tree, tag, step->name.step, &cut, err);
	if (!rc && cut == CUT_FAILED && strcmp(name, "ranks.error") == 0)
		return child_joined(tree, step, NODE_CUT, 0, ".error", child, local, err);
	if (rc || !ck_rank_parse(name, &native.rank, &digits))
		return rc ? rc : not_found(err);
	if (cut == CUT_IS && strcmp(name + digits, ".pt") == 0) {
		rc = child_cut_file(tree, step, tag, &native, child, &is_cut, err);
		/* Its files may have changed since the last line. */
		return rc || is_cut ? rc : ck_fail(err, CK_ERR_STALE, "one of the step's files was replaced");
	}
	if (cut == CUT_IS)
		return native.rank < tree->options.ranks
			       ? child_joined(tree, step, NODE_CUT, native.rank, name + digits, child, local, err)
			       : not_found(err);
	return child_of_stem(tree, step, &native, name + digits, child, local, err);
}

static int child_tensor(struct ck_tree *tree, struct node *n, uint32_t local, const char *name, struct node **child,
			uint32_t *child_local, struct ck_error *err)
{
	bool raw = local == LOCAL_RAW;
	struct ck_checkpoint *c;
	int64_t i;
	int rc = node_checkpoint(tree, n, &c, err);

	if (rc)
		return rc;
	i = ck_checkpoint_find(c, name, raw ? CK_FORM_RAW : CK_FORM_NPY);
	ck_checkpoint_unref(c);
	if (i < 0)
		return not_found(err);
	*child = node_ref(tree, n);
	*child_local = (raw ? LOCAL_RAW_0 : LOCAL_NPY_0) + (uint32_t)i;
	return CK_OK;
}

static int tree_child(struct ck_tree *tree, struct node *parent, uint32_t local, const char *name, struct node **child,
	       uint32_t *child_local, struct ck_error *err)
{
	int rc = tree_check_inside(tree, parent, err);

	if (rc)
		return rc;
	*child_local = LOCAL_SELF;
	switch (parent->type) {
	case NODE_BASE:
		return child_of_base(tree, parent, name, child, child_local, err);
	case NODE_SOURCE:
		return child_of_source(tree, parent, name, child, child_local, err);
	case NODE_TAG:
		return local == LOCAL_TRASH ? child_of_trash(tree, parent, name, child, child_local, err)
					    : child_of_tag(tree, parent, name, child, child_local, err);
	case NODE_STEP:
		return local == LOCAL_OPTIM ? child_of_optim(tree, parent, name, child, child_local, err)
					    : child_of_step(tree, parent, name, child, child_local, err);
	case NODE_MODEL: case NODE_OPTIM: case NODE_ALL: case NODE_CUT:
		if (local == LOCAL_HF)
			return child_in_hf(tree, parent, name, child, child_local, err);
		return child_tensor(tree, parent, local, name, child, child_local, err);
	default:
		return not_found(err);
	}
}

static int lookup_once(struct ck_tree *tree, struct node *parent, uint32_t local, const char *name,
		       struct ck_attr *out, struct ck_error *err)
{
	struct node *child;
	uint32_t child_local;
	int rc = tree_child(tree, parent, local, name, &child, &child_local, err);

	if (rc)
		return rc;
	rc = node_hides(tree, ino_of(child, child_local)) ? not_found(err)
							   : tree_attr(tree, child, child_local, out, err);
	if (rc)
		node_put(tree, child, 1);
	return rc;
}

int ck_tree_lookup(struct ck_tree *tree, ck_ino parent, const char *name, struct ck_attr *out, struct ck_error *err)
{
	struct node *n = node_find(tree, parent);
	unsigned tries = 0;
	int rc;

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	/* The file may be replaced between the look at it and its opening: then the new file is meant. */
	while ((rc = lookup_once(tree, n, local_of(parent), name, out, err)) == CK_ERR_STALE && tries++ < STALE_TRIES)
		ck_error_clear(err);
	/* The kernel may look into a step that was moved since. It is told so, and looks for the step again. */
	if (rc == CK_ERR_NOENT) {
		ck_error_clear(err);
		rc = tree_check_there(tree, n, local_of(parent), err);
		if (!rc)
			rc = not_found(err);
	}
	if (rc)
		out->entry_timeout = CK_TIMEOUT_CHANGING;
	return rc;
}
