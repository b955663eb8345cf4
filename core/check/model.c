/* A model and its metadata. Implements model.h; begin with check_model(). */
#include "core/check/model.h"

#include "core/check/bytes.h"
#include "core/check/open.h"
#include "core/check/shapes.h"
#include "core/format/meta.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

static int load_meta(const char *path, struct ck_meta_info *info, struct ck_error *err)
{
	struct ck_buf text = CK_BUF_INIT;
	struct ck_file *file;
	int rc = ck_file_open(path, &file, err);

	if (rc)
		return rc;
	/* The mount writes it again: a text that it can't write is not sound, either. */
	rc = ck_meta_read(file, &text, info, err);
	ck_buf_free(&text);
	ck_file_unref(file);
	return rc;
}

static void report_missing(struct job *job, const struct ck_still *model, const char *shown)
{
	switch (ck_still_end(model, CK_STILL_STEP)) {
	case CK_STILL:
		ck_found_add(&job->found, CK_ERROR, shown, "missing: nanochat can't build the model without it");
		break;
	case CK_MOVED:
		ck_found_add(&job->found, CK_NOTE, shown, "not there yet: its step is being written");
		job->unsure = true;
		break;
	case CK_GONE:
		job->gone = true;
	}
}

/* Reads the metadata. INFO says nothing where it can't be read. */
static void check_meta(struct job *job, const struct ck_still *model, const char *path, const char *shown,
		       struct ck_meta_info *info)
{
	struct ck_error why = CK_ERROR_INIT;
	struct ck_found found = {0};
	struct ck_still still;
	int rc = ck_still_begin(&still, path, &why);

	*info = (struct ck_meta_info){.n_layer = -1, .step = -1, .config = CK_MODEL_CONFIG_NONE};
	if (!rc && !still.there) {
		report_missing(job, model, shown);
		return;
	}
	if (!rc)
		rc = load_meta(path, info, &why);
	if (rc) {
		*info = (struct ck_meta_info){.n_layer = -1, .step = -1, .config = CK_MODEL_CONFIG_NONE};
		job->unsure |= rc == CK_ERR_SYS || rc == CK_ERR_NOMEM || rc == CK_ERR_CHANGED;
		ck_found_error(&found, shown, &why, "restore it: the model can't be built without it");
	} else if (info->step >= 0 && (uint64_t)info->step != job->name.step) {
		ck_found_add(&found, CK_WARNING, shown, "its `step` is %" PRId64 ": it is another step's", info->step);
	}
	check_settle(job, &still, shown, &found);
}

void check_model(struct checker *k, struct job *job)
{
	struct ck_file_name meta = {.kind = CK_FILE_META, .step = job->name.step};
	char path[PATH_MAX], shown[PATH_MAX], name[64], meta_path[PATH_MAX], meta_shown[PATH_MAX], meta_name[64];
	struct ck_patch patch = {.model = true, .scratch = k->options->scratch};
	struct ck_error why = CK_ERROR_INIT;
	struct ck_found found = {0};
	struct ck_checkpoint *c = NULL;
	struct ck_meta_info info;
	struct ck_still still;

	ck_file_name_format(&job->name, name, sizeof(name));
	ck_file_name_format(&meta, meta_name, sizeof(meta_name));
	if (!check_path(k, job, name, path, shown) || !check_path(k, job, meta_name, meta_path, meta_shown))
		return;
	if (ck_still_begin(&still, path, &why)) {
		ck_found_error(&job->found, shown, &why, "");
		job->unsure = true;
	}
	check_meta(job, &still, meta_path, meta_shown, &info);
	patch.n_layer = info.n_layer;
	check_open(k, job, path, shown, &patch, &c, &found);
	if (c) {
		job->opens = true;
		job->loads = info.has_config;
		check_note_head(job, c, "lm_head.weight");
		check_bytes(k, job, c, shown, &found);
		check_shapes(c, &info, shown, meta_name, &found);
		ck_checkpoint_unref(c);
	}
	check_settle(job, &still, shown, &found);
}
