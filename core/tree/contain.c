/* Opening and looking at what lies in the store, where links must not lead out of it. Implements contain.h. */
#include "core/tree/contain.h"

#include "core/file/dir.h"
#include "core/file/follow.h"
#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Where links must not lead out of the store (options.contain), each path is resolved, and the result compared with the
 * store's path. Then the result is opened without following a link: what somebody puts in its place in between makes no
 * difference.
 */

static const char leads_out[] = "expected a link within, found one that leads out of the store, which takes -o follow";

/* Whether links are followed here: that they don't lead out, or that the store is held and no path is resolved by name.
   */
static bool is_resolved(const struct ck_tree *tree)
{
	const char *store = tree->store;

	return tree->options.contain || ck_held(&store) >= 0;
}

/* The real path of the thing at PATH. -1 with errno: EXDEV where a link leads out of the store and must not. */
static int resolve(const struct ck_tree *tree, const char *path, char *real)
{
	char handle[CK_HANDLE];
	int fd = ck_real_handle(path, handle);

	/* No link in it: what is below the store's path is in the store. */
	if (fd >= 0) {
		close(fd);
		strcpy(real, path);
		return 0;
	}
	if (ck_follow(path, real) < 0)
		return -1;
	if (!tree->options.contain || ck_is_within(real, tree->store))
		return 0;
	errno = EXDEV;
	return -1;
}

static int fail_outside(const char *path, struct ck_error *err)
{
	int rc;

	errno = EACCES;
	rc = ck_fail_sys(err, leads_out);
	ck_error_file(err, path);
	return rc;
}

static int open_any(const struct ck_tree *tree, const char *path, struct ck_file **out, struct ck_error *err)
{
	char real[PATH_MAX];
	int fd, rc;

	if (!is_resolved(tree))
		return ck_file_open(path, out, err);
	fd = resolve(tree, path, real) < 0 ? -1 : ck_real_open(real, O_RDONLY, 0);
	if (fd >= 0)
		return ck_file_from_fd(fd, path, out, err);
	if (errno == EXDEV)
		return fail_outside(path, err);
	rc = ck_fail_sys(err, "open");
	ck_error_file(err, path);
	return rc;
}

int tree_open(const struct ck_tree *tree, const char *path, struct ck_file **out, struct ck_error *err)
{
	int rc = open_any(tree, path, out, err);

	if (!rc)
		ck_file_mind(*out, tree->moves, tree->options.ahead, ck_follow_stat);
	return rc;
}

/* Of a file outside the store the mount shows only that there is a link: as a file of its own, which can't be opened.
   */
static int stat_outside(const char *path, struct stat *st)
{
	if (ck_follow_lstat(path, st) < 0)
		return -1;
	if (!S_ISLNK(st->st_mode)) {
		errno = EACCES;
		return -1;
	}
	st->st_mode = S_IFREG | 0444;
	return 0;
}

int tree_stat(const struct ck_tree *tree, const char *path, struct stat *st)
{
	char real[PATH_MAX];

	if (!is_resolved(tree))
		return stat(path, st);
	if (resolve(tree, path, real) < 0)
		return errno == EXDEV ? stat_outside(path, st) : -1;
	if (ck_real_stat(real, st) < 0)
		return -1;
	if (!S_ISLNK(st->st_mode))
		return 0;
	errno = ELOOP; /* it has only just become one */
	return -1;
}

int tree_real(const struct ck_tree *tree, char *path, struct ck_error *err)
{
	char real[PATH_MAX];

	if (resolve(tree, path, real) == 0)
		strcpy(path, real);
	else if (errno == EXDEV)
		return fail_outside(path, err);
	return CK_OK;
}

int tree_check_inside(const struct ck_tree *tree, const struct node *n, struct ck_error *err)
{
	char real[PATH_MAX];

	if (!tree->options.contain || (n->type != NODE_SOURCE && n->type != NODE_TAG))
		return CK_OK;
	/* A directory that isn't there is not a fault here: the caller sees that later. */
	return resolve(tree, n->path, real) < 0 && errno == EXDEV ? fail_outside(n->path, err) : CK_OK;
}

struct ck_ident tree_ident(const struct ck_tree *tree, const struct stat *st)
{
	struct ck_ident ident = ck_ident_of(st);

	ck_moves_ident(tree->moves, &ident);
	return ident;
}
