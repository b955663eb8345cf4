/* A list of findings. Implements found.h. */
#include "core/check/found.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes PATH and TEXT over, also on failure. */
static void add(struct ck_found *found, enum ck_severity severity, char *path, char *text)
{
	size_t cap = found->cap ? 2 * found->cap : 4;

	if (path && text && found->count == found->cap) {
		struct ck_finding *items = reallocarray(found->items, cap, sizeof(*items));

		if (items) {
			found->items = items;
			found->cap = cap;
		}
	}
	if (!path || !text || found->count == found->cap) {
		found->failed = true;
		free(path);
		free(text);
		return;
	}
	found->items[found->count++] = (struct ck_finding){severity, path, text};
}

void ck_found_add(struct ck_found *found, enum ck_severity severity, const char *path, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	add(found, severity, strdup(path), text);
}

void ck_found_error(struct ck_found *found, const char *path, const struct ck_error *err, const char *what_to_do)
{
	bool fault = err->code == CK_ERR_SYS || err->code == CK_ERR_NOMEM;
	struct ck_error own = *err;
	char line[768];

	own.file[0] = '\0';
	ck_found_add(found, fault ? CK_FAULT : CK_ERROR, path, "%s%s%s", ck_error_line(&own, line, sizeof(line)),
		     what_to_do[0] && !fault ? ": " : "", fault ? "" : what_to_do);
}

void ck_found_move(struct ck_found *found, struct ck_found *from)
{
	for (size_t i = 0; i < from->count; i++)
		add(found, from->items[i].severity, (char *)from->items[i].path, (char *)from->items[i].text);
	found->failed |= from->failed;
	free(from->items);
	*from = (struct ck_found){0};
}

bool ck_found_has(const struct ck_found *found, enum ck_severity severity)
{
	for (size_t i = 0; i < found->count; i++)
		if (found->items[i].severity == severity)
			return true;
	return false;
}

void ck_found_clear(struct ck_found *found)
{
	for (size_t i = 0; i < found->count; i++) {
		free((char *)found->items[i].path);
		free((char *)found->items[i].text);
	}
	free(found->items);
	*found = (struct ck_found){0};
}
