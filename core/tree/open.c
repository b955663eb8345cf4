/* open - the view that a file of the tree shows. Implements ck_tree_open of core/tree/tree.h. */
#include "core/tree/tree.h"

#include "core/pt/forms.h"
#include "core/tree/contain.h"
#include "core/tree/form.h"
#include "core/tree/history.h"
#include "core/tree/joined.h"
#include "core/tree/node_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a name of nanochat's stands for is asked at each open: a program may have just replaced it. */
static int open_file(struct ck_tree *tree, struct node *n, struct ck_view **out, struct ck_error *err)
{
	struct ck_ident found = { 0 };
	struct stat st;

	if (tree_stat(tree, n->path, &st) == 0)
		found = tree_ident(tree, &st);
	else if (errno != ENOENT)
		return ck_fail_sys(err, "stat");
	if (!ck_ident_equal(&found, &n->ident))
		return ck_fail(err, CK_ERR_STALE, "the file was replaced");
	return node_text(tree, n, out, err);
}

static int open_cut(struct ck_tree *tree, struct node *n, struct ck_view **out, struct ck_error *err)
{
	return joined_is_current(tree, n) ? node_text(tree, n, out, err)
					  : ck_fail(err, CK_ERR_STALE, "one of the step's files was replaced");
}

static int open_error(struct ck_tree *tree, struct node *n, struct ck_view **out, struct ck_error *err)
{
	struct ck_view *view;
	char line[768];
	int rc = tree_error_text(tree, n, line, sizeof(line), err);

	if (rc)
		return rc;
	view = ck_view_new();
	rc = view ? ck_view_add_bytes(view, line, strlen(line), err) : ck_fail_nomem(err);
	if (rc)
		ck_view_unref(view);
	else
		*out = view;
	return rc;
}

static int open_form(struct ck_tree *tree, struct node *n, uint32_t local, struct ck_view **out, struct ck_error *err)
{
	struct ck_checkpoint *c;
	enum ck_form form;
	size_t i;
	int rc = tree_form_of(tree, n, local, &c, &form, &i, err);

	if (rc)
		return rc;
	rc = ck_checkpoint_view(c, form, i, out, err);
	ck_checkpoint_unref(c);
	return rc;
}

/*
 * Whether what the kernel has of a file's pages may stay at this open. Not while the stored file is
 * young, and not at the first open after that: pages of then may be wrong. A bit for each of the node's
 * files tells which were opened then.
 */
static bool keeps_pages(struct ck_tree *tree, struct node *n, uint32_t local)
{
	const uint32_t bit = local_bit(local);
	const uint8_t mask = (uint8_t)(1u << bit % 8);
	bool young = node_is_young(n), keep = !young;

	pthread_mutex_lock(&tree->lock);
	if (young && !node_grow_bits(&n->young_pages, &n->young_bytes, bit))
		n->never_keeps = true;
	if (bit / 8 < n->young_bytes) {
		keep &= !(n->young_pages[bit / 8] & mask);
		if (young)
			n->young_pages[bit / 8] |= mask;
		else
			n->young_pages[bit / 8] &= (uint8_t)~mask;
	}
	keep &= !n->never_keeps;
	pthread_mutex_unlock(&tree->lock);
	return keep;
}

int ck_tree_open(struct ck_tree *tree, ck_ino ino, struct ck_view **out, bool *keep, struct ck_error *err)
{
	struct node *n = node_find(tree, ino);
	uint32_t local = local_of(ino);

	if (!n)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	/* Another text is another inode. */
	if (n->type == NODE_TAG && local >= LOCAL_HISTORY) {
		*keep = true;
		return tree_history_open(tree, n, local, out, err);
	}
	*keep = keeps_pages(tree, n, local);
	switch (n->type) {
	case NODE_FILE: case NODE_NATIVE: case NODE_HUB:
		return open_file(tree, n, out, err);
	case NODE_META:
		return local == LOCAL_ERROR ? open_error(tree, n, out, err) : node_text(tree, n, out, err);
	case NODE_CUT_FILE:
		return open_cut(tree, n, out, err);
	case NODE_MODEL: case NODE_OPTIM: case NODE_ALL: case NODE_CUT:
		return local == LOCAL_ERROR ? open_error(tree, n, out, err) : open_form(tree, n, local, out, err);
	default:
		return ck_fail(err, CK_ERR_INVALID, "a directory has no bytes");
	}
}
