/* What a draft's files amount to, from meta.json to the disk's room. Implements plan.h; plan_model.c and plan_shards.c
 * make the parts. */
#include "core/draft/plan.h"

#include "core/base/buf.h"
#include "core/draft/plan_model.h"
#include "core/draft/plan_parts.h"
#include "core/draft/plan_shards.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/format/meta.h"
#include "core/format/outline.h"
#include "core/tree/names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

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

		bytes += part->bytes;
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
		     "publishing needs %" PRIu64 " bytes of disk space, %" PRIu64 " are free: %" PRIu64
		     " bytes are missing",
		     need, has, need - has);
	if (err)
		err->sys = ENOSPC;
	return CK_ERR_SYS;
}
