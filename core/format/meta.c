/* Implements meta.h: meta.json is read, patched as nanochat patches it, and written again. */
#include "core/format/meta.h"

#include "core/zip/archive.h"
#include "core/format/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_LAYER_MAX 100000

/*
 * A list of one-digit numbers takes most memory for its size: 2 bytes of text become up to four values while the list
 * doubles. Together with the text (4 MiB) and what is written of it (16 MiB) even the worst file stays below
 * CK_OPEN_BYTES.
 */
#define MOST_VALUES ((size_t)32 << 20)
_Static_assert(MOST_VALUES + CK_META_MAX_BYTES + CK_JSON_MAX_WRITTEN <= CK_OPEN_BYTES, "meta.json could take too much");

static struct ck_arena *arena_for(size_t len)
{
	size_t budget = ((size_t)8 << 20) + 32 * len;

	return ck_arena_new(budget < MOST_VALUES ? budget : MOST_VALUES);
}

static int read_object(const char *text, size_t len, struct ck_arena *arena, struct ck_value *meta,
		       struct ck_error *err)
{
	int rc = ck_json_read(text, len, arena, meta, err);

	if (rc == CK_OK && meta->kind != CK_DICT)
		rc = ck_fail(err, CK_ERR_CORRUPT, "expected a JSON object, found another JSON value");
	return rc;
}

bool ck_meta_is_number(const struct ck_value *v)
{
	return v && (v->kind == CK_INT || v->kind == CK_BIGINT || v->kind == CK_FLOAT);
}

double ck_meta_number(const struct ck_dict *meta, const char *key)
{
	const struct ck_value *v = ck_dict_get(meta, key);
	char text[400];

	if (!ck_meta_is_number(v))
		return NAN;
	if (v->kind != CK_BIGINT)
		return v->kind == CK_INT ? (double)v->i : v->f;
	if (v->len >= sizeof(text))     /* past the largest double */
		return v->s[0] == '-' ? -INFINITY : INFINITY;
	memcpy(text, v->s, v->len);
	text[v->len] = '\0';
	return strtod(text, NULL);
}

static int64_t int_of(const struct ck_dict *config, const char *key, int64_t max)
{
	const struct ck_value *v = ck_dict_get(config, key);

	return v && v->kind == CK_INT && v->i >= 0 && v->i <= max ? v->i : -1;
}

static void read_config(const struct ck_dict *dict, struct ck_meta_info *info)
{
	const struct ck_value *window = ck_dict_get(dict, "window_pattern");
	struct ck_model_config *c = &info->config;
	uint32_t len = 0;

	info->has_config = true;
	info->n_layer = int_of(dict, "n_layer", N_LAYER_MAX);
	c->n_head = int_of(dict, "n_head", INT32_MAX);
	c->n_kv_head = int_of(dict, "n_kv_head", INT32_MAX);
	c->n_embd = int_of(dict, "n_embd", INT32_MAX);
	c->sequence_len = int_of(dict, "sequence_len", INT32_MAX);
	c->vocab_size = int_of(dict, "vocab_size", INT32_MAX);
	if (!window)
		return;
	/* nanochat takes small letters too. */
	while (window->kind == CK_STR && len < window->len && (window->s[len] | 0x20) == 'l')
		len++;
	if (window->kind != CK_STR || window->len == 0)
		strcpy(c->window, "none");
	else if (len < window->len)
		snprintf(c->window, sizeof(c->window), "%.*s", window->len < 30 ? (int)window->len : 30, window->s);
}

/* What nanochat's _patch_missing_config_keys does to an older file. */
static int patch_config(struct ck_arena *arena, struct ck_dict *config, struct ck_error *err)
{
	if (ck_dict_get(config, "window_pattern"))
		return CK_OK;
	return ck_dict_set(arena, config, ck_str("window_pattern", sizeof("window_pattern") - 1), ck_str("L", 1), err);
}

/* Reads TEXT, and appends what is shown of it to OUT unless OUT is NULL. */
static int convert(const char *text, size_t len, struct ck_buf *out, struct ck_meta_info *info, struct ck_error *err)
{
	struct ck_arena *arena = arena_for(len);
	struct ck_value meta, *config;
	int rc = arena ? read_object(text, len, arena, &meta, err) : ck_fail_nomem(err);

	if (rc)
		goto out;
	info->step = int_of(meta.dict, "step", INT64_MAX);
	info->has_score = !isnan(ck_meta_number(meta.dict, "val_bpb")) || !isnan(ck_meta_number(meta.dict, "val_loss"));
	config = ck_dict_get(meta.dict, "model_config");
	if (config && config->kind == CK_DICT) {
		read_config(config->dict, info);
		rc = patch_config(arena, config->dict, err);
	}
	if (rc == CK_OK && out)
		rc = ck_json_write(out, &meta, 2, err);
out:
	ck_arena_free(arena);
	return rc;
}

int ck_meta_read(const struct ck_file *file, struct ck_buf *out, struct ck_meta_info *info, struct ck_error *err)
{
	struct ck_meta_info found = { .n_layer = -1, .step = -1, .config = CK_MODEL_CONFIG_NONE };
	char *text = NULL;
	size_t len = 0;
	int rc = ck_file_load(file, CK_META_MAX_BYTES, &text, &len, err);

	if (!rc)
		rc = convert(text, len, out, &found, err);
	if (rc)
		ck_error_file(err, ck_file_name(file));
	if (info)
		*info = found;
	free(text);
	return rc;
}

int ck_meta_load(const struct ck_file *file, struct ck_arena **arena, struct ck_dict **meta, struct ck_error *err)
{
	struct ck_value value;
	char *text = NULL;
	size_t len = 0;
	int rc = ck_file_load(file, CK_META_MAX_BYTES, &text, &len, err);

	if (!rc) {
		*arena = arena_for(len);
		rc = *arena ? read_object(text, len, *arena, &value, err) : ck_fail_nomem(err);
		if (rc)
			ck_arena_free(*arena);
		else
			*meta = value.dict;
	}
	if (rc)
		ck_error_file(err, ck_file_name(file));
	free(text);
	return rc;
}

int ck_meta_check(const char *text, size_t len, struct ck_error *err)
{
	struct ck_meta_info info;
	struct ck_buf shown = CK_BUF_INIT;
	int rc;

	if (len > CK_META_MAX_BYTES)
		return ck_fail(err, CK_ERR_LIMIT, "%zu bytes, more than %zu", len, CK_META_MAX_BYTES);
	rc = convert(text, len, &shown, &info, err);
	ck_buf_free(&shown);
	if (rc == CK_ERR_CORRUPT) {
		rc = CK_ERR_INVALID;
		if (err && err->code == CK_ERR_CORRUPT)
			err->code = CK_ERR_INVALID;
	}
	return rc;
}
