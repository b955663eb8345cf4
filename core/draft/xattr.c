/* Extended attributes of drafts' files and the store's ordinary files. Implements a part of dirs.h. */
#include "core/draft/dirs.h"

#include "core/draft/dnode.h"
#include "core/draft/dnode_path.h"
#include "core/draft/judge.h"
#include "core/draft/links.h"
#include "core/draft/ordinary.h"
#include "core/file/real.h"
#include "core/tree/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

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

/* Of an ordinary file: a descriptor and its HANDLE (real.h), by which its attributes are reached. */
static int reach(struct ck_drafts *d, struct dnode *node, char handle[CK_HANDLE], int *fd, struct ck_error *err)
{
	char path[PATH_MAX];
	struct stat st;
	int rc;

	if (node->draft->kind != DRAFT_PLAIN)
		return ck_fail(err, CK_ERR_UNSUPPORTED, "a draft's files have no such attributes");
	rc = ordinary_stat(d, node, path, &st, err);
	if (rc)
		return rc;
	*fd = ck_real_handle(path, handle);
	return *fd < 0 ? ck_fail_sys(err, "open") : CK_OK;
}

static int no_attribute(struct ck_error *err)
{
	return errno == ENODATA || errno == EOPNOTSUPP ? ck_fail(err, CK_ERR_NOENT, "no such attribute")
						       : ck_fail_sys(err, "getxattr");
}

static int get(const char *handle, const char *name, char **value, size_t *len, struct ck_error *err)
{
	ssize_t size = getxattr(handle, name, NULL, 0);

	if (size < 0)
		return no_attribute(err);
	*value = malloc((size_t)size + 1);
	if (!*value)
		return ck_fail_nomem(err);
	size = getxattr(handle, name, *value, (size_t)size);
	if (size < 0) {
		free(*value);
		return no_attribute(err);
	}
	*len = (size_t)size;
	return CK_OK;
}

int ck_drafts_getxattr(struct ck_drafts *d, ck_ino ino, const char *name, char **value, size_t *len,
		       struct ck_error *err)
{
	struct dnode *node = dnode_find(d, ino);
	char path[PATH_MAX], handle[CK_HANDLE];
	struct ck_file_name native;
	int fd, rc;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	if (strcmp(name, of_rejected) == 0 && is_rejected(d, node, path, &native)) {
		rc = reason(path, &native, value, len, err);
	} else if (node->draft->kind != DRAFT_PLAIN) {
		rc = ck_fail(err, CK_ERR_NOENT, "no such attribute");
	} else {
		rc = reach(d, node, handle, &fd, err);
		if (!rc) {
			rc = get(handle, name, value, len, err);
			close(fd);
		}
	}
	dnode_put(d, node);
	return rc;
}

/* Those of HANDLE that the mount passes on: the user's. NAMES is there already, with room for SPARE bytes behind. */
static int list(const char *handle, size_t spare, char **names, size_t *len, struct ck_error *err)
{
	ssize_t size = listxattr(handle, NULL, 0);
	char *all = malloc((size < 0 ? 0 : (size_t)size) + spare + 1);

	*len = 0;
	*names = all;
	if (!all)
		return ck_fail_nomem(err);
	size = size > 0 ? listxattr(handle, all, (size_t)size) : 0;
	for (char *name = all, *next; name < all + size; name = next) {
		next = name + strlen(name) + 1;
		if (strncmp(name, "user.", 5) == 0) {
			memmove(all + *len, name, (size_t)(next - name));
			*len += (size_t)(next - name);
		}
	}
	return CK_OK;
}

int ck_drafts_listxattr(struct ck_drafts *d, ck_ino ino, char **names, size_t *len, struct ck_error *err)
{
	struct dnode *node = dnode_find(d, ino);
	char path[PATH_MAX], handle[CK_HANDLE];
	struct ck_file_name native;
	int fd, rc;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	*names = NULL;
	*len = 0;
	rc = node->draft->kind == DRAFT_PLAIN ? reach(d, node, handle, &fd, err) : CK_OK;
	if (!rc && node->draft->kind == DRAFT_PLAIN) {
		rc = list(handle, sizeof(of_rejected), names, len, err);
		close(fd);
		if (!rc && is_rejected(d, node, path, &native)) {
			memcpy(*names + *len, of_rejected, sizeof(of_rejected));
			*len += sizeof(of_rejected);
		}
	}
	dnode_put(d, node);
	return rc;
}

int ck_drafts_setxattr(struct ck_drafts *d, ck_ino ino, const char *name, const char *value, size_t size, int flags,
		       struct ck_error *err)
{
	struct dnode *node = dnode_find(d, ino);
	char handle[CK_HANDLE];
	int fd, rc;

	if (!node)
		return ck_fail(err, CK_ERR_STALE, "unknown inode number");
	rc = reach(d, node, handle, &fd, err);
	if (!rc) {
		if ((value ? setxattr(handle, name, value, size, flags) : removexattr(handle, name)) < 0)
			rc = ck_fail_sys(err, "setxattr");
		close(fd);
	}
	dnode_put(d, node);
	return rc;
}
