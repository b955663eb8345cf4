/* What names tell. Implements names.h; begin with check_names(). */
#include "core/check/names.h"

#include "core/base/text.h"
#include "core/check/open.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REJECTED ".rejected"
#define STAGED "staged"

static bool begins(const char *name, const char *start) { return strncmp(name, start, strlen(start)) == 0; }

/* Bytes of the file at PATH, or of the files below it. Drafts are as deep as draft/files/optim/rank0. */
static uint64_t bytes_at(const char *path, int depth)
{
	struct ck_names names = {0};
	char below[PATH_MAX];
	uint64_t bytes = 0;
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return (uint64_t)st.st_size;
	if (depth == 0 || ck_list_dir(path, &names, NULL))
		return 0;
	for (size_t i = 0; i < names.count; i++)
		if (ck_path_join(below, path, names.names[i]))
			bytes += bytes_at(below, depth - 1);
	ck_names_free(&names);
	return bytes;
}

#define DEEP 6

/* What stands in TAG/.ckptfs/NAME. */
static void check_hidden(struct tag *tag, const char *name)
{
	char inner[PATH_MAX], path[PATH_MAX], shown[PATH_MAX];
	enum ck_draft_kind kind;
	uint64_t step, bytes;

	snprintf(inner, sizeof(inner), CK_DRAFT_DIR "/%s", name);
	if (!ck_path_join(path, tag->path, inner))
		return;
	bytes = bytes_at(path, DEEP);
	check_shown(tag, inner, shown);
	if (ck_draft_parse(name, &kind, &step))
		ck_found_add(&tag->found, CK_NOTE, shown,
			     "a draft, %" PRIu64
			     " bytes: to publish it, sync its directory in a mount; else rm -r it there",
			     bytes);
	else if (strcmp(name, STAGED) == 0 && bytes)
		ck_found_add(&tag->found, CK_NOTE, shown,
			     "%" PRIu64 " bytes that a mount is writing, or a leftover, which the next mount clears",
			     bytes);
}

static void check_trash(struct tag *tag)
{
	char inner[PATH_MAX], path[PATH_MAX], shown[PATH_MAX];
	struct ck_names names = {0};

	if (!ck_path_join(path, tag->path, CK_DRAFT_DIR "/" CK_TRASH_DIR) || ck_list_dir(path, &names, NULL))
		return;
	for (size_t i = 0; i < names.count; i++) {
		snprintf(inner, sizeof(inner), CK_DRAFT_DIR "/" CK_TRASH_DIR "/%s", names.names[i]);
		if (ck_path_join(path, tag->path, inner))
			ck_found_add(&tag->found, CK_NOTE, check_shown(tag, inner, shown),
				     "retired, %" PRIu64 " bytes: .trash/%s in a mount: rm -r it there, or mv it back",
				     bytes_at(path, DEEP), names.names[i]);
	}
	ck_names_free(&names);
}

static void check_draft_dir(struct tag *tag)
{
	struct ck_names names = {0};
	char path[PATH_MAX];

	if (!ck_path_join(path, tag->path, CK_DRAFT_DIR) || ck_list_dir(path, &names, NULL))
		return;
	for (size_t i = 0; i < names.count; i++)
		check_hidden(tag, names.names[i]);
	ck_names_free(&names);
	check_trash(tag);
}

/* A name of a step's file with another number: model_500.pt. The canonical name, or NULL. */
static const char *canonical(const char *name, char *buf, size_t size)
{
	static const struct {
		const char *start, *end;
	} kinds[] = {{"model_", ".pt"}, {"meta_", ".json"}};
	struct ck_file_name file = {0};
	char *end;

	for (size_t i = 0; i < 2; i++) {
		const char *number = name + strlen(kinds[i].start);

		if (!begins(name, kinds[i].start) || *number < '0' || *number > '9')
			continue;
		errno = 0;
		file.kind = i == 0 ? CK_FILE_MODEL : CK_FILE_META;
		file.step = strtoull(number, &end, 10);
		if (errno == 0 && strcmp(end, kinds[i].end) == 0)
			return ck_file_name_format(&file, buf, size);
	}
	return NULL;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A NAME that nanochat does not write. */
static void check_name(struct tag *tag, const char *name)
{
	bool model = begins(name, "model_") && ck_ends_with(name, ".pt");
	bool stepish = model || (begins(name, "meta_") && ck_ends_with(name, ".json")) ||
		       (begins(name, "optim_") && ck_ends_with(name, ".pt"));
	char path[PATH_MAX], shown[PATH_MAX], buf[64];
	enum ck_draft_kind kind;
	const char *right = canonical(name, buf, sizeof(buf));
	uint64_t step;

	if (!ck_path_join(path, tag->path, name))
		return;
	check_shown(tag, name, shown);
	if (ck_ends_with(name, REJECTED))
		ck_found_add(&tag->found, CK_NOTE, shown,
			     "%" PRIu64
			     " bytes that were no checkpoint when they were written: rm it once it is not needed",
			     bytes_at(path, 0));
	else if (right)
		ck_found_add(&tag->found, CK_WARNING, shown,
			     "not a step's name, though it looks like one: nanochat opens %s: rename it", right);
	else if (stepish)
		ck_found_add(&tag->found, CK_WARNING, shown,
			     "not the name of a step's file, though it looks like one%s: rename it",
			     model ? ", and nanochat's find_last_step takes it for one" : "");
	else if (ck_draft_parse(name, &kind, &step) && is_directory(path))
		ck_found_add(&tag->found, CK_WARNING, shown,
			     "a directory with a step's name: copy it into a mount, which makes a step's files of it");
	else if (begins(name, "model_") || begins(name, "meta_") || begins(name, "optim_"))
		ck_found_add(&tag->found, CK_NOTE, shown, "%" PRIu64 " bytes: a saver's temporary file, or a leftover",
			     bytes_at(path, DEEP));
}

void check_names(struct tag *tag, const struct ck_names *names)
{
	struct ck_file_name file;

	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->names[i], CK_DRAFT_DIR) == 0)
			check_draft_dir(tag);
		else if (!ck_file_name_parse(names->names[i], &file))
			check_name(tag, names->names[i]);
	}
}
