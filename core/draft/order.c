#include "core/draft/plan.h"

#include "core/file/real.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_JOURNAL ((size_t)64 << 20)

int ck_order_append(const char *dir, uint64_t ino, struct ck_error *err)
{
	char path[PATH_MAX];
	int fd = -1, rc = CK_OK;
	ssize_t n;

	if (ck_path_join(path, dir, "order"))
		fd = ck_real_open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
	else
		errno = ENAMETOOLONG;
	if (fd < 0)
		return ck_fail_sys(err, "open of the draft's order");
	/* One small write with O_APPEND is whole or not at all, also with several writers: no
	   entry crosses the end of a block. */
	n = write(fd, &ino, sizeof(ino));
	if (n >= 0 && n != sizeof(ino))
		errno = ENOSPC;
	if (n != sizeof(ino))
		rc = ck_fail_sys(err, "write to the draft's order");
	close(fd);
	return rc;
}

int ck_order_sync(const char *dir, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	char path[PATH_MAX];
	int rc = ck_path_join(path, dir, "order") ? ck_real_sync(path, &why) : CK_OK;

	if (rc && why.sys == ENOENT)
		return CK_OK;
	if (rc && err && !err->code)
		*err = why;
	return rc;
}

/* A name, and the place of its file in the journal. */
struct placed {
	char *name;
	uint64_t ino;
	size_t place;
};

static int by_ino(const void *left, const void *right)
{
	uint64_t a = ((const struct placed *)left)->ino, b = ((const struct placed *)right)->ino;

	return (a > b) - (a < b);
}

static int by_place(const void *left, const void *right)
{
	const struct placed *a = left, *b = right;

	if (a->place != b->place)
		return a->place > b->place ? 1 : -1;
	return strcmp(a->name, b->name);
}

/* The last mention of an inode number counts: an earlier one was of a file that is gone. */
static void place_all(struct placed *files, size_t count, const char *journal, size_t len)
{
	struct placed key = { 0 }, *found;

	qsort(files, count, sizeof(*files), by_ino);
	for (size_t i = 0; i < len / sizeof(key.ino); i++) {
		memcpy(&key.ino, journal + i * sizeof(key.ino), sizeof(key.ino));
		found = bsearch(&key, files, count, sizeof(*files), by_ino);
		if (found)
			found->place = i;
	}
	qsort(files, count, sizeof(*files), by_place);
}

/* NAMES, in the directory PATH, with their places in DIR/order, in that order; malloc'ed
   (free()), the names borrowed. */
static int place_names(const char *dir, const char *path, const struct ck_names *names, struct placed **out,
		       struct ck_error *err)
{
	struct placed *files = calloc(names->count + 1, sizeof(*files));
	struct ck_file *file = NULL;
	char at[PATH_MAX], *journal = NULL;
	struct stat st;
	size_t len = 0;
	int rc = CK_OK;

	if (!files)
		return ck_fail_nomem(err);
	for (size_t i = 0; i < names->count; i++) {
		files[i] = (struct placed){ .name = names->names[i], .place = SIZE_MAX };
		if (ck_path_join(at, path, names->names[i]) && ck_real_stat(at, &st) == 0)
			files[i].ino = st.st_ino;
	}
	/* Without a journal (a draft made by hand) the order is by name. */
	if (ck_path_join(at, dir, "order") && (ck_real_stat(at, &st) == 0 || errno != ENOENT))
		rc = ck_real_file(at, &file, err);
	if (!rc && file)
		rc = ck_file_load(file, MAX_JOURNAL, &journal, &len, err);
	if (!rc)
		place_all(files, names->count, journal, len);
	ck_file_unref(file);
	free(journal);
	if (rc)
		free(files);
	else
		*out = files;
	return rc;
}

int ck_order_sort(const char *dir, const char *path, struct ck_names *names, struct ck_error *err)
{
	struct placed *files;
	int rc = place_names(dir, path, names, &files, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < names->count; i++)
		names->names[i] = files[i].name;
	free(files);
	return CK_OK;
}

int ck_order_complete(const char *dir, const char *path, struct ck_error *err)
{
	struct ck_names names;
	struct placed *files;
	struct stat st;
	int rc;

	if (ck_real_stat(path, &st) == 0 ? !S_ISDIR(st.st_mode) : errno == ENOENT)
		return CK_OK;
	rc = ck_list_real_dir(path, &names, err);
	if (rc)
		return rc;
	rc = place_names(dir, path, &names, &files, err);
	if (!rc) {
		for (size_t i = 0; i < names.count && !rc; i++)
			if (files[i].place == SIZE_MAX)
				rc = ck_order_append(dir, files[i].ino, err);
		free(files);
	}
	ck_names_free(&names);
	return rc;
}
