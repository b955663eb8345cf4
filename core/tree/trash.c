/* What is retired, as it is seen. Implements trash.h. */
#include "core/tree/trash.h"

#include "core/tree/contain.h"
#include "core/tree/tag.h"

#include <limits.h>
#include <string.h>

bool node_is_retired(const struct ck_tree *tree, const struct node *n)
{
	size_t len = strlen(tree->store);

	/* A tokenizer's file need not lie in the store. */
	return strncmp(n->path, tree->store, len) == 0 &&
	       strstr(n->path + len, "/" CK_DRAFT_DIR "/" CK_TRASH_DIR "/") != NULL;
}

bool node_is_shards(const struct node *n) { return n->type == NODE_STEP && strcmp(strrchr(n->path, '/'), "/.") == 0; }

int trash_key(struct ck_tree *tree, const struct node *tag, const char *name, char *path, struct node_key *key,
	      uint32_t *local, struct ck_error *err)
{
	char dir[PATH_MAX];
	enum ck_draft_kind kind;
	uint64_t step;
	struct stat st;
	bool there = false;

	if (ck_draft_parse(name, &kind, &step) && kind != CK_DRAFT_PARTIAL) {
		key_of_retired(tag, kind, step, path, key);
		*local = kind == CK_DRAFT_OPTIM ? LOCAL_OPTIM : LOCAL_SELF;
		if (kind == CK_DRAFT_STEP)
			there = path[0] && tree_stat(tree, path, &st) == 0 && S_ISREG(st.st_mode);
		else if (path[0])
			there = ck_path_join(dir, tag->path, CK_DRAFT_DIR "/" CK_TRASH_DIR) &&
				ck_path_join(dir, dir, name) && tree_has_ranks(tree, dir, step);
	}
	return there ? CK_OK : ck_fail(err, CK_ERR_NOENT, "no such name");
}

int trash_names(struct ck_tree *tree, const struct node *tag, struct ck_names *out, struct ck_error *err)
{
	char path[PATH_MAX];
	struct ck_names all;
	struct node_key key;
	uint32_t local;
	int rc = CK_OK;

	*out = (struct ck_names){ 0 };
	if (!tree_has_home(tree, tag->path) || !ck_path_join(path, tag->path, CK_DRAFT_DIR "/" CK_TRASH_DIR) ||
	    ck_list_dir(path, &all, NULL))
		return CK_OK;
	for (size_t i = 0; i < all.count && !rc; i++)
		if (trash_key(tree, tag, all.names[i], path, &key, &local, NULL) == CK_OK)
			rc = ck_names_add(out, all.names[i]);
	ck_names_free(&all);
	if (!rc)
		return CK_OK;
	ck_names_free(out);
	return ck_fail_nomem(err);
}

size_t trash_count(struct ck_tree *tree, const struct node *tag)
{
	struct ck_names names;
	size_t count;

	if (trash_names(tree, tag, &names, NULL))
		return 0;
	count = names.count;
	ck_names_free(&names);
	return count;
}
