/* Links in a store, also one that is held by a descriptor. Implements follow.h. */
#include "core/file/follow.h"

#include "core/file/real.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINKS 40

struct walk {
	char held[CK_HANDLE];   /* "/proc/self/fd/N" */
	char home[PATH_MAX];    /* the place of N's directory */
	char at[PATH_MAX];      /* so far; no link is in it */
	char rest[PATH_MAX];    /* what is still to be walked */
	unsigned links;
};

static bool is_inside(const struct walk *w) { return strncmp(w->at, w->held, strlen(w->held)) == 0; }

static int too_long(void)
{
	errno = ENAMETOOLONG;
	return -1;
}

static void go_up(struct walk *w)
{
	char *slash;

	if (strcmp(w->at, w->held) == 0)
		strcpy(w->at, w->home);
	slash = strrchr(w->at, '/');
	if (slash)
		*slash = '\0';
}

/* W stands at a link: its target comes before the rest. */
static int enter_link(struct walk *w, const char *link)
{
	char target[PATH_MAX];
	size_t rest = strlen(w->rest);
	ssize_t len;

	len = is_inside(w) ? ck_real_readlink(link, target, sizeof(target)) : readlink(link, target, sizeof(target));
	if (len < 0)
		return -1;
	if (++w->links > MAX_LINKS) {
		errno = ELOOP;
		return -1;
	}
	if ((size_t)len + 1 + rest >= PATH_MAX)
		return too_long();
	memmove(w->rest + len + 1, w->rest, rest + 1);
	memcpy(w->rest, target, (size_t)len);
	w->rest[len] = '/';
	if (target[0] == '/')
		w->at[0] = '\0';
	return 0;
}

static int step(struct walk *w, const char *name)
{
	char next[PATH_MAX];
	size_t len = strlen(w->at);
	struct stat st;

	if (len + 1 + strlen(name) >= PATH_MAX)
		return too_long();
	memcpy(next, w->at, len);
	next[len] = '/';
	strcpy(next + len + 1, name);
	/* Here is the mount: the directory below it is meant. */
	if (strcmp(next, w->home) == 0) {
		strcpy(w->at, w->held);
		return 0;
	}
	if ((is_inside(w) ? ck_real_stat(next, &st) : lstat(next, &st)) < 0)
		return -1;
	if (S_ISLNK(st.st_mode))
		return enter_link(w, next);
	strcpy(w->at, next);
	return 0;
}

static int walk(struct walk *w)
{
	char name[NAME_MAX + 1];
	size_t len;
	int rc = 0;

	while (!rc) {
		char *from = w->rest + strspn(w->rest, "/");

		len = strcspn(from, "/");
		if (len == 0)
			break;
		if (len > NAME_MAX)
			return too_long();
		memcpy(name, from, len);
		name[len] = '\0';
		memmove(w->rest, from + len, strlen(from + len) + 1);
		if (strcmp(name, "..") == 0)
			go_up(w);
		else if (strcmp(name, ".") != 0)
			rc = step(w, name);
	}
	return rc;
}

int ck_follow(const char *path, char *real)
{
	const char *rest = path;
	struct walk w = { .links = 0 };
	ssize_t len;

	if (ck_held(&rest) < 0)
		return realpath(path, real) ? 0 : -1;
	if (strlen(rest) >= sizeof(w.rest))
		return too_long();
	len = rest - path;
	while (path[len - 1] == '/')
		len--;
	memcpy(w.held, path, (size_t)len);
	strcpy(w.at, w.held);
	strcpy(w.rest, rest);
	len = readlink(w.held, w.home, sizeof(w.home) - 1);
	if (len < 0 || walk(&w) < 0)
		return -1;
	strcpy(real, w.at[0] ? w.at : "/");
	return 0;
}

int ck_follow_stat(const char *path, struct stat *st)
{
	const char *rest = path;
	char real[PATH_MAX];

	if (ck_held(&rest) < 0)
		return stat(path, st);
	return ck_follow(path, real) < 0 ? -1 : ck_real_stat(real, st);
}

int ck_follow_lstat(const char *path, struct stat *st)
{
	const char *rest = path, *slash = strrchr(path, '/');
	char dir[PATH_MAX], real[PATH_MAX];

	if (ck_held(&rest) < 0)
		return lstat(path, st);
	if (slash < rest)
		return ck_real_stat(path, st);
	if (strlen(path) >= sizeof(dir))
		return too_long();
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	if (ck_follow(dir, real) < 0)
		return -1;
	if (strlen(real) + strlen(slash) >= sizeof(real))
		return too_long();
	return ck_real_stat(strcat(real, slash), st);
}

DIR *ck_follow_opendir(const char *path)
{
	const char *rest = path;
	char real[PATH_MAX];

	if (ck_held(&rest) < 0)
		return opendir(path);
	return ck_follow(path, real) < 0 ? NULL : ck_real_opendir(real);
}
