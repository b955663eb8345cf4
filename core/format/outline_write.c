/* Implements ck_outline_write of outline.h: one function for each kind of value. */
#include "core/format/outline.h"

#include "core/format/json.h"
#include "core/pickle/pickle.h"
#include "core/base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* One level of an outline takes up to three levels of JSON. With this limit every outline that is written can be
   read. */
#define MAX_DEPTH 130
_Static_assert(MAX_DEPTH * 3 + 3 <= CK_JSON_MAX_DEPTH, "an outline could be too deep for the JSON reader");

struct writer {
	struct ck_json_out json;
	const struct ck_tensor *tensors;
	unsigned depth;
	size_t max;
	struct ck_error *err;
};

/* The reason why nothing more can be appended. */
static int stopped(const struct writer *w)
{
	return w->json.buf->full ? ck_fail(w->err, CK_ERR_LIMIT, "an outline of more than %zu bytes", w->max)
				 : ck_fail_nomem(w->err);
}

static int put_value(struct writer *w, const struct ck_value *v);

static void open_form(struct writer *w, const char *name)
{
	ck_json_open(&w->json, '{');
	ck_json_key(&w->json, name, strlen(name));
}

static void put_text(struct writer *w, const char *form, const char *text)
{
	open_form(w, form);
	ck_json_string(w->json.buf, text, strlen(text));
	ck_json_close(&w->json, '}');
}

static int put_items(struct writer *w, const struct ck_value *items, uint32_t len)
{
	int rc;

	ck_json_open(&w->json, '[');
	for (uint32_t i = 0; i < len; i++) {
		ck_json_item(&w->json);
		rc = put_value(w, &items[i]);
		if (rc)
			return rc;
	}
	ck_json_close(&w->json, ']');
	return CK_OK;
}

static int put_sequence(struct writer *w, const char *form, const struct ck_value *items, uint32_t len)
{
	int rc;

	open_form(w, form);
	rc = put_items(w, items, len);
	if (rc == CK_OK)
		ck_json_close(&w->json, '}');
	return rc;
}

static int put_latin1(struct writer *w, const char *form, const struct ck_value *v)
{
	char c[4];

	open_form(w, form);
	ck_buf_byte(w->json.buf, '"');
	for (uint32_t i = 0; i < v->len && !w->json.buf->failed; i++)
		ck_json_escape(w->json.buf, c, ck_utf8_encode(c, (unsigned char)v->s[i]));
	ck_buf_byte(w->json.buf, '"');
	ck_json_close(&w->json, '}');
	return CK_OK;
}

static int put_float(struct writer *w, double f)
{
	if (isfinite(f))
		ck_float_repr(w->json.buf, f);
	else
		put_text(w, "$float", isnan(f) ? "nan" : f > 0 ? "inf" : "-inf");
	return CK_OK;
}

static int put_str(struct writer *w, const struct ck_value *v)
{
	/* Many readers of JSON, jq too, refuse a text with a lone surrogate. */
	if (!ck_utf8_valid(v->s, v->len, false))
		return put_latin1(w, "$utf8", v);
	ck_json_string(w->json.buf, v->s, v->len);
	return CK_OK;
}

enum dict_form { STR_KEYS, INT_KEYS, PAIRS };

static enum dict_form form_of(const struct ck_dict *dict)
{
	uint32_t strings = 0, ints = 0;

	for (uint32_t i = 0; i < dict->len; i++) {
		const struct ck_value *key = &dict->pairs[i].key;

		strings += key->kind == CK_STR && ck_utf8_valid(key->s, key->len, false);
		ints += key->kind == CK_INT || key->kind == CK_BIGINT;
	}
	return strings == dict->len ? STR_KEYS : ints == dict->len ? INT_KEYS : PAIRS;
}

/* The key of an object: a string, or an int in quotes. */
static int put_key(struct writer *w, const struct ck_value *key)
{
	int rc = CK_OK;

	ck_json_item(&w->json);
	ck_buf_byte(w->json.buf, '"');
	if (key->kind == CK_STR) {
		if (key->len && key->s[0] == '$')
			ck_buf_byte(w->json.buf, '$');
		ck_json_escape(w->json.buf, key->s, key->len);
	} else {
		rc = ck_json_write(w->json.buf, key, -1, NULL) ? stopped(w) : CK_OK;
	}
	ck_buf_str(w->json.buf, "\": ");
	return rc;
}

static int put_pairs(struct writer *w, const struct ck_dict *dict)
{
	int rc;

	ck_json_key(&w->json, "$dict", 5);
	ck_json_open(&w->json, '[');
	for (uint32_t i = 0; i < dict->len; i++) {
		const struct ck_value pair[] = { dict->pairs[i].key, dict->pairs[i].value };

		ck_json_item(&w->json);
		rc = put_items(w, pair, 2);
		if (rc)
			return rc;
	}
	ck_json_close(&w->json, ']');
	return CK_OK;
}

static int put_members(struct writer *w, const struct ck_dict *dict)
{
	int rc = CK_OK;

	for (uint32_t i = 0; i < dict->len && rc == CK_OK; i++) {
		rc = put_key(w, &dict->pairs[i].key);
		if (rc == CK_OK)
			rc = put_value(w, &dict->pairs[i].value);
	}
	return rc;
}

static int put_dict(struct writer *w, const struct ck_dict *dict)
{
	enum dict_form form = form_of(dict);
	int rc = CK_OK;

	ck_json_open(&w->json, '{');
	if (dict->ordered) {
		ck_json_key(&w->json, "$ordered", 8);
		ck_buf_str(w->json.buf, "true");
	}
	if (form == INT_KEYS) {
		ck_json_key(&w->json, "$keys", 5);
		ck_buf_str(w->json.buf, "\"int\"");
	}
	if (dict->state.kind != CK_NONE) {
		ck_json_key(&w->json, "$state", 6);
		rc = put_value(w, &dict->state);
	}
	if (rc == CK_OK)
		rc = form == PAIRS ? put_pairs(w, dict) : put_members(w, dict);
	if (rc == CK_OK)
		ck_json_close(&w->json, '}');
	return rc;
}

static void put_flag(struct writer *w, const char *name, bool set)
{
	if (!set)
		return;
	ck_json_key(&w->json, name, strlen(name));
	ck_buf_str(w->json.buf, "true");
}

static int put_tensor(struct writer *w, const struct ck_tensor *t)
{
	const char *dtype = ck_dtype_info((enum ck_dtype)t->dtype)->torch;
	const struct ck_value path = ck_str(t->key, t->key_len);

	open_form(w, "$tensor");
	put_str(w, &path);
	ck_json_key(&w->json, "dtype", 5);
	ck_json_string(w->json.buf, dtype, strlen(dtype));
	if (t->unshown != CK_UNSHOWN_NESTED) {
		ck_json_key(&w->json, "shape", 5);
		ck_json_open(&w->json, '[');
		for (unsigned i = 0; i < t->ndim; i++) {
			ck_json_item(&w->json);
			ck_buf_printf(w->json.buf, "%" PRId64, t->shape[i]);
		}
		ck_json_close(&w->json, ']');
	}
	put_flag(w, "requires_grad", t->requires_grad);
	put_flag(w, "parameter", t->parameter);
	put_flag(w, "storage", t->storage);
	if (t->unshown) {
		ck_json_key(&w->json, "error", 5);
		ck_json_string(w->json.buf, ck_tensor_unshown(t), strlen(ck_tensor_unshown(t)));
	}
	ck_json_close(&w->json, '}');
	return CK_OK;
}

static int put_unsupported(struct writer *w, int64_t global)
{
	const char *module, *name;

	ck_global_name((enum ck_global)global, &module, &name);
	open_form(w, "$unsupported");
	ck_buf_byte(w->json.buf, '"');
	ck_json_escape(w->json.buf, module, strlen(module));
	ck_buf_byte(w->json.buf, '.');
	ck_json_escape(w->json.buf, name, strlen(name));
	ck_buf_byte(w->json.buf, '"');
	ck_json_close(&w->json, '}');
	return CK_OK;
}

static int put_global(struct writer *w, int64_t global)
{
	const char *module, *name;

	if (global >= CK_G_QSCHEME && global < CK_G_DTYPE) {
		ck_global_name((enum ck_global)global, &module, &name);
		put_text(w, "$qscheme", name);
		return CK_OK;
	}
	if (global < CK_G_DTYPE || global >= CK_G_DTYPE + CK_DTYPE_COUNT)
		return put_unsupported(w, global);
	put_text(w, "$dtype", ck_dtype_info((enum ck_dtype)(global - CK_G_DTYPE))->torch);
	return CK_OK;
}

static bool all_of_kind(const struct ck_value *items, uint32_t len, enum ck_kind kind)
{
	for (uint32_t i = 0; i < len; i++)
		if (items[i].kind != kind)
			return false;
	return true;
}

/* torch.device("cpu"), torch.device("cuda", 0): as torch pickles them. */
static bool is_device(const struct ck_value *args)
{
	const struct ck_value *type = args->items, *index = args->items + 1;

	if (args->len < 1 || args->len > 2 || type->kind != CK_STR || !ck_is_device_type(type->s, type->len))
		return false;
	return args->len == 1 || (index->kind == CK_INT && index->i >= 0 && index->i <= CK_DEVICE_MAX_INDEX);
}

static int put_device(struct writer *w, const struct ck_value *args)
{
	open_form(w, "$device");
	ck_buf_byte(w->json.buf, '"');
	ck_json_escape(w->json.buf, args->items[0].s, args->items[0].len);
	if (args->len == 2)
		ck_buf_printf(w->json.buf, ":%" PRId64, args->items[1].i);
	ck_buf_byte(w->json.buf, '"');
	ck_json_close(&w->json, '}');
	return CK_OK;
}

static bool is_layout(const struct ck_value *args)
{
	return args->len == 1 && args->items[0].kind == CK_STR && ck_is_layout(args->items[0].s, args->items[0].len);
}

/* The name is written without "torch.", like that of a dtype. */
static int put_layout(struct writer *w, const struct ck_value *name)
{
	open_form(w, "$layout");
	ck_json_string(w->json.buf, name->s + sizeof("torch.") - 1, name->len - (sizeof("torch.") - 1));
	ck_json_close(&w->json, '}');
	return CK_OK;
}

static int put_call(struct writer *w, const struct ck_call *call)
{
	const struct ck_value *args = &call->args;
	bool plain = args->kind == CK_TUPLE;

	if (plain && call->callee.i == CK_G_SIZE && args->len == 1 && args->items[0].kind == CK_TUPLE &&
	    all_of_kind(args->items[0].items, args->items[0].len, CK_INT))
		return put_sequence(w, "$size", args->items[0].items, args->items[0].len);
	if (plain && call->callee.i == CK_G_COMPLEX && args->len == 2 && all_of_kind(args->items, 2, CK_FLOAT))
		return put_sequence(w, "$complex", args->items, 2);
	if (plain && call->callee.i == CK_G_DEVICE && is_device(args))
		return put_device(w, args);
	if (plain && call->callee.i == CK_G_LAYOUT && is_layout(args))
		return put_layout(w, &args->items[0]);
	return put_unsupported(w, call->callee.i);
}

static int put_kind(struct writer *w, const struct ck_value *v)
{
	switch ((enum ck_kind)v->kind) {
	case CK_NONE: case CK_BOOL: case CK_INT: case CK_BIGINT:
		return ck_json_write(w->json.buf, v, -1, NULL) ? stopped(w) : CK_OK;
	case CK_FLOAT:
		return put_float(w, v->f);
	case CK_STR:
		return put_str(w, v);
	case CK_BYTES:
		return put_latin1(w, "$bytes", v);
	case CK_BYTEARRAY:
		return put_latin1(w, "$bytearray", v);
	case CK_TUPLE:
		return put_sequence(w, "$tuple", v->items, v->len);
	case CK_LIST:
		return put_items(w, v->list->items, v->list->len);
	case CK_SET:
		return put_sequence(w, "$set", v->list->items, v->list->len);
	case CK_FROZENSET:
		return put_sequence(w, "$frozenset", v->list->items, v->list->len);
	case CK_DICT:
		return put_dict(w, v->dict);
	case CK_GLOBAL:
		return put_global(w, v->i);
	case CK_CALL:
		return put_call(w, v->call);
	case CK_TENSOR:
		return put_tensor(w, &w->tensors[v->i]);
	case CK_PERSID: case CK_MADE:
		break;
	}
	put_text(w, "$unsupported", "persistent id");
	return CK_OK;
}

static int put_value(struct writer *w, const struct ck_value *v)
{
	int rc;

	/* Each value writes something, so the limit on the length also ends a tree whose shared branches double at
	   each level. */
	if (w->json.buf->failed)
		return stopped(w);
	if (w->depth == MAX_DEPTH)
		return ck_fail(w->err, CK_ERR_LIMIT, "an outline of more than %d levels", MAX_DEPTH);
	w->depth++;
	rc = put_kind(w, v);
	w->depth--;
	return rc;
}

int ck_outline_write(struct ck_buf *out, const struct ck_value *value, const struct ck_tensor *tensors, int indent,
		     size_t max, struct ck_error *err)
{
	struct writer w = {
		.json = { .buf = out, .indent = indent }, .tensors = tensors, .err = err,
		.max = max < CK_OUTLINE_MAX_BYTES ? max : CK_OUTLINE_MAX_BYTES,
	};
	int rc;

	out->max = out->len + w.max;
	rc = put_value(&w, value);
	out->max = 0;
	return rc == CK_OK && out->failed ? stopped(&w) : rc;
}
