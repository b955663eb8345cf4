/* Which files may take one of nanochat's names. Implements judge.h. */
#include "core/draft/judge.h"

#include "core/format/meta.h"
#include "core/pt/checkpoint.h"
#include "core/tree/names.h"
#include "core/zip/whole.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Metadata that is too large to be read, or too deep: whole if it begins and ends as an object does. */
static int judge_ends(const struct ck_file *file, struct ck_error *err)
{
	char head[64], tail[64];
	uint64_t size = ck_file_size(file);
	size_t len = size < sizeof(head) ? (size_t)size : sizeof(head), first = 0, last = len;
	int rc = ck_file_read(file, 0, head, len, err);

	if (!rc)
		rc = ck_file_read(file, size - len, tail, len, err);
	if (rc)
		return rc;
	while (first < len && strchr(" \t\r\n", head[first]) && head[first])
		first++;
	while (last > 0 && strchr(" \t\r\n", tail[last - 1]) && tail[last - 1])
		last--;
	if (first < len && head[first] == '{' && last > 0 && tail[last - 1] == '}')
		return CK_OK;
	return ck_fail(err, CK_ERR_INVALID, "expected a whole JSON object, from '{' to '}'");
}

static int judge_meta(const struct ck_file *file, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	char *text;
	size_t len;
	int rc = ck_file_load(file, CK_META_MAX_BYTES, &text, &len, &why);

	if (!rc) {
		rc = ck_meta_check(text, len, &why);
		free(text);
	}
	if (rc == CK_ERR_LIMIT || rc == CK_ERR_UNSUPPORTED || rc == CK_ERR_NOMEM || rc == CK_ERR_CHANGED)
		return judge_ends(file, err);
	if (rc == CK_ERR_CORRUPT)
		rc = CK_ERR_INVALID;
	why.code = (enum ck_code)rc;
	if (rc)
		ck_error_copy(err, &why);
	return rc;
}

/* Refuses a model under a shard's name, and the reverse. A file that is neither, or that can't be read, passes. */
static int judge_content(struct ck_file *file, enum ck_file_kind kind, struct ck_error *err)
{
	struct ck_patch patch = { .model = false, .n_layer = -1 };
	enum ck_content content;
	struct ck_checkpoint *c;

	if (ck_checkpoint_open(file, &patch, &c, NULL))
		return CK_OK;
	content = ck_checkpoint_content(c);
	ck_checkpoint_unref(c);
	if (kind == CK_FILE_MODEL && content == CK_CONTENT_OPTIM)
		return ck_fail(err, CK_ERR_INVALID,
			       "expected a model, found an optimizer's state (a dict with 'state' and 'param_groups')");
	if (kind == CK_FILE_OPTIM && content == CK_CONTENT_MODEL)
		return ck_fail(err, CK_ERR_INVALID, 
			       "expected an optimizer's state, found a model (a dict of tensors alone)");
	return CK_OK;
}

int ck_judge(struct ck_file *file, enum ck_file_kind kind, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	int rc;

	if (kind == CK_FILE_META)
		return judge_meta(file, err);
	rc = ck_file_check_whole(file, &why);
	if (rc == CK_ERR_CORRUPT)
		why.code = rc = CK_ERR_INVALID;
	if (!rc)
		return judge_content(file, kind, err);
	ck_error_copy(err, &why);
	return rc;
}

#define SUFFIX ".rejected"

const char *ck_rejected_format(const struct ck_file_name *name, char *buf, size_t size)
{
	char text[64];

	snprintf(buf, size, "%s" SUFFIX, ck_file_name_format(name, text, sizeof(text)));
	return buf;
}

bool ck_rejected_parse(const char *rejected, struct ck_file_name *name)
{
	size_t len = strlen(rejected), end = strlen(SUFFIX);
	char text[64];

	if (len <= end || len - end >= sizeof(text) || strcmp(rejected + len - end, SUFFIX) != 0)
		return false;
	memcpy(text, rejected, len - end);
	text[len - end] = '\0';
	return ck_file_name_parse(text, name);
}
