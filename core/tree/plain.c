/* Which names belong to the store alone: plain.h. */
#include "core/tree/plain.h"

#include "core/file/dir.h"
#include "core/file/follow.h"
#include "core/tree/names.h"

#include <string.h>
#include <sys/stat.h>

/* "600", "600.partial": meant for a step, and refused where a step's name is asked for. */
static bool is_almost_step(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	return digits && (!name[digits] || strcmp(name + digits, ".partial") == 0);
}

static bool in_tag(const char *name)
{
	static const char *const own[] = { CK_DRAFT_DIR, CK_TRASH_NAME, "latest", "best", "history.tsv" };
	struct ck_file_name native;

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (strcmp(name, own[i]) == 0)
			return false;
	return !is_almost_step(name) && !ck_file_name_parse(name, &native);
}

/* nanochat's names of the checkpoints directories are links of the mount's. */
static bool in_base(const char *name)
{
	for (size_t i = 0; i < sizeof(ck_sources) / sizeof(*ck_sources); i++)
		if (strcmp(name, ck_sources[i].name) == 0 || strcmp(name, ck_sources[i].dir) == 0)
			return false;
	return true;
}

bool ck_plain_name(enum ck_level level, const char *name)
{
	if (level == CK_LEVEL_SOURCE)
		return strcmp(name, "largest") != 0 && strcmp(name, CK_DRAFT_DIR) != 0;
	return level == CK_LEVEL_TAG ? in_tag(name) : in_base(name);
}

bool ck_plain_is_dir(const char *dir, const struct dirent *entry, enum ck_level level)
{
	char path[4096];
	struct stat st;

	if ((level == CK_LEVEL_SOURCE && entry->d_name[0] != '.') || !ck_plain_name(level, entry->d_name))
		return false;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return ck_path_join(path, dir, entry->d_name) && ck_follow_lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

struct count {
	enum ck_level level;
	size_t found;
};

static int count_dir(const char *dir, const struct dirent *entry, void *arg)
{
	struct count *c = arg;

	c->found += ck_plain_is_dir(dir, entry, c->level);
	return CK_OK;
}

size_t ck_plain_count_dirs(const char *dir, enum ck_level level)
{
	struct count c = { .level = level };

	return ck_dir_visit(ck_follow_opendir(dir), dir, count_dir, &c, NULL) ? 0 : c.found;
}
