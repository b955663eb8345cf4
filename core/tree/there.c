/* Whether a step is still there. Implements there.h. */
#include "core/tree/there.h"

#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/tree/contain.h"
#include "core/tree/key.h"
#include "core/tree/tag.h"

#include <errno.h>
#include <limits.h>

bool tree_path_of_written(struct ck_tree *tree, const struct node *step, char *path)
{
	char name[64];
	struct stat st;

	path_of_tag(step, path);
	return tree_has_home(tree, path) && tree_real(tree, path, NULL) == CK_OK &&
	       ck_path_join(path, path, CK_DRAFT_DIR) &&
	       ck_path_join(path, path, ck_draft_format(CK_DRAFT_OPTIM, step->name.step, name, sizeof(name))) &&
	       ck_path_join(path, path, "files/optim") && ck_real_stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int tree_check_there(struct ck_tree *tree, const struct node *n, uint32_t local, struct ck_error *err)
{
	char path[PATH_MAX];
	struct stat st;
	bool there;

	if (n->type != NODE_STEP)
		return CK_OK;
	path_of_tag(n, path);
	if (local == LOCAL_OPTIM)
		there = tree_has_ranks(tree, path, n->name.step) || tree_path_of_written(tree, n, path);
	else
		there = tree_stat(tree, n->path, &st) == 0 || errno != ENOENT;
	return there ? CK_OK : ck_fail(err, CK_ERR_STALE, "the step is no longer there");
}
