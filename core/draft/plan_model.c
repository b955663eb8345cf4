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
#include "core/pt/required.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Parallel copiers close the last file that is open long before the last tensor is there: so what nanochat's model must
   have is looked for. */
static int check_complete(struct draft_files *d, const struct ck_part *part)
{
	struct ck_lacking lacking;
	int rc = ck_required_lacking(part->tensors, part->count, d->n_layer, &lacking, d->err);

	if (rc || lacking.missing == 0)
		return rc;
	return ck_fail(d->err, CK_ERR_AGAIN,
		       "incomplete: %zu of the %zu tensors that n_layer %" PRId64 " asks for are missing, %s first",
		       lacking.missing, lacking.wanted, d->n_layer, lacking.first);
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
