/* The parts of a plan, and what makes a draft unfit. Implements plan_parts.h. */
#include "core/draft/plan_parts.h"

#include "core/base/text.h"
#include "core/file/dir.h"
#include "core/file/real.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int plan_unfit(struct draft_files *d, const char *subject, const char *why)
{
	int rc = ck_fail(d->err, CK_ERR_INVALID, "%s", why);

	ck_error_subject(d->err, subject, strlen(subject));
	return rc;
}

bool plan_is_passing(const char *name)
{
	return name[0] == '.' || ck_ends_with(name, "~") || ck_ends_with(name, ".error");
}

struct ck_part *plan_add(struct draft_files *d, enum ck_file_kind kind, uint64_t rank, enum ck_part_kind how,
			 const char *path)
{
	struct ck_plan *plan = d->plan;
	struct ck_part *part;

	if (plan->count == plan->cap) {
		size_t cap = plan->cap ? plan->cap * 2 : 4;

		part = realloc(plan->parts, cap * sizeof(*part));
		if (!part)
			return NULL;
		plan->parts = part;
		plan->cap = cap;
	}
	part = &plan->parts[plan->count];
	*part = (struct ck_part){ .name = { kind, d->step, rank }, .kind = how, .path = strdup(path) };
	if (!part->path)
		return NULL;
	plan->count++;
	return part;
}

bool plan_exists(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	return ck_path_join(path, dir, name) && ck_real_stat(path, &st) == 0;
}

int plan_open_pt(const char *path, const struct ck_patch *patch, struct ck_checkpoint **out, struct ck_error *err)
{
	struct ck_file *file;
	int rc = ck_real_file(path, &file, err);

	if (rc)
		return rc;
	rc = ck_checkpoint_open(file, patch, out, err);
	ck_file_unref(file);
	return rc;
}

void plan_part_free(struct ck_part *part)
{
	free(part->path);
	free(part->files);
	if (part->kind == CK_PART_NPY)
		free(part->tensors);
	ck_file_unref(part->file);
	ck_arena_free(part->arena);
}
