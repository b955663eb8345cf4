/* Implements level.h. */
#include "core/tree/level.h"

#include "core/file/dir.h"
#include "core/tree/names.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static bool ends_with(const char *name, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && memcmp(name + len - n, end, n) == 0;
}

static bool is_checkpoints(const char *name) { return ends_with(name, strlen(name), "_checkpoints"); }

/* Whether the last part of PATH is such a name. */
static bool is_named_checkpoints(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return ends_with(path, len, "_checkpoints");
}

/* nanochat's base directory has these before its first checkpoint. */
static bool is_of_base(const char *name)
{
	static const char *const names[] = { "tokenizer", "eval_bundle", "task_data", "report" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "base_data", strlen("base_data")) == 0;
}

static bool is_step_file(const char *name)
{
	struct ck_file_name parsed;

	if (ck_file_name_parse(name, &parsed))
		return parsed.kind != CK_FILE_META;
	/* Until November 2025 nanochat wrote optim_NNNNNN.pt, without a rank. */
	return strncmp(name, "optim_", 6) == 0 && strspn(name + 6, "0123456789") >= 6;
}

/* Whether the entry, or what it links to, is of TYPE (DT_DIR, DT_REG). */
static bool is_type(DIR *dir, const struct dirent *entry, unsigned char type)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
		return entry->d_type == type;
	return fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && IFTODT(st.st_mode) == type;
}

/* A subdirectory that the mounting user can't read does not count as nanochat's. */
static bool holds_steps(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = is_step_file(entry->d_name) && is_type(dir, entry, DT_REG);
	if (dir)
		closedir(dir);
	return found;
}

struct signs {
	bool checkpoints, of_base, steps, tags, drafts;
};

static void see(DIR *dir, const struct dirent *entry, struct signs *seen)
{
	const char *name = entry->d_name;

	if (is_step_file(name))
		seen->steps |= is_type(dir, entry, DT_REG);
	else if (is_checkpoints(name))
		seen->checkpoints |= is_type(dir, entry, DT_DIR);
	else if (is_of_base(name))
		seen->of_base |= is_type(dir, entry, DT_DIR);
	else if (strcmp(name, CK_DRAFT_DIR) == 0)
		seen->drafts |= is_type(dir, entry, DT_DIR);
}

/* The subdirectories of DIR, which is at PATH, up to the first that is a tag. */
static bool holds_tags(DIR *dir, const char *path)
{
	char sub[PATH_MAX];
	const struct dirent *entry;

	rewinddir(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && is_type(dir, entry, DT_DIR) && ck_path_join(sub, path, entry->d_name) &&
		    holds_steps(sub))
			return true;
	return false;
}

int ck_level_detect(const char *path, enum ck_level *level, bool *found, struct ck_error *err)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	struct signs seen = { 0 };

	if (!dir) {
		ck_fail_sys(err, "opendir");
		ck_error_file(err, path);
		return CK_ERR_SYS;
	}
	while ((entry = readdir(dir)))
		see(dir, entry, &seen);
	if (!seen.checkpoints && !seen.steps)
		seen.tags = is_named_checkpoints(path) || holds_tags(dir, path);
	closedir(dir);
	*found = true;
	if (seen.checkpoints)
		*level = CK_LEVEL_BASE;
	else if (seen.steps)
		*level = CK_LEVEL_TAG;
	else if (seen.tags)
		*level = CK_LEVEL_SOURCE;
	else if (seen.of_base || !seen.drafts)
		*level = CK_LEVEL_BASE, *found = seen.of_base;
	else    /* a tag whose first step is still a draft: only ckptfs makes that directory */
		*level = CK_LEVEL_TAG;
	return CK_OK;
}
