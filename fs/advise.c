/* Implements advise.h. */
#include "advise.h"

#include "core/file/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- options ---- */

#define LONGEST 32      /* a longer word is not a misspelt option */

/* The name at the start of TEXT, up to its value, with '_' for '-'. False where it is too long. */
static bool read_name(const char *text, char name[LONGEST])
{
	size_t len = strcspn(text, "=");

	if (len == 0 || len >= LONGEST)
		return false;
	for (size_t i = 0; i < len; i++)
		name[i] = text[i] == '-' ? '_' : text[i];
	name[len] = '\0';
	return true;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein's distance: how many letters to insert, to remove or to change. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[LONGEST + 1] = { 0 }, above, left_above;

	for (unsigned j = 0; j <= strlen(b); j++)
		row[j] = j;
	for (unsigned i = 0; a[i]; i++) {
		left_above = row[0];
		row[0] = i + 1;
		for (unsigned j = 0; b[j]; j++) {
			above = row[j + 1];
			row[j + 1] = least(above + 1, row[j] + 1, left_above + (a[i] != b[j]));
			left_above = above;
		}
	}
	return row[strlen(b)];
}

/* The known option whose name is nearest to NAME, if it is near. */
static const char *nearest(const char *name, option_name_fn names)
{
	const size_t len = strlen(name);
	unsigned best = len >= 5 ? 2 : len >= 3 ? 1 : 0;
	const char *found = NULL, *option;
	char known[LONGEST];

	for (size_t i = 0; (option = names(i)); i++) {
		unsigned d = read_name(option + strspn(option, "-"), known) ? distance(name, known) : UINT_MAX;

		if (d <= best && (!found || d < best)) {
			found = option;
			best = d;
		}
	}
	return found;
}

/* Words of other programs. */
static const char *translate(const char *name)
{
	static const char *const words[][2] = {
		{ "readonly", "did you mean -o ro?" },
		{ "read_only", "did you mean -o ro?" },
		{ "foreground", "did you mean -f?" },
		{ "u", "unmount with fusermount3 -u MOUNTPOINT" },
		{ "umount", "unmount with fusermount3 -u MOUNTPOINT" },
		{ "unmount", "unmount with fusermount3 -u MOUNTPOINT" },
		{ "remount", "a mount can't be changed: unmount it, and mount it again with the new options" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(name, words[i][0]) == 0)
			return words[i][1];
	return NULL;
}

const char *advise_option(const char *arg, option_name_fn names, char *buf, size_t size)
{
	const char *option, *text, *value = strchr(arg, '=');
	char name[LONGEST];

	if (read_name(arg + strspn(arg, "-"), name)) {
		text = translate(name);
		if (text)
			return text;
		option = nearest(name, names);
		if (option) {
			snprintf(buf, size, "did you mean %s%.*s%s?", option[0] == '-' ? "" : "-o ",
				 (int)strcspn(option, "="), option,
				 strchr(option, '=') && value ? value : "");
			return buf;
		}
	}
	return "see ckptfs --help";
}

bool advise_is_option(const char *word, option_name_fn names)
{
	char name[LONGEST], known[LONGEST];
	const char *option;

	if (!read_name(word, name))
		return false;
	for (size_t i = 0; (option = names(i)); i++)
		if (read_name(option, known) && strcmp(name, known) == 0)
			return true;
	return false;
}

/* ---- the system ---- */

bool advise_is_mounted(const char *path)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m, storage;
	char text[2 * PATH_MAX + 512];
	bool found = false;

	while (mounts && (m = getmntent_r(mounts, &storage, text, sizeof(text))))
		if (strcmp(m->mnt_dir, path) == 0)
			found = strcmp(m->mnt_type, "fuse.ckptfs") == 0;        /* the last one is on top */
	if (mounts)
		endmntent(mounts);
	return found;
}

bool advise_is_mounted_near(const char *path, char *buf, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m, storage;
	char text[2 * PATH_MAX + 512];
	bool found = false;

	while (mounts && !found && (m = getmntent_r(mounts, &storage, text, sizeof(text))))
		if (strcmp(m->mnt_type, "fuse.ckptfs") == 0 &&
		    (ck_is_within(m->mnt_dir, path) || ck_is_within(path, m->mnt_dir)))
			found = snprintf(buf, size, "%s", m->mnt_dir) < (int)size;
	if (mounts)
		endmntent(mounts);
	return found;
}

/* libfuse looks where it was installed, too: /usr/bin as a rule. */
static bool has_fusermount(void)
{
	char path[PATH_MAX], *rest, *dir, *dirs = NULL;
	const char *given = getenv("PATH");
	bool found = false;

	if (asprintf(&dirs, "%s:/usr/local/bin:/usr/bin:/bin", given ? given : "") < 0)
		return true;
	for (dir = strtok_r(dirs, ":", &rest); dir && !found; dir = strtok_r(NULL, ":", &rest))
		found = snprintf(path, sizeof(path), "%s/fusermount3", dir) < (int)sizeof(path) &&
			access(path, X_OK) == 0;
	free(dirs);
	return found;
}

const char *advise_on_system(char *buf, size_t size)
{
	static const char docker[] = "in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN";
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		bool closed = errno == EACCES;

		snprintf(buf, size, "/dev/fuse: %s: %s%s", strerror(errno),
			 closed ? "open it to users with chmod 666 /dev/fuse; "
				: "load the kernel's module with modprobe fuse; ",
			 docker);
		return buf;
	}
	close(fd);
	/* What the bounding set lacks, fusermount3 can't get either. */
	if (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0) {
		snprintf(buf, size, "mounting takes CAP_SYS_ADMIN, which nothing has here: %s", docker);
		return buf;
	}
	if (geteuid() != 0 && !has_fusermount())
		return "no fusermount3 found, which mounts for users: install it (Debian's package fuse3)";
	return NULL;
}
