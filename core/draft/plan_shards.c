/* The optimizer shards of a draft. Implements plan_shards.h. */
#include "core/draft/plan_shards.h"

#include "core/base/text.h"
#include "core/draft/plan_parts.h"
#include "core/draft/plan_same.h"
#include "core/draft/plan_tensors.h"
#include "core/file/dir.h"
#include "core/file/real.h"
#include "core/format/outline.h"
#include "core/pt/forms.h"
#include "core/pt/join.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The tensors of a shard's rankN/. A shard without tensors is its rankN.json alone. */
static int read_rank_tensors(struct draft_files *d, struct ck_part *part)
{
	struct stat st;

	if (ck_real_stat(part->path, &st) == 0)
		return plan_read_npy(d, part, true);
	part->arena = ck_arena_new(MAX_PART);
	return part->arena ? CK_OK : ck_fail_nomem(d->err);
}

static int read_rank(struct draft_files *d, struct ck_part *part, const char *json)
{
	int rc = read_rank_tensors(d, part);

	return rc ? rc : plan_read_outline(d, part, json);
}

/* Whether TEXT is, byte for byte, the outline that rankN.pt is shown with. */
static int is_outline_of(struct ck_checkpoint *c, const char *text, size_t len, bool *same, struct ck_error *err)
{
	struct ck_view *view = NULL;
	char *shown = NULL;
	size_t got = 0;
	int rc = ck_checkpoint_view(c, CK_FORM_OUTLINE, 0, &view, err);

	*same = false;
	if (!rc && ck_view_size(view) == len) {
		shown = malloc(len + 1);
		rc = shown ? ck_view_read(view, 0, shown, len, &got, err) : ck_fail_nomem(err);
		*same = !rc && got == len && memcmp(shown, text, len) == 0;
	}
	free(shown);
	ck_view_unref(view);
	return rc;
}

/* An outline that was edited or written by another program, as it would be shown. */
static int compare_outline(const struct ck_part *other, struct ck_checkpoint *c, struct ck_error *err)
{
	struct ck_buf text = CK_BUF_INIT;
	bool same = false;
	int rc = ck_outline_write(&text, &other->root, other->tensors, 2, CK_OUTLINE_MAX_BYTES, err);

	if (!rc && text.failed)
		rc = ck_fail_nomem(err);
	if (!rc)
		rc = is_outline_of(c, text.data, text.len, &same, err);
	if (!rc && !same)
		rc = ck_fail(err, CK_ERR_INVALID,
			     "expected the outline of rankN.pt beside it, found another: keep one of the two");
	ck_buf_free(&text);
	return rc;
}

/*
 * A shard that is there both as its file, PATH, and written out. An outline that was copied from a mount says more than
 * can be read back (bare storages, tensors without an array): it is compared as it stands.
 */
static int check_rank(struct draft_files *d, const struct ck_part *part, const char *path, const char *json)
{
	static const struct ck_patch as_stored = { .n_layer = -1 };
	struct ck_part other = { .name = part->name, .kind = CK_PART_NPY };
	struct ck_checkpoint *c = NULL;
	char *text = NULL;
	bool copied = false;
	size_t len = 0;
	int rc;

	other.path = strndup(path, strlen(path) - strlen(".pt"));
	rc = other.path ? plan_load_text(json, &text, &len, d->err) : ck_fail_nomem(d->err);
	if (!rc)
		rc = plan_open_pt(path, &as_stored, &c, d->err);
	if (!rc)
		rc = is_outline_of(c, text, len, &copied, d->err);
	free(text);
	if (!rc)
		rc = copied ? read_rank_tensors(d, &other) : read_rank(d, &other, json);
	if (!rc && !copied)
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
		rc = read_rank(d, part, json);
	} else {
		rc = plan_open_pt(path, &as_stored, &c, d->err);
		if (!rc && ck_join_lacks_crcs(c)) {
			part->kind = CK_PART_NO_CRCS;
			part->bytes = ck_file_size(ck_checkpoint_file(c));
		}
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
	return strcmp(name, "all") == 0 || strncmp(name, "all.", 4) == 0 || ck_ends_with(name, ".error");
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

int plan_optim(struct draft_files *d, enum ck_draft_kind kind, int64_t only_rank)
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
