/* Outlines: what each kind of value is written as, by hand from outline.h, and that it comes back. */
#include "core/format/outline.h"
#include "core/pickle/pickle.h"
#include "tests/unit/check.h"

#include <math.h>

static struct ck_arena *arena;

static const int64_t shape[] = { 2, 3 };
static const struct ck_tensor tensors[] = {
	{ .key = "state.0.exp_avg", .key_len = 15, .dtype = CK_BF16, .ndim = 2, .shape = shape },
	{ .key = "w", .key_len = 1, .dtype = CK_I64, .requires_grad = true, .parameter = true },
	{ .key = "\xed\xa0\xbd\xed\xb8\x80", .key_len = 6, .dtype = CK_F32 },
	{ .key = "\xf0\x9f\x98\x80", .key_len = 4, .dtype = CK_F32 },
};

static int64_t find(void *arg, const char *path, size_t len)
{
	(void)arg;
	for (int64_t i = 0; i < 4; i++)
		if (tensors[i].key_len == len && memcmp(tensors[i].key, path, len) == 0)
			return i;
	return -1;
}

static void flags(void *arg, int64_t index, bool requires_grad, bool parameter)
{
	CHECK(tensors[index].requires_grad == requires_grad && tensors[index].parameter == parameter);
	*(unsigned *)arg |= 1u << index;
}

static bool same(const struct ck_value *a, const struct ck_value *b);

static bool same_items(const struct ck_value *a, const struct ck_value *b, uint32_t a_len, uint32_t b_len)
{
	for (uint32_t i = 0; a_len == b_len && i < a_len; i++)
		if (!same(&a[i], &b[i]))
			return false;
	return a_len == b_len;
}

static bool same_dict(const struct ck_dict *a, const struct ck_dict *b)
{
	if (a->len != b->len || a->ordered != b->ordered || !same(&a->state, &b->state))
		return false;
	for (uint32_t i = 0; i < a->len; i++)
		if (!same(&a->pairs[i].key, &b->pairs[i].key) || !same(&a->pairs[i].value, &b->pairs[i].value))
			return false;
	return true;
}

/* Stricter than Python's ==: kinds, orders and the sign of a zero count, a NaN is a NaN. */
static bool same(const struct ck_value *a, const struct ck_value *b)
{
	if (a->kind != b->kind)
		return false;
	switch ((enum ck_kind)a->kind) {
	case CK_NONE:
		return true;
	case CK_FLOAT:
		return isnan(a->f) ? isnan(b->f) : a->f == b->f && signbit(a->f) == signbit(b->f);
	case CK_BIGINT: case CK_STR: case CK_BYTES: case CK_BYTEARRAY:
		return a->len == b->len && (a->len == 0 || memcmp(a->s, b->s, a->len) == 0);
	case CK_TUPLE: case CK_PERSID:
		return same_items(a->items, b->items, a->len, b->len);
	case CK_LIST: case CK_SET: case CK_FROZENSET:
		return same_items(a->list->items, b->list->items, a->list->len, b->list->len);
	case CK_DICT:
		return same_dict(a->dict, b->dict);
	case CK_CALL:
		return same(&a->call->callee, &b->call->callee) && same(&a->call->args, &b->call->args);
	case CK_BOOL: case CK_INT: case CK_GLOBAL: case CK_TENSOR: case CK_MADE:
		break;
	}
	return a->i == b->i;
}

/* Whether V is written as WANT (one line) and read back, also from an indented text, as V. */
static bool round_trip(struct ck_value v, const char *want)
{
	struct ck_buf out = CK_BUF_INIT;
	struct ck_value back;
	unsigned seen = 0;
	bool ok = true;

	for (int indent = -1; indent < 3 && ok; indent++) {
		out.len = 0;
		ok = ck_outline_write(&out, &v, tensors, indent, SIZE_MAX, NULL) == CK_OK &&
		     (indent >= 0 || (out.len == strlen(want) && memcmp(out.data, want, out.len) == 0)) &&
		     ck_outline_read(out.data, out.len, arena, find, flags, &seen, &back, NULL) == CK_OK &&
		     same(&v, &back);
	}
	if (!ok)
		printf("%.*s\n", (int)out.len, out.data);
	ck_buf_free(&out);
	return ok;
}

static struct ck_value seq(enum ck_kind kind, uint32_t len, const struct ck_value *items)
{
	struct ck_value v = ck_none();

	if (kind == CK_TUPLE) {
		CHECK(ck_tuple_new(arena, len, &v, NULL) == CK_OK);
		if (len)
			memcpy(v.items, items, len * sizeof(*items));
		return v;
	}
	CHECK(ck_list_new(arena, kind, &v, NULL) == CK_OK);
	for (uint32_t i = 0; i < len; i++)
		CHECK(ck_list_append(arena, v.list, items[i], NULL) == CK_OK);
	return v;
}
#define SEQ(kind, ...) seq(kind, sizeof((struct ck_value[]){ __VA_ARGS__ }) / sizeof(struct ck_value), \
			   (struct ck_value[]){ __VA_ARGS__ })
#define STR(s) ck_str(s, sizeof(s) - 1)

static struct ck_value call(enum ck_global g, struct ck_value args)
{
	struct ck_call *c = ck_arena_alloc(arena, sizeof(*c));

	c->callee = (struct ck_value){ .kind = CK_GLOBAL, .i = g };
	c->args = args;
	return (struct ck_value){ .kind = CK_CALL, .call = c };
}

/* A dict of LEN items: keys and values in turn. */
static struct ck_value dict(bool ordered, uint32_t len, const struct ck_value *items)
{
	struct ck_value v;

	CHECK(ck_dict_new(arena, &v, NULL) == CK_OK);
	v.dict->ordered = ordered;
	for (uint32_t i = 0; i < len; i += 2)
		CHECK(ck_dict_set(arena, v.dict, items[i], items[i + 1], NULL) == CK_OK);
	return v;
}
#define DICT(ordered, ...) dict(ordered, sizeof((struct ck_value[]){ __VA_ARGS__ }) / sizeof(struct ck_value), \
				(struct ck_value[]){ __VA_ARGS__ })

static void test_scalars(void)
{
	CHECK(round_trip(ck_none(), "null"));
	CHECK(round_trip(ck_bool(true), "true"));
	CHECK(round_trip(ck_int(INT64_MIN), "-9223372036854775808"));
	CHECK(round_trip((struct ck_value){ .kind = CK_BIGINT, .len = 20, .s = "-9223372036854775809" },
			 "-9223372036854775809"));
	CHECK(round_trip(ck_float(1), "1.0"));
	CHECK(round_trip(ck_float(-0.0), "-0.0"));
	CHECK(round_trip(ck_float(1e16), "1e+16"));
	CHECK(round_trip(ck_float((double)NAN), "{\"$float\": \"nan\"}"));
	CHECK(round_trip(ck_float(-(double)INFINITY), "{\"$float\": \"-inf\"}"));
	CHECK(round_trip(STR("a\0\xf0\x9f\x98\x80"), "\"a\\u0000\\ud83d\\ude00\""));
	CHECK(round_trip(STR("\xed\xa0\xbd"), "{\"$utf8\": \"\\u00ed\\u00a0\\u00bd\"}"));
	CHECK(round_trip(STR("\xed\xa0\xbd\xed\xb8\x80"),
			 "{\"$utf8\": \"\\u00ed\\u00a0\\u00bd\\u00ed\\u00b8\\u0080\"}"));
	CHECK(round_trip((struct ck_value){ .kind = CK_BYTES, .len = 4, .s = "a\0\xff\"" },
			 "{\"$bytes\": \"a\\u0000\\u00ff\\\"\"}"));
	CHECK(round_trip((struct ck_value){ .kind = CK_BYTEARRAY }, "{\"$bytearray\": \"\"}"));
}

static void test_containers(void)
{
	struct ck_value od = DICT(true, ck_int(3), SEQ(CK_TUPLE));

	CHECK(round_trip(SEQ(CK_LIST), "[]"));
	CHECK(round_trip(SEQ(CK_TUPLE, ck_int(1), SEQ(CK_LIST, STR("x"))), "{\"$tuple\": [1, [\"x\"]]}"));
	CHECK(round_trip(SEQ(CK_SET, ck_int(2), SEQ(CK_FROZENSET)), "{\"$set\": [2, {\"$frozenset\": []}]}"));
	CHECK(round_trip(DICT(false), "{}"));
	CHECK(round_trip(DICT(true), "{\"$ordered\": true}"));
	CHECK(round_trip(DICT(false, STR("$a"), ck_int(1), STR("$"), ck_int(2), STR("$$b"), ck_int(3), STR(""),
			      ck_int(4)),
			 "{\"$$a\": 1, \"$$\": 2, \"$$$b\": 3, \"\": 4}"));
	CHECK(round_trip(DICT(false, ck_int(0), ck_none(), ck_int(-5), ck_int(1)),
			 "{\"$keys\": \"int\", \"0\": null, \"-5\": 1}"));
	CHECK(round_trip(DICT(false, ck_bool(true), ck_int(1), STR("x"), ck_int(2)),
			 "{\"$dict\": [[true, 1], [\"x\", 2]]}"));
	CHECK(round_trip(DICT(true, SEQ(CK_TUPLE, ck_int(1)), ck_float(2)),
			 "{\"$ordered\": true, \"$dict\": [[{\"$tuple\": [1]}, 2.0]]}"));
	CHECK(round_trip(DICT(false, STR("\xed\xa0\xbd"), ck_none()),
			 "{\"$dict\": [[{\"$utf8\": \"\\u00ed\\u00a0\\u00bd\"}, null]]}"));
	od.dict->state = DICT(false, STR("_metadata"), DICT(true, STR(""), DICT(false, STR("version"), ck_int(1))));
	CHECK(round_trip(od, "{\"$ordered\": true, \"$keys\": \"int\", \"$state\": {\"_metadata\": "
			     "{\"$ordered\": true, \"\": {\"version\": 1}}}, \"3\": {\"$tuple\": []}}"));
}

static void test_torch(void)
{
	const struct ck_value t[] = { { .kind = CK_TENSOR, .i = 0 }, { .kind = CK_TENSOR, .i = 1 },
				      { .kind = CK_TENSOR, .i = 2 }, { .kind = CK_TENSOR, .i = 3 } };

	CHECK(round_trip(seq(CK_LIST, 2, t),
			 "[{\"$tensor\": \"state.0.exp_avg\", \"dtype\": \"bfloat16\", \"shape\": [2, 3]}, "
			 "{\"$tensor\": \"w\", \"dtype\": \"int64\", \"shape\": [], \"requires_grad\": true, "
			 "\"parameter\": true}]"));
	/* Two surrogates, and the character that they would be to a reader of JSON. */
	CHECK(round_trip(seq(CK_LIST, 2, t + 2),
			 "[{\"$tensor\": {\"$utf8\": \"\\u00ed\\u00a0\\u00bd\\u00ed\\u00b8\\u0080\"}, "
			 "\"dtype\": \"float32\", \"shape\": []}, "
			 "{\"$tensor\": \"\\ud83d\\ude00\", \"dtype\": \"float32\", \"shape\": []}]"));
	CHECK(round_trip(call(CK_G_SIZE, SEQ(CK_TUPLE, SEQ(CK_TUPLE, ck_int(2), ck_int(3)))),
			 "{\"$size\": [2, 3]}"));
	CHECK(round_trip(call(CK_G_SIZE, SEQ(CK_TUPLE, SEQ(CK_TUPLE))), "{\"$size\": []}"));
	CHECK(round_trip(call(CK_G_DEVICE, SEQ(CK_TUPLE, STR("cpu"))), "{\"$device\": \"cpu\"}"));
	CHECK(round_trip(call(CK_G_DEVICE, SEQ(CK_TUPLE, STR("cuda"), ck_int(0))), "{\"$device\": \"cuda:0\"}"));
	CHECK(round_trip(call(CK_G_COMPLEX, SEQ(CK_TUPLE, ck_float(1.5), ck_float((double)INFINITY))),
			 "{\"$complex\": [1.5, {\"$float\": \"inf\"}]}"));
	CHECK(round_trip((struct ck_value){ .kind = CK_GLOBAL, .i = CK_G_DTYPE + CK_F32 },
			 "{\"$dtype\": \"float32\"}"));
}

/* By what torch.device of torch 2.6 says that it expects. */
static void test_devices(void)
{
	static const char *const types[] = {
		"cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia",
		"xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
	};
	char text[64];

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		snprintf(text, sizeof(text), "{\"$device\": \"%s:127\"}", types[i]);
		CHECK(round_trip(call(CK_G_DEVICE, SEQ(CK_TUPLE, ck_str(types[i], strlen(types[i])), ck_int(127))),
				 text));
	}
}

static void refused_as(const char *outline, const char *why)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_value v;

	CHECK(ck_outline_read(outline, strlen(outline), arena, find, NULL, NULL, &v, &err) == CK_ERR_INVALID);
	CHECK_STR(err.text, why);
}

static void test_no_devices(void)
{
	refused_as("{\"$device\": \"foo\"}", "outline: expected a device that torch.load knows, found \"foo\"");
	refused_as("{\"$device\": \"cud\"}", "outline: expected a device that torch.load knows, found \"cud\"");
	refused_as("{\"$device\": \"cuda:128\"}",
		   "outline: expected an index from 0 to 127, found \"cuda:128\"");
	refused_as("{\"$device\": \"cuda:99999999999\"}",
		   "outline: expected an index from 0 to 127, found \"cuda:99999999999\"");
	refused_as("{\"$device\": \"cuda:99999999999999999999\"}",
		   "outline: expected an index from 0 to 127, found \"cuda:99999999999999999999\"");
}

static void shown_only(struct ck_value v, const char *want)
{
	struct ck_buf out = CK_BUF_INIT;
	struct ck_value back;

	CHECK(ck_outline_write(&out, &v, tensors, -1, SIZE_MAX, NULL) == CK_OK);
	CHECK(ck_outline_read(out.data, out.len, arena, find, NULL, NULL, &back, NULL) == CK_ERR_INVALID);
	ck_buf_byte(&out, 0);
	CHECK_STR(out.data, want);
	ck_buf_free(&out);
}

static void test_unsupported(void)
{
	struct ck_value id = { .kind = CK_PERSID };

	shown_only(call(CK_G_REBUILD_PARAMETER, SEQ(CK_TUPLE)),
		   "{\"$unsupported\": \"torch._utils._rebuild_parameter\"}");
	shown_only(call(CK_G_DEVICE, SEQ(CK_TUPLE, STR("a:b"))), "{\"$unsupported\": \"torch.device\"}");
	shown_only(call(CK_G_DEVICE, SEQ(CK_TUPLE, STR("foo"))), "{\"$unsupported\": \"torch.device\"}");
	shown_only(call(CK_G_DEVICE, SEQ(CK_TUPLE, STR("cuda"), ck_int(128))),
		   "{\"$unsupported\": \"torch.device\"}");
	shown_only(call(CK_G_SIZE, SEQ(CK_TUPLE, SEQ(CK_TUPLE, ck_none()))), "{\"$unsupported\": \"torch.Size\"}");
	shown_only((struct ck_value){ .kind = CK_GLOBAL, .i = CK_G_SIZE }, "{\"$unsupported\": \"torch.Size\"}");
	shown_only(SEQ(CK_LIST, id), "[{\"$unsupported\": \"persistent id\"}]");
}

static void test_refusals(void)
{
	static const char *const texts[] = {
		"", "[", "{\"$what\": 1}", "{\"$tuple\": 1}", "{\"$tuple\": [], \"x\": 1}", "{\"$float\": 1.0}",
		"{\"$float\": \"NaN\"}", "{\"$bytes\": [1]}", "{\"$bytes\": \"\\u0100\"}",
		"{\"$utf8\": \"\\u00ff\"}", "{\"$complex\": [1]}", "{\"$complex\": [1, \"2\"]}",
		"{\"$size\": [1.0]}", "{\"$size\": 1}", "{\"$dtype\": \"float31\"}", "{\"$device\": \"\"}",
		"{\"$device\": \"cuda:\"}", "{\"$device\": \"cuda:01\"}", "{\"$device\": \"cuda:-1\"}",
		"{\"$device\": \"CPU\"}", "{\"$device\": \"cuda\\u0000\"}", "{\"$device\": \"cuda:1:1\"}",
		"{\"$device\": 0}", "{\"$tensor\": \"nowhere\"}", "{\"$tensor\": 1}",
		"{\"$tensor\": {\"$bytes\": \"w\"}}", "{\"$tensor\": {\"$tensor\": \"w\"}}",
		"{\"$tensor\": \"w\", \"requires_grad\": 1}", "{\"$keys\": \"str\"}",
		"{\"$keys\": \"int\", \"01\": 1}", "{\"$keys\": \"int\", \"-0\": 1}",
		"{\"$keys\": \"int\", \" 1\": 1}", "{\"$keys\": \"int\", \"1.0\": 1}",
		"{\"$keys\": \"int\", \"\": 1}", "{\"$keys\": \"int\", \"-\": 1}", "{\"$dict\": [[1]]}",
		"{\"$dict\": {}}", "{\"$dict\": [], \"a\": 1}", "{\"$dict\": [], \"$keys\": \"int\"}",
		"{\"$dict\": [[[], 1]]}", "{\"$set\": [[]]}", "{\"$set\": {}}", "{\"$ordered\": 1}",
		"{\"$unsupported\": \"x\"}", "{\"a\": {\"$b\": 1}}",
	};
	struct ck_error err = CK_ERROR_INIT;
	struct ck_value v;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_error_clear(&err);
		if (ck_outline_read(texts[i], strlen(texts[i]), arena, find, NULL, NULL, &v, &err) != CK_ERR_INVALID ||
		    err.code != CK_ERR_INVALID || !err.text[0]) {
			printf("FAIL %s is not refused\n", texts[i]);
			check_failures++;
		}
	}
	CHECK_STR(err.subject, "a");
}

/* DEPTH dicts in each other, each under a key that takes three levels of JSON. */
static struct ck_value deep(unsigned depth)
{
	struct ck_value v = ck_int(1);

	while (depth--)
		v = DICT(false, ck_none(), v);
	return v;
}

static void test_limits(void)
{
	struct ck_buf out = CK_BUF_INIT;
	struct ck_value v = deep(129), back, laughs = SEQ(CK_LIST, STR("ha"));

	CHECK(ck_outline_write(&out, &v, tensors, -1, SIZE_MAX, NULL) == CK_OK);
	CHECK(ck_outline_read(out.data, out.len, arena, find, NULL, NULL, &back, NULL) == CK_OK && same(&v, &back));
	v = deep(130);
	CHECK(ck_outline_write(&out, &v, tensors, -1, SIZE_MAX, NULL) == CK_ERR_LIMIT);
	ck_buf_free(&out);
	/* 2 ** 60 leaves in 60 lists, as a pickle's memo can share them. */
	for (int i = 0; i < 60; i++)
		laughs = SEQ(CK_LIST, laughs, laughs);
	CHECK(ck_outline_write(&out, &laughs, tensors, -1, SIZE_MAX, NULL) == CK_ERR_LIMIT);
	ck_buf_free(&out);
}

int main(void)
{
	arena = ck_arena_new((size_t)64 << 20);
	RUN(test_scalars);
	RUN(test_containers);
	RUN(test_torch);
	RUN(test_devices);
	RUN(test_no_devices);
	RUN(test_unsupported);
	RUN(test_refusals);
	RUN(test_limits);
	ck_arena_free(arena);
	CHECK_EXIT();
}
