#!/usr/bin/env python3
"""make_hostile.py DIR [PART...] - writes checkpoints that want to run code, crash their reader, or eat its time and memory.

PART is the name of a function with a @part, below or in hostile_code.py; the default is all. DIR gets NAME.pt (a model), NAME.optim.pt (an
optimizer shard) and NAME.meta.json files and expect.tsv, a line for each: the file, what is expected, and words that the error's line must have.
Expected is "error", "ok", or "any": shown or refused, but soon and in little memory. Made from public descriptions of attacks on pickle, torch.load
and JSON, and from CPython's pickletools; nothing here comes from the reader under test. Hostile zips: see make_zips.py.
"""
import os
import pickletools
import struct
import sys
import zipfile

import hostile_code  # noqa: F401 (its parts are the first of PARTS)
from hostile_pickle import (
    APPEND, APPENDS, BUILD, DICT, EMPTY_TUPLE, EXPECT, LIST, MARK, NONE, OUT, PARTS, PROTO2, REDUCE, SETITEM, SETITEMS, STOP, TUPLE,
    any_way, bad, call, dict_of, globl, ints, number, part, storage, tensor, text, tuple_of, write)


def nested(opener, closer, times):
    return opener * times + NONE + closer * times


@part
def depth():
    for name, body in (
            ("list", LIST * 200000 + APPEND * 199999), ("tuple", nested(b"", b"\x85", 200000)), ("dict", nested(DICT + NONE, SETITEM, 200000)),
            ("marks", nested(MARK, TUPLE, 200000)), ("frozenset", nested(MARK, b"\x91", 200000)), ("persistent", nested(b"", b"Q", 200000)),
            ("calls", nested(globl("torch", "Size"), b"\x85" + REDUCE, 50000)), ("list-101", LIST * 101 + APPEND * 100),
            ("state", (globl("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE) * 50000 + DICT + BUILD * 50000),
            ("parameters", nested(globl("torch._utils", "_rebuild_parameter") + MARK, b"\x89NtR", 20000))):
        bad("deep-" + name, body, "")
    any_way("deep-marks-only", MARK * 1000000)
    for name, body in (
            ("list", LIST + b"q\0h\0" + APPEND), ("dict", DICT + b"q\0" + text("a") + b"h\0" + SETITEM),
            ("two", LIST + b"q\0" + LIST + b"q\1h\0" + APPEND + APPEND), ("through-tuple", LIST + b"q\0h\0\x85" + APPEND),
            ("state", call(globl("collections", "OrderedDict")) + b"q\0" + DICT + text("a") + b"h\0" + SETITEM + BUILD)):
        bad("cycle-" + name, body, "contains itself")


def laughs(leaf, level, times):
    """Each level holds the one before ten times, through the memo."""
    out = leaf + b"q\0"
    for i in range(times):
        out += b"0" + level(b"h" + bytes([i])) + b"q" + bytes([i + 1])
    return out


def ballast(size):
    """For a reader that measures what is shared by the length of all."""
    return b"B" + struct.pack("<I", size) + bytes(size) + b"0"


@part
def bombs():
    ten = {"list": lambda g: LIST + MARK + g * 10 + APPENDS, "tuple": lambda g: MARK + g * 10 + TUPLE,
           "dict": lambda g: DICT + MARK + b"".join(number(i) + g for i in range(10)) + SETITEMS}
    for name, level in ten.items():
        bad("laughs-" + name, laughs(text("lol"), level, 60), "")
        bad("laughs-%s.optim" % name, dict_of((text("state"), laughs(text("lol"), level, 30))), "")
        # What does a reader make of a tree of 10^4 and 10^5 nodes, just under a hundred levels deep?
        for size in (4, 5):
            inner = laughs(text("lol"), level, size)
            any_way("laughs-%s-%d-deep.optim" % (name, size), inner + b"\x85" * 80)
            any_way("laughs-%s-%d-deep-dicts.optim" % (name, size), (DICT + text("k" * 50)) * 60 + inner + SETITEM * 60)
    wide = MARK + NONE * 500 + b"tq\x000" + MARK + b"h\0" * 500 + TUPLE
    any_way("laughs-wide-deep.optim", wide + b"\x85" * 95)
    any_way("laughs-wider-deep.optim", ballast(1 << 20) + wide + b"q\x000" + MARK + b"h\0" * 30 + TUPLE + b"\x85" * 94)
    any_way("long-string-often.optim", text("x" * 100000) + b"q\0" + b"0" + LIST + MARK + b"h\0" * 100000 + APPENDS)
    any_way("long-key-often.optim", text("x" * 100000) + b"q\0" + b"0" + LIST + MARK + (DICT + b"h\0N" + SETITEM) * 20000 + APPENDS)
    any_way("long-string-escapes.optim", text("\x01" * 1000000))
    any_way("long-bytes-escapes.optim", b"B" + struct.pack("<I", 1000000) + b"\x80" * 1000000)
    bad("doubling-dup", nested(b"", b"2\x86", 60), "DUP")
    bad("doubling-frozenset", NONE + b"q\0(h\0K\1\x91" + b"".join(b"q" + bytes([i]) + b"(h" + bytes([i]) + b"\x85h" + bytes([i]) + b"\x91"
                                                              for i in range(1, 60)), "")
    # As keys: hashing or comparing walks the whole tree, if one lets it.
    twins = [NONE + b"".join(b"q" + bytes([i + at]) + b"h" + bytes([i + at]) + b"\x86" for i in range(60)) for at in (0, 100)]
    bad("doubling-key", DICT + twins[0] + NONE + SETITEM, "")
    bad("doubling-twin-keys", DICT + twins[0] + NONE + SETITEM + twins[1] + NONE + SETITEM, "")
    # Small in the zip only.
    inflated = {"method": zipfile.ZIP_DEFLATED}
    bad("inflated-string", text("x" * 40000000), "data.pkl", **inflated)
    bad("inflated-list", LIST + (MARK + NONE * 1000 + APPENDS) * 40000, "data.pkl", **inflated)
    any_way("inflated-lists", LIST + (MARK + LIST * 1000 + APPENDS) * 2000, **inflated)
    any_way("inflated-little", LIST + (MARK + NONE * 1000 + APPENDS) * 1000, **inflated)
    any_way("memo-many", (NONE + b"\x940") * 1000000 + NONE)
    any_way("stack-many", NONE * 2000000)
    any_way("list-many", LIST + MARK + NONE * 1500000 + APPENDS)
    for name, empty in ("lists", LIST), ("dicts", DICT), ("tuples", EMPTY_TUPLE):
        any_way(name + "-many", LIST + MARK + empty * 300000 + APPENDS)
    any_way("sets-many", LIST + MARK + (b"\x8f(K\1\x90") * 100000 + APPENDS)
    any_way("appends-one-by-one", LIST + (NONE + APPEND) * 1000000)
    any_way("batches-one-by-one", LIST + (MARK + NONE + APPENDS) * 500000)
    any_way("sets-in-turn", b"\x8fq\0\x8fq\1" + b"(K\1\x90h\0(K\2\x90h\1" * 50000)
    any_way("ordered-many", globl("collections", "OrderedDict") + b"q\x000" + LIST + MARK + b"h\0)R" * 200000 + APPENDS)


@part
def lengths():
    """Claims of more than there is, in every opcode that says how long it is; numbers without an end."""
    for op in pickletools.opcodes:
        if op.arg and op.arg.n < 0 and not op.arg.name.endswith(("nl", "nl_short", "nl_long", "noescape", "pair")):
            width = int(op.arg.name[-1])
            for claim in (1 << 8 * width) - 1, 1 << 8 * width - 1:
                bad("length-%s-%x" % (op.name.lower(), claim), op.code.encode("latin-1") + claim.to_bytes(width, "little") + b"ab", op.name)
    bad("length-frame", b"\x95" + b"\xff" * 8, "FRAME")
    bad("length-frame-crossed", b"\x95" + struct.pack("<Q", 3) + text("long"), "frame")
    bad("integer-long4", number(1 << 8000000), "LONG4", "integer")
    for op, end in (b"L", b"L\n"), (b"I", b"\n"):
        bad("integer-text-" + op.decode(), op + b"7" * 1000000 + end, "INT" if op == b"I" else "LONG")
    for name, digits in ("long", b"7" * 1000000), ("hex", b"0x1p3"), ("nan", b"nan(123)"):
        bad("float-" + name, b"F" + digits + b"\n", "FLOAT")
    bad("unicode-beyond", b"V\\U00110000\n", "UNICODE")
    bad("string-no-quotes", b"Sabc\n", "STRING")
    bad("string-invalid", text(b"\xc0\x80"), "UTF-8")
    any_way("integers-largest", LIST + MARK + (b"\x8b\0\2\0\0" + b"\x7f" * 512) * 4000 + APPENDS)
    any_way("integer-texts-many", LIST + MARK + (b"I" + b"7" * 1200 + b"\n") * 2000 + APPENDS)


def keys(items):
    return DICT + MARK + b"".join(i + NONE for i in items) + SETITEMS


@part
def floods():
    """Keys that are one to a hash function: CPython's for numbers, FNV's and multiplicative ones for strings, sums and xors for sets."""
    for name, step in ("mersenne", (1 << 61) - 1), ("2-32", 1 << 32), ("2-48", 1 << 48):
        any_way("flood-" + name, keys(number(i * step) for i in range(30000)))
    any_way("flood-floats", keys(b"G" + struct.pack(">d", i * 2.0 ** 40) for i in range(30000)))
    any_way("flood-small-floats", keys(b"G" + struct.pack(">Q", i << 40) for i in range(30000)))
    any_way("flood-nan", keys([b"G" + struct.pack(">d", float("nan"))] * 50000))
    any_way("flood-nan-tuples", keys([b"G" + struct.pack(">d", float("nan")) + b"\x85"] * 50000))
    # Words that differ in their top bit stay different in it alone when multiplied by any odd number, and the next word takes it back.
    pair = [bytes(16), bytes(7) + b"\x80" + bytes(4) + b"\4" + bytes(2) + b"\x80"]
    any_way("flood-top-bits", keys(b"B" + struct.pack("<I", 240) + b"".join(pair[i >> k & 1] for k in range(15)) for i in range(1 << 15)))
    any_way("flood-times-33", keys(text("".join("BA" if i >> k & 1 else "Ab" for k in range(15))) for i in range(1 << 15)))
    any_way("flood-long-prefix", keys(text("p" * 200 + "%06d" % i) for i in range(20000)))
    any_way("flood-frozensets", LIST + MARK + b"".join(MARK + number(i) + number(60000 - i) + b"\x91" for i in range(20000)) + b"\x91")
    any_way("flood-big-frozensets", keys(MARK + b"".join(number(k * 1000 + i) for k in range(900)) + b"\x91" for i in range(200)))
    any_way("flood-set", b"\x8f" + MARK + b"".join(number(i << 40) for i in range(30000)) + b"\x90")
    any_way("flood-identities", keys(globl("torch", "Size") + EMPTY_TUPLE + REDUCE for _ in range(20000)))


@part
def tensors():
    def faulty(name, value, *words, **more):
        bad("tensor-" + name, dict_of((text("good"), tensor()), (text("faulty"), value)), "faulty", *words, **more)

    def shown(name, value):
        write("tensor-" + name, PROTO2 + dict_of((text("good"), tensor()), (text("odd"), value)) + STOP, "ok")
    big = 1 << 62
    faulty("negative-size", tensor(size=ints(-2, 3)), "-2")
    faulty("negative-behind-zero", tensor(size=ints(0, -3)), "-3")
    faulty("negative-stride", tensor(stride=ints(-3, 1)), "stride")
    faulty("least-stride", tensor(stride=ints(-1 << 63, 1)), "stride")
    faulty("negative-offset", tensor(offset=number(-1)), "offset")
    faulty("float-offset", tensor(offset=b"G" + struct.pack(">d", float("nan"))), "offset")
    faulty("true-offset", tensor(offset=b"\x88"), "offset")
    faulty("text-offset", tensor(offset=text("0")), "offset")
    faulty("huge-offset", tensor(offset=number((1 << 63) - 1)), "")
    faulty("bigint-offset", tensor(offset=number(1 << 64)), "offset")
    faulty("late-offset", tensor(offset=number(1)), "storage has 6")
    faulty("wrapping-size", tensor(size=ints(big, 4), stride=ints(0, 0)), "2^63")
    shown("wrapping-bytes", tensor(size=ints(big, 1), stride=ints(0, 0)))
    faulty("wrapping-reach", tensor(size=ints(big, 1), stride=ints(4, 1)), "")
    faulty("wrapping-sum", tensor(offset=number(6), size=ints(2, 2), stride=ints((1 << 63) - 1, (1 << 63) - 1)), "")
    faulty("bigint-size", tensor(size=ints(1 << 64, 1)), "int")
    faulty("float-size", tensor(size=tuple_of(b"G" + bytes(8), number(1))), "int")
    shown("list-size", tensor(size=LIST + MARK + number(2) + number(3) + APPENDS))
    faulty("nested-size", tensor(size=tuple_of(ints(2, 3))), "size")
    faulty("few-strides", tensor(stride=ints(1)), "strides")
    faulty("dims-1000", tensor(size=ints(*[1] * 1000), stride=ints(*[1] * 1000)), "1000 dimensions")
    faulty("dims-65", tensor(size=ints(*[1] * 65), stride=ints(*[1] * 65)), "65 dimensions")
    faulty("wide-stride", tensor(stride=ints(4, 1)), "storage has 6")
    faulty("too-large", tensor(size=ints(1 << 40), stride=ints(1)), "storage has 6")
    # More than memory, and more than a file can have: the others are shown, and nothing is read of these.
    shown("expanded-huge", tensor(size=ints(1 << 50), stride=ints(0)))
    shown("expanded-twice", tensor(size=ints(1 << 25, 1 << 25), stride=ints(0, 0)))
    faulty("storage-list", tensor(LIST), "storage")
    faulty("storage-int", tensor(number(7) + b"Q"), "storage")
    faulty("storage-short-id", tensor(tuple_of(text("storage")) + b"Q"), "storage")
    faulty("storage-other-tag", tensor(storage(tag=text("module"))), "storage")
    faulty("storage-type-tensor", tensor(storage(globl("torch", "Tensor"))), "type")
    faulty("storage-type-text", tensor(storage(text("FloatStorage"))), "type")
    faulty("storage-type-dtype", tensor(storage(globl("torch", "float32"))), "type")
    faulty("storage-wider", tensor(storage(globl("torch", "DoubleStorage"))), "24 bytes")
    faulty("storage-narrower", tensor(storage(globl("torch", "ByteStorage"))), "declared twice")
    faulty("storage-numel-more", tensor(storage(numel=number(7))), "24 bytes")
    faulty("storage-numel-wraps", tensor(storage(numel=number((1 << 62) + 6))), "")
    faulty("storage-numel-negative", tensor(storage(numel=number(-6))), "storage")
    faulty("storage-numel-bigint", tensor(storage(numel=number(1 << 70))), "storage")
    shown("storage-key-int", tensor(storage(key=number(0))))
    faulty("storage-key-nul", tensor(storage(key=text("0\0x"))), "key")
    faulty("storage-key-long", tensor(storage(key=text("0" * 100000))), "key")
    faulty("storage-key-up", tensor(storage(key=text("../data.pkl"))), "not in the file")
    faulty("storage-key-format", tensor(storage(key=text("%n%n%s"))), "not in the file")
    faulty("storage-key-empty", tensor(storage(key=text(""))), "not in the file")
    faulty("parameter-of-nothing", call(globl("torch._utils", "_rebuild_parameter"), NONE, b"\x89", NONE), "parameter")
    faulty("parameter-without", globl("torch._utils", "_rebuild_parameter") + EMPTY_TUPLE + REDUCE, "_rebuild_parameter")
    wrapped = tensor()
    for _ in range(20):
        wrapped = call(globl("torch._utils", "_rebuild_parameter"), wrapped, b"\x88", NONE)
    shown("parameters-nested", wrapped)
    typed = globl("torch._tensor", "_rebuild_from_type_v2")
    faulty("type-of-storage", call(typed, globl("torch", "FloatStorage"), globl("torch", "Tensor"), EMPTY_TUPLE, DICT), "")
    faulty("type-of-itself", call(typed, typed, globl("torch", "Tensor"), EMPTY_TUPLE, DICT), "")
    faulty("type-empty-args", call(typed, globl("torch._utils", "_rebuild_tensor_v2"), globl("torch", "Tensor"), EMPTY_TUPLE, DICT), "arguments")
    v3 = globl("torch._utils", "_rebuild_tensor_v3")
    untyped = storage(globl("torch.storage", "UntypedStorage"), key=text("1"), numel=number(24))
    for name, dtype, word in (("text", text("float32"), "dtype"), ("storage", globl("torch", "FloatStorage"), "dtype"),
                              ("wider", globl("torch", "complex128"), "storage has 1")):
        faulty("v3-dtype-" + name, call(v3, untyped, number(0), ints(6), ints(1), b"\x89", NONE, dtype), word, entries=[("data/1", bytes(24))])
    for name, text_ in (("middle", b"middle"), ("empty", b""), ("long", b"little" * 100), ("nul", b"big\0x"), ("upper", b"BIG")):
        bad("byteorder-" + name, dict_of((text("a"), tensor())), "byteorder", entries=[("byteorder", text_)])
    write("byteorder-big", PROTO2 + dict_of((text("a"), tensor())) + STOP, "ok", entries=[("byteorder", b"big")])
    for name, size, stride in (("expanded-one", ints(1000), ints(0)), ("expanded-inside", ints(3, 1000, 2), ints(1, 0, 3)),
                               ("empty-wild-strides", ints(0, 3), ints(big, big)), ("dims-64", ints(*[1] * 64), ints(*[big] * 64))):
        write(name, PROTO2 + dict_of((text("a"), tensor(size=size, stride=stride))) + STOP, "ok")
    write("empty-far", PROTO2 + dict_of((text("a"), tensor(offset=number((1 << 63) - 1), size=ints(0), stride=ints(1)))) + STOP, "ok")


def keys_to(value, count):
    return DICT + MARK + b"".join(number(i) + value for i in range(count)) + SETITEMS


@part
def names():
    """Keys that are hostile as file names. All can be shown: each is read, whatever it is called."""
    def shown(name, *names_):
        write("key-" + name, PROTO2 + dict_of(*((text(n), tensor()) for n in names_)) + STOP, "ok")
    shown("dots", ".", "..", "...", "../../etc/passwd", "/etc/passwd", "a/../../b")
    shown("control", "".join(map(chr, range(1, 32))) + "\x7f", "\x1b[2J\x1b]0;owned\x07", "new\nline", "\r")
    shown("nul", "\0", "a\0b", "a\0c")
    shown("bidi", "\u202egnp.exe", "\u2066\u2067x", "\ufeffbom", "\u200bzero")
    shown("percent", "%", "%2F", "%00", "%zz", "%25", "%n%s")
    shown("long", "x" * 10000, "y" * 255, "x" * 9999 + "z", "\u2603" * 1000, "/" * 1000)
    shown("surrogate", "\ud800", "\udfff", "a\ud800b")
    shown("shell", "-rf", "$(reboot)", "`id`", "; rm -rf ~", "*", "a b", "'", '"', "\\")
    shown("twins", "_orig_mod.a", "a", "_orig_mod._orig_mod.a", "_orig_mod.", "A", "a.npy", "a~2")
    shown("ours", "model.error", "meta.json", "latest", "rank0", "resid_lambdas", "~0123456789abcdef")
    for name, key in ("invalid", b"\xff\xfe"), ("overlong", b"\xc0\xaf"):
        bad("key-" + name, dict_of((text(key), tensor())), "UTF-8")
    once = tensor() + b"q\0" + b"0"
    many = b"".join(MARK + number(i) + b"\x91h\0" for i in range(60000))
    any_way("names-one", once + dict_of((text("x"), DICT + MARK + many + SETITEMS)))
    any_way("names-one.optim", once + DICT + MARK + many + SETITEMS)
    any_way("names-long", once + dict_of((text("k" * 1000000), keys_to(b"h\0", 60000))))
    any_way("names-many-long", once + dict_of(*((text("k" * 1000 + str(i)), keys_to(b"h\0", 100)) for i in range(600))))
    # Short to say, long to write: six bytes for one, once for each tensor.
    for suffix in "", ".optim":
        any_way("names-control" + suffix, once + dict_of((text("\x01" * 60000), keys_to(b"h\0", 250))))
    any_way("tensors-many", once + keys_to(b"h\0", 100000))
    any_way("tensors-expanded", tensor(size=ints(1 << 18), stride=ints(0)) + b"q\0" + b"0" + keys_to(b"h\0", 20000))
    bad("tensors-too-many", ballast(3 << 20) + once + keys_to(b"h\0", (1 << 18) + 1), "262144 tensors")


def meta(name, blob, expected, *words):
    with open(os.path.join(OUT, name + ".meta.json"), "wb") as f:
        f.write(blob)
    EXPECT.append((name + ".meta.json", expected, *words))


@part
def metas():
    meta("meta-deep-arrays", b'{"a": ' + b"[" * 1000000, "error", "nesting")
    meta("meta-deep-objects", b'{"a":' * 500000, "error", "nesting")
    meta("meta-huge-int", b'{"a": ' + b"7" * 1000000 + b"}", "any")
    meta("meta-huge-ints", b'{"a": [' + b", ".join([b"7" * 5000] * 1000) + b"]}", "any")
    meta("meta-huge-exponent", b'{"a": 1e' + b"9" * 1000000 + b"}", "any")
    for name, value in ("huge", b"9" * 400), ("many", b"100001"), ("negative", b"-1"), ("float", b"2.0"), ("nan", b"NaN"):
        meta("meta-layers-" + name, b'{"model_config": {"n_layer": ' + value + b"}}", "ok")
    meta("meta-same-keys", b'{"a": 1' + b', "a": 2' * 100000 + b"}", "ok")
    meta("meta-many-keys", b'{"a": 1' + b"".join(b', "%d": 2' % i for i in range(100000)) + b"}", "any")
    meta("meta-nul", b'{"a": "\0"}', "error")
    meta("meta-escaped-nul", b'{"\\u0000": "\\u0000"}', "ok")
    meta("meta-surrogates", b'{"\\ud800": "\\udfff\\ud800"}', "ok")
    meta("meta-escapes", b'{"a": "' + b"\\u0001" * 200000 + b'"}', "any")
    meta("meta-grows", b'{"a": [' + b"[1,1],".replace(b"1", b"[[[]]]") * 20000 + b"1]}", "any")
    meta("meta-grows-deep", b'{"a": ' + b"[" * 390 + b"[]," * 30000 + b"[]" + b"]" * 390 + b"}", "any")
    meta("meta-grows-huge", b'{"a": ' + b"[" * 390 + b"[]," * 300000 + b"[]" + b"]" * 390 + b"}", "error", "bytes")
    meta("meta-control", b'{"a": "\x1b[2J"}', "error")
    for name, blob in ("comment", b'/* */ {"a": 1}'), ("bom", b'\xef\xbb\xbf{"a": 1}'), ("utf16", '{"a": 1}'.encode("utf-16")):
        meta("meta-" + name, blob, "error")
    meta("meta-large", b" " * ((4 << 20) + 1) + b"{}", "error")


# As much as a reader may take, of what becomes most in its memory; stored, so that the file is as large as it says.
LARGE = 31 << 20


def batches(opener, items, closer, size=LARGE):
    """A container filled as CPython fills it, a thousand values at a time."""
    batch = MARK + items * 1000 + closer
    return opener + batch * (size // len(batch))


@part
def memory():
    def much(name, body):
        write(name, PROTO2 + body + STOP, "any")
    for name, item in (("none", NONE), ("ints", b"K\1"), ("lists", LIST), ("lists-of-one", LIST + NONE + APPEND), ("dicts-of-one", DICT + NONE * 2 + SETITEM),
                       ("tuples", NONE + b"\x85"), ("persistent", NONE + b"Q"), ("strings", b"U\0"), ("longs", b"\x8a\x09" + bytes(8) + b"\1")):
        much("much-" + name, batches(LIST, item, APPENDS))
    for name, function in ("calls", globl("torch", "Size")), ("ordered", globl("collections", "OrderedDict")):
        much("much-" + name, function + b"q\x000" + batches(LIST, b"h\0)R", APPENDS))
    much("much-keys", DICT + b"".join(MARK + b"".join(number(i) + NONE for i in range(k, k + 1000)) + SETITEMS for k in range(0, 5000000, 1000)))
    much("much-set", b"\x8f" + b"".join(MARK + b"".join(map(number, range(k, k + 1000))) + b"\x90" for k in range(0, 6000000, 1000)))
    much("much-stack", MARK + NONE * 1000000 + TUPLE + batches(LIST, LIST, APPENDS, LARGE - 1100000))
    much("much-string", text(b"x" * LARGE))
    much("much-string.optim", text(b"\1" * (LARGE // 2)))
    much("much-bytes.optim", b"B" + struct.pack("<I", LARGE // 2) + b"\xff" * (LARGE // 2))
    bad("much-too-much", text(b"x" * (33 << 20)), "33554432")
    # The memo: many entries that are fetched; one of a high number.
    fetched = b"".join(b"j" + struct.pack("<I", i) + b"0" for i in range(4 << 20))
    bad("much-memo", NONE + b"\x94" * (4 << 20) + fetched + b"\x94" * (1 << 20), "memo")
    bad("much-memo-far", text(b"x" * (LARGE - 100)) + b"j" + struct.pack("<I", LARGE - 100), "")
    any_way("much-memo-unused", NONE + b"\x94" * (LARGE // 2))
    # Tensors: many, in a shard too; made and thrown away; with long keys.
    rebuild, args = globl("torch._utils", "_rebuild_tensor_v2"), tensor()[len(globl("torch._utils", "_rebuild_tensor_v2")):-1]
    once, made = rebuild + b"q\x000" + args + b"q\x010", b"h\0h\1R"
    for suffix in "", ".optim":
        any_way("much-tensors" + suffix, once + batches(LIST, made, APPENDS, 100000 * 5))
    any_way("much-tensors-popped", once + (made + b"0") * (LARGE // 6) + DICT)
    any_way("much-tensors-long", once + made + b"q\2" + b"0" + DICT + b"".join(
        MARK + b"".join(text(b"%0100d" % i) + b"h\2" for i in range(k, k + 1000)) + SETITEMS for k in range(0, 250000, 1000)))
    largest = 4 << 20
    for name, unit in (("lists", b"[],"), ("ones", b"1,"), ("lists-of-one", b"[1],"), ("dicts", b"{},"), ("strings", b'"",'), ("pairs", b'{"":1},')):
        meta("meta-much-" + name, b'{"a": [' + unit * ((largest - 20) // len(unit)) + b"1]}", "any")
    meta("meta-much-text", b'{"a": "' + "\u00e9".encode() * (largest // 2 - 10) + b'"}', "any")


def main():
    os.makedirs(OUT, exist_ok=True)
    for function in PARTS:
        if function.__name__ in sys.argv[2:] or not sys.argv[2:]:
            function()
    with open(os.path.join(OUT, "expect.tsv"), "w", encoding="utf-8") as f:
        f.writelines("\t".join(line).rstrip("\t") + "\n" for line in EXPECT)


main()
