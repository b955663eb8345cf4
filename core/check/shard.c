/* One optimizer shard. Implements shard.h; begin with check_shard(). */
#include "core/check/shard.h"

#include "core/check/bytes.h"
#include "core/check/open.h"
#include "core/format/json.h"
#include "core/format/outline.h"
#include "core/pt/forms.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer ones are not compared: a real shard's has some ten thousand bytes. */
#define MAX_SIGNATURE ((size_t)1 << 20)

/*
 * A signature is a list of lines "KEY\tVALUE\n", sorted: the dtype and shape of each tensor, each integer of the state
 * (`step`), and param_groups as JSON. On every rank these are the same.
 */
static void add_tensors(struct ck_buf *out, const struct ck_checkpoint *c)
{
	for (size_t i = 0; i < ck_checkpoint_count(c) && out->len < MAX_SIGNATURE; i++) {
		const struct ck_tensor *t = ck_checkpoint_tensor(c, i);

		if (memchr(t->key, '\n', t->key_len) || memchr(t->key, '\t', t->key_len) ||
		    memchr(t->key, '\0', t->key_len))
			continue;
		ck_buf_printf(out, "%s\t%s ", t->key, ck_dtype_info(t->stored_dtype)->torch);
		ck_tensor_shape_text(out, t);
		ck_buf_byte(out, '\n');
	}
}

static void add_integers(struct ck_buf *out, const char *prefix, const struct ck_value *state)
{
	for (uint32_t i = 0; state && state->kind == CK_DICT && i < state->dict->len; i++) {
		const struct ck_pair *p = &state->dict->pairs[i];

		for (uint32_t j = 0; p->key.kind == CK_STR && p->value.kind == CK_DICT && j < p->value.dict->len; j++) {
			const struct ck_pair *field = &p->value.dict->pairs[j];

			if (field->key.kind == CK_STR && field->value.kind == CK_INT &&
			    !memchr(field->key.s, '\n', field->key.len))
				ck_buf_printf(out, "%sstate.%.*s.%.*s\t%" PRId64 "\n", prefix, (int)p->key.len,
					      p->key.s, (int)field->key.len, field->key.s, field->value.i);
		}
	}
}

/* One optimizer's state_dict in the outline. */
static int add_state(struct ck_buf *out, const char *prefix, const struct ck_value *optim, struct ck_error *err)
{
	const struct ck_value *groups;
	int rc;

	if (optim->kind != CK_DICT)
		return CK_OK;
	add_integers(out, prefix, ck_dict_get(optim->dict, "state"));
	groups = ck_dict_get(optim->dict, "param_groups");
	if (!groups)
		return CK_OK;
	ck_buf_printf(out, "%sparam_groups\t", prefix);
	rc = ck_json_write(out, groups, -1, err);
	ck_buf_byte(out, '\n');
	return rc;
}

static int add_outline(struct ck_buf *out, const char *text, size_t len, struct ck_error *err)
{
	struct ck_arena *arena = ck_arena_new(ck_outline_budget(len));
	struct ck_value root;
	char prefix[16];
	int rc = arena ? ck_json_read(text, len, arena, &root, err) : ck_fail_nomem(err);

	if (!rc && root.kind == CK_LIST)
		for (uint32_t i = 0; i < root.list->len && i < 8 && !rc; i++) {
			snprintf(prefix, sizeof(prefix), "%u.", i);
			rc = add_state(out, prefix, &root.list->items[i], err);
		}
	else if (!rc)
		rc = add_state(out, "", &root, err);
	ck_arena_free(arena);
	return rc;
}

static int by_text(const void *left, const void *right) { return strcmp(*(char *const *)left, *(char *const *)right); }

/* Sorts the lines of B; each ends with a NUL then. */
static int sort_lines(struct ck_buf *b, struct ck_error *err)
{
	struct ck_buf sorted = CK_BUF_INIT;
	size_t count = 0;
	char **lines;

	for (size_t i = 0; i < b->len; i++)
		count += b->data[i] == '\n';
	lines = calloc(count + 1, sizeof(*lines));
	if (!lines)
		return ck_fail_nomem(err);
	for (size_t i = 0, start = 0, n = 0; i < b->len; i++) {
		if (b->data[i] != '\n')
			continue;
		b->data[i] = '\0';
		lines[n++] = b->data + start;
		start = i + 1;
	}
	qsort(lines, count, sizeof(*lines), by_text);
	for (size_t i = 0; i < count; i++)
		ck_buf_append(&sorted, lines[i], strlen(lines[i]) + 1);
	free(lines);
	ck_buf_free(b);
	*b = sorted;
	return b->failed ? ck_fail_nomem(err) : CK_OK;
}

static void sign(struct job *job, struct ck_checkpoint *c)
{
	struct ck_buf *out = &job->signature;
	struct ck_view *view;
	char *text = NULL;
	size_t len = 0;
	int rc = ck_checkpoint_view(c, CK_FORM_OUTLINE, 0, &view, NULL);

	if (rc)
		return;
	add_tensors(out, c);
	if (ck_view_size(view) <= MAX_SIGNATURE && (text = malloc(MAX_SIGNATURE)) &&
	    ck_view_read(view, 0, text, MAX_SIGNATURE, &len, NULL) == CK_OK)
		rc = add_outline(out, text, len, NULL);
	if (rc || out->failed || out->len > MAX_SIGNATURE || sort_lines(out, NULL))
		ck_buf_free(out);
	free(text);
	ck_view_unref(view);
}

void check_shard(struct checker *k, struct job *job)
{
	const struct ck_patch patch = {.n_layer = -1, .scratch = k->options->scratch};
	char path[PATH_MAX], shown[PATH_MAX], name[64];
	struct ck_error why = CK_ERROR_INIT;
	struct ck_found found = {0};
	struct ck_checkpoint *c = NULL;
	struct ck_still still;

	if (!check_path(k, job, ck_file_name_format(&job->name, name, sizeof(name)), path, shown))
		return;
	if (ck_still_begin(&still, path, &why)) {
		ck_found_error(&job->found, shown, &why, "");
		job->unsure = true;
	}
	check_open(k, job, path, shown, &patch, &c, &found);
	if (c) {
		job->opens = true;
		sign(job, c);
		check_note_head(job, c, "state.0.exp_avg");
		check_bytes(k, job, c, shown, &found);
		ck_checkpoint_unref(c);
	}
	check_settle(job, &still, shown, &found);
}

bool check_shards_differ(const struct ck_buf *a, const struct ck_buf *b, char *key, size_t size)
{
	const char *x = a->data, *y = b->data;

	while (x && y && x < a->data + a->len && y < b->data + b->len) {
		size_t nx = strcspn(x, "\t"), ny = strcspn(y, "\t"), n = nx < ny ? nx : ny;
		int order = memcmp(x, y, n);

		if (order == 0)
			order = (nx > ny) - (nx < ny);
		if (order == 0 && strcmp(x, y) != 0) {
			snprintf(key, size, "%.*s", (int)nx, x);
			return true;
		}
		if (order <= 0)
			x += strlen(x) + 1;
		if (order >= 0)
			y += strlen(y) + 1;
	}
	return false;
}
