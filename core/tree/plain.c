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

size_t ck_plain_count_dirs(const char *dir, enum ck_level level)
{
	struct ck_names names;
	char path[4096];
	size_t count = 0;
	struct stat st;

	if (ck_list_dir(dir, &names, NULL))
		return 0;
	for (size_t i = 0; i < names.count; i++)
		count += (level != CK_LEVEL_SOURCE || names.names[i][0] == '.') &&
			 ck_plain_name(level, names.names[i]) && ck_path_join(path, dir, names.names[i]) &&
			 ck_follow_lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
	ck_names_free(&names);
	return count;
}
