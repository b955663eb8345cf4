/* core/pickle: what a stream may cost. Small ones that ask for much (depth, keys, memory) are refused, and soon. */
#include "core/pickle/pickle.h"
#include "../tools/render.h"
#include "check.h"

static int read_buf(struct ck_buf *b, struct ck_error *err)
{
	int rc = b->failed ? CK_ERR_NOMEM : render_pickle(b->data, b->len, NULL, err);

	ck_buf_free(b);
	return rc;
}

/* DEPTH lists, each in the next. */
static int read_nested(unsigned depth, struct ck_error *err)
{
	struct ck_buf b = CK_BUF_INIT;

	ck_buf_fill(&b, ']', depth);
	ck_buf_fill(&b, 'a', depth - 1);
	ck_buf_byte(&b, '.');
	return read_buf(&b, err);
}

static void test_depth(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf b = CK_BUF_INIT;

	CHECK(read_nested(CK_PICKLE_MAX_DEPTH, NULL) == CK_OK);
	CHECK(read_nested(CK_PICKLE_MAX_DEPTH + 1, &err) == CK_ERR_LIMIT);
	CHECK(read_nested(1000000, NULL) == CK_ERR_LIMIT);
	CHECK(strstr(err.text, "nested") != NULL);

	/* A tuple in a tuple ... for a key. */
	ck_buf_str(&b, "}N");
	ck_buf_fill(&b, 0x85, 1000000);
	ck_buf_str(&b, "Ns.");
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);

	/* The depth that sharing makes: a chain over the memo, a list each time filled with the one before. */
	ck_buf_str(&b, "(");
	for (unsigned i = 0; i < 200; i++) {
		ck_buf_printf(&b, "]q%c", (int)i);
		if (i)
			ck_buf_printf(&b, "h%ca", (int)(i - 1));
	}
	ck_buf_str(&b, "t.");
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);
}

/* LEVELS levels, each TIMES times the one before it: small here, immense when written out. */
static int read_laughs(const char *empty, const char *fill, unsigned levels, unsigned times, struct ck_error *err)
{
	struct ck_buf b = CK_BUF_INIT;

	ck_buf_printf(&b, "(%sq%c", empty, 0);
	for (unsigned i = 1; i <= levels; i++) {
		ck_buf_printf(&b, "%s(", strcmp(fill, "t") ? empty : "");
		for (unsigned k = 0; k < times; k++)
			ck_buf_printf(&b, "h%c", (int)(i - 1));
		ck_buf_printf(&b, "%sq%c", fill, (int)i);
	}
	ck_buf_str(&b, "t.");
	return read_buf(&b, err);
}

static void test_laughs(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf b = CK_BUF_INIT;

	CHECK(read_laughs("]", "e", 3, 10, NULL) == CK_OK);
	CHECK(read_laughs("]", "e", 40, 10, &err) == CK_ERR_LIMIT);
	CHECK(strstr(err.text, "shared") != NULL);
	CHECK(read_laughs(")", "t", 60, 10, NULL) == CK_ERR_LIMIT);
	CHECK(read_laughs(")", "t", 90, 2, NULL) == CK_ERR_LIMIT);

	/* For a key: tuples of tuples. */
	ck_buf_str(&b, "})q");
	ck_buf_byte(&b, 0);
	for (int i = 0; i < 90; i++)
		ck_buf_printf(&b, "h%ch%c\x86q%c", i, i, i + 1);
	ck_buf_str(&b, "Ns.");
	CHECK(read_buf(&b, NULL) != CK_OK);

	/* A long string in many places; as a key in many places. */
	for (int keys = 0; keys < 2; keys++) {
		ck_buf_str(&b, "(X");
		ck_buf_le32(&b, 1000000);
		ck_buf_fill(&b, 'x', 1000000);
		ck_buf_append(&b, "q\0", 2);
		for (int i = 0; i < 100000; i++)
			ck_buf_append(&b, keys ? "}h\0Ns" : "h\0", keys ? 5 : 2);
		ck_buf_str(&b, "t.");
		CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);
	}
}

/* A NaN equals no other NaN: each is a key of its own, and costs no more than another key. */
static void test_nan_keys(void)
{
	static const char nan[] = "G\x7f\xf8\0\0\0\0\0\0";

	for (int count = 100; count <= 100000; count *= 1000) {
		struct ck_buf b = CK_BUF_INIT;

		ck_buf_str(&b, "}(");
		for (int i = 0; i < count; i++) {
			ck_buf_append(&b, nan, sizeof(nan) - 1);
			ck_buf_byte(&b, 'N');
		}
		ck_buf_str(&b, "u.");
		CHECK(read_buf(&b, NULL) == CK_OK);
	}
}

/* Many sets of one large list. */
static void test_set_bomb(void)
{
	struct ck_buf b = CK_BUF_INIT;

	ck_buf_str(&b, "c__builtin__\nset\nq");
	ck_buf_append(&b, "\0000](", 4);
	ck_buf_fill(&b, 'N', 1000000);
	ck_buf_append(&b, "eq\001(", 4);
	for (int i = 0; i < 100000; i++)
		ck_buf_append(&b, "h\0h\1\x85R", 6);
	ck_buf_str(&b, "t.");
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);
}

static void test_limits(void)
{
	struct ck_buf b = CK_BUF_INIT;
	struct ck_arena *arena = ck_arena_new(1000);
	struct ck_value v;

	ck_buf_fill(&b, 'N', 5000000);
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);
	ck_buf_fill(&b, '(', 5000000);
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);
	ck_buf_byte(&b, 0x8b);
	ck_buf_le32(&b, 513);
	ck_buf_fill(&b, 1, 513);
	ck_buf_byte(&b, '.');
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);

	/* The data is not touched. */
	CHECK(ck_pickle_read("N.", CK_PICKLE_MAX_BYTES + 1, arena, NULL, &v, NULL) == CK_ERR_LIMIT);

	/* The arena's budget. */
	ck_buf_str(&b, "](");
	ck_buf_fill(&b, 'N', 1000);
	ck_buf_str(&b, "e.");
	CHECK(ck_pickle_read(b.data, b.len, arena, NULL, &v, NULL) == CK_ERR_LIMIT);
	ck_buf_free(&b);
	ck_arena_free(arena);
}

/* Reads what B has in an arena of BUDGET bytes. */
static int read_within(struct ck_buf *b, size_t budget, struct ck_error *err)
{
	struct ck_arena *arena = ck_arena_new(budget);
	struct ck_value v;
	int rc = ck_pickle_read(b->data, b->len, arena, NULL, &v, err);

	CHECK(ck_arena_budget(arena)->left + ck_arena_used(arena) == budget);
	ck_arena_free(arena);
	ck_buf_free(b);
	return rc;
}

/* COUNT entries, of which the first FETCHED are fetched, each once. */
static void memoise(struct ck_buf *b, unsigned count, unsigned fetched)
{
	ck_buf_byte(b, 'N');
	ck_buf_fill(b, 0x94, count);
	for (unsigned i = 0; i < fetched; i++) {
		ck_buf_byte(b, 'j');
		ck_buf_le32(b, i);
		ck_buf_byte(b, '0');
	}
	ck_buf_byte(b, '.');
}

/* A stack of 256 values is 4096 bytes; so is a memo of 256, which grows by doubling. */
static void test_memo(void)
{
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf b = CK_BUF_INIT;

	memoise(&b, 256, 256);
	CHECK(read_within(&b, 4096 + 4096, NULL) == CK_OK);
	memoise(&b, 257, 0);
	CHECK(read_within(&b, 4096 + 8192, NULL) == CK_OK);
	memoise(&b, 257, 0);
	CHECK(read_within(&b, 4096 + 8192 - 1, &err) == CK_ERR_LIMIT);
	CHECK(strstr(err.text, "memo") != NULL);
	memoise(&b, 9000000, 0);
	CHECK(read_within(&b, CK_OPEN_BYTES, NULL) == CK_ERR_LIMIT);

	/* Entries between two that were put are none, and neither are those behind the last, however far. */
	ck_buf_append(&b, "NNNNNNq\7h\6.", 11);
	CHECK(read_within(&b, 8192, NULL) == CK_ERR_CORRUPT);
	ck_buf_append(&b, "N\x94j\xff\xff\xff\xff.", 8);
	CHECK(read_within(&b, 8192, NULL) == CK_ERR_CORRUPT);
	ck_buf_append(&b, "Nh\0q\0.", 6);
	CHECK(read_within(&b, 8192, NULL) == CK_ERR_CORRUPT);
}

struct counts {
	size_t calls, ids;
};

/* Every call becomes an address. */
static int made(void *arg, struct ck_arena *arena, struct ck_value *call, struct ck_error *err)
{
	struct counts *c = arg;
	char *here = ck_arena_dup(arena, "made", 4);

	CHECK(call->kind == CK_CALL);
	c->calls++;
	if (!here)
		return ck_fail_room(err);
	*call = (struct ck_value){ .kind = CK_MADE, .made = here };
	return CK_OK;
}

static void persid(void *arg, const struct ck_value *id)
{
	struct counts *c = arg;

	CHECK(id->kind == CK_PERSID);
	c->ids++;
}

/* The user is told of each call and each persistent id, also of one that is dropped; and what it makes of a call is in
   the call's place. */
static void test_user(void)
{
#define CALL "ctorch._utils\n_rebuild_tensor\n"
	static const char pickle[] = "]" CALL "(" CALL "(U\3abcQt\x85Rt\x85Ra" CALL "(t\x85R0NQ0.";
	struct ck_arena *arena = ck_arena_new(1 << 16);
	struct counts c = { 0 };
	const struct ck_pickle_user user = { .made = made, .persid = persid, .arg = &c };
	struct ck_value v;

	CHECK(ck_pickle_read(pickle, sizeof(pickle) - 1, arena, &user, &v, NULL) == CK_OK);
	CHECK(c.calls == 3 && c.ids == 2);
	CHECK(v.list->len == 1 && v.list->items[0].kind == CK_MADE && strcmp(v.list->items[0].made, "made") == 0);
	ck_arena_free(arena);
}

/* A list of a string of LEN bytes: PROTO 2, EMPTY_LIST, BINUNICODE, its length, BINPUT, APPEND, STOP. */
static int write_string(size_t len, struct ck_buf *out, struct ck_error *err)
{
	char *s = malloc(len);
	struct ck_value item, list = { .kind = CK_LIST, .list = &(struct ck_list){ .items = &item, .len = 1 } };
	int rc;

	memset(s, 'x', len);
	item = ck_str(s, len);
	rc = ck_pickle_write(out, &list, NULL, NULL, err);
	free(s);
	return rc;
}

/* What may be written may be read. */
static void test_written(void)
{
	const size_t longest = CK_PICKLE_MAX_BYTES - (2 + 1 + 5 + 2 + 1 + 1);
	struct ck_error err = CK_ERROR_INIT;
	struct ck_buf out = CK_BUF_INIT;
	struct ck_arena *arena = ck_arena_new(CK_PICKLE_MAX_BYTES + (1 << 20));
	struct ck_value v;

	CHECK(write_string(longest, &out, NULL) == CK_OK);
	CHECK(out.len == CK_PICKLE_MAX_BYTES);
	CHECK(ck_pickle_read(out.data, out.len, arena, NULL, &v, NULL) == CK_OK);
	CHECK(v.list->items[0].len == longest);
	ck_buf_free(&out);
	CHECK(write_string(longest + 1, &out, &err) == CK_ERR_LIMIT);
	CHECK(strstr(err.text, "over 33554432 bytes") != NULL);
	ck_buf_free(&out);
	ck_arena_free(arena);
}

int main(void)
{
	RUN(test_memo);
	RUN(test_user);
	RUN(test_written);
	RUN(test_depth);
	RUN(test_laughs);
	RUN(test_nan_keys);
	RUN(test_set_bomb);
	RUN(test_limits);
	CHECK_EXIT();
}
