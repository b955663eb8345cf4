/* A list of findings. Implements found.h. */
#include "core/check/found.h"

#include "core/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes PATH, TEXT and ROW over, also on failure. */
static void add(struct ck_found *found, enum ck_severity severity, char *path, char *text, struct ck_row *row)
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
		free(row);
		return;
	}
	found->items[found->count++] = (struct ck_finding){severity, path, text, row};
}

void ck_found_add(struct ck_found *found, enum ck_severity severity, const char *path, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	add(found, severity, strdup(path), text, NULL);
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

void ck_found_row(struct ck_found *found, const char *path, uint64_t place, const struct ck_tensor *t,
		  const struct ck_stats *stats)
{
	struct ck_row *row = calloc(1, sizeof(*row) + t->key_len + 1);
	struct ck_buf shape = CK_BUF_INIT;

	ck_tensor_shape_text(&shape, t);
	ck_buf_byte(&shape, '\0');
	if (!row || shape.failed) {
		found->failed = true;
		free(row);
	} else {
		row->stats = *stats;
		row->place = place;
		snprintf(row->shape, sizeof(row->shape), "%s", shape.data);
		memcpy(row->key, t->key, t->key_len);
		add(found, CK_ROW, strdup(path), strdup(""), row);
	}
	ck_buf_free(&shape);
}

/* Findings without a row keep their order behind all rows: glibc's qsort is stable while there is memory. */
static int by_place(const void *left, const void *right)
{
	const struct ck_finding *a = left, *b = right;
	uint64_t x = a->row ? a->row->place : UINT64_MAX, y = b->row ? b->row->place : UINT64_MAX;

	return (x > y) - (x < y);
}

void ck_found_sort(struct ck_found *found)
{
	if (found->count > 0)
		qsort(found->items, found->count, sizeof(*found->items), by_place);
}

void ck_found_move(struct ck_found *found, struct ck_found *from)
{
	for (size_t i = 0; i < from->count; i++)
		add(found, from->items[i].severity, (char *)from->items[i].path, (char *)from->items[i].text,
		    (struct ck_row *)from->items[i].row);
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
		free((struct ck_row *)found->items[i].row);
	}
	free(found->items);
	*found = (struct ck_found){0};
}
