/* nanochat's names, taken apart and put together. Implements names.h. */
#include "core/tree/names.h"

#include "core/base/digits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct ck_source_dir ck_sources[4] = {
	{ "base", "base_checkpoints", true },
	{ "sft", "chatsft_checkpoints", true },
	{ "rl", "chatrl_checkpoints", true },
	{ "mid", "mid_checkpoints", false },  /* older nanochat */
};

/* Passes over PREFIX at *AT. */
static bool skip(const char **at, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*at, prefix, len) != 0)
		return false;
	*at += len;
	return true;
}

/* Passes over a number of at least WIDTH digits, more only without a leading zero, as printf's
   "%0*d" writes it. */
static bool read_number(const char **at, size_t width, uint64_t *out)
{
	size_t len = strspn(*at, "0123456789");

	if (len < width || (len > width && **at == '0') || !ck_unsigned(*at, len, out))
		return false;
	*at += len;
	return true;
}

bool ck_file_name_parse(const char *name, struct ck_file_name *out)
{
	struct ck_file_name n = { 0 };

	if (skip(&name, "model_"))
		n.kind = CK_FILE_MODEL;
	else if (skip(&name, "meta_"))
		n.kind = CK_FILE_META;
	else if (skip(&name, "optim_"))
		n.kind = CK_FILE_OPTIM;
	else
		return false;
	if (!read_number(&name, 6, &n.step))
		return false;
	if (n.kind == CK_FILE_OPTIM) {
		n.bare = strcmp(name, ".pt") == 0;
		if (!n.bare && !(skip(&name, "_rank") && read_number(&name, 1, &n.rank)))
			return false;
	}
	if (strcmp(name, n.kind == CK_FILE_META ? ".json" : ".pt") != 0)
		return false;
	*out = n;
	return true;
}

const char *ck_file_name_format(const struct ck_file_name *n, char *buf, size_t size)
{
	switch (n->kind) {
	case CK_FILE_MODEL:
		snprintf(buf, size, "model_%06" PRIu64 ".pt", n->step);
		break;
	case CK_FILE_META:
		snprintf(buf, size, "meta_%06" PRIu64 ".json", n->step);
		break;
	case CK_FILE_OPTIM:
		if (n->bare)
			snprintf(buf, size, "optim_%06" PRIu64 ".pt", n->step);
		else
			snprintf(buf, size, "optim_%06" PRIu64 "_rank%" PRIu64 ".pt", n->step, n->rank);
		break;
	}
	return buf;
}

bool ck_step_parse(const char *name, uint64_t *step)
{
	uint64_t n;

	if (!read_number(&name, 6, &n) || *name != '\0')
		return false;
	*step = n;
	return true;
}

bool ck_rank_parse(const char *name, uint64_t *rank, size_t *len)
{
	const char *at = name;

	if (!skip(&at, "rank") || !read_number(&at, 1, rank))
		return false;
	*len = (size_t)(at - name);
	return true;
}

const char *ck_step_format(uint64_t step, char *buf, size_t size)
{
	snprintf(buf, size, "%06" PRIu64, step);
	return buf;
}

static const char *const draft_suffixes[] = {
	[CK_DRAFT_STEP] = "", [CK_DRAFT_PARTIAL] = ".partial", [CK_DRAFT_OPTIM] = ".optim"};

bool ck_draft_parse(const char *name, enum ck_draft_kind *kind, uint64_t *step)
{
	if (!read_number(&name, 6, step))
		return false;
	for (size_t i = 0; i < sizeof(draft_suffixes) / sizeof(*draft_suffixes); i++) {
		if (strcmp(name, draft_suffixes[i]) == 0) {
			*kind = (enum ck_draft_kind)i;
			return true;
		}
	}
	return false;
}

const char *ck_draft_format(enum ck_draft_kind kind, uint64_t step, char *buf, size_t size)
{
	snprintf(buf, size, "%06" PRIu64 "%s", step, draft_suffixes[kind]);
	return buf;
}
