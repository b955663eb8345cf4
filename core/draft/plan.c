/*
 * Implements plan.h: which files a draft's step will have, and from what each is made. The model is plan_model.c's,
 * directories of tensors are plan_tensors.c's.
 */
#include "core/draft/plan_private.h"

#include "core/base/buf.h"
#include "core/file/real.h"
#include "core/format/meta.h"
#include "core/format/outline.h"

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

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len >= n && strcmp(name + len - n, end) == 0;
}

bool plan_is_passing(const char *name)
{
	return name[0] == '.' || ends_with(name, "~") || ends_with(name, ".error");
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

/* ---- meta.json ---- */

static int plan_meta(struct draft_files *d)
{
	struct ck_meta_info info = { .n_layer = -1 };
	struct ck_file *file = NULL;
	char path[PATH_MAX], *text = NULL;
	size_t len;
	int rc;

	if (!plan_exists(d->files, "meta.json"))
		return plan_unfit(d, "meta.json", "it is missing");
	if (!ck_path_join(path, d->files, "meta.json") || !plan_add(d, CK_FILE_META, 0, CK_PART_FILE, path))
		return ck_fail_nomem(d->err);
	rc = ck_real_file(path, &file, d->err);
	if (!rc)
		rc = ck_file_load(file, CK_META_MAX_BYTES, &text, &len, d->err);
	if (!rc)
		rc = ck_meta_check(text, len, d->err);
	if (!rc)
		rc = ck_meta_read(file, NULL, &info, d->err);
	d->n_layer = info.n_layer;
	ck_error_subject(d->err, "meta.json", strlen("meta.json"));
	ck_file_unref(file);
	free(text);
	return rc;
}

/* ---- optimizer shards ---- */

/* A shard's rankN/ (without tensors it is its .json alone) and rankN.json. */
static int take_rank(struct draft_files *d, struct ck_part *part, const char *json)
{
	struct stat st;
	int rc;

	if (ck_real_stat(part->path, &st) == 0) {
		rc = plan_take_npy(d, part, true);
	} else {
		part->arena = ck_arena_new(MAX_PART);
		rc = part->arena ? CK_OK : ck_fail_nomem(d->err);
	}
	return rc ? rc : plan_take_outline(d, part, json);
}

/* What rankN.pt would be shown as, against the outline that was read. */
static int compare_outline(const struct ck_part *other, struct ck_checkpoint *c, struct ck_error *err)
{
	struct ck_buf text = CK_BUF_INIT;
	struct ck_view *view = NULL;
	char *shown = NULL;
	size_t got = 0;
	int rc = ck_checkpoint_view(c, CK_FORM_OUTLINE, 0, &view, err);

	if (!rc)
		rc = ck_outline_write(&text, &other->root, other->tensors, 2, CK_OUTLINE_MAX_BYTES, err);
	if (!rc && (text.failed || !(shown = malloc(text.len + 1))))
		rc = ck_fail_nomem(err);
	if (!rc && ck_view_size(view) == text.len)
		rc = ck_view_read(view, 0, shown, text.len, &got, err);
	if (!rc && (ck_view_size(view) != text.len || memcmp(shown, text.data, text.len) != 0))
		rc = ck_fail(err, CK_ERR_INVALID, "it says something else than rankN.pt beside it: keep one of the two");
	free(shown);
	ck_buf_free(&text);
	ck_view_unref(view);
	return rc;
}

/* A shard that is there both as its file, PATH, and written out. */
static int check_rank(struct draft_files *d, const struct ck_part *part, const char *path, const char *json)
{
	static const struct ck_patch as_stored = { .n_layer = -1 };
	struct ck_part other = { .name = part->name, .kind = CK_PART_NPY };
	struct ck_checkpoint *c = NULL;
	int rc;

	other.path = strndup(path, strlen(path) - strlen(".pt"));
	rc = other.path ? take_rank(d, &other, json) : ck_fail_nomem(d->err);
	if (!rc)
		rc = plan_open_pt(path, &as_stored, &c, d->err);
	if (!rc)
		rc = compare_outline(&other, c, d->err);
	if (!rc && !(d->flags & CK_PLAN_QUICK))
		rc = plan_same_tensors(c, NULL, &other, d->err);
	ck_checkpoint_unref(c);
	plan_part_free(&other);
	return rc;
}

static int plan_rank(struct draft_files *d, const char *optim, uint64_t rank)
{
	static const struct ck_patch as_stored = { .n_layer = -1 };
	char name[64], path[PATH_MAX], json_name[64], json[PATH_MAX];
	struct ck_checkpoint *c = NULL;
	struct ck_part *part;
	bool pt, outline;
	int rc;

	snprintf(name, sizeof(name), "rank%" PRIu64 ".pt", rank);
	snprintf(json_name, sizeof(json_name), "rank%" PRIu64 ".json", rank);
	pt = plan_exists(optim, name);
	outline = plan_exists(optim, json_name);
	if (!pt)
		*strrchr(name, '.') = '\0';
	if (!ck_path_join(path, optim, name) || !ck_path_join(json, optim, json_name))
		return ck_fail_nomem(d->err);
	part = plan_add(d, CK_FILE_OPTIM, rank, pt ? CK_PART_FILE : CK_PART_NPY, path);
	if (!part)
		return ck_fail_nomem(d->err);
	if (!pt) {
		rc = take_rank(d, part, json);
	} else {
		rc = plan_open_pt(path, &as_stored, &c, d->err);
		ck_checkpoint_unref(c);
		ck_error_subject(d->err, name, strlen(name));
		if (!rc && outline)
			rc = check_rank(d, part, path, json);
	}
	ck_error_subject(d->err, json_name, strlen(json_name));
	return rc;
}

bool ck_plan_is_shown(const char *name)
{
	return strcmp(name, "all") == 0 || strncmp(name, "all.", 4) == 0 || ends_with(name, ".error");
}

/* One name in optim/: the rank that it belongs to, and what it is of it. What is only ever shown is passed over. */
enum rank_name { RANK_OTHER, RANK_SHOWN, RANK_DIR, RANK_JSON, RANK_PT };

static enum rank_name parse_rank(const char *name, uint64_t *rank)
{
	static const struct {
		const char *rest;
		enum rank_name is;
	} rests[] = {{"", RANK_DIR},	   {".json", RANK_JSON},	{".pt", RANK_PT},
		     {".raw", RANK_SHOWN}, {".safetensors", RANK_SHOWN}, {".tsv", RANK_SHOWN}};
	size_t len;

	if (plan_is_passing(name) || ck_plan_is_shown(name))
		return RANK_SHOWN;
	if (!ck_rank_parse(name, rank, &len))
		return RANK_OTHER;
	for (size_t i = 0; i < sizeof(rests) / sizeof(*rests); i++)
		if (strcmp(name + len, rests[i].rest) == 0)
			return rests[i].is;
	return RANK_OTHER;
}

static int plan_optim(struct draft_files *d, enum ck_draft_kind kind, int64_t only_rank)
{
	struct ck_names names;
	char optim[PATH_MAX], json[64], pt[64];
	enum rank_name is;
	uint64_t rank;
	int rc;

	if (!plan_exists(d->files, "optim"))
		return CK_OK;
	rc = ck_path_join(optim, d->files, "optim") ? ck_list_real_dir(optim, &names, d->err) : ck_fail_nomem(d->err);
	if (rc)
		return rc;
	for (size_t i = 0; i < names.count && !rc; i++) {
		is = parse_rank(names.names[i], &rank);
		if (is == RANK_OTHER) {
			rc = plan_unfit(d, names.names[i], "expected rankN/ and rankN.json, or rankN.pt");
			break;
		}
		if (is == RANK_SHOWN || (only_rank >= 0 && rank != (uint64_t)only_rank))
			continue;
		snprintf(json, sizeof(json), "rank%" PRIu64 ".json", rank);
		snprintf(pt, sizeof(pt), "rank%" PRIu64 ".pt", rank);
		if (is == RANK_PT || (is == RANK_JSON && !plan_exists(optim, pt)))
			rc = plan_rank(d, optim, rank);
		else if (is == RANK_DIR && !plan_exists(optim, json) && !plan_exists(optim, pt) &&
			 kind != CK_DRAFT_OPTIM)
			rc = plan_unfit(d, names.names[i], "a shard without its rankN.json");
	}
	ck_names_free(&names);
	return rc;
}

/* A whole step holds what a step has, and nothing that would be lost; what a step only shows may be there. */
static int check_names(struct draft_files *d)
{
	static const char *const known[] = { "meta.json", "model",     "model.safetensors", "model.pt",
					     "optim",     "model.raw", "model.tsv",         "hf" };
	struct ck_names names;
	int rc = ck_list_real_dir(d->files, &names, d->err);

	if (rc)
		return rc;
	for (size_t i = 0; i < names.count && !rc; i++) {
		size_t k = 0;

		while (k < sizeof(known) / sizeof(*known) && strcmp(names.names[i], known[k]) != 0)
			k++;
		if (k == sizeof(known) / sizeof(*known) && !plan_is_passing(names.names[i]))
			rc = plan_unfit(d, names.names[i], "has no place in a step: move it out of the draft");
	}
	ck_names_free(&names);
	return rc;
}

/* A file that is bad for a reader is unfit for a draft; what the system says stays what it is. */
static int as_invalid(int rc, struct ck_error *err)
{
	/* A file where a directory belongs. */
	bool misplaced = rc == CK_ERR_SYS && err && err->sys == ENOTDIR;

	if (rc != CK_ERR_CORRUPT && rc != CK_ERR_UNSUPPORTED && rc != CK_ERR_LIMIT && rc != CK_ERR_NOENT && !misplaced)
		return rc;
	if (err)
		err->code = CK_ERR_INVALID;
	return CK_ERR_INVALID;
}

int ck_plan_make(const char *dir, enum ck_draft_kind kind, uint64_t step, int64_t only_rank, unsigned flags,
		 struct ck_plan *plan, struct ck_error *err)
{
	struct ck_error own = CK_ERROR_INIT;
	struct draft_files d = { .dir = dir, .step = step, .flags = flags, .n_layer = -1, .plan = plan };
	int rc;

	d.err = err ? err : &own;
	*plan = (struct ck_plan){ 0 };
	rc = ck_path_join(d.files, dir, "files") ? CK_OK : ck_fail_long_path(d.err);
	if (!rc && kind != CK_DRAFT_OPTIM)
		rc = check_names(&d);
	if (!rc)
		rc = plan_optim(&d, kind, only_rank);
	if (!rc && kind != CK_DRAFT_OPTIM)
		rc = plan_meta(&d);
	if (!rc && kind != CK_DRAFT_OPTIM)
		rc = plan_model(&d);
	return as_invalid(rc, d.err);
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

void ck_plan_free(struct ck_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		plan_part_free(&plan->parts[i]);
	free(plan->parts);
	*plan = (struct ck_plan){ 0 };
}

/* ---- room ---- */

/* A tensor's share of the pickle and of the zip's headers, its key apart. */
#define PER_TENSOR 448

static uint64_t bytes_of(const struct ck_plan *plan)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct ck_part *part = &plan->parts[i];

		/* A file of the draft gets a second name, no second copy. */
		for (size_t k = 0; part->kind != CK_PART_FILE && k < part->count; k++)
			bytes += ck_tensor_nbytes(&part->tensors[k]) + part->tensors[k].key_len + PER_TENSOR;
	}
	return bytes;
}

int ck_plan_room(const struct ck_plan *plan, const char *dir, struct ck_error *err)
{
	uint64_t need = bytes_of(plan), has;
	struct statvfs st;

	/* Some file systems can't tell. */
	if (need == 0 || statvfs(dir, &st) < 0 || st.f_blocks == 0)
		return CK_OK;
	has = (uint64_t)(geteuid() == 0 ? st.f_bfree : st.f_bavail);
	if (__builtin_mul_overflow(has, (uint64_t)st.f_frsize, &has) || need <= has)
		return CK_OK;
	ck_error_set(err, CK_ERR_SYS,
		     "publishing needs %" PRIu64 " bytes of disk space, %" PRIu64 " are free: %" PRIu64 " bytes are missing",
		     need, has, need - has);
	if (err)
		err->sys = ENOSPC;
	return CK_ERR_SYS;
}
