#include "core/draft/plan.h"

#include "core/base/buf.h"
#include "core/pt/checkpoint.h"
#include "core/base/keyname.h"
#include "core/format/meta.h"
#include "core/format/npy.h"
#include "core/format/outline.h"
#include "core/file/real.h"
#include "core/format/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_OUTLINE CK_OUTLINE_MAX_BYTES
#define MAX_PART ((size_t)128 << 20)    /* of memory for what one part is made of; 100,000 tensors need half of it */

/* What a draft's directories hold, sorted into the parts of a step. */
struct draft_files {
	const char *dir;                /* of the draft */
	char files[PATH_MAX];           /* DIR/files */
	uint64_t step;
	struct ck_plan *plan;
	struct ck_error *err;
};

static int unfit(struct draft_files *d, const char *subject, const char *why)
{
	int rc = ck_fail(d->err, CK_ERR_INVALID, "%s", why);

	ck_error_subject(d->err, subject, strlen(subject));
	return rc;
}

/* Programs' temporary and backup names, and our own report: not part of the step. */
static bool is_passing(const char *name)
{
	size_t len = strlen(name);

	return name[0] == '.' || name[len - 1] == '~' || strcmp(name, "DRAFT.error") == 0;
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len >= n && strcmp(name + len - n, end) == 0;
}

static struct ck_part *add_part(struct draft_files *d, enum ck_file_kind kind, uint64_t rank, enum ck_part_kind how,
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

static bool exists(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	return ck_path_join(path, dir, name) && ck_real_stat(path, &st) == 0;
}

/* ---- tensors from .npy files ---- */

/* Reads the header of one .npy into tensor I; shape and strides move into the arena. The file is
   opened again when its bytes are written: so many files need so few descriptors. */
static int take_npy(struct ck_part *part, size_t i, const char *path, struct ck_error *err)
{
	int64_t shape[CK_MAX_DIMS], strides[CK_MAX_DIMS];
	struct ck_tensor *t = &part->tensors[i];
	struct ck_file *file;
	size_t bytes;
	int rc;

	rc = ck_real_file(path, &file, err);
	if (rc)
		return rc == CK_ERR_INVALID ? rc : ck_fail(err, (enum ck_code)rc, "can't be opened");
	rc = ck_npy_read(file, t, shape, strides, err);
	ck_file_unref(file);
	if (rc)
		return rc;
	bytes = (t->ndim ? t->ndim : 1u) * sizeof(int64_t);
	t->shape = (const int64_t *)(void *)ck_arena_dup(part->arena, shape, bytes);
	t->strides = NULL;
	t->file = NULL;
	return t->shape ? CK_OK : ck_fail_nomem(err);
}

static int take_npy_name(struct draft_files *d, struct ck_part *part, size_t i, const char *name)
{
	char key[CK_NAME_MAX + 1], path[PATH_MAX];
	struct ck_tensor *t = &part->tensors[i];
	size_t len;
	int rc;

	if (!ck_name_to_key(name, ".npy", key, &len))
		return unfit(d, name, "expected KEY.npy, the key percent-encoded where a file name needs it");
	/* A shard's outline has the whole path, whose name is cut in the same way: see find_tensor. */
	if (part->name.kind == CK_FILE_MODEL && ck_name_is_cut(name, ".npy"))
		return unfit(d, name,
			     "a name cut to 255 bytes doesn't tell its key: write such tensors as model.safetensors");
	rc = ck_path_join(path, part->path, name) ? take_npy(part, i, path, d->err)
						  : ck_fail_long_path(d->err);
	if (rc) {
		ck_error_subject(d->err, name, strlen(name));
		return rc;
	}
	t->key = ck_arena_dup(part->arena, key, len);
	t->key_len = (uint32_t)len;
	part->files[i] = ck_arena_dup(part->arena, name, strlen(name));
	return t->key && part->files[i] ? CK_OK : ck_fail_nomem(d->err);
}

/* Every .npy of the part's directory, in the order of creation. */
static int take_npy_dir(struct draft_files *d, struct ck_part *part)
{
	struct ck_names names;
	int rc = ck_list_real_dir(part->path, &names, d->err);

	if (rc)
		return rc;
	part->arena = ck_arena_new(MAX_PART);
	part->tensors = calloc(names.count + 1, sizeof(*part->tensors));
	part->files = calloc(names.count + 1, sizeof(*part->files));
	rc = part->arena && part->tensors && part->files ? ck_order_sort(d->dir, part->path + strlen(d->files) + 1, &names, d->err)
							 : ck_fail_nomem(d->err);
	for (size_t i = 0; i < names.count && !rc; i++) {
		/* ".x.npy" is the tensor ".x": a temporary name would go on behind it. */
		if (is_passing(names.names[i]) && !ends_with(names.names[i], ".npy"))
			continue;
		rc = part->count < CK_MAX_TENSORS
			     ? take_npy_name(d, part, part->count, names.names[i])
			     : ck_fail(d->err, CK_ERR_LIMIT, "more than %u tensors", CK_MAX_TENSORS);
		part->count += !rc;
	}
	ck_names_free(&names);
	return rc;
}

/* nanochat's state_dict: an OrderedDict from key to tensor, in order. */
static int state_dict(struct ck_part *part, struct ck_error *err)
{
	struct ck_value tensor = { .kind = CK_TENSOR };
	int rc = ck_dict_new(part->arena, &part->root, err);

	for (size_t i = 0; i < part->count && !rc; i++) {
		tensor.i = (int64_t)i;
		rc = ck_dict_set(part->arena, part->root.dict, ck_str(part->tensors[i].key, part->tensors[i].key_len),
				 tensor, err);
	}
	if (!rc)
		part->root.dict->ordered = true;
	return rc;
}

/* ---- the model ---- */

static int take_safetensors(struct ck_part *part, struct ck_error *err)
{
	int rc = ck_real_file(part->path, &part->file, err);

	if (rc)
		return rc;
	part->arena = ck_arena_new(MAX_PART);
	if (!part->arena)
		return ck_fail_nomem(err);
	return ck_safetensors_read(part->file, part->arena, &part->tensors, &part->count, err);
}

/* A .pt is taken as it is when our reader can read it. */
static int check_pt(const char *path, bool model, struct ck_error *err)
{
	struct ck_patch patch = { .model = model, .n_layer = -1 };
	struct ck_checkpoint *c = NULL;
	struct ck_file *file;
	int rc = ck_real_file(path, &file, err);

	if (rc)
		return rc;
	rc = ck_checkpoint_open(file, &patch, &c, err);
	if (!rc && model && ck_checkpoint_count(c) == 0)
		rc = ck_fail(err, CK_ERR_INVALID, "a model without tensors");
	ck_checkpoint_unref(c);
	ck_file_unref(file);
	return rc;
}

static int plan_model(struct draft_files *d)
{
	static const struct {
		const char *name;
		enum ck_part_kind kind;
	} forms[] = {{"model", CK_PART_NPY}, {"model.safetensors", CK_PART_SAFETENSORS}, {"model.pt", CK_PART_FILE}};
	struct ck_part *part;
	char path[PATH_MAX];
	int found = -1, rc = CK_OK;

	for (int i = 0; i < 3; i++) {
		if (!exists(d->files, forms[i].name))
			continue;
		if (found >= 0)
			return unfit(
				d, forms[i].name,
				"the model is there in two forms: keep one of model/, model.safetensors and model.pt");
		found = i;
	}
	if (found < 0)
		return unfit(d, "model", "no model: expected model/KEY.npy files, model.safetensors or model.pt");
	part = ck_path_join(path, d->files, forms[found].name) ? add_part(d, CK_FILE_MODEL, 0, forms[found].kind, path)
							       : NULL;
	if (!part)
		return ck_fail_nomem(d->err);
	if (part->kind == CK_PART_FILE) {
		rc = check_pt(path, true, d->err);
	} else {
		rc = part->kind == CK_PART_NPY ? take_npy_dir(d, part) : take_safetensors(part, d->err);
		if (!rc && part->count == 0)
			rc = unfit(d, forms[found].name, "a model without tensors");
		if (!rc)
			rc = state_dict(part, d->err);
	}
	ck_error_subject(d->err, forms[found].name, strlen(forms[found].name));
	return rc;
}

/* ---- meta.json ---- */

static int load_text(const char *path, size_t max, char **text, size_t *len, struct ck_error *err)
{
	struct ck_file *file;
	int rc = ck_real_file(path, &file, err);

	if (rc)
		return rc;
	rc = ck_file_load(file, max, text, len, err);
	ck_file_unref(file);
	return rc;
}

static int plan_meta(struct draft_files *d)
{
	char path[PATH_MAX], *text = NULL;
	size_t len;
	int rc;

	if (!exists(d->files, "meta.json"))
		return unfit(d, "meta.json", "it is missing");
	if (!ck_path_join(path, d->files, "meta.json") || !add_part(d, CK_FILE_META, 0, CK_PART_FILE, path))
		return ck_fail_nomem(d->err);
	rc = load_text(path, CK_META_MAX_BYTES, &text, &len, d->err);
	if (!rc)
		rc = ck_meta_check(text, len, d->err);
	ck_error_subject(d->err, "meta.json", strlen("meta.json"));
	free(text);
	return rc;
}

/* ---- optimizer shards ---- */

/* By the file's name: that of a long path is cut, and doesn't tell it. */
static int64_t find_tensor(void *arg, const char *path, size_t len)
{
	const struct ck_part *part = arg;
	const struct ck_value *found;
	char name[CK_NAME_MAX + 1];

	ck_key_to_name(path, len, ".npy", name);
	found = ck_dict_get(part->names.dict, name);
	return found ? found->i : -1;
}

/* The table of the names of the part's files. */
static int index_names(struct ck_part *part, struct ck_error *err)
{
	int rc = ck_dict_new(part->arena, &part->names, err);

	for (size_t i = 0; i < part->count && !rc; i++)
		rc = ck_dict_set(part->arena, part->names.dict, ck_str(part->files[i], strlen(part->files[i])),
				 ck_int((int64_t)i), err);
	return rc;
}

/* Also notes that the tensor is referred to: its offset, which nothing else uses, becomes 1. */
static void take_flags(void *arg, int64_t index, bool requires_grad, bool parameter)
{
	struct ck_tensor *t = &((struct ck_part *)arg)->tensors[index];

	t->requires_grad = requires_grad;
	t->parameter = parameter;
	t->offset = 1;
}

static int take_outline(struct draft_files *d, struct ck_part *part, const char *json)
{
	char *text = NULL;
	size_t len;
	int rc;

	for (size_t i = 0; i < part->count; i++)
		part->tensors[i].offset = 0;
	rc = index_names(part, d->err);
	if (!rc)
		rc = load_text(json, MAX_OUTLINE, &text, &len, d->err);
	if (!rc)
		rc = ck_outline_read(text, len, part->arena, find_tensor, take_flags, part, &part->root, d->err);
	free(text);
	for (size_t i = 0; i < part->count && !rc; i++)
		if (part->tensors[i].offset != 1)
			rc = unfit(d, part->files[i], "the shard's .json doesn't refer to this tensor");
	ck_error_file(d->err, json);
	return rc;
}

static int plan_rank(struct draft_files *d, const char *optim, uint64_t rank, bool pt)
{
	char name[64], path[PATH_MAX], json[PATH_MAX];
	struct ck_part *part;
	struct stat st;
	int rc;

	snprintf(name, sizeof(name), "rank%" PRIu64 "%s", rank, pt ? ".pt" : "");
	part = ck_path_join(path, optim, name) ? add_part(d, CK_FILE_OPTIM, rank, pt ? CK_PART_FILE : CK_PART_NPY, path)
					       : NULL;
	if (!part)
		return ck_fail_nomem(d->err);
	if (pt) {
		rc = check_pt(path, false, d->err);
	} else {
		snprintf(name, sizeof(name), "rank%" PRIu64 ".json", rank);
		if (ck_real_stat(path, &st) < 0) {     /* a shard without tensors is its .json alone */
			part->arena = ck_arena_new(MAX_PART);
			rc = part->arena ? CK_OK : ck_fail_nomem(d->err);
		} else {
			rc = take_npy_dir(d, part);
		}
		if (!rc)
			rc = ck_path_join(json, optim, name) ? take_outline(d, part, json) : ck_fail_nomem(d->err);
	}
	ck_error_subject(d->err, name, strlen(name));
	return rc;
}

/* One name in optim/: the rank that it belongs to, and what it is of it. */
static bool parse_rank(const char *name, uint64_t *rank, const char **rest)
{
	size_t len;

	if (!ck_rank_parse(name, rank, &len))
		return false;
	*rest = name + len;
	return **rest == '\0' || strcmp(*rest, ".json") == 0 || strcmp(*rest, ".pt") == 0;
}

static int plan_optim(struct draft_files *d, enum ck_draft_kind kind, int64_t only_rank)
{
	struct ck_names names;
	char optim[PATH_MAX], json[64], pt[64];
	const char *rest;
	uint64_t rank;
	int rc;

	if (!exists(d->files, "optim"))
		return CK_OK;
	rc = ck_path_join(optim, d->files, "optim") ? ck_list_real_dir(optim, &names, d->err) : ck_fail_nomem(d->err);
	if (rc)
		return rc;
	for (size_t i = 0; i < names.count && !rc; i++) {
		if (is_passing(names.names[i]))
			continue;
		if (!parse_rank(names.names[i], &rank, &rest)) {
			rc = unfit(d, names.names[i], "expected rankN/ and rankN.json, or rankN.pt");
			break;
		}
		if (only_rank >= 0 && rank != (uint64_t)only_rank)
			continue;
		snprintf(json, sizeof(json), "rank%" PRIu64 ".json", rank);
		snprintf(pt, sizeof(pt), "rank%" PRIu64 ".pt", rank);
		if (exists(optim, json) && exists(optim, pt))
			rc = unfit(d, names.names[i],
				   "the shard is there in two forms: keep rankN.pt, or rankN/ and rankN.json");
		else if (strcmp(rest, ".pt") == 0 || strcmp(rest, ".json") == 0)
			rc = plan_rank(d, optim, rank, strcmp(rest, ".pt") == 0);
		else if (!exists(optim, json) && kind != CK_DRAFT_OPTIM)
			rc = unfit(d, names.names[i], "a shard without its rankN.json");
	}
	ck_names_free(&names);
	return rc;
}

/* A whole step holds what a step has, and nothing that would be lost. */
static int check_names(struct draft_files *d)
{
	static const char *const known[] = { "meta.json", "model", "model.safetensors", "model.pt", "optim" };
	struct ck_names names;
	int rc = ck_list_real_dir(d->files, &names, d->err);

	if (rc)
		return rc;
	for (size_t i = 0; i < names.count && !rc; i++) {
		size_t k = 0;

		while (k < sizeof(known) / sizeof(*known) && strcmp(names.names[i], known[k]) != 0)
			k++;
		if (k == sizeof(known) / sizeof(*known) && !is_passing(names.names[i]))
			rc = unfit(d, names.names[i], "has no place in a step: move it out of the draft");
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

int ck_plan_make(const char *dir, enum ck_draft_kind kind, uint64_t step, int64_t only_rank, struct ck_plan *plan,
		 struct ck_error *err)
{
	struct draft_files d = { .dir = dir, .step = step, .plan = plan, .err = err };
	int rc;

	*plan = (struct ck_plan){ 0 };
	rc = ck_path_join(d.files, dir, "files") ? CK_OK : ck_fail_long_path(err);
	if (!rc && kind != CK_DRAFT_OPTIM)
		rc = check_names(&d);
	if (!rc)
		rc = plan_optim(&d, kind, only_rank);
	if (!rc && kind != CK_DRAFT_OPTIM)
		rc = plan_meta(&d);
	if (!rc && kind != CK_DRAFT_OPTIM)
		rc = plan_model(&d);
	return as_invalid(rc, err);
}

void ck_plan_free(struct ck_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct ck_part *part = &plan->parts[i];

		free(part->path);
		free(part->files);
		if (part->kind == CK_PART_NPY)
			free(part->tensors);
		ck_file_unref(part->file);
		ck_arena_free(part->arena);
	}
	free(plan->parts);
	*plan = (struct ck_plan){ 0 };
}
