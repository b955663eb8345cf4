/* core/pickle: small streams that ask for much: depth, expansion, keys, memory. Each is refused, and soon. */
#include "../../core/pickle.h"
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

/* NaN is no other NaN's equal: all of them are looked through. A few are let in. */
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
		CHECK(read_buf(&b, NULL) == (count == 100 ? CK_OK : CK_ERR_LIMIT));
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
	ck_buf_byte(&b, 'N');
	ck_buf_fill(&b, 0x94, 9000000);
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);
	ck_buf_byte(&b, 0x8b);
	ck_buf_le32(&b, 513);
	ck_buf_fill(&b, 1, 513);
	ck_buf_byte(&b, '.');
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);
	ck_buf_byte(&b, 'L');
	ck_buf_fill(&b, '9', 1234);
	ck_buf_str(&b, "\n.");
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);

	/* The data is not touched. */
	CHECK(ck_pickle_read("N.", CK_PICKLE_MAX_BYTES + 1, arena, &v, NULL) == CK_ERR_LIMIT);

	/* The arena's budget. */
	ck_buf_str(&b, "](");
	ck_buf_fill(&b, 'N', 1000);
	ck_buf_str(&b, "e.");
	CHECK(ck_pickle_read(b.data, b.len, arena, &v, NULL) == CK_ERR_LIMIT);
	ck_buf_free(&b);
	ck_arena_free(arena);
}

int main(void)
{
	RUN(test_depth);
	RUN(test_laughs);
	RUN(test_nan_keys);
	RUN(test_set_bomb);
	RUN(test_limits);
	CHECK_EXIT();
}
