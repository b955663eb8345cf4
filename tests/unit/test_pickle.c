/* core/pickle: what each opcode means, and the ways in which a stream can be wrong. Expected values are derived by
   hand from pickletools' description of the opcodes; tests/oracle/pickle_oracle.py compares whole objects with Python. */
#include "core/pickle/pickle.h"
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
	/* the value at the top counts */
	OK("NK\x05.", "5"),
	OK("(N.", "None"),
	OK("N\x80\x02.", "None"),
	OK("\x88.", "True"),
	OK("\x89.", "False"),
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
	OK("G\x3f\xf8\x00\x00\x00\x00\x00\x00.", "f3ff8000000000000"),
	/* strings */
	OK("T\x02\x00\x00\x00hi.", "s6869"),
	OK("U\x02hi.", "s6869"),
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
	OK("}.", "dict()"),
	OK("}K\x01Ns.", "dict(1:None)"),
	OK("}(K\x01NK\x02Nu.", "dict(1:None,2:None)"),
	OK("}(K\x01NK\x02NK\x01\x88u.", "dict(1:True,2:None)"),
	OK("\x8f.", "set()"),
	OK("\x8f(K\x01K\x01K\x02\x90.", "set(1,2)"),
	OK("\x8f(K\x01\x90(K\x01K\x02\x90.", "set(1,2)"),
	OK("(K\x01K\x01\x91.", "frozenset(1)"),
	/* memo and stack */
	OK("]q\x00h\x00\x86.", "tuple(list(),list())"),
	OK("]q\x00(1.", "list()"),
	OK("]N0.", "list()"),
	OK("](0.", "list()"),
	OK("]q\x00N\x85q\x01" "0.", "list()"),
	OK("(N1N.", "None"),
	OK("Nq\x00\x30h\x00.", "None"),
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
	OK("ctorch\nSize\n]K\x02" "a\x85R.", "torch.Size(tuple(2))"),
	OK("ctorch\nSize\n)R.", "torch.Size(tuple())"),
	OK("ctorch\ndevice\nX\x06\0\0\0cuda:1\x85R.", "torch.device(s63756461,1)"),
	OK("c__builtin__\ncomplex\nK\x02\x85" "R.", "__builtin__.complex(f4000000000000000,f0000000000000000)"),
	OK("ctorch.serialization\n_get_layout\nX\x10\0\0\0torch.sparse_coo\x85R.",
	   "torch.serialization._get_layout(s746f7263682e7370617273655f636f6f)"),
	OK("ctorch\nper_tensor_affine\n.", "torch.per_tensor_affine"),
	OK("ctorch\nQInt8Storage\n.", "torch.QInt8Storage"),
	OK("ctorch.cuda\nFloatStorage\n.", "torch.cuda.FloatStorage"),
	OK("ctorch.cuda.sparse\nDoubleTensor\n.", "torch.cuda.sparse.DoubleTensor"),
	OK("ccollections\nOrderedDict\n.", "collections.OrderedDict"),
	OK("ccollections\nOrderedDict\n]]X\x01\0\0\0aaK\x01" "aa\x85R.", "odict(s61:1)"),
	OK("ccollections\nOrderedDict\n(X\x01\0\0\0aK\x01\x86X\x01\0\0\0aK\x02\x86t\x85R.", "odict(s61:2)"),
	OK("ctorch._utils\n_rebuild_tensor_v2\nK\x01\x85R.", "torch._utils._rebuild_tensor_v2(1)"),
	OK("X\x01\x00\x00\x00" "aQ.", "persid(s61)"),
};

static const struct pickle_case bad[] = {
	/* the stream */
	CORRUPT("", "ends without a STOP"),
	CORRUPT("\x80\x02", "ends without a STOP"),
	CORRUPT("N", "ends without a STOP"),
	CORRUPT(".", "STOP: too few"),
	CORRUPT("N(.", "STOP: too few"),
	REFUSED("\x80\x06N.", "PROTO: protocol 6"),
	REFUSED("\xffN.", "unknown opcode 0xff"),
	REFUSED("\x00N.", "unknown opcode 0x00"),
	REFUSED("N2\x86.", "DUP"),
	/* protocols 0 and 1 alone have these: torch.save never writes them */
	REFUSED("I1\n.", "INT: expected an opcode that torch.save writes"),
	REFUSED("L1L\n.", "LONG: expected an opcode"),
	REFUSED("F1.5\n.", "FLOAT: expected an opcode"),
	REFUSED("S'a'\n.", "STRING: expected an opcode"),
	REFUSED("Va\n.", "UNICODE: expected an opcode"),
	REFUSED("(l.", "LIST: expected an opcode"),
	REFUSED("(d.", "DICT: expected an opcode"),
	REFUSED("Np0\n.", "PUT: expected an opcode"),
	REFUSED("Nq\x00g0\n.", "GET: expected an opcode"),
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
	REFUSED("ccollections\nOrderedDict\nK\x01\x85R.", "OrderedDict with arguments"),
	REFUSED("ccollections\nOrderedDict\n]K\x01" "a\x85R.", "OrderedDict with arguments"),
	REFUSED("ccollections\nOrderedDict\n]]K\x01" "aa\x85R.", "OrderedDict with arguments"),
	REFUSED("ccollections\nOrderedDict\n]\x85\x81.", "OrderedDict with arguments"),
	REFUSED("ctorch\nTensor\nK\x02\x85R.", "a call of torch.Tensor"),
	REFUSED("ctorch.storage\nUntypedStorage\nK\x02\x85R.", "a call of torch.storage.UntypedStorage"),
	REFUSED("ctorch\nFloatTensor\nK\x02\x85R.", "a call of torch.FloatTensor"),
	REFUSED("ctorch.sparse\nBoolTensor\n.", "torch.sparse.BoolTensor is not among"),
	REFUSED("ctorch.cuda\nQInt8Storage\n.", "torch.cuda.QInt8Storage is not among"),
	REFUSED("ctorch\nSize\nX\x01\0\0\0a\x85R.", "torch.Size with arguments"),
	REFUSED("ctorch\nSize\nX\x01\0\0\0a\x85\x85R.", "torch.Size with arguments"),
	REFUSED("ctorch\ndevice\n)R.", "torch.device with arguments"),
	REFUSED("ctorch\ndevice\nX\x03\0\0\0npu\x85R.", "torch.device with arguments"),
	REFUSED("ctorch\ndevice\nX\x05\0\0\0cuda:\x85R.", "torch.device with arguments"),
	REFUSED("ctorch\ndevice\nX\x08\0\0\0cuda:128\x85R.", "torch.device with arguments"),
	REFUSED("ctorch.serialization\n_get_layout\nX\x05\0\0\0torch\x85R.", "_get_layout with arguments"),
	REFUSED("c__builtin__\ncomplex\nX\x01\0\0\0a\x85R.", "complex with arguments"),
	REFUSED("ccollections\nCounter\n]\x85R.", "Counter with arguments"),
	REFUSED("c__builtin__\nset\n}\x85R.", "set with arguments"),
	REFUSED("c__builtin__\nbytes\nK\x05\x85R.", "bytes with arguments"),
	REFUSED("c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "bytearray with arguments"),
	REFUSED("c_codecs\nencode\nX\x01\x00\x00\x00" "aX\x05\x00\x00\x00rot13\x86R.", "encode with arguments"),
	CORRUPT("c_codecs\nencode\nX\x02\x00\x00\x00\xc4\x80X\x06\x00\x00\x00latin1\x86R.", "U+0100"),
	/* BUILD */
	CORRUPT("}}b.", "BUILD: expected no attributes for a dict"),
	CORRUPT("]}b.", "BUILD: expected no attributes for a list"),
	CORRUPT("ctorch\nSize\n}b.", "BUILD: expected no attributes for a global"),
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
	CORRUPT("}]Ns.", "hashed"),
	CORRUPT("}]\x85Ns.", "hashed"),
	CORRUPT("\x8f(}\x90.", "hashed"),
	CORRUPT("(]\x91.", "hashed"),
	/* the stack */
	CORRUPT("0.", "POP: too few"),
	CORRUPT("1.", "POP_MARK: expected a mark"),
	CORRUPT("N1.", "POP_MARK: expected a mark"),
	CORRUPT("\x85.", "TUPLE1: too few"),
	CORRUPT("N\x86.", "TUPLE2: too few"),
	CORRUPT("NN\x87.", "TUPLE3: too few"),
	CORRUPT("N(N\x86.", "TUPLE2: too few"),
	CORRUPT("Nt.", "TUPLE: expected a mark"),
	CORRUPT("N\x91.", "FROZENSET: expected a mark"),
	CORRUPT("]Ne.", "APPENDS: expected a mark"),
	CORRUPT("(Ne.", "APPENDS: too few"),
	CORRUPT("(Nu.", "SETITEMS: too few"),
	CORRUPT("(N\x90.", "ADDITEMS: too few"),
	CORRUPT("Na.", "APPEND: too few"),
	CORRUPT("](a.", "APPEND: too few"),
	CORRUPT("}Ns.", "SETITEM: too few"),
	CORRUPT("Q.", "BINPERSID: too few"),
	CORRUPT("(Q.", "BINPERSID: too few"),
	/* the memo */
	CORRUPT("h\x00.", "BINGET: expected memo entry 0"),
	CORRUPT("Nq\x00" "0h\x01.", "BINGET: expected memo entry 1"),
	CORRUPT("\x80\x02Nq\x02" "0h\x01.", "BINGET: expected memo entry 1"),
	CORRUPT("j\x00\x00\x00\x00.", "LONG_BINGET: expected memo entry 0"),
	CORRUPT("Nr\xff\xff\xff\xff.", "LONG_BINPUT: memo entry 4294967295"),
	CORRUPT("Nq\xff.", "BINPUT: memo entry 255"),
	CORRUPT("q\x00.", "BINPUT: too few"),
	CORRUPT("(q\x00.", "BINPUT: too few"),
	CORRUPT("\x94.", "MEMOIZE: too few"),
	/* numbers and strings */
	CORRUPT("X\x01\x00\x00\x00\xff.", "BINUNICODE: expected a string in UTF-8"),
	CORRUPT("X\x02\x00\x00\x00\xc0\x80.", "BINUNICODE: expected a string in UTF-8"),
	CORRUPT("U\x01\xff.", "SHORT_BINSTRING: expected a string in UTF-8"),
	CORRUPT("X\xff\xff\xff\xff" "a.", "BINUNICODE: the pickle ends"),
	CORRUPT("\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a.", "BINUNICODE8: the pickle ends"),
	CORRUPT("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f" "a.", "BINBYTES8: the pickle ends"),
	CORRUPT("\x96\x00\x00\x00\x00\x00\x00\x00\x80" "a.", "BYTEARRAY8: the pickle ends"),
	CORRUPT("\x8b\xff\xff\xff\xff" "a.", "LONG4: the pickle ends"),
	/* attributes of what has none, or of what they would change */
	CORRUPT("ctorch.nn.parameter\nParameter\n)\x81}b.", "attributes for an object"),
	/* cycles */
	CORRUPT("]q\x00h\x00" "a.", "contains itself"),
	CORRUPT("}q\x00K\x01h\x00s.", "contains itself"),
	CORRUPT("](]q\x00h\x00" "ae.", "contains itself"),
	CORRUPT("ctorch\nSize\n)Rq\x00h\x00" "b.", "attributes for an object"),
	CORRUPT("ccollections\nOrderedDict\n)R}q\x00K\x01h\x00sb.", "contains itself"),
};

static void test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct ck_error err = CK_ERROR_INIT;
		struct ck_buf text = CK_BUF_INIT;
		int rc = render_pickle(good[i].data, good[i].len, &text, &err);

		CHECK_STR(rc ? err.text : text.data, good[i].want);
		ck_buf_free(&text);
	}
}

/* As to Python and torch, a pickle ends at its first STOP. */
static void test_behind_the_end(void)
{
	static const char *const pickles[] = { "N..", "N.\xff", "N.\x80\x02}." };

	for (size_t i = 0; i < sizeof(pickles) / sizeof(pickles[0]); i++)
		CHECK(render_pickle(pickles[i], strlen(pickles[i]), NULL, NULL) == CK_OK);
}

static void test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ck_error err = CK_ERROR_INIT;
		int rc = render_pickle(bad[i].data, bad[i].len, NULL, &err);

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
			CHECK(render_pickle(good[i].data, n, NULL, NULL) != CK_OK);
		CHECK(good[i].len <= sizeof(changed));
		memcpy(changed, good[i].data, good[i].len);
		for (size_t n = 0; n < good[i].len; n++) {
			for (unsigned byte = 0; byte < 256; byte++) {
				changed[n] = (char)byte;
				render_pickle(changed, good[i].len, NULL, NULL);
			}
			changed[n] = good[i].data[n];
		}
	}
}

static void test_offset(void)
{
	struct ck_error err = CK_ERROR_INIT;

	CHECK(render_pickle("\x80\x02]cos\nsystem\n.", 14, NULL, &err) == CK_ERR_UNSUPPORTED);
	CHECK(err.offset == 3);
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
	RUN(test_behind_the_end);
	RUN(test_bad);
	RUN(test_cut_and_changed);
	RUN(test_offset);
	RUN(test_names);
	CHECK_EXIT();
}
