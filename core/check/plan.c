/* Which files there are to check. Implements plan.h; begin with check_plan(). */
#include "core/check/plan.h"

#include "core/check/names.h"
#include "core/check/open.h"
#include "core/file/dir.h"
#include "core/tree/store.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct tag *add_tag(struct checker *k, const char *path, const char *shown)
{
	size_t cap = k->tag_cap ? 2 * k->tag_cap : 16;
	struct tag *tag;

	if (k->tag_count == k->tag_cap) {
		tag = reallocarray(k->tags, cap, sizeof(*tag));
		if (!tag)
			return NULL;
		k->tags = tag;
		k->tag_cap = cap;
	}
	tag = &k->tags[k->tag_count++];
	*tag = (struct tag){.path = strdup(path), .shown = strdup(shown), .from = k->count, .to = k->count};
	return tag->path && tag->shown ? tag : NULL;
}

static bool add_job(struct checker *k, const struct ck_file_name *name, uint64_t size)
{
	size_t cap = k->cap ? 2 * k->cap : 256;

	if (k->count == k->cap) {
		struct job *jobs = reallocarray(k->jobs, cap, sizeof(*jobs));

		if (!jobs)
			return false;
		k->jobs = jobs;
		k->cap = cap;
	}
	k->jobs[k->count++] = (struct job){.tag = k->tag_count - 1, .name = *name, .size = size};
	k->all_bytes += size;
	return true;
}

/* The order of steps; in a step the model, its metadata, the shards by rank, of rank 0 the name with the rank first. */
static int by_order(const void *left, const void *right)
{
	const struct ck_file_name *a = left, *b = right;

	if (a->step != b->step)
		return a->step < b->step ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return (int)a->bare - (int)b->bare;
}

static uint64_t size_of(const struct tag *tag, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	return ck_path_join(path, tag->path, name) && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* The files F of one step. Without a model they are leftovers. */
static bool add_step(struct checker *k, struct tag *tag, const struct ck_file_name *f, size_t count)
{
	char name[64], shown[PATH_MAX];
	bool has_model = f[0].kind == CK_FILE_MODEL;

	for (size_t i = 0; i < count; i++) {
		ck_file_name_format(&f[i], name, sizeof(name));
		if (!has_model || (f[i].kind == CK_FILE_OPTIM && f[i].bare && f[i - 1].kind == CK_FILE_OPTIM)) {
			ck_found_add(&tag->found, CK_NOTE, check_shown(tag, name, shown), "a leftover: %s",
				     has_model ? "rank 0's shard is the file with the rank in its name"
					       : "its step has no model");
		} else if (f[i].kind == CK_FILE_META) {
			k->jobs[k->count - 1].has_meta = true;
		} else if (!add_job(k, &f[i], size_of(tag, name))) {
			return false;
		}
	}
	return true;
}

static bool add_steps(struct checker *k, struct tag *tag, const struct ck_names *names)
{
	struct ck_file_name *files = calloc(names->count + 1, sizeof(*files));
	size_t count = 0;
	bool ok = files != NULL;

	for (size_t i = 0; ok && i < names->count; i++)
		if (ck_file_name_parse(names->names[i], &files[count]) &&
		    (!k->options->one_step || files[count].step == k->options->step))
			count++;
	if (ok)
		qsort(files, count, sizeof(*files), by_order);
	for (size_t i = 0, end; ok && i < count; i = end) {
		for (end = i; end < count && files[end].step == files[i].step; end++)
			;
		ok = add_step(k, tag, &files[i], end - i);
	}
	free(files);
	tag->to = k->count;
	return ok;
}

/* A directory that can't be read is a finding unless it is the store itself. */
static int settle(struct tag *tag, int rc, struct ck_error *why, struct ck_error *err)
{
	if (rc == CK_ERR_SYS && tag->shown[0]) {
		ck_found_error(&tag->found, tag->shown, why, "");
		return CK_OK;
	}
	if (rc)
		ck_error_copy(err, why);
	return rc;
}

static int plan_tag(struct checker *k, const char *path, const char *shown, struct ck_error *err)
{
	struct tag *tag = add_tag(k, path, shown);
	struct ck_error why = CK_ERROR_INIT;
	struct ck_names names = {0};
	int rc = tag ? ck_list_dir(path, &names, &why) : ck_fail_nomem(&why);

	if (!tag) {
		ck_error_copy(err, &why);
		return rc;
	}
	if (!rc && !add_steps(k, tag, &names))
		rc = ck_fail_nomem(&why);
	if (!rc && !k->options->one_step)
		check_names(tag, &names);
	ck_names_free(&names);
	return settle(tag, rc, &why, err);
}

static int plan_source(struct checker *k, const char *path, const char *shown, struct ck_error *err)
{
	char below[PATH_MAX], name[PATH_MAX];
	struct tag *tag = add_tag(k, path, shown);
	struct ck_error why = CK_ERROR_INIT;
	struct ck_names tags = {0};
	int rc = tag ? ck_store_tags(path, &tags, &why) : ck_fail_nomem(&why);

	if (rc)
		return tag ? settle(tag, rc, &why, err) : (ck_error_copy(err, &why), rc);
	for (size_t i = 0; i < tags.count && !rc; i++) {
		if (!ck_path_join(below, path, tags.names[i]) ||
		    (shown[0] && !ck_path_join(name, shown, tags.names[i])))
			continue;
		rc = plan_tag(k, below, shown[0] ? name : tags.names[i], err);
	}
	ck_names_free(&tags);
	return rc;
}

static int plan_base(struct checker *k, struct ck_error *err)
{
	char path[PATH_MAX];
	struct stat st;
	int rc = CK_OK;

	for (size_t i = 0; i < sizeof(ck_sources) / sizeof(*ck_sources) && !rc; i++)
		if (ck_path_join(path, k->options->store, ck_sources[i].dir) &&
		    (stat(path, &st) == 0 || errno != ENOENT))
			rc = plan_source(k, path, ck_sources[i].dir, err);
	return rc;
}

int check_plan(struct checker *k, struct ck_error *err)
{
	const struct ck_check_options *o = k->options;
	char step[32];
	int rc = o->level == CK_LEVEL_BASE     ? plan_base(k, err)
		 : o->level == CK_LEVEL_SOURCE ? plan_source(k, o->store, "", err)
					       : plan_tag(k, o->store, "", err);

	ck_step_format(o->step, step, sizeof(step));
	if (!rc && o->one_step && k->count == 0)
		rc = ck_fail(err, CK_ERR_NOENT, "no step %s: there is no model_%s.pt", step, step);
	return rc;
}

void check_plan_free(struct checker *k)
{
	for (size_t i = 0; i < k->tag_count; i++) {
		free(k->tags[i].path);
		free(k->tags[i].shown);
		ck_found_clear(&k->tags[i].found);
	}
	for (size_t i = 0; i < k->count; i++) {
		ck_buf_free(&k->jobs[i].signature);
		ck_found_clear(&k->jobs[i].found);
	}
	free(k->tags);
	free(k->jobs);
}
