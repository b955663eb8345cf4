/* A stored file of a job. Implements open.h. */
#include "core/check/open.h"

#include "core/file/dir.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

const char *check_shown(const struct tag *tag, const char *name, char *shown)
{
	snprintf(shown, PATH_MAX, "%s%s%s", tag->shown, tag->shown[0] ? "/" : "", name);
	return shown;
}

bool check_path(struct checker *k, struct job *job, const char *name, char *path, char *shown)
{
	const struct tag *tag = &k->tags[job->tag];
	struct ck_error why = CK_ERROR_INIT;

	check_shown(tag, name, shown);
	if (ck_path_join(path, tag->path, name))
		return true;
	ck_fail_long_path(&why);
	ck_found_error(&job->found, shown, &why, "");
	job->unsure = true;
	return false;
}

/* The memory that hostile files may take is that of the files that are opened at the same time. */
static int open_one(struct checker *k, const char *path, const struct ck_patch *patch, struct ck_checkpoint **out,
		    struct ck_error *err)
{
	struct ck_file *file;
	int rc = ck_file_open(path, &file, err);

	if (rc)
		return rc;
	while (sem_wait(&k->opens) < 0)
		;
	rc = ck_checkpoint_open(file, patch, out, err);
	sem_post(&k->opens);
	ck_file_unref(file);
	return rc;
}

void check_open(struct checker *k, struct job *job, const char *path, const char *shown, const struct ck_patch *patch,
		struct ck_checkpoint **out, struct ck_found *found)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc = open_one(k, path, patch, out, &why);

	if (!rc)
		return;
	*out = NULL;
	if (rc == CK_ERR_SYS && why.sys == ENOENT)
		job->gone = true;
	else
		ck_found_error(found, shown, &why, why.refused ? "" : "restore it or resume from another step");
	job->unsure |= rc == CK_ERR_SYS || rc == CK_ERR_NOMEM || rc == CK_ERR_CHANGED;
}

void check_note_head(struct job *job, const struct ck_checkpoint *c, const char *key)
{
	for (size_t i = 0; i < ck_checkpoint_count(c); i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(c, i);

		if (strcmp(t->key, key) != 0 || t->ndim != 2)
			continue;
		job->rows = t->shape[0];
		job->columns = t->shape[1];
	}
}

void check_settle(struct job *job, const struct ck_still *still, const char *shown, struct ck_found *found)
{
	enum ck_stillness s = ck_found_has(found, CK_ERROR) || ck_found_has(found, CK_WARNING)
				      ? ck_still_end(still, CK_STILL_FILE)
				      : CK_STILL;

	if (s == CK_STILL) {
		ck_found_move(&job->found, found);
		return;
	}
	ck_found_clear(found);
	job->unsure = true;
	if (s == CK_GONE)
		job->gone = true;
	else
		ck_found_add(&job->found, CK_NOTE, shown, "is being written: check it again");
}
