#include "core/tree/private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Whether a step's model opens, so that nanochat could load it. */
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

int tree_latest(struct ck_tree *tree, struct node *tag, uint64_t *step, struct ck_error *err)
{
	uint64_t *steps;
	size_t count;
	int rc = ck_store_steps(tag->path, &steps, &count, err);

	if (rc)
		return rc;
	while (count && !step_opens(tree, tag, steps[count - 1]))
		count--;
	if (count)
		*step = steps[count - 1];
	else
		rc = ck_fail(err, CK_ERR_NOENT, "no step that opens");
	free(steps);
	return rc;
}

int tree_largest(struct ck_tree *tree, struct node *source, char *name, struct ck_error *err)
{
	struct ck_names tags;
	char path[PATH_MAX];
	struct node_key key;
	struct node *tag;
	uint64_t step;
	bool found = false;
	int rc;

	/* A source that isn't there yet has nothing to name. */
	if (ck_store_tags(source->path, &tags, NULL))
		return ck_fail(err, CK_ERR_NOENT, "no tags");
	rc = ck_store_rank_tags(source->path, &tags, err);
	for (size_t i = 0; i < tags.count && !rc && !found; i++) {
		key_of_tag(source, tags.names[i], path, &key);
		tag = path[0] ? node_get(tree, &key) : NULL;
		if (!tag)
			continue;
		found = tree_latest(tree, tag, &step, NULL) == CK_OK;
		node_put(tree, tag, 1);
		if (found)
			strcpy(name, tags.names[i]);
	}
	ck_names_free(&tags);
	if (rc)
		return rc;
	return found ? CK_OK : ck_fail(err, CK_ERR_NOENT, "no tag with a step that opens");
}

int ck_tree_readlink(struct ck_tree *tree, ck_ino ino, char *buf, size_t size, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);
	char name[NAME_MAX + 1];
	uint64_t step;
	int rc;

	if (ino & CK_INO_DRAFT) {
		errno = ELOOP;
		return ck_fail_sys(err, "a link in a draft, which is not followed");
	}
	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	if (n->type == NODE_SOURCE) {
		rc = tree_largest(tree, n, name, err);
	} else {
		rc = tree_latest(tree, n, &step, err);
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
