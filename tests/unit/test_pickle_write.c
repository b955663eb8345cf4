/* core/pickle_write: the bytes that are written; tests/oracle/pickle_oracle.py has Python and torch read them. */
#include "core/pickle/pickle.h"
#include "../tools/render.h"
#include "check.h"

/* What is written for what is read: pickle.dumps(..., 2) of the same object, with fewer memo entries. */
struct write_case {
	const char *in;
	size_t in_len;
	const char *out;
	size_t out_len;
};

#define WRITES(in, out) { in, sizeof(in) - 1, out, sizeof(out) - 1 }

static const struct write_case writes[] = {
	WRITES("N.", "\x80\x02N."),
	WRITES("\x88.", "\x80\x02\x88."),
	WRITES("M\xff\x00.", "\x80\x02K\xff."),
	WRITES("J\x00\x01\x00\x00.", "\x80\x02M\x00\x01."),
	WRITES("\x8a\x03\x00\x00\x01.", "\x80\x02J\x00\x00\x01\x00."),
	WRITES("\x8a\x01\xff.", "\x80\x02J\xff\xff\xff\xff."),
	WRITES("\x8b\x05\x00\x00\x00\x00\x00\x00\x80\x00.", "\x80\x02\x8a\x05\x00\x00\x00\x80\x00."),
	WRITES("\x8b\x05\x00\x00\x00\xff\xff\xff\x7f\xff.", "\x80\x02\x8a\x05\xff\xff\xff\x7f\xff."),
	WRITES("\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80.", "\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."),
	WRITES("\x8b\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x00.", "\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00."),
	WRITES("\x8b\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff.", "\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xff."),
	WRITES("G\x3f\xf8\x00\x00\x00\x00\x00\x00.", "\x80\x02G\x3f\xf8\x00\x00\x00\x00\x00\x00."),
	WRITES("](U\x01" "aU\x01" "ae.", "\x80\x02](X\x01\x00\x00\x00" "aq\x00h\x00" "e."),
	WRITES("(NNNNt.", "\x80\x02(NNNNt."),
	WRITES("(NNt.", "\x80\x02NN\x86."),
	WRITES("].", "\x80\x02]."),
	WRITES("]Na.", "\x80\x02]Na."),
	WRITES("}NNs.", "\x80\x02}NNs."),
	WRITES("C\x00.", "\x80\x02" "c_codecs\nencode\nq\x00X\x00\x00\x00\x00q\x01X\x06\x00\x00\x00latin1q\x02\x86R."),
	WRITES("(NNN\x91.", "\x80\x02" "c__builtin__\nfrozenset\nq\x00]Na\x85R."),
	WRITES("ccollections\nOrderedDict\n)R}NNsb.", "\x80\x02" "ccollections\nOrderedDict\nq\x00)R}NNsb."),
	WRITES("](ctorch\nint8\nctorch\nint8\ne.", "\x80\x02](ctorch\nint8\nq\x00h\x00" "e."),
	WRITES("ctorch\nSize\nK\x02\x85\x85R.", "\x80\x02" "ctorch\nSize\nq\x00K\x02\x85\x85R."),
	WRITES("NQ.", "\x80\x02NQ."),
};

static void test_write(void)
{
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		struct ck_arena *arena = ck_arena_new(CK_OPEN_BYTES);
		struct ck_buf out = CK_BUF_INIT;
		struct ck_value v;
		bool same;

		same = ck_pickle_read(writes[i].in, writes[i].in_len, arena, NULL, &v, NULL) == CK_OK &&
		       ck_pickle_write(&out, &v, NULL, NULL, NULL) == CK_OK && out.len == writes[i].out_len &&
		       memcmp(out.data, writes[i].out, out.len) == 0;
		if (!same)
			printf("case %zu\n", i);
		CHECK(same);
		ck_buf_free(&out);
		ck_arena_free(arena);
	}
}

/* A stand-in for a tensor whose strings are gone when it returns: the writer must not keep them. */
static int put_name(struct ck_pickle_writer *w, int64_t index, void *arg, struct ck_error *err)
{
	char name[16];
	struct ck_value v;

	(void)arg;
	if (index < 0)
		return ck_fail(err, CK_ERR_INVALID, "no such tensor");
	v = ck_str(name, (size_t)snprintf(name, sizeof(name), "t%d", (int)index));
	return ck_pickle_put(w, &v, err);
}

static int write_value(struct ck_buf *out, struct ck_value v)
{
	ck_buf_free(out);
	return ck_pickle_write(out, &v, put_name, NULL, NULL);
}

static void test_write_tensors(void)
{
	struct ck_value one = { .kind = CK_TENSOR, .i = 1 }, zero = { .kind = CK_TENSOR }, items[] = { one, one, zero };
	struct ck_value tuple = { .kind = CK_TUPLE, .len = 3, .items = items };
	static const char want[] = "\x80\x02X\x02\x00\x00\x00t1q\x00h\x00X\x02\x00\x00\x00t0q\x01\x87.";
	struct ck_buf out = CK_BUF_INIT;

	CHECK(write_value(&out, tuple) == CK_OK);
	CHECK(out.len == sizeof(want) - 1 && memcmp(out.data, want, out.len) == 0);
	items[2].i = -1;
	CHECK(write_value(&out, tuple) == CK_ERR_INVALID);
	CHECK(ck_pickle_write(&out, &tuple, NULL, NULL, NULL) == CK_ERR_INVALID);
	ck_buf_free(&out);
}

/* Over 256 memo entries; over 1000 items; strings of the same start. Read back and compared. */
static void test_write_many(void)
{
	struct ck_arena *arena = ck_arena_new((size_t)1 << 26);
	struct ck_value list, again;
	struct ck_buf out = CK_BUF_INIT;
	char name[16];

	CHECK(ck_list_new(arena, CK_LIST, &list, NULL) == CK_OK);
	for (int i = 0; i < 30000; i++) {
		int len = snprintf(name, sizeof(name), "name%d", i % 10001);
		const char *s = ck_arena_dup(arena, name, (size_t)len);

		CHECK(s && ck_list_append(arena, list.list, ck_str(s, (size_t)len), NULL) == CK_OK);
	}
	CHECK(write_value(&out, list) == CK_OK);
	CHECK(ck_pickle_read(out.data, out.len, arena, NULL, &again, NULL) == CK_OK);
	CHECK(ck_value_equal(&list, &again));
	ck_buf_free(&out);
	ck_arena_free(arena);
}

static void test_write_refuses(void)
{
	struct ck_value chain[CK_PICKLE_MAX_DEPTH + 1], big = ck_str("12x", 3);
	struct ck_buf out = CK_BUF_INIT;

	CHECK(write_value(&out, ck_str("\xff", 1)) == CK_ERR_INVALID);
	CHECK(write_value(&out, (struct ck_value){ .kind = CK_GLOBAL, .i = -1 }) == CK_ERR_INVALID);
	CHECK(write_value(&out, (struct ck_value){ .kind = CK_GLOBAL, .i = 100000 }) == CK_ERR_INVALID);
	CHECK(write_value(&out, (struct ck_value){ .kind = CK_GLOBAL, .i = CK_G_STORAGE + CK_U16 }) == CK_ERR_INVALID);
	CHECK(write_value(&out, (struct ck_value){ .kind = 77 }) == CK_ERR_INVALID);
	big.kind = CK_BIGINT;
	CHECK(write_value(&out, big) == CK_ERR_INVALID);
	for (unsigned i = 0; i <= CK_PICKLE_MAX_DEPTH; i++)
		chain[i] = (struct ck_value){ .kind = CK_TUPLE, .len = i > 0, .items = i ? &chain[i - 1] : NULL };
	CHECK(write_value(&out, chain[CK_PICKLE_MAX_DEPTH - 1]) == CK_OK);
	CHECK(render_pickle(out.data, out.len, NULL, NULL) == CK_OK);
	CHECK(write_value(&out, chain[CK_PICKLE_MAX_DEPTH]) == CK_ERR_LIMIT);
	ck_buf_free(&out);
}

int main(void)
{
	RUN(test_write);
	RUN(test_write_tensors);
	RUN(test_write_many);
	RUN(test_write_refuses);
	CHECK_EXIT();
}
