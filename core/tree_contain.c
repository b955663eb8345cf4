#include "tree_private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * Where links must not lead out of the store (options.contain), each path is resolved, the result
 * compared with the store's, and that opened without following any link more: so it makes no
 * difference what someone puts in its place meanwhile.
 */

static const char leads_out[] = "it leads out of the store, which takes -o follow";

int tree_open(const struct ck_tree *tree, const char *path, struct ck_file **out, struct ck_error *err)
{
	int fd, rc;

	if (!tree->options.contain)
		return ck_file_open(path, out, err);
	fd = ck_open_below(tree->store, path, CK_OPEN_FILE);
	if (fd >= 0)
		return ck_file_from_fd(fd, path, out, err);
	rc = errno == EXDEV;
	if (rc)
		errno = EACCES;
	rc = ck_fail_sys(err, rc ? leads_out : "open");
	ck_error_file(err, path);
	return rc;
}

/* Of what lies outside nothing is told but that there is a link: it stands for a file of its own,
   which can't be opened. */
static int stat_outside(const char *path, struct stat *st)
{
	if (lstat(path, st) < 0)
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
	int fd, rc;

	if (!tree->options.contain)
		return stat(path, st);
	fd = ck_open_below(tree->store, path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == EXDEV ? stat_outside(path, st) : -1;
	rc = fstat(fd, st);
	close(fd);
	return rc;
}

int tree_check_inside(const struct ck_tree *tree, const struct node *n, struct ck_error *err)
{
	int fd, rc;

	if (!tree->options.contain || (n->type != NODE_SOURCE && n->type != NODE_TAG))
		return CK_OK;
	fd = ck_open_below(tree->store, n->path, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	/* A directory that isn't there is for others to judge. */
	if (fd >= 0 || errno != EXDEV)
		return CK_OK;
	errno = EACCES;
	rc = ck_fail_sys(err, leads_out);
	ck_error_file(err, n->path);
	return rc;
}
