/* latest, best and largest: as nanochat chooses, among what it can load. Implements choice.h. */
#include "core/tree/choice.h"

#include "core/tree/history.h"
#include "core/tree/key.h"
#include "core/tree/node_load.h"
#include "core/tree/store.h"
#include "core/tree/tag.h"
#include "core/tree/tree.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What the step's metadata says: node_has_config, node_has_score. Where there is no file, nothing is opened. */
static bool step_has(struct ck_tree *tree, struct node *tag, uint64_t step,
		     bool (*node_has)(struct ck_tree *tree, struct node *n))
{
	struct ck_file_name name = { .kind = CK_FILE_META, .step = step };
	struct node *n;
	bool has = node_of_stored(tree, tag, NODE_META, &name, &n, NULL, NULL) == CK_OK && node_has(tree, n);

	if (n)
		node_put(tree, n, 1);
	return has;
}

static bool step_opens(struct ck_tree *tree, struct node *tag, uint64_t step)
{
	struct ck_file_name name = { .kind = CK_FILE_MODEL, .step = step };
	struct ck_checkpoint *c = NULL;
	struct node *n;
	/* The node is the one that lookup makes below the step, so that the content is loaded once. */
	bool opens = node_of_stored(tree, tag, NODE_MODEL, &name, &n, &c, NULL) == CK_OK;

	ck_checkpoint_unref(c);
	if (n)
		node_put(tree, n, 1);
	return opens;
}

/* How good a tag's best step is. */
enum choice { CHOICE_NONE, CHOICE_OPENS, CHOICE_LOADS };

static int choose_step(struct ck_tree *tree, struct node *tag, uint64_t *step, enum choice *choice,
		       struct ck_error *err)
{
	uint64_t *steps;
	size_t count;
	int rc = tree_steps(tree, tag->path, &steps, &count, err);

	*choice = CHOICE_NONE;
	if (rc)
		return rc;
	for (size_t i = count; i-- > 0 && *choice == CHOICE_NONE;) {
		*step = steps[i];
		if (step_has(tree, tag, *step, node_has_config) && step_opens(tree, tag, *step))
			*choice = CHOICE_LOADS;
	}
	for (size_t i = count; i-- > 0 && *choice == CHOICE_NONE;) {
		*step = steps[i];
		if (step_opens(tree, tag, *step))
			*choice = CHOICE_OPENS;
	}
	free(steps);
	return CK_OK;
}

int tree_latest(struct ck_tree *tree, struct node *tag, uint64_t *step, struct ck_error *err)
{
	enum choice choice;
	int rc = choose_step(tree, tag, step, &choice, err);

	return rc || choice ? rc : ck_fail(err, CK_ERR_NOENT, "no step that opens");
}

int tree_best(struct ck_tree *tree, struct node *tag, uint64_t *step, struct ck_error *err)
{
	enum choice choice = CHOICE_LOADS;
	struct history_score score;
	uint64_t latest;
	uint32_t local;
	int rc = tree_history_local(tree, tag, &local, err);

	if (rc)
		return rc;
	for (size_t i = 0; tree_history_score(tree, tag, i, &score); i++) {
		/* Behind those that have a configuration: they count only where latest names such a one, too. */
		if (!score.has_config && choice == CHOICE_LOADS) {
			rc = choose_step(tree, tag, &latest, &choice, err);
			if (rc || choice == CHOICE_LOADS)
				return rc ? rc : ck_fail(err, CK_ERR_NOENT, "no step that loads has a val_bpb");
		}
		*step = score.step;
		if (step_opens(tree, tag, *step))
			return CK_OK;
	}
	return ck_fail(err, CK_ERR_NOENT, "no step that opens has a val_bpb");
}

/* Of so many steps before the latest a listing looks at the metadata. */
#define LOOK_BACK 8

bool tree_shows_best(struct ck_tree *tree, struct node *tag, uint64_t latest)
{
	bool read, scored, shows = step_has(tree, tag, latest, node_has_score);
	uint64_t *steps, best;
	size_t count, i;

	if (shows)
		return true;
	tree_history_known(tree, tag, &read, &scored);
	if (read)
		return scored && tree_best(tree, tag, &best, NULL) == CK_OK;
	if (tree_steps(tree, tag->path, &steps, &count, NULL))
		return false;
	for (i = count; i > 0 && steps[i - 1] >= latest; i--)
		;
	for (size_t n = 0; i > 0 && n < LOOK_BACK && !shows; i--, n++)
		shows = step_has(tree, tag, steps[i - 1], node_has_score) &&
			step_has(tree, tag, steps[i - 1], node_has_config) && step_opens(tree, tag, steps[i - 1]);
	free(steps);
	return shows;
}

static enum choice choice_of_tag(struct ck_tree *tree, struct node *source, const char *name)
{
	enum choice choice = CHOICE_NONE;
	char path[PATH_MAX];
	struct node_key key;
	struct node *tag;
	uint64_t step;

	key_of_tag(source, name, path, &key);
	tag = path[0] ? node_get(tree, &key) : NULL;
	if (!tag)
		return CHOICE_NONE;
	choose_step(tree, tag, &step, &choice, NULL);
	node_put(tree, tag, 1);
	return choice;
}

int tree_largest(struct ck_tree *tree, struct node *source, char *name, struct ck_error *err)
{
	enum choice best = CHOICE_NONE;
	struct ck_names tags;
	int rc;

	/* A source that isn't there yet has nothing to name. */
	if (ck_store_tags(source->path, &tags, NULL))
		return ck_fail(err, CK_ERR_NOENT, "no tags");
	rc = ck_store_rank_tags(source->path, &tags, err);
	for (size_t i = 0; i < tags.count && !rc && best < CHOICE_LOADS; i++) {
		enum choice choice = choice_of_tag(tree, source, tags.names[i]);

		if (choice > best) {
			best = choice;
			strcpy(name, tags.names[i]);
		}
	}
	ck_names_free(&tags);
	if (rc)
		return rc;
	return best ? CK_OK : ck_fail(err, CK_ERR_NOENT, "no tag with a step that opens");
}

int ck_tree_readlink(struct ck_tree *tree, ck_ino ino, char *buf, size_t size, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);
	char name[NAME_MAX + 1];
	uint64_t step;
	int rc;

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	if (n->type == NODE_BASE) {
		strcpy(name, ck_sources[local_of(ino) - LOCAL_LINK].name);
		rc = CK_OK;
	} else if (n->type == NODE_SOURCE) {
		rc = tree_largest(tree, n, name, err);
	} else {
		rc = local_of(ino) == LOCAL_BEST ? tree_best(tree, n, &step, err) : tree_latest(tree, n, &step, err);
		if (!rc)
			ck_step_format(step, name, sizeof(name));
	}
	if (rc)
		return rc;
	if (strlen(name) >= size)
		return ck_fail(err, CK_ERR_INVALID, "the buffer is too small for the target");
	strcpy(buf, name);
	return CK_OK;
}
