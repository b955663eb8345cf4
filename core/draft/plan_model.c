/*
 * Implements plan_model.h: the forms in which a model may be in a draft, which of them is taken, and whether single
 * tensors are complete.
 */
#include "core/draft/plan_model.h"

#include "core/draft/plan_parts.h"
#include "core/draft/plan_same.h"
#include "core/draft/plan_tensors.h"
#include "core/base/buf.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/format/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "_orig_mod."

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

static int read_safetensors(struct ck_part *part, struct ck_error *err)
{
	int rc = ck_real_file(part->path, &part->file, err);

	if (rc)
		return rc;
	part->arena = ck_arena_new(MAX_PART);
	if (!part->arena)
		return ck_fail_nomem(err);
	return ck_safetensors_read(part->file, part->arena, &part->tensors, &part->count, err);
}

/* ---- completeness ---- */

static const char *const top_keys[] = { "transformer.wte.weight", "lm_head.weight" };
static const char *const layer_keys[] = {
	"attn.c_q.weight", "attn.c_k.weight", "attn.c_v.weight", "attn.c_proj.weight", "mlp.c_fc.weight",
	"mlp.c_proj.weight",
};
#define TOP_KEYS (sizeof(top_keys) / sizeof(*top_keys))
#define LAYER_KEYS (sizeof(layer_keys) / sizeof(*layer_keys))
#define IN_LAYERS "transformer.h."

/* The place of a key among those that a model must have, or SIZE_MAX. */
static size_t required_place(const char *key, uint64_t n_layer)
{
	uint64_t layer = 0;

	if (strncmp(key, PREFIX, strlen(PREFIX)) == 0)
		key += strlen(PREFIX);
	for (size_t i = 0; i < TOP_KEYS; i++)
		if (strcmp(key, top_keys[i]) == 0)
			return i;
	if (strncmp(key, IN_LAYERS, strlen(IN_LAYERS)) != 0)
		return SIZE_MAX;
	key += strlen(IN_LAYERS);
	if (*key < '0' || *key > '9' || (*key == '0' && key[1] != '.'))
		return SIZE_MAX;
	for (; *key >= '0' && *key <= '9' && layer < n_layer; key++)
		layer = layer * 10 + (uint64_t)(*key - '0');
	for (size_t i = 0; layer < n_layer && *key == '.' && i < LAYER_KEYS; i++)
		if (strcmp(key + 1, layer_keys[i]) == 0)
			return TOP_KEYS + (size_t)layer * LAYER_KEYS + i;
	return SIZE_MAX;
}

static void lacking_name(size_t place, char *name, size_t size)
{
	if (place < TOP_KEYS)
		snprintf(name, size, "%s", top_keys[place]);
	else
		snprintf(name, size, IN_LAYERS "%zu.%s", (place - TOP_KEYS) / LAYER_KEYS,
			 layer_keys[(place - TOP_KEYS) % LAYER_KEYS]);
}

static bool has_layers(const struct ck_part *part)
{
	const char *key;

	for (size_t i = 0; i < part->count; i++) {
		key = part->tensors[i].key;
		if (strncmp(key, PREFIX, strlen(PREFIX)) == 0)
			key += strlen(PREFIX);
		if (strncmp(key, IN_LAYERS, strlen(IN_LAYERS)) == 0)
			return true;
	}
	return false;
}

/* Parallel copiers close the last file that is open long before the last tensor is there: so what nanochat's model must
   have is looked for. */
static int check_complete(struct draft_files *d, const struct ck_part *part)
{
	size_t want, found = 0, place, first = 0;
	char name[64];
	bool *seen;

	if (d->n_layer < 0 || !has_layers(part))
		return CK_OK;
	want = TOP_KEYS + (size_t)d->n_layer * LAYER_KEYS;
	seen = calloc(want, sizeof(*seen));
	if (!seen)
		return ck_fail_nomem(d->err);
	for (size_t i = 0; i < part->count; i++) {
		place = required_place(part->tensors[i].key, (uint64_t)d->n_layer);
		if (place >= want || seen[place])
			continue;
		seen[place] = true;
		found++;
	}
	while (first < want && seen[first])
		first++;
	free(seen);
	if (found == want)
		return CK_OK;
	lacking_name(first, name, sizeof(name));
	return ck_fail(d->err, CK_ERR_AGAIN,
		       "incomplete: %zu of the %zu tensors that n_layer %" PRId64 " asks for are missing, %s first",
		       want - found, want, d->n_layer, name);
}

/* ---- the forms ---- */

/* The stored file first: the others may be conversions of it. */
static const struct form {
	const char *name;
	enum ck_part_kind kind;
} forms[] = {{"model.pt", CK_PART_FILE}, {"model.safetensors", CK_PART_SAFETENSORS}, {"model", CK_PART_NPY}};
#define FORMS (sizeof(forms) / sizeof(*forms))

static int read_tensors(struct draft_files *d, struct ck_part *part, const struct form *form, bool cut)
{
	int rc = part->kind == CK_PART_NPY ? plan_read_npy(d, part, cut) : read_safetensors(part, d->err);

	if (rc || part->count)
		return rc;
	rc = plan_unfit(d, form->name, "a model without tensors");
	return part->kind == CK_PART_NPY && (d->flags & CK_PLAN_COMPLETE) ? CK_ERR_AGAIN : rc;
}

/* The form that the step is made of; of a model.pt *PT is what it shows. */
static int read_form(struct draft_files *d, struct ck_part *part, const struct form *form, struct ck_checkpoint **pt)
{
	struct ck_patch patch = { .model = true, .n_layer = d->n_layer };
	int rc;

	if (part->kind == CK_PART_FILE) {
		rc = plan_open_pt(part->path, &patch, pt, d->err);
		if (!rc && ck_checkpoint_count(*pt) == 0)
			rc = plan_unfit(d, form->name, "a model without tensors");
	} else {
		rc = read_tensors(d, part, form, false);
		if (!rc && part->kind == CK_PART_NPY && (d->flags & CK_PLAN_COMPLETE))
			rc = check_complete(d, part);
		if (!rc)
			rc = state_dict(part, d->err);
	}
	ck_error_subject(d->err, form->name, strlen(form->name));
	return rc;
}

/* A further form, which must show the same. */
static int check_form(struct draft_files *d, struct ck_part *part, const struct form *form, struct ck_checkpoint *pt)
{
	struct ck_part other = { .name = part->name, .kind = form->kind };
	char path[PATH_MAX];
	int rc;

	if (!ck_path_join(path, d->files, form->name))
		return ck_fail_long_path(d->err);
	other.path = path;
	rc = read_tensors(d, &other, form, true);
	if (!rc && !(d->flags & CK_PLAN_QUICK))
		rc = plan_same_tensors(pt, part, &other, d->err);
	other.path = NULL;      /* it is on the stack */
	plan_part_free(&other);
	ck_error_subject(d->err, form->name, strlen(form->name));
	return rc;
}

int plan_model(struct draft_files *d)
{
	struct ck_checkpoint *pt = NULL;
	struct ck_part *part = NULL;
	char path[PATH_MAX];
	int rc = CK_OK;

	for (size_t i = 0; i < FORMS && !rc; i++) {
		if (!plan_exists(d->files, forms[i].name))
			continue;
		if (part) {
			rc = check_form(d, part, &forms[i], pt);
			continue;
		}
		if (!ck_path_join(path, d->files, forms[i].name)) {
			rc = ck_fail_long_path(d->err);
			break;
		}
		part = plan_add(d, CK_FILE_MODEL, 0, forms[i].kind, path);
		rc = part ? read_form(d, part, &forms[i], &pt) : ck_fail_nomem(d->err);
	}
	ck_checkpoint_unref(pt);
	if (part || rc)
		return rc;
	rc = plan_unfit(d, "model", "no model: expected model/KEY.npy files, model.safetensors or model.pt");
	return d->flags & CK_PLAN_COMPLETE ? CK_ERR_AGAIN : rc;
}
