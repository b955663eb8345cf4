/* Extended attributes of what is not the tree's: draft.h. */
#include "core/draft/dirs.h"

#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/judge.h"
#include "core/file/real.h"
#include "core/tree/tree.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char of_rejected[] = "user.ckptfs.error";

/* Whether NODE is a NAME.rejected in a tag's directory; its PATH, and what it was to be. */
static bool is_rejected(struct ck_drafts *d, struct dnode *node, char *path, struct ck_file_name *name)
{
	return node->draft->kind == DRAFT_PLAIN && !node->parent && !node->dead && dnode_path(d, node, NULL, path) &&
	       ck_rejected_parse(strrchr(path, '/') + 1, name);
}

/* Judged again: so the reason is that of the bytes as they are, also after a remount. */
static int reason(const char *path, const struct ck_file_name *name, char **value, size_t *len, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_file *file;
	char line[768];
	int rc = ck_real_file(path, &file, err);

	if (rc)
		return rc;
	rc = ck_judge(file, name->kind, &why);
	ck_file_unref(file);
	if (!rc)
		return ck_fail(err, CK_ERR_NOENT, "nothing is wrong with it");
	*value = strdup(ck_error_line(&why, line, sizeof(line)));
	*len = strlen(line);
	return *value ? CK_OK : ck_fail_nomem(err);
}

int ck_drafts_getxattr(struct ck_drafts *d, ck_ino ino, const char *name, char **value, size_t *len,
		       struct ck_error *err)
{
	struct dnode *node = dnode_find(d, ino);
	struct ck_file_name native;
	char path[PATH_MAX];
	int rc;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	if (strcmp(name, of_rejected) == 0 && is_rejected(d, node, path, &native))
		rc = reason(path, &native, value, len, err);
	else
		rc = ck_fail(err, CK_ERR_NOENT, "no such attribute");
	dnode_put(d, node);
	return rc;
}

int ck_drafts_listxattr(struct ck_drafts *d, ck_ino ino, char **names, size_t *len, struct ck_error *err)
{
	struct dnode *node = dnode_find(d, ino);
	struct ck_file_name native;
	char path[PATH_MAX];

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	*len = is_rejected(d, node, path, &native) ? sizeof(of_rejected) : 0;
	*names = *len ? strdup(of_rejected) : NULL;
	dnode_put(d, node);
	return !*len || *names ? CK_OK : ck_fail_nomem(err);
}
