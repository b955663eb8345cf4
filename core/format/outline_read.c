/* Implements ck_outline_read of outline.h: JSON is read first, then its '$' forms become values in place. */
#include "core/format/outline.h"

#include "core/format/json.h"
#include "core/pickle/pickle.h"
#include "core/base/utf8.h"

#include <math.h>
#include <string.h>

/* The most memory for the values of an outline. A shard of 100,000 tensors needs half of it. */
#define MOST_VALUES ((size_t)128 << 20)

struct reader {
	struct ck_arena *arena;
	ck_outline_find_fn find;
	ck_outline_flags_fn flags;
	void *arg;
	struct ck_error *err;
};

static int convert(struct reader *r, struct ck_value *v);

static int expected(struct reader *r, const char *what)
{
	return ck_fail(r->err, CK_ERR_INVALID, "outline: expected %s", what);
}

/* For "%.*s". */
static int clip(uint32_t len)
{
	return len < 100 ? (int)len : 100;
}

static bool begins_with_dollar(const struct ck_value *key)
{
	return key->len && key->s[0] == '$';
}

static bool is_marker(const struct ck_value *key)
{
	return begins_with_dollar(key) && !(key->len > 1 && key->s[1] == '$');
}

static int convert_items(struct reader *r, struct ck_list *list)
{
	int rc = CK_OK;

	for (uint32_t i = 0; i < list->len && rc == CK_OK; i++)
		rc = convert(r, &list->items[i]);
	return rc;
}

static int make_call(struct reader *r, enum ck_global g, uint32_t args, struct ck_value *out)
{
	struct ck_call *call = ck_arena_alloc(r->arena, sizeof(*call));

	if (!call)
		return ck_fail_room(r->err);
	call->callee = (struct ck_value){ .kind = CK_GLOBAL, .i = g };
	*out = (struct ck_value){ .kind = CK_CALL, .call = call };
	return ck_tuple_new(r->arena, args, &call->args, r->err);
}

static int read_tuple(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	int rc;

	if (arg->kind != CK_LIST)
		return expected(r, "an array for \"$tuple\"");
	rc = convert_items(r, arg->list);
	if (rc == CK_OK)
		rc = ck_tuple_new(r->arena, arg->list->len, out, r->err);
	if (rc == CK_OK && out->len)
		memcpy(out->items, arg->list->items, out->len * sizeof(*out->items));
	return rc;
}

/* The keys of a dict are hashable and all different; the same must hold for the items of a set. */
static int make_set(struct reader *r, enum ck_kind kind, struct ck_value *arg, struct ck_value *out)
{
	struct ck_value seen;
	int rc;

	if (arg->kind != CK_LIST)
		return expected(r, "an array for a set");
	rc = convert_items(r, arg->list);
	if (rc == CK_OK)
		rc = ck_dict_new(r->arena, &seen, r->err);
	for (uint32_t i = 0; i < arg->list->len && rc == CK_OK; i++)
		rc = ck_dict_set(r->arena, seen.dict, arg->list->items[i], ck_none(), r->err);
	if (rc == CK_OK)
		rc = ck_list_new(r->arena, kind, out, r->err);
	for (uint32_t i = 0; rc == CK_OK && i < seen.dict->len; i++)
		rc = ck_list_append(r->arena, out->list, seen.dict->pairs[i].key, r->err);
	return rc;
}

static int read_set(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	return make_set(r, CK_SET, arg, out);
}

static int read_frozenset(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	return make_set(r, CK_FROZENSET, arg, out);
}

static int read_float(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	if (ck_value_is_str(arg, "nan"))
		*out = ck_float((double)NAN);
	else if (ck_value_is_str(arg, "inf"))
		*out = ck_float((double)INFINITY);
	else if (ck_value_is_str(arg, "-inf"))
		*out = ck_float(-(double)INFINITY);
	else
		return expected(r, "\"nan\", \"inf\" or \"-inf\" for \"$float\"");
	return CK_OK;
}

/* Decodes ARG, a text of latin-1 characters, to bytes. */
static int make_bytes(struct reader *r, enum ck_kind kind, const struct ck_value *arg, struct ck_value *out)
{
	char *bytes = arg->kind == CK_STR ? ck_arena_alloc(r->arena, (size_t)arg->len + 1) : NULL;
	uint32_t len = 0, cp;

	if (arg->kind != CK_STR)
		return expected(r, "a string for bytes");
	if (!bytes)
		return ck_fail_room(r->err);
	for (size_t i = 0, n; i < arg->len; i += n) {
		n = ck_utf8_decode(arg->s + i, arg->len - i, &cp);
		if (n == 0 || cp > 0xff)
			return expected(r, "characters from U+0000 to U+00FF in the text of bytes");
		bytes[len++] = (char)cp;
	}
	*out = (struct ck_value){ .kind = (uint8_t)kind, .len = len, .s = bytes };
	return CK_OK;
}

static int read_bytes(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	return make_bytes(r, CK_BYTES, arg, out);
}

static int read_bytearray(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	return make_bytes(r, CK_BYTEARRAY, arg, out);
}

static int read_utf8(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	int rc = make_bytes(r, CK_STR, arg, out);

	if (!rc && !ck_utf8_valid(out->s, out->len, true))
		return expected(r, "UTF-8 for \"$utf8\"");
	return rc;
}

static int read_complex(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	struct ck_value *parts;
	int rc;

	if (arg->kind != CK_LIST || arg->list->len != 2)
		return expected(r, "[re, im] for \"$complex\"");
	parts = arg->list->items;
	rc = convert_items(r, arg->list);
	if (rc == CK_OK)
		rc = make_call(r, CK_G_COMPLEX, 2, out);
	for (int i = 0; i < 2 && rc == CK_OK; i++) {
		if (parts[i].kind != CK_FLOAT && parts[i].kind != CK_INT)
			return expected(r, "two numbers for \"$complex\"");
		out->call->args.items[i] = parts[i].kind == CK_FLOAT ? parts[i] : ck_float((double)parts[i].i);
	}
	return rc;
}

static int read_size(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	struct ck_value *sizes;
	int rc;

	if (arg->kind != CK_LIST)
		return expected(r, "an array for \"$size\"");
	rc = make_call(r, CK_G_SIZE, 1, out);
	if (rc)
		return rc;
	sizes = out->call->args.items;
	rc = ck_tuple_new(r->arena, arg->list->len, sizes, r->err);
	for (uint32_t i = 0; rc == CK_OK && i < arg->list->len; i++) {
		if (arg->list->items[i].kind != CK_INT)
			return expected(r, "ints for \"$size\"");
		sizes->items[i] = arg->list->items[i];
	}
	return rc;
}

static int read_dtype(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	int dtype = arg->kind == CK_STR ? ck_dtype_by_torch(arg->s, arg->len) : -1;

	if (dtype < 0)
		return expected(r, "the name of a torch dtype for \"$dtype\"");
	*out = (struct ck_value){ .kind = CK_GLOBAL, .i = CK_G_DTYPE + dtype };
	return CK_OK;
}

/* Reads an int spelled as Python writes it, with nothing around it. */
static int read_int(struct reader *r, const char *s, size_t len, struct ck_value *out)
{
	bool clean = len > 0 && (s[0] == '-' ? len > 1 && s[1] != '0' : s[0] >= '0' && s[0] <= '9') &&
		     s[len - 1] >= '0' && s[len - 1] <= '9';

	if (!clean || ck_json_read(s, len, r->arena, out, NULL) || (out->kind != CK_INT && out->kind != CK_BIGINT))
		return ck_fail(r->err, CK_ERR_INVALID, "outline: expected an int, found \"%.*s\"",
			       clip((uint32_t)len), s);
	return CK_OK;
}

/* torch.layout is pickled as a call of _get_layout with its whole name. */
static int read_layout(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	size_t len = (size_t)arg->len + sizeof("torch.") - 1;
	char *name = arg->kind == CK_STR ? ck_arena_alloc(r->arena, len) : NULL;
	int rc;

	if (arg->kind != CK_STR)
		return expected(r, "a string for \"$layout\"");
	if (!name)
		return ck_fail_room(r->err);
	memcpy(name, "torch.", sizeof("torch.") - 1);
	memcpy(name + sizeof("torch.") - 1, arg->s, arg->len);
	if (!ck_is_layout(name, len))
		return ck_fail(r->err, CK_ERR_INVALID, "outline: expected a layout that torch knows, found \"%.*s\"",
			       clip(arg->len), arg->s);
	rc = make_call(r, CK_G_LAYOUT, 1, out);
	if (!rc)
		out->call->args.items[0] = ck_str(name, len);
	return rc;
}

static int read_qscheme(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	int scheme = arg->kind == CK_STR ? ck_qscheme_by_name(arg->s, arg->len) : -1;

	if (scheme < 0)
		return expected(r, "the name of a torch qscheme for \"$qscheme\"");
	*out = (struct ck_value){ .kind = CK_GLOBAL, .i = scheme };
	return CK_OK;
}

static int read_device(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	const char *colon = arg->kind == CK_STR ? memchr(arg->s, ':', arg->len) : NULL;
	size_t type = colon ? (size_t)(colon - arg->s) : arg->len;
	struct ck_value *args;
	int rc;

	if (arg->kind != CK_STR)
		return expected(r, "a string for \"$device\"");
	if (!ck_is_device_type(arg->s, type))
		return ck_fail(r->err, CK_ERR_INVALID,
			       "outline: expected a device that torch.load knows, found \"%.*s\"",
			       clip(arg->len), arg->s);
	rc = make_call(r, CK_G_DEVICE, colon ? 2 : 1, out);
	if (rc)
		return rc;
	args = out->call->args.items;
	args[0] = ck_str(arg->s, type);
	if (!colon)
		return CK_OK;
	rc = read_int(r, colon + 1, arg->len - type - 1, &args[1]);
	if (rc == CK_OK && (args[1].kind != CK_INT || args[1].i < 0 || args[1].i > CK_DEVICE_MAX_INDEX))
		rc = ck_fail(r->err, CK_ERR_INVALID, "outline: expected an index from 0 to %d, found \"%.*s\"",
			     CK_DEVICE_MAX_INDEX, clip(arg->len), arg->s);
	return rc;
}

static int read_unsupported(struct reader *r, struct ck_value *arg, struct ck_value *out)
{
	(void)out;
	if (arg->kind != CK_STR)
		return expected(r, "a string for \"$unsupported\"");
	return ck_fail(r->err, CK_ERR_INVALID, "outline: \"%.*s\" can't be written into a checkpoint", clip(arg->len),
		       arg->s);
}

static int read_flag(struct reader *r, const struct ck_dict *object, const char *name, bool *flag)
{
	const struct ck_value *v = ck_dict_get(object, name);

	*flag = v && v->i;
	if (v && v->kind != CK_BOOL)
		return ck_fail(r->err, CK_ERR_INVALID, "outline: expected true or false for \"%s\"", name);
	return CK_OK;
}

static int read_tensor(struct reader *r, const struct ck_dict *object, struct ck_value *path, struct ck_value *out)
{
	bool requires_grad, parameter;
	int64_t index;
	int rc = convert(r, path);      /* the path may be a "$utf8" */

	if (rc == CK_OK && path->kind != CK_STR)
		rc = expected(r, "a string for \"$tensor\"");
	if (rc == CK_OK)
		rc = read_flag(r, object, "requires_grad", &requires_grad);
	if (rc == CK_OK)
		rc = read_flag(r, object, "parameter", &parameter);
	if (rc)
		return rc;
	index = r->find(r->arg, path->s, path->len);
	if (index < 0)
		return ck_fail(r->err, CK_ERR_INVALID, "outline: the tensor \"%.*s\" isn't there", clip(path->len),
			       path->s);
	if (r->flags)
		r->flags(r->arg, index, requires_grad, parameter);
	*out = (struct ck_value){ .kind = CK_TENSOR, .i = index };
	return CK_OK;
}

static int read_pairs(struct reader *r, const struct ck_list *pairs, struct ck_dict *dict)
{
	int rc = CK_OK;

	for (uint32_t i = 0; i < pairs->len && rc == CK_OK; i++) {
		struct ck_value *pair = &pairs->items[i];

		if (pair->kind != CK_LIST || pair->list->len != 2)
			return expected(r, "[key, value] in \"$dict\"");
		rc = convert_items(r, pair->list);
		if (rc == CK_OK)
			rc = ck_dict_set(r->arena, dict, pair->list->items[0], pair->list->items[1], r->err);
	}
	return rc;
}

struct dict_marks {
	bool ints;
	const struct ck_list *pairs;
};

static int read_mark(struct reader *r, struct ck_pair *mark, struct ck_dict *dict, struct dict_marks *marks)
{
	if (ck_value_is_str(&mark->key, "$ordered") && mark->value.kind == CK_BOOL) {
		dict->ordered = mark->value.i;
	} else if (ck_value_is_str(&mark->key, "$keys") && ck_value_is_str(&mark->value, "int")) {
		marks->ints = true;
	} else if (ck_value_is_str(&mark->key, "$dict") && mark->value.kind == CK_LIST) {
		marks->pairs = mark->value.list;
	} else if (ck_value_is_str(&mark->key, "$state")) {
		dict->state = mark->value;
		return convert(r, &dict->state);
	} else {
		return ck_fail(r->err, CK_ERR_INVALID, "outline: \"%.*s\" is not allowed here, or not with this value",
			       clip(mark->key.len), mark->key.s);
	}
	return CK_OK;
}

static int read_member(struct reader *r, struct ck_pair *member, bool int_key, struct ck_dict *dict)
{
	struct ck_value key = member->key;
	int rc = CK_OK;

	if (int_key)
		rc = read_int(r, member->key.s, member->key.len, &key);
	else if (begins_with_dollar(&key))
		key = ck_str(key.s + 1, key.len - 1);
	if (rc == CK_OK)
		rc = convert(r, &member->value);
	if (rc == CK_OK)
		rc = ck_dict_set(r->arena, dict, key, member->value, r->err);
	else
		ck_error_subject(r->err, member->key.s, member->key.len);
	return rc;
}

/* Reads a dict that has "$" marks, or keys with a second '$'. */
static int read_dict(struct reader *r, struct ck_dict *object, struct ck_value *out)
{
	struct dict_marks marks = { 0 };
	int rc = ck_dict_new(r->arena, out, r->err);

	for (uint32_t i = 0; i < object->len && rc == CK_OK; i++)
		if (is_marker(&object->pairs[i].key))
			rc = read_mark(r, &object->pairs[i], out->dict, &marks);
	for (uint32_t i = 0; i < object->len && rc == CK_OK; i++) {
		if (is_marker(&object->pairs[i].key))
			continue;
		if (marks.pairs)
			return expected(r, "no keys beside \"$dict\"");
		rc = read_member(r, &object->pairs[i], marks.ints, out->dict);
	}
	if (rc == CK_OK && marks.pairs)
		rc = marks.ints ? expected(r, "no \"$keys\" beside \"$dict\"") : read_pairs(r, marks.pairs, out->dict);
	return rc;
}

static const struct form {
	const char *name;
	int (*read)(struct reader *r, struct ck_value *arg, struct ck_value *out);
} forms[] = {
	{ "$tuple", read_tuple }, { "$set", read_set }, { "$frozenset", read_frozenset }, { "$float", read_float },
	{ "$bytes", read_bytes }, { "$bytearray", read_bytearray }, { "$utf8", read_utf8 },
	{ "$complex", read_complex }, { "$size", read_size }, { "$dtype", read_dtype }, { "$device", read_device },
	{ "$layout", read_layout }, { "$qscheme", read_qscheme },
	{ "$unsupported", read_unsupported },
};

static int convert_marked(struct reader *r, struct ck_dict *object, struct ck_value *out)
{
	struct ck_value *tensor = ck_dict_get(object, "$tensor");

	if (tensor)
		return read_tensor(r, object, tensor, out);
	for (size_t i = 0; object->len == 1 && i < sizeof(forms) / sizeof(forms[0]); i++)
		if (ck_value_is_str(&object->pairs[0].key, forms[i].name))
			return forms[i].read(r, &object->pairs[0].value, out);
	return read_dict(r, object, out);
}

static int convert_object(struct reader *r, struct ck_value *v)
{
	struct ck_dict *object = v->dict;
	int rc = CK_OK;

	for (uint32_t i = 0; i < object->len; i++)
		if (begins_with_dollar(&object->pairs[i].key))
			return convert_marked(r, object, v);
	for (uint32_t i = 0; i < object->len && rc == CK_OK; i++) {
		rc = convert(r, &object->pairs[i].value);
		if (rc)
			ck_error_subject(r->err, object->pairs[i].key.s, object->pairs[i].key.len);
	}
	return rc;
}

/* Replaces the JSON values by the values that they stand for. The JSON reader has bounded the depth. */
static int convert(struct reader *r, struct ck_value *v)
{
	if (v->kind == CK_LIST)
		return convert_items(r, v->list);
	return v->kind == CK_DICT ? convert_object(r, v) : CK_OK;
}

/* A dict with int keys takes most memory for its size: it is read as an object, then built again with its own keys. */
size_t ck_outline_budget(size_t len)
{
	size_t budget = ((size_t)8 << 20) + 32 * (len < CK_OUTLINE_MAX_BYTES ? len : CK_OUTLINE_MAX_BYTES);

	return budget < MOST_VALUES ? budget : MOST_VALUES;
}

int ck_outline_read(const char *text, size_t len, struct ck_arena *arena, ck_outline_find_fn find,
		    ck_outline_flags_fn flags, void *arg, struct ck_value *out, struct ck_error *err)
{
	struct reader r = { .arena = arena, .find = find, .flags = flags, .arg = arg, .err = err };
	int rc;

	if (len > CK_OUTLINE_MAX_BYTES)
		return ck_fail(err, CK_ERR_LIMIT, "an outline of more than %zu bytes", CK_OUTLINE_MAX_BYTES);
	rc = ck_json_read(text, len, arena, out, err);
	if (rc == CK_OK)
		rc = convert(&r, out);
	if (rc == CK_ERR_CORRUPT) {
		/* The JSON reader reports a corrupt file. Here a person wrote the text, so it is an invalid
		   argument. */
		rc = CK_ERR_INVALID;
		if (err && err->code == CK_ERR_CORRUPT)
			err->code = CK_ERR_INVALID;
	}
	return rc;
}
