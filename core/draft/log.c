/* Lines for the log: errors, and why a name was refused. Implements log.h. */
#include "core/draft/log.h"

#include "core/tree/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void draft_say(struct ck_drafts *d, const struct ck_error *err)
{
	char line[768];

	if (d->log)
		d->log(d->log_arg, ck_error_line(err, line, sizeof(line)));
}

/* The canonical name of the step that NAME, digits and perhaps ".partial", spells otherwise. */
static bool canonical_name(const char *name, char *buf, size_t size)
{
	size_t digits = strspn(name, "0123456789"), zeros = strspn(name, "0");
	const char *rest = name + digits;

	/* 18 digits fit a number of 64 bits; no step has as many. */
	if (digits == 0 || digits - zeros > 18 || (rest[0] && strcmp(rest, ".partial") != 0))
		return false;
	ck_draft_format(rest[0] ? CK_DRAFT_PARTIAL : CK_DRAFT_STEP, strtoull(name, NULL, 10), buf, size);
	return true;
}

/* Says WHY in the log, too: EINVAL alone helps nobody. */
static int refuse(struct ck_drafts *d, const char *dir, struct ck_error *why, struct ck_error *err)
{
	ck_error_file(why, dir);
	draft_say(d, why);
	ck_error_copy(err, why);
	return CK_ERR_INVALID;
}

int draft_refuse_tag(struct ck_drafts *d, const char *source, const char *name, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;

	ck_error_set(&why, CK_ERR_INVALID, "%s: expected a tag's name, %s", name,
		     name[0] == '.' ? "which has no dot in front" : "found one that the mount has itself");
	return refuse(d, source, &why, err);
}

int draft_refuse_name(struct ck_drafts *d, const char *tag, const char *name, struct ck_error *err)
{
	struct ck_error why = CK_ERROR_INIT;
	char canonical[64];

	if (canonical_name(name, canonical, sizeof(canonical)))
		ck_error_set(&why, CK_ERR_INVALID,
			     "%s: a step's name has six digits, more only where the number needs them: %s", name,
			     canonical);
	else
		ck_error_set(&why, CK_ERR_INVALID,
			     "%s: expected a step's name, six digits or more (000600), perhaps with .partial", name);
	return refuse(d, tag, &why, err);
}
