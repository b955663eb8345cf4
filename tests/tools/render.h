/* render - the canonical text of a value, for tests: pickledump prints it, test_pickle compares it. */
#ifndef RENDER_H
#define RENDER_H

#include "core/pickle/pickle.h"
#include "core/zip/archive.h"

#include <stdlib.h>
#include <string.h>

static void render_value(struct ck_buf *out, const struct ck_value *v);

static void render_hex(struct ck_buf *out, const char *prefix, const struct ck_value *v)
{
	ck_buf_str(out, prefix);
	for (uint32_t i = 0; i < v->len; i++)
		ck_buf_printf(out, "%02x", (unsigned char)v->s[i]);
}

static void render_items(struct ck_buf *out, const char *prefix, const struct ck_value *items, uint32_t len)
{
	ck_buf_printf(out, "%s(", prefix);
	for (uint32_t i = 0; i < len; i++) {
		ck_buf_str(out, i ? "," : "");
		render_value(out, &items[i]);
	}
	ck_buf_str(out, ")");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sets have no order: by the text of their items. */
static void render_set(struct ck_buf *out, const char *prefix, const struct ck_list *set)
{
	char **texts = calloc(set->len + 1u, sizeof(*texts));
	size_t len;

	if (!texts)
		exit(CK_ERR_NOMEM);
	for (uint32_t i = 0; i < set->len; i++) {
		struct ck_buf one = CK_BUF_INIT;

		render_value(&one, &set->items[i]);
		ck_buf_byte(&one, '\0');
		texts[i] = ck_buf_steal(&one, &len);
		if (!texts[i])
			exit(CK_ERR_NOMEM);
	}
	qsort(texts, set->len, sizeof(*texts), by_text);
	ck_buf_printf(out, "%s(", prefix);
	for (uint32_t i = 0; i < set->len; i++) {
		ck_buf_printf(out, "%s%s", i ? "," : "", texts[i]);
		free(texts[i]);
	}
	ck_buf_str(out, ")");
	free(texts);
}

static void render_dict(struct ck_buf *out, const struct ck_dict *dict)
{
	ck_buf_printf(out, "%s(", dict->ordered ? "odict" : "dict");
	for (uint32_t i = 0; i < dict->len; i++) {
		ck_buf_str(out, i ? "," : "");
		render_value(out, &dict->pairs[i].key);
		ck_buf_str(out, ":");
		render_value(out, &dict->pairs[i].value);
	}
	ck_buf_str(out, ")");
	if (dict->state.kind != CK_NONE) {
		ck_buf_str(out, "+");
		render_value(out, &dict->state);
	}
}

static void render_call(struct ck_buf *out, const struct ck_call *call)
{
	render_value(out, &call->callee);
	render_items(out, "", call->args.items, call->args.len);
}

static void render_scalar(struct ck_buf *out, const struct ck_value *v)
{
	const char *module, *name;
	uint64_t bits;

	switch ((enum ck_kind)v->kind) {
	case CK_NONE:
		ck_buf_str(out, "None");
		break;
	case CK_BOOL:
		ck_buf_str(out, v->i ? "True" : "False");
		break;
	case CK_INT:
		ck_buf_printf(out, "%lld", (long long)v->i);
		break;
	case CK_BIGINT:
		ck_buf_append(out, v->s, v->len);
		break;
	case CK_FLOAT:
		memcpy(&bits, &v->f, sizeof(bits));
		ck_buf_printf(out, "f%016llx", (unsigned long long)bits);
		break;
	case CK_GLOBAL:
		ck_global_name((enum ck_global)v->i, &module, &name);
		ck_buf_printf(out, "%s.%s", module, name);
		break;
	default:
		ck_buf_str(out, "?");
		break;
	}
}

static void render_value(struct ck_buf *out, const struct ck_value *v)
{
	switch ((enum ck_kind)v->kind) {
	case CK_STR:
		render_hex(out, "s", v);
		break;
	case CK_BYTES:
		render_hex(out, "b", v);
		break;
	case CK_BYTEARRAY:
		render_hex(out, "a", v);
		break;
	case CK_TUPLE:
		render_items(out, "tuple", v->items, v->len);
		break;
	case CK_LIST:
		render_items(out, "list", v->list->items, v->list->len);
		break;
	case CK_SET:
		render_set(out, "set", v->list);
		break;
	case CK_FROZENSET:
		render_set(out, "frozenset", v->list);
		break;
	case CK_DICT:
		render_dict(out, v->dict);
		break;
	case CK_CALL:
		render_call(out, v->call);
		break;
	case CK_PERSID:
		render_items(out, "persid", v->items, 1);
		break;
	default:
		render_scalar(out, v);
		break;
	}
}

/* Reads from memory that ends where the pickle ends, so that a sanitizer sees what reads on. */
static inline int render_pickle(const void *data, size_t len, struct ck_buf *text, struct ck_error *err)
{
	struct ck_arena *arena = ck_arena_new(CK_OPEN_BYTES);
	char *copy = malloc(len ? len : 1);
	struct ck_value v;
	int rc = CK_ERR_NOMEM;

	if (arena && copy) {
		memcpy(copy, data, len);
		rc = ck_pickle_read(copy, len, arena, NULL, &v, err);
	}
	free(copy);
	if (!rc && text) {
		render_value(text, &v);
		ck_buf_byte(text, '\0');
	}
	ck_arena_free(arena);
	return rc;
}

#endif
