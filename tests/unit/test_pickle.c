/* core/pickle: what each opcode means, and every way in which a stream can be wrong. Expected values are derived by hand
   from pickletools' description of the opcodes; tests/pickle_oracle.py compares whole objects with Python's pickle. */
#include "../../core/pickle.h"
#include "../tools/render.h"
#include "check.h"

struct pickle_case {
	const char *data;
	size_t len;
	const char *want;       /* the rendering, or a part of the message */
	enum ck_code code;
};

#define OK(data, want) { data, sizeof(data) - 1, want, CK_OK }
#define BAD(code, data, want) { data, sizeof(data) - 1, want, code }
#define CORRUPT(data, want) BAD(CK_ERR_CORRUPT, data, want)
#define REFUSED(data, want) BAD(CK_ERR_UNSUPPORTED, data, want)

static const struct pickle_case good[] = {
	/* scalars */
	OK("N.", "None"),
	OK("\x80\x02N.", "None"),
	OK("\x88.", "True"),
	OK("\x89.", "False"),
	OK("I01\n.", "True"),
	OK("I00\n.", "False"),
	OK("I1\n.", "1"),
	OK("I-17\n.", "-17"),
	OK("I010\n.", "10"),
	OK("I9223372036854775807\n.", "9223372036854775807"),
	OK("I-9223372036854775808\n.", "-9223372036854775808"),
	OK("L9223372036854775808L\n.", "9223372036854775808"),
	OK("L-9223372036854775809L\n.", "-9223372036854775809"),
	OK("L0L\n.", "0"),
	OK("L-0\n.", "0"),
	OK("K\xff.", "255"),
	OK("M\xff\xff.", "65535"),
	OK("J\xff\xff\xff\xff.", "-1"),
	OK("J\x00\x00\x00\x80.", "-2147483648"),
	OK("\x8a\x00.", "0"),
	OK("\x8a\x01\x80.", "-128"),
	OK("\x8a\x02\x80\x00.", "128"),
	OK("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff.", "-1"),
	OK("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", "-9223372036854775808"),
	OK("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.", "9223372036854775808"),
	OK("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\xff.", "-9223372036854775809"),
	OK("\x8b\x01\x00\x00\x00\x05.", "5"),
	OK("\x8b\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "18446744073709551616"),
	OK("F1.5\n.", "f3ff8000000000000"),
	OK("F-inf\n.", "ffff0000000000000"),
	OK("F1e+16\n.", "f4341c37937e08000"),
	OK("G\x3f\xf8\x00\x00\x00\x00\x00\x00.", "f3ff8000000000000"),
	/* strings */
	OK("S'a\\n\\x41\\101\\q\\''\n.", "s610a41415c7127"),
	OK("S\"\"\n.", "s"),
	OK("T\x02\x00\x00\x00hi.", "s6869"),
	OK("U\x02hi.", "s6869"),
	OK("V\\u0041\\U0001f600\xe9\\x\n.", "s41f09f9880c3a95c78"),
	OK("V\\\\u0041\n.", "s5c5c7530303431"),
	OK("V\\ud800\n.", "seda080"),
	OK("X\x03\x00\x00\x00\xed\xa0\x80.", "seda080"),
	OK("\x8c\x01" "a.", "s61"),
	OK("\x8d\x01\x00\x00\x00\x00\x00\x00\x00" "a.", "s61"),
	OK("B\x01\x00\x00\x00\xff.", "bff"),
	OK("C\x01\xff.", "bff"),
	OK("\x8e\x01\x00\x00\x00\x00\x00\x00\x00\xff.", "bff"),
	OK("\x96\x01\x00\x00\x00\x00\x00\x00\x00\xff.", "aff"),
	/* containers */
	OK(").", "tuple()"),
	OK("N\x85.", "tuple(None)"),
	OK("NK\x01\x86.", "tuple(None,1)"),
	OK("NK\x01K\x02\x87.", "tuple(None,1,2)"),
	OK("(NK\x01K\x02K\x03t.", "tuple(None,1,2,3)"),
	OK("(t.", "tuple()"),
	OK("].", "list()"),
	OK("]Na.", "list(None)"),
	OK("](NK\x01" "e.", "list(None,1)"),
	OK("](e.", "list()"),
	OK("(NK\x01l.", "list(None,1)"),
	OK("}.", "dict()"),
	OK("}K\x01Ns.", "dict(1:None)"),
	OK("}(K\x01NK\x02Nu.", "dict(1:None,2:None)"),
	OK("}(K\x01NK\x02NK\x01\x88u.", "dict(1:True,2:None)"),
	OK("(K\x01Nd.", "dict(1:None)"),
	OK("\x8f.", "set()"),
	OK("\x8f(K\x01K\x01K\x02\x90.", "set(1,2)"),
	OK("\x8f(K\x01\x90(K\x01K\x02\x90.", "set(1,2)"),
	OK("(K\x01K\x01\x91.", "frozenset(1)"),
	/* memo and stack */
	OK("]p0\ng0\n\x86.", "tuple(list(),list())"),
	OK("]q\x00(1.", "list()"),
	OK("]N0.", "list()"),
	OK("](0.", "list()"),
	OK("]q\x00N\x85q\x01" "0.", "list()"),
	OK("(N1N.", "None"),
	OK("Np0\n0g0\n.", "None"),
	OK("]q\x01Na0h\x01.", "list(None)"),
	OK("Nr\x02\x00\x00\x00" "0j\x02\x00\x00\x00.", "None"),
	OK("\x80\x04N\x94\x30h\x00.", "None"),
	OK("](Nq\x00h\x00" "e.", "list(None,None)"),
	/* frames */
	OK("\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00N.", "None"),
	OK("\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00N.", "None"),
	OK("\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00N.", "None"),
	OK("\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00N\x95\x01\x00\x00\x00\x00\x00\x00\x00.", "None"),
	/* calls that make plain data */
	OK("ccollections\nOrderedDict\n)R.", "odict()"),
	OK("ccollections\nOrderedDict\n)\x81.", "odict()"),
	OK("ccollections\nOrderedDict\n)R(K\x01Nu}K\x02Nsb.", "odict(1:None)+dict(2:None)"),
	OK("ccollections\nCounter\n}K\x01K\x02s\x85R.", "dict(1:2)"),
	OK("ccollections\nCounter\n)R.", "dict()"),
	OK("c__builtin__\nset\n](K\x01K\x01K\x02" "e\x85R.", "set(1,2)"),
	OK("cbuiltins\nfrozenset\n]\x85R.", "frozenset()"),
	OK("\x8c\x08" "builtins\x8c\x03set\x93)R.", "set()"),
	OK("c_codecs\nencode\nX\x03\x00\x00\x00" "a\xc3\xbf" "X\x06\x00\x00\x00latin1\x86R.", "b61ff"),
	OK("c__builtin__\nbytes\n)R.", "b"),
	OK("c__builtin__\nbytearray\n)R.", "a"),
	OK("c__builtin__\nbytearray\nC\x01" "a\x85R.", "a61"),
	OK("c__builtin__\nbytearray\nX\x02\x00\x00\x00\xc3\xbfX\x07\x00\x00\x00latin-1\x86R.", "aff"),
	/* calls that stay calls, and what they are made of */
	OK("c__builtin__\ncomplex\nG\0\0\0\0\0\0\0\0G\0\0\0\0\0\0\0\0\x86R.",
	   "__builtin__.complex(f0000000000000000,f0000000000000000)"),
	OK("ctorch\nfloat32\n.", "torch.float32"),
	OK("ctorch\nfloat8_e4m3fn\n.", "torch.float8_e4m3fn"),
	OK("ctorch\nBFloat16Storage\n.", "torch.BFloat16Storage"),
	OK("ctorch\nUntypedStorage\n.", "torch.storage.UntypedStorage"),
	OK("ctorch._tensor\nTensor\n.", "torch.Tensor"),
	OK("ctorch\nSize\nK\x02\x85\x85R.", "torch.Size(tuple(2))"),
	OK("ctorch\nSize\nK\x02\x85\x85\x81.", "torch.Size(tuple(2))"),
	OK("ctorch.nn.parameter\nParameter\n)\x81}b.", "torch.nn.parameter.Parameter()+dict()"),
	OK("ctorch._utils\n_rebuild_tensor_v2\nK\x01\x85R.", "torch._utils._rebuild_tensor_v2(1)"),
	OK("X\x01\x00\x00\x00" "aQ.", "persid(s61)"),
};

static const struct pickle_case bad[] = {
	/* the stream */
	CORRUPT("", "ends without a STOP"),
	CORRUPT("\x80\x02", "ends without a STOP"),
	CORRUPT("N", "ends without a STOP"),
	CORRUPT(".", "STOP: too few"),
	CORRUPT("NN.", "2 values left"),
	CORRUPT("N(.", "STOP: too few"),
	CORRUPT("N..", "1 bytes behind the end"),
	REFUSED("\x80\x06N.", "PROTO: protocol 6"),
	CORRUPT("N\x80\x02.", "PROTO: not at the start"),
	REFUSED("\xffN.", "unknown opcode 0xff"),
	REFUSED("\x00N.", "unknown opcode 0x00"),
	REFUSED("N2\x86.", "DUP"),
	REFUSED("(No.", "OBJ"),
	REFUSED("(ios\nsystem\n.", "os.system"),
	REFUSED("\x82\x01.", "EXT1"),
	REFUSED("\x83\x01\x00.", "EXT2"),
	REFUSED("\x84\x01\x00\x00\x00.", "EXT4"),
	REFUSED("Pabc\n.", "PERSID"),
	REFUSED("\x97.", "NEXT_BUFFER"),
	REFUSED("N\x98.", "READONLY_BUFFER"),
	REFUSED("ctorch\nSize\n)}\x92.", "NEWOBJ_EX"),
	/* frames */
	CORRUPT("\x95\x03\x00\x00\x00\x00\x00\x00\x00N.", "FRAME: a frame of 3 bytes, 2 are left"),
	CORRUPT("\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", "FRAME: a frame of"),
	CORRUPT("\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x01.", "BININT1: it crosses the end of its frame"),
	CORRUPT("\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x95\x01\x00\x00\x00\x00\x00\x00\x00N.", "a frame inside a frame"),
	/* foreign globals, however spelt */
	REFUSED("cos\nsystem\n(S'ls'\ntR.", "os.system"),
	REFUSED("cposix\nsystem\n.", "posix.system"),
	REFUSED("c__builtin__\neval\n.", "__builtin__.eval"),
	REFUSED("cbuiltins\nexec\n.", "builtins.exec"),
	REFUSED("cbuiltins\ngetattr\n.", "builtins.getattr"),
	REFUSED("c__builtin__\nset \n.", "__builtin__.set "),
	REFUSED("ctorch\nhub.load\n.", "torch.hub.load"),
	REFUSED("ctorch.hub\nload\n.", "torch.hub.load"),
	REFUSED("ctorch\nFloatStorage.from_buffer\n.", "torch.FloatStorage.from_buffer"),
	REFUSED("ccopyreg\n_reconstructor\n.", "copyreg._reconstructor"),
	REFUSED("ccollections\ndefaultdict\n.", "collections.defaultdict"),
	REFUSED("ctorch.storage\n_load_from_bytes\n.", "torch.storage._load_from_bytes"),
	REFUSED("cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar"),
	REFUSED("c\n\n.", "opcode GLOBAL"),
	REFUSED("X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", "os.system"),
	REFUSED("\x8c\x02os\x8c\x06system\x93.", "os.system"),
	REFUSED("\x8c\x05torch\x8c\x0cSize.__new__\x93.", "torch.Size.__new__"),
	CORRUPT("K\x01\x8c\x06system\x93.", "STACK_GLOBAL: a global named by an int and a str"),
	CORRUPT("\x8c\x02os\x93.", "STACK_GLOBAL: too few"),
	/* calls */
	CORRUPT("N)R.", "REDUCE: a call of None"),
	CORRUPT("X\x01\x00\x00\x00" "a)R.", "REDUCE: a call of a str"),
	CORRUPT("ctorch\nSize\n]R.", "REDUCE: a call with a list"),
	CORRUPT(")R.", "REDUCE: too few"),
	CORRUPT("ctorch\nSize\n()R.", "REDUCE: too few"),
	REFUSED("ctorch\nfloat32\n)R.", "REDUCE: a call of torch.float32"),
	REFUSED("ctorch\nFloatStorage\nK\x01\x85R.", "REDUCE: a call of torch.FloatStorage"),
	REFUSED("ctorch._utils\n_rebuild_tensor_v2\n)\x81.", "NEWOBJ: a call of torch._utils._rebuild_tensor_v2"),
	REFUSED("c__builtin__\nset\n]\x85\x81.", "NEWOBJ: a call of __builtin__.set"),
	REFUSED("ccollections\nOrderedDict\n]\x85R.", "OrderedDict with arguments"),
	REFUSED("ccollections\nCounter\n]\x85R.", "Counter with arguments"),
	REFUSED("c__builtin__\nset\n}\x85R.", "set with arguments"),
	REFUSED("c__builtin__\nbytes\nK\x05\x85R.", "bytes with arguments"),
	REFUSED("c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "bytearray with arguments"),
	REFUSED("c_codecs\nencode\nX\x01\x00\x00\x00" "aX\x05\x00\x00\x00rot13\x86R.", "encode with arguments"),
	CORRUPT("c_codecs\nencode\nX\x02\x00\x00\x00\xc4\x80X\x06\x00\x00\x00latin1\x86R.", "U+0100"),
	REFUSED("ccollections\nOrderedDict\n.", "collections.OrderedDict itself"),
	REFUSED("]c__builtin__\nset\na.", "__builtin__.set itself"),
	/* BUILD */
	CORRUPT("}}b.", "BUILD: attributes for a dict"),
	CORRUPT("]}b.", "BUILD: attributes for a list"),
	CORRUPT("ctorch\nSize\n}b.", "BUILD: attributes for a global"),
	CORRUPT("}b.", "BUILD: too few"),
	REFUSED("ccollections\nOrderedDict\n)RNb.", "OrderedDict with None"),
	REFUSED("ccollections\nOrderedDict\n)R}b}b.", "given twice"),
	/* targets: CVE-2026-24747 was SETITEM on a tensor */
	CORRUPT("}Na.", "APPEND: on a dict, needs a list"),
	CORRUPT("NNa.", "APPEND: on None"),
	CORRUPT("X\x00\x00\x00\x00(Ne.", "APPENDS: on a str"),
	CORRUPT("]K\x00Ns.", "SETITEM: on a list, needs a dict"),
	CORRUPT("ctorch\nSize\n)RK\x00Ns.", "SETITEM: on an object, needs a dict"),
	CORRUPT("ctorch\nSize\n)R(K\x00Nu.", "SETITEMS: on an object"),
	CORRUPT("K\x00QK\x00Ns.", "SETITEM: on a persistent id"),
	CORRUPT("](N\x90.", "ADDITEMS: on a list, needs a set"),
	CORRUPT("\x8f(Ne.", "APPENDS: on a set"),
	CORRUPT("(N\x91(N\x90.", "ADDITEMS: on a frozenset"),
	CORRUPT("}(Nu.", "SETITEMS: a key without its value"),
	CORRUPT("(Nd.", "DICT: a key without its value"),
	CORRUPT("}]Ns.", "hashed"),
	CORRUPT("}]\x85Ns.", "hashed"),
	CORRUPT("\x8f(}\x90.", "hashed"),
	CORRUPT("(]\x91.", "hashed"),
	/* the stack */
	CORRUPT("0.", "POP: too few"),
	CORRUPT("1.", "POP_MARK: no mark"),
	CORRUPT("N1.", "POP_MARK: no mark"),
	CORRUPT("\x85.", "TUPLE1: too few"),
	CORRUPT("N\x86.", "TUPLE2: too few"),
	CORRUPT("NN\x87.", "TUPLE3: too few"),
	CORRUPT("N(N\x86.", "TUPLE2: too few"),
	CORRUPT("Nt.", "TUPLE: no mark"),
	CORRUPT("Nl.", "LIST: no mark"),
	CORRUPT("Nd.", "DICT: no mark"),
	CORRUPT("N\x91.", "FROZENSET: no mark"),
	CORRUPT("]Ne.", "APPENDS: no mark"),
	CORRUPT("(Ne.", "APPENDS: too few"),
	CORRUPT("(Nu.", "SETITEMS: too few"),
	CORRUPT("(N\x90.", "ADDITEMS: too few"),
	CORRUPT("Na.", "APPEND: too few"),
	CORRUPT("](a.", "APPEND: too few"),
	CORRUPT("}Ns.", "SETITEM: too few"),
	CORRUPT("Q.", "BINPERSID: too few"),
	CORRUPT("(Q.", "BINPERSID: too few"),
	/* the memo */
	CORRUPT("h\x00.", "BINGET: memo entry 0"),
	CORRUPT("Nq\x00" "0h\x01.", "BINGET: memo entry 1"),
	CORRUPT("\x80\x02Nq\x02" "0h\x01.", "BINGET: memo entry 1"),
	CORRUPT("j\x00\x00\x00\x00.", "LONG_BINGET: memo entry 0"),
	CORRUPT("g0\n.", "GET: memo entry 0"),
	CORRUPT("Nr\xff\xff\xff\xff.", "LONG_BINPUT: memo entry 4294967295"),
	CORRUPT("Nq\xff.", "BINPUT: memo entry 255"),
	CORRUPT("q\x00.", "BINPUT: too few"),
	CORRUPT("(q\x00.", "BINPUT: too few"),
	CORRUPT("\x94.", "MEMOIZE: too few"),
	CORRUPT("Np-1\n.", "PUT: a memo entry of a number"),
	CORRUPT("Np99999999999999999999\n.", "PUT: a memo entry of a number"),
	CORRUPT("Npx\n.", "PUT: an integer that is not"),
	CORRUPT("Ng\n.", "GET: an integer that is not"),
	/* numbers and strings */
	CORRUPT("I\n.", "INT: an integer"),
	CORRUPT("I0x10\n.", "INT: an integer"),
	CORRUPT("I 1\n.", "INT: an integer"),
	CORRUPT("L1LL\n.", "LONG: an integer"),
	CORRUPT("F\n.", "FLOAT: a float"),
	CORRUPT("F0x1p3\n.", "FLOAT: a float"),
	CORRUPT("F1.5 \n.", "FLOAT: a float"),
	CORRUPT("Snope\n.", "STRING: a string without its quotes"),
	CORRUPT("S'\n.", "STRING: a string without its quotes"),
	CORRUPT("S'a\"\n.", "STRING: a string without its quotes"),
	CORRUPT("S'\\x4'\n.", "STRING: a string with a broken escape"),
	CORRUPT("S'\\'\n.", "STRING: a string with a broken escape"),
	CORRUPT("S'\\xff'\n.", "STRING: a string that is not UTF-8"),
	CORRUPT("V\\u12\n.", "UNICODE: a string with a broken"),
	CORRUPT("V\\U00110000\n.", "UNICODE: a string with a broken"),
	CORRUPT("X\x01\x00\x00\x00\xff.", "BINUNICODE: a string that is not UTF-8"),
	CORRUPT("X\x02\x00\x00\x00\xc0\x80.", "BINUNICODE: a string that is not UTF-8"),
	CORRUPT("U\x01\xff.", "SHORT_BINSTRING: a string that is not UTF-8"),
	CORRUPT("X\xff\xff\xff\xff" "a.", "BINUNICODE: the pickle ends"),
	CORRUPT("\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a.", "BINUNICODE8: the pickle ends"),
	CORRUPT("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f" "a.", "BINBYTES8: the pickle ends"),
	CORRUPT("\x96\x00\x00\x00\x00\x00\x00\x00\x80" "a.", "BYTEARRAY8: the pickle ends"),
	CORRUPT("\x8b\xff\xff\xff\xff" "a.", "LONG4: the pickle ends"),
	/* cycles */
	CORRUPT("]q\x00h\x00" "a.", "contains itself"),
	CORRUPT("}q\x00K\x01h\x00s.", "contains itself"),
	CORRUPT("](]q\x00h\x00" "ae.", "contains itself"),
	CORRUPT("ctorch\nSize\n)Rq\x00h\x00" "b.", "contains itself"),
	CORRUPT("ccollections\nOrderedDict\n)R}q\x00K\x01h\x00sb.", "contains itself"),
};

/* Reads from memory that ends where the pickle ends, so that a sanitizer sees what reads on. */
static int read_exact(const void *data, size_t len, struct ck_buf *text, struct ck_error *err)
{
	struct ck_arena *arena = ck_arena_new(ck_pickle_budget(len));
	char *copy = malloc(len ? len : 1);
	struct ck_value v;
	int rc = CK_ERR_NOMEM;

	if (arena && copy) {
		memcpy(copy, data, len);
		rc = ck_pickle_read(copy, len, arena, &v, err);
	}
	free(copy);
	if (!rc && text) {
		render_value(text, &v);
		ck_buf_byte(text, '\0');
	}
	ck_arena_free(arena);
	return rc;
}

static void test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct ck_error err = CK_ERROR_INIT;
		struct ck_buf text = CK_BUF_INIT;
		int rc = read_exact(good[i].data, good[i].len, &text, &err);

		CHECK_STR(rc ? err.text : text.data, good[i].want);
		ck_buf_free(&text);
	}
}

static void test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ck_error err = CK_ERROR_INIT;
		int rc = read_exact(bad[i].data, bad[i].len, NULL, &err);

		CHECK(rc == (int)bad[i].code);
		CHECK(err.code == bad[i].code);
		CHECK(err.offset >= 0 && (size_t)err.offset <= bad[i].len);
		if (!strstr(err.text, bad[i].want))
			CHECK_STR(err.text, bad[i].want);
	}
}

/* A pickle ends with its STOP: no beginning of one is a pickle. And no byte changed may do harm. */
static void test_cut_and_changed(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char changed[128];

		for (size_t n = 0; n < good[i].len; n++)
			CHECK(read_exact(good[i].data, n, NULL, NULL) != CK_OK);
		CHECK(good[i].len <= sizeof(changed));
		memcpy(changed, good[i].data, good[i].len);
		for (size_t n = 0; n < good[i].len; n++) {
			for (unsigned byte = 0; byte < 256; byte++) {
				changed[n] = (char)byte;
				read_exact(changed, good[i].len, NULL, NULL);
			}
			changed[n] = good[i].data[n];
		}
	}
}

static void test_offset(void)
{
	struct ck_error err = CK_ERROR_INIT;

	CHECK(read_exact("\x80\x02]cos\nsystem\n.", 14, NULL, &err) == CK_ERR_UNSUPPORTED);
	CHECK(err.offset == 3);
}

static int read_buf(struct ck_buf *b, struct ck_error *err)
{
	int rc = b->failed ? CK_ERR_NOMEM : read_exact(b->data, b->len, NULL, err);

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

	for (int count = 100; count <= 1000000; count *= 10000) {
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
	ck_buf_le32(&b, 1025);
	ck_buf_fill(&b, 1, 1025);
	ck_buf_byte(&b, '.');
	CHECK(read_buf(&b, NULL) == CK_ERR_LIMIT);
	ck_buf_byte(&b, 'L');
	ck_buf_fill(&b, '9', 2467);
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
	WRITES("I255\n.", "\x80\x02K\xff."),
	WRITES("I256\n.", "\x80\x02M\x00\x01."),
	WRITES("I65536\n.", "\x80\x02J\x00\x00\x01\x00."),
	WRITES("I-1\n.", "\x80\x02J\xff\xff\xff\xff."),
	WRITES("I2147483648\n.", "\x80\x02\x8a\x05\x00\x00\x00\x80\x00."),
	WRITES("I-2147483649\n.", "\x80\x02\x8a\x05\xff\xff\xff\x7f\xff."),
	WRITES("I-9223372036854775808\n.", "\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."),
	WRITES("L9223372036854775808\n.", "\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00."),
	WRITES("L-18446744073709551616\n.", "\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xff."),
	WRITES("F1.5\n.", "\x80\x02G\x3f\xf8\x00\x00\x00\x00\x00\x00."),
	WRITES("](U\x01" "aU\x01" "ae.", "\x80\x02](X\x01\x00\x00\x00" "aq\x00h\x00" "e."),
	WRITES("(NNNNt.", "\x80\x02(NNNNt."),
	WRITES("(NNt.", "\x80\x02NN\x86."),
	WRITES("(l.", "\x80\x02]."),
	WRITES("(Nl.", "\x80\x02]Na."),
	WRITES("(NNd.", "\x80\x02}NNs."),
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
		struct ck_arena *arena = ck_arena_new(ck_pickle_budget(writes[i].in_len));
		struct ck_buf out = CK_BUF_INIT;
		struct ck_value v;
		bool same;

		same = ck_pickle_read(writes[i].in, writes[i].in_len, arena, &v, NULL) == CK_OK &&
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
	struct ck_value items[3] = { { .kind = CK_TENSOR, .i = 1 }, { .kind = CK_TENSOR, .i = 1 }, { .kind = CK_TENSOR } };
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
	CHECK(ck_pickle_read(out.data, out.len, arena, &again, NULL) == CK_OK);
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
	CHECK(read_exact(out.data, out.len, NULL, NULL) == CK_OK);
	CHECK(write_value(&out, chain[CK_PICKLE_MAX_DEPTH]) == CK_ERR_LIMIT);
	ck_buf_free(&out);
}

static void test_names(void)
{
	const char *module, *name;

	ck_global_name((enum ck_global)(CK_G_DTYPE + CK_BF16), &module, &name);
	CHECK_STR(module, "torch");
	CHECK_STR(name, "bfloat16");
	ck_global_name((enum ck_global)(CK_G_STORAGE + CK_BF16), &module, &name);
	CHECK_STR(name, "BFloat16Storage");
	for (int g = 0; g < CK_G_STORAGE; g++) {
		name = NULL;
		ck_global_name((enum ck_global)g, &module, &name);
		CHECK(name != NULL);
	}
}

int main(void)
{
	RUN(test_good);
	RUN(test_bad);
	RUN(test_cut_and_changed);
	RUN(test_offset);
	RUN(test_depth);
	RUN(test_laughs);
	RUN(test_nan_keys);
	RUN(test_set_bomb);
	RUN(test_limits);
	RUN(test_write);
	RUN(test_write_tensors);
	RUN(test_write_many);
	RUN(test_write_refuses);
	RUN(test_names);
	CHECK_EXIT();
}
