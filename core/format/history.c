/* The table of a tag's steps. Implements history.h: begin with ck_history_write(). */
#include "core/format/history.h"

#include "core/base/utf8.h"
#include "core/format/json.h"
#include "core/format/meta.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The named columns; those that metadata gives first. WITHIN: the object of the metadata that nanochat has it in. */
static const struct {
	const char *name, *within;
} named[] = {
	{ "val_bpb", NULL },
	{ "val_loss", NULL },
	{ "min_val_bpb", "loop_state" },
	{ "smooth_train_loss", "loop_state" },
	{ "total_training_time", "loop_state" },
	{ "total_batch_size", NULL },
	{ "epoch", "dataloader_state_dict" },
	{ "step", NULL },
	{ "tokens", NULL },
	{ "ranks", NULL },
	{ "model_bytes", NULL },
	{ "optim_bytes", NULL },
	{ "saved", NULL },
	{ "state", NULL },
};
enum { BATCH_SIZE = 5, EPOCH = 6, FROM_META = 7, NAMED = sizeof(named) / sizeof(*named) };

/* Longer numbers are left out: Python reads no int of more digits either. */
#define MAX_DIGITS 4300u
#define MAX_NAME 255u

/* ---- from metadata ---- */

static bool is_named(const struct ck_value *key)
{
	bool is = false;

	for (size_t i = 0; i < NAMED && !is; i++)
		is = ck_value_is_str(key, named[i].name);
	return is;
}

/* A key as the name of a column: what would end a cell, or quote it, is escaped as in JSON. */
static void put_name(struct ck_buf *out, const struct ck_value *key)
{
	bool plain = ck_utf8_valid(key->s, key->len, false);

	for (uint32_t i = 0; i < key->len && plain; i++) {
		unsigned char c = (unsigned char)key->s[i];

		plain = c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
	}
	if (plain)
		ck_buf_append(out, key->s, key->len);
	else
		ck_json_escape(out, key->s, key->len);
	ck_buf_byte(out, '\0');
}

static void put_number(struct ck_buf *out, const struct ck_value *v)
{
	if (v->kind == CK_INT)
		ck_buf_printf(out, "%" PRId64, v->i);
	else if (v->kind == CK_BIGINT)
		ck_buf_append(out, v->s, v->len);
	else
		ck_float_repr(out, v->f);
	ck_buf_byte(out, '\0');
}

/* Of a step that has too many numbers the last ones are left out. */
static bool fits(const struct ck_buf *out, const struct ck_value *v)
{
	return !(v->kind == CK_BIGINT && v->len > MAX_DIGITS) && out->len + v->len + 64 < CK_HISTORY_MAX_CELLS;
}

static void put_cells(struct ck_buf *out, const struct ck_dict *meta)
{
	for (size_t i = 0; i < FROM_META; i++) {
		const struct ck_value *in = named[i].within ? ck_dict_get(meta, named[i].within) : NULL;
		const struct ck_value *v = in && in->kind == CK_DICT ? ck_dict_get(in->dict, named[i].name) : NULL;

		if (!ck_meta_is_number(v))
			v = ck_dict_get(meta, named[i].name);
		if (!v || !ck_meta_is_number(v) || !fits(out, v))
			continue;
		ck_buf_append(out, named[i].name, strlen(named[i].name) + 1);
		put_number(out, v);
	}
	for (uint32_t i = 0; i < meta->len; i++) {
		const struct ck_pair *p = &meta->pairs[i];

		if (!ck_meta_is_number(&p->value) || p->key.len > MAX_NAME || is_named(&p->key) ||
		    !fits(out, &p->value) || out->len + 6 * (size_t)p->key.len + 64 > CK_HISTORY_MAX_CELLS)
			continue;
		put_name(out, &p->key);
		put_number(out, &p->value);
	}
}

void ck_history_no_meta(struct ck_history_row *row)
{
	row->has_meta = row->has_config = false;
	row->val_bpb = row->val_loss = NAN;
	row->cells = NULL;
	row->cells_len = 0;
}

int ck_history_read(const struct ck_file *file, struct ck_history_row *row, struct ck_error *err)
{
	struct ck_buf cells = CK_BUF_INIT;
	const struct ck_value *config;
	struct ck_arena *arena;
	struct ck_dict *meta;
	int rc;

	ck_history_no_meta(row);
	rc = ck_meta_load(file, &arena, &meta, err);
	if (rc)
		return rc;
	put_cells(&cells, meta);
	if (cells.failed) {
		rc = ck_fail_nomem(err);
	} else {
		config = ck_dict_get(meta, "model_config");
		row->has_meta = true;
		row->has_config = config && config->kind == CK_DICT;
		row->val_bpb = ck_meta_number(meta, "val_bpb");
		row->val_loss = ck_meta_number(meta, "val_loss");
		row->cells = ck_buf_steal(&cells, &row->cells_len);
	}
	ck_buf_free(&cells);
	ck_arena_free(arena);
	return rc;
}

/* ---- the table ---- */

struct columns {
	const char *names[FROM_META + CK_HISTORY_MAX_COLUMNS];  /* borrowed from the rows */
	size_t count;
};

/* The column NAME, which often comes behind the one that was found before; the count where there is none. */
static size_t find_column(const struct columns *c, const char *name, size_t before)
{
	size_t i;

	if (before + 1 < c->count && strcmp(c->names[before + 1], name) == 0)
		return before + 1;
	for (i = 0; i < c->count && strcmp(c->names[i], name) != 0; i++)
		;
	return i;
}

static void find_columns(struct columns *c, const struct ck_history_row *rows, size_t count)
{
	for (; c->count < FROM_META; c->count++)
		c->names[c->count] = named[c->count].name;
	for (size_t i = 0; i < count; i++) {
		const char *at = rows[i].cells, *end = at ? at + rows[i].cells_len : at;
		size_t column = 0;

		for (; at < end; at += strlen(at) + 1, at += strlen(at) + 1) {
			column = find_column(c, at, column);
			if (column == c->count && c->count < FROM_META + CK_HISTORY_MAX_COLUMNS)
				c->names[c->count++] = at;
		}
	}
}

/* The text of each column of ROW; NULL where it has none. */
static void find_cells(const struct columns *c, const struct ck_history_row *row, const char **cells)
{
	const char *at = row->cells, *end = at ? at + row->cells_len : at;
	size_t column = 0;

	memset(cells, 0, c->count * sizeof(*cells));
	while (at < end) {
		const char *value = at + strlen(at) + 1;

		column = find_column(c, at, column);
		if (column < c->count)
			cells[column] = value;
		at = value + strlen(value) + 1;
	}
}

/* STEP times the number BATCH, an int of any size or a float, as Python multiplies them. */
static void put_tokens(struct ck_buf *out, uint64_t step, const char *batch)
{
	const char *digits = batch + (*batch == '-');
	size_t len = strlen(digits), at;
	char product[MAX_DIGITS + 32] = "";
	unsigned __int128 carry = 0;

	if (len == 0 || strspn(digits, "0123456789") != len) {
		ck_float_repr(out, (double)step * strtod(batch, NULL));
		return;
	}
	at = sizeof(product);
	for (size_t i = len; i > 0 || carry; carry /= 10) {
		if (i > 0)
			carry += (unsigned __int128)step * (unsigned)(digits[--i] - '0');
		product[--at] = (char)('0' + (int)(carry % 10));
	}
	while (at + 1 < sizeof(product) && product[at] == '0')
		at++;
	if (*batch == '-' && product[at] != '0')
		ck_buf_byte(out, '-');
	ck_buf_append(out, product + at, sizeof(product) - at);
}

static void put_row(struct ck_buf *out, const struct columns *c, const struct ck_history_row *row, const char **cells)
{
	const time_t saved = row->saved;
	struct tm tm = { 0 };

	find_cells(c, row, cells);
	ck_buf_printf(out, "%" PRIu64, row->step);
	for (size_t i = 0; i <= BATCH_SIZE; i++)
		ck_buf_printf(out, "\t%s", cells[i] ? cells[i] : "");
	ck_buf_byte(out, '\t');
	if (cells[BATCH_SIZE])
		put_tokens(out, row->step, cells[BATCH_SIZE]);
	gmtime_r(&saved, &tm);
	ck_buf_printf(out, "\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%04d-%02d-%02dT%02d:%02d:%02dZ\t%s",
		      cells[EPOCH] ? cells[EPOCH] : "", row->ranks, row->model_bytes, row->optim_bytes,
		      tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		      row->model_bytes == 0 ? "empty" : row->has_meta ? "ok" : "no-meta");
	for (size_t i = FROM_META; i < c->count; i++)
		ck_buf_printf(out, "\t%s", cells[i] ? cells[i] : "");
	ck_buf_byte(out, '\n');
}

int ck_history_write(struct ck_buf *out, const struct ck_history_row *rows, size_t count, struct ck_error *err)
{
	const char *cells[FROM_META + CK_HISTORY_MAX_COLUMNS];
	struct columns columns = { .count = 0 };

	find_columns(&columns, rows, count);
	ck_buf_str(out, "step\tval_bpb\tval_loss\tmin_val_bpb\tsmooth_train_loss\ttotal_training_time\t"
			"total_batch_size\ttokens\tepoch\tranks\tmodel_bytes\toptim_bytes\tsaved\tstate");
	for (size_t i = FROM_META; i < columns.count; i++)
		ck_buf_printf(out, "\t%s", columns.names[i]);
	ck_buf_byte(out, '\n');
	for (size_t i = 0; i < count; i++)
		put_row(out, &columns, &rows[i], cells);
	return out->failed ? ck_fail_nomem(err) : CK_OK;
}
