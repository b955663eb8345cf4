/* What a store can do: implements able.h. */
#include "core/draft/able.h"

#include "core/draft/lease.h"
#include "core/file/dir.h"
#include "core/file/fd.h"
#include "core/file/real.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The second piece is written before the first one. */
#define FAR 100000

struct try {
	char path[PATH_MAX], other[PATH_MAX];
	char text[CK_LEASE_TEXT];
	struct stat st;
};

static int unable(struct ck_error *err, const char *what)
{
	return ck_fail(err, CK_ERR_ROFS, "this store can't be written to: %s (%s)", what, strerror(errno));
}

/* The file is open for reading and writing, as those of drafts are. */
static int try_file(struct try *t, struct ck_error *err)
{
	char got[CK_LEASE_TEXT] = "";
	size_t len = strlen(t->text);
	int fd = ck_real_open(t->path, O_RDWR | O_CREAT | O_EXCL, 0600), rc = CK_OK;

	if (fd < 0)
		return unable(err, "a new file can't be opened for reading and writing");
	if (ck_write_full(fd, FAR, t->text, len, NULL) || ck_write_full(fd, 0, t->text, len, NULL))
		rc = unable(err, "bytes can't be written at any place of a file");
	else if (pread(fd, got, len, FAR) != (ssize_t)len || strcmp(got, t->text) != 0)
		rc = unable(err, "what was written can't be read");
	else if (fsync(fd) < 0)
		rc = unable(err, "a file can't be synced");
	if (close(fd) < 0 && !rc)
		rc = unable(err, "a file can't be closed");
	return rc;
}

static bool has_number(const struct try *t, const char *path)
{
	struct stat now;

	return ck_real_stat(path, &now) == 0 && now.st_ino == t->st.st_ino;
}

static void put(char *line, size_t size, const char *what)
{
	size_t len = strlen(line);

	snprintf(line + len, size - len, "%s%s", len ? ", " : "it has ", what);
}

static int try_names(struct try *t, char *line, size_t size, struct ck_error *err)
{
	bool lasts;

	if (ck_real_stat(t->path, &t->st) < 0)
		return unable(err, "a new file isn't found");
	if (ck_real_rename(t->path, t->other, RENAME_NOREPLACE) < 0) {
		put(line, size, "no rename that replaces nothing");
		if (ck_real_rename(t->path, t->other, 0) < 0)
			return unable(err, "a file can't be renamed");
	}
	lasts = has_number(t, t->other);
	if (ck_real_link(t->other, t->path) < 0)
		put(line, size, "no hard links");
	else
		lasts = lasts && has_number(t, t->path);
	if (!lasts)
		put(line, size, "no inode numbers that last");
	return CK_OK;
}

int ck_able_to_write(const struct ck_lease_self *self, const char *home, char *line, size_t size, struct ck_error *err)
{
	const struct timespec pause = { .tv_nsec = 300000000L };
	char name[64];
	struct try t;
	int rc = ck_lease_text(self, t.text, err);

	line[0] = '\0';
	if (rc)
		return rc;
	snprintf(name, sizeof(name), CK_LEASE_PREFIX "try%.17s", strrchr(t.text, ' '));
	name[strlen(CK_LEASE_PREFIX "try")] = '-';
	if (!ck_path_join(t.path, home, name) ||
	    (size_t)snprintf(t.other, sizeof(t.other), "%s.renamed", t.path) >= sizeof(t.other))
		return ck_fail_long_path(err);
	rc = try_file(&t, err);
	if (!rc)
		rc = try_names(&t, line, size, err);
	/* What could not be written is made at its close, which the client may do a little later. */
	if (rc)
		nanosleep(&pause, NULL);
	ck_real_unlink(t.path);
	ck_real_unlink(t.other);
	return rc;
}
