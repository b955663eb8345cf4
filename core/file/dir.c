/* The names in a directory. Implements dir.h. */
#include "core/file/dir.h"

#include "core/file/follow.h"
#include "core/file/real.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

bool ck_path_join(char *path, const char *dir, const char *name)
{
	size_t a = strlen(dir), b = strlen(name);

	if (a + 1 + b >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	memmove(path, dir, a);
	path[a] = '/';
	memcpy(path + a + 1, name, b + 1);
	return true;
}

int ck_dir_visit(DIR *dir, const char *path, ck_visit visit, void *arg, struct ck_error *err)
{
	struct dirent *entry = NULL;
	int rc = CK_OK;

	if (!dir) {
		rc = ck_fail_sys(err, "opendir");
		goto out;
	}
	while (!rc) {
		errno = 0;
		entry = readdir(dir);
		if (!entry && errno)
			rc = ck_fail_sys(err, "readdir");
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = visit(path, entry, arg);
	}
	if (rc == CK_ERR_NOMEM)
		ck_fail_nomem(err);
	closedir(dir);
out:
	ck_error_file(err, path);
	return rc;
}

int ck_names_add(struct ck_names *names, const char *name)
{
	char **grown;

	/* A power of two is full. */
	if ((names->count & (names->count - 1)) == 0) {
		grown = reallocarray(names->names, names->count ? 2 * names->count : 1, sizeof(*grown));
		if (!grown)
			return CK_ERR_NOMEM;
		names->names = grown;
	}
	names->names[names->count] = strdup(name);
	if (!names->names[names->count])
		return CK_ERR_NOMEM;
	names->count++;
	return CK_OK;
}

static int by_name(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static int add_any(const char *dir, const struct dirent *entry, void *arg)
{
	(void)dir;
	return ck_names_add(arg, entry->d_name);
}

int ck_list_visited(DIR *dir, const char *path, ck_visit visit, struct ck_names *out, struct ck_error *err)
{
	struct ck_names names = { 0 };
	int rc = ck_dir_visit(dir, path, visit, &names, err);

	if (rc) {
		ck_names_free(&names);
		return rc;
	}
	if (names.count > 0)
		qsort(names.names, names.count, sizeof(*names.names), by_name);
	*out = names;
	return CK_OK;
}

int ck_list_dir(const char *path, struct ck_names *out, struct ck_error *err)
{
	return ck_list_visited(ck_follow_opendir(path), path, add_any, out, err);
}

int ck_list_real_dir(const char *path, struct ck_names *out, struct ck_error *err)
{
	return ck_list_visited(ck_real_opendir(path), path, add_any, out, err);
}

void ck_names_free(struct ck_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct ck_names){ 0 };
}

bool ck_is_within(const char *inner, const char *outer)
{
	size_t len = strcmp(outer, "/") == 0 ? 0 : strlen(outer);

	return strncmp(inner, outer, len) == 0 && (inner[len] == '/' || inner[len] == '\0');
}
