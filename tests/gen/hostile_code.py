"""Parts of make_hostile.py: opcodes without what they need, on what they are not for, and globals that are none of a checkpoint's."""
import os
import pickletools
import struct

from hostile_pickle import (
    APPEND, APPENDS, BUILD, DICT, EMPTY_TUPLE, LIST, MARK, NONE, PROTO2, PROTO4, REDUCE, SETITEM, SETITEMS, STOP,
    bad, call, dict_of, globl, ints, number, part, tensor, text, tuple_of, write)

# What an opcode's argument looks like: pickletools knows how it is read, not an example of it.
ARGUMENTS = {
    "uint1": b"\1", "uint2": b"\1\0", "int4": b"\1\0\0\0", "uint4": b"\1\0\0\0", "uint8": struct.pack("<Q", 1), "float8": bytes(8),
    "decimalnl_short": b"7\n", "decimalnl_long": b"7L\n", "floatnl": b"1.5\n", "stringnl": b"'ab'\n", "stringnl_noescape": b"ab\n",
    "stringnl_noescape_pair": b"posix\nsystem\n", "unicodestringnl": b"ab\n", "string1": b"\2ab", "string4": b"\2\0\0\0ab",
    "bytes1": b"\2ab", "bytes4": b"\2\0\0\0ab", "bytes8": struct.pack("<Q", 2) + b"ab", "bytearray8": struct.pack("<Q", 2) + b"ab",
    "unicodestring1": b"\2ab", "unicodestring4": b"\2\0\0\0ab", "unicodestring8": struct.pack("<Q", 2) + b"ab", "long1": b"\1\1",
    "long4": b"\1\0\0\0\1",
}


# What the opcodes need that take more than one value and no mark.
OPERANDS = {
    "APPEND": (LIST, NONE), "SETITEM": (DICT, NONE, NONE), "TUPLE2": (NONE, NONE), "TUPLE3": (NONE, NONE, NONE),
    "BUILD": (call(globl("collections", "OrderedDict")), DICT), "REDUCE": (globl("collections", "OrderedDict"), EMPTY_TUPLE),
    "NEWOBJ": (globl("collections", "OrderedDict"), EMPTY_TUPLE), "NEWOBJ_EX": (globl("collections", "OrderedDict"), EMPTY_TUPLE, DICT),
    "STACK_GLOBAL": (text("torch"), text("FloatStorage")),
}
FILLED = {"APPENDS": LIST, "SETITEMS": DICT, "ADDITEMS": b"\x8f"}


def nearly(op, code):
    """The right values for an opcode, but for one; with a mark among them; without the mark that they need."""
    name, operands = op.name.lower(), OPERANDS.get(op.name, ())
    if pickletools.markobject in op.stack_before:
        bad("op-%s-no-mark" % name, FILLED.get(op.name, b"") + NONE * 2 + code, op.name)
        return
    assert len(operands) == len(op.stack_before) or len(op.stack_before) < 2
    for i in range(1, len(operands)):
        bad("op-%s-%d-of-%d" % (name, i, len(operands)), b"".join(operands[:i]) + code, op.name)
        bad("op-%s-mark-behind-%d" % (name, i), b"".join(operands[:i]) + MARK + b"".join(operands[i:]) + code, op.name)


@part
def opcodes():
    """Every opcode of every protocol without the stack, the mark, the memo or the argument that it needs."""
    for op in pickletools.opcodes:
        code, argument = op.code.encode("latin-1"), ARGUMENTS[op.arg.name] if op.arg else b""
        name = op.name.lower()
        if op.name == "PROTO":
            bad("op-proto-cut", b"\x80", "PROTO")
            bad("op-proto-9", b"\x80\x09", "PROTO")
            write("op-proto-second", PROTO2 + PROTO2 + NONE + STOP, "ok")
            continue
        if op.stack_before or "GET" in op.name or op.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            bad("op-%s-nothing" % name, code + argument, op.name if op.name != "STOP" else "")
            if op.name not in ("POP", "POP_MARK", "TUPLE", "LIST", "DICT", "FROZENSET"):
                bad("op-%s-mark" % name, MARK + code + argument, op.name if op.name != "STOP" else "")
        nearly(op, code + argument)
        if argument:
            write("op-%s-cut" % name, PROTO2 + b"N" * 4 + code + argument[:-1], "error", op.name)
            write("op-%s-no-argument" % name, PROTO2 + b"N" * 4 + code, "error", op.name)
    known = {op.code for op in pickletools.opcodes}
    for code in (b"\0", b"\xff", b"\x99", b"Z", b"\n"):
        assert code.decode("latin-1") not in known
        bad("op-unknown-%02x" % code[0], code, "0x%02x" % code[0])
    for name, pickle in ("no-stop", PROTO2 + DICT), ("empty", b""):
        write("op-" + name, pickle, "error", "STOP")
    for name, pickle in (("two-values", PROTO2 + NONE + NONE + STOP), ("open-mark", PROTO2 + MARK + NONE + STOP),
                         ("behind-stop", PROTO2 + NONE + STOP + NONE), ("two-stops", PROTO2 + NONE + STOP + STOP)):
        write("op-" + name, pickle, "ok")


@part
def targets():
    """Opcodes on what they are not for: a write through SETITEM into a tensor was CVE-2026-24747."""
    t = tensor()
    bad("on-setitem-tensor", t + number(0) + number(1) + SETITEM, "SETITEM")
    bad("on-setitems-tensor", t + MARK + number(0) + number(1) + SETITEMS, "SETITEMS")
    bad("on-setitem-list", LIST + number(0) + NONE + SETITEM, "SETITEM", "a list")
    bad("on-setitems-odd", DICT + MARK + NONE + SETITEMS, "SETITEMS", "key")
    bad("on-append-dict", DICT + NONE + APPEND, "APPEND", "a dict")
    bad("on-append-tensor", t + NONE + APPEND, "APPEND")
    bad("on-appends-tuple", EMPTY_TUPLE + MARK + NONE + APPENDS, "APPENDS", "a tuple")
    bad("on-appends-global", globl("torch", "FloatStorage") + MARK + NONE + APPENDS, "APPENDS")
    bad("on-additems-list", LIST + MARK + NONE + b"\x90", "ADDITEMS")
    for name, body in ("dict", DICT), ("int", number(1)), ("global", globl("torch", "Tensor")):
        bad("on-build-" + name, body + DICT + BUILD, "BUILD")
    bad("on-build-slots", call(globl("collections", "OrderedDict")) + tuple_of(NONE, DICT) + BUILD, "BUILD", "a tuple")
    bad("on-build-twice", call(globl("collections", "OrderedDict")) + (DICT + BUILD) * 2, "BUILD")
    bad("on-reduce-str", text("posix.system") + EMPTY_TUPLE + REDUCE, "REDUCE")
    bad("on-reduce-result", call(globl("torch", "Size"), ints(1)) + EMPTY_TUPLE + REDUCE, "REDUCE")
    bad("on-reduce-list-args", globl("collections", "OrderedDict") + LIST + REDUCE, "REDUCE")
    bad("on-reduce-storage-class", call(globl("torch", "FloatStorage"), number(1 << 40)), "REDUCE", "FloatStorage")
    bad("on-reduce-dtype", call(globl("torch", "float32")), "REDUCE", "float32")
    bad("on-newobj-function", globl("torch._utils", "_rebuild_tensor_v2") + EMPTY_TUPLE + b"\x81", "NEWOBJ")
    bad("on-stack-global-ints", number(1) + number(2) + b"\x93", "STACK_GLOBAL")
    bad("on-key-list", DICT + LIST + NONE + SETITEM, "SETITEM", "hash")
    bad("on-key-dict", DICT + tuple_of(DICT) + NONE + SETITEM, "SETITEM", "hash")
    bad("on-encode-utf7", call(globl("_codecs", "encode"), text("+AGE-"), text("utf7")), "_codecs.encode")
    bad("on-encode-wide", call(globl("_codecs", "encode"), text("\u2603"), text("latin1")), "U+2603")
    bad("on-bytes-huge", call(globl("builtins", "bytes"), number(1 << 40)), "bytes")
    bad("on-bytearray-huge", call(globl("builtins", "bytearray"), number(1 << 40)), "bytearray")
    bad("on-set-of-int", call(globl("builtins", "set"), number(7)), "set")
    for name, code, op in (("far", b"r\xff\xff\xff\xff", "LONG_BINPUT"), ("negative", b"p-1\n", "PUT"), ("words", b"pzero\n", "PUT"),
                           ("wraps", b"p18446744073709551616\n", "PUT")):
        bad("memo-put-" + name, NONE + code, op)
    for name, body, op in (("get-negative", NONE + b"g-1\n", "GET"), ("get-far", NONE + b"j\xff\xff\xff\xff", "LONG_BINGET")):
        bad("memo-" + name, body, op)


FOREIGN = """posix.system os.system nt.system subprocess.Popen builtins.eval builtins.exec builtins.getattr builtins.__import__ builtins.open
__builtin__.eval __builtin__.apply operator.attrgetter operator.methodcaller runpy._run_code torch.storage._load_from_bytes numpy.ndarray""".split()
MORE_FOREIGN = """os.popen os.execv subprocess.check_output builtins.compile builtins.globals builtins.setattr builtins.print builtins.breakpoint
builtins.object builtins.type builtins.int builtins.list builtins.dict operator.itemgetter runpy.run_path importlib.import_module functools.partial
functools.reduce webbrowser.open socket.socket pty.spawn pdb.run code.interact ctypes.CDLL shutil.rmtree marshal.loads types.FunctionType types.CodeType pickle.loads
_pickle.loads io.open _io.FileIO copyreg._reconstructor copyreg.add_extension copy_reg.add_extension collections.defaultdict collections.namedtuple
bdb.Bdb.run cProfile.runctx timeit.timeit trace.Trace.run doctest.debug_script pip._internal.main asyncio.unix_events._UnixSubprocessTransport._start
idlelib.pyshell.ModifiedInterpreter.runcode numpy.core.multiarray._reconstruct numpy._core.multiarray._reconstruct numpy.core.multiarray.scalar
numpy.dtype numpy.load numpy.f2py.crackfortran.getlincoef numpy.testing._private.utils.runstring torch.load torch.serialization.load torch.hub.load
torch.jit.load torch.jit._script.unpackage_script_module torch._C.import_ir_module torch.utils.cpp_extension.load
torch.utils._config_module.load_config torch.utils.bottleneck.__main__.run_cprofile torch.package.PackageImporter
torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression torch._dynamo.guards.GuardBuilder.get torch.nn.modules.linear.Linear
torch._utils._rebuild_qtensor torch._utils._rebuild_sparse_tensor torch._utils._rebuild_wrapper_subclass
torch._utils._rebuild_device_tensor_from_numpy torch._utils._rebuild_meta_tensor_no_storage torch.serialization._get_layout torch.from_file
transformers.AutoModel.from_pretrained""".split()

# Of a file's torch these are harmless as values; called with what they don't take they are refused like the others.
KNOWN = """torch._utils._rebuild_qtensor torch._utils._rebuild_sparse_tensor torch._utils._rebuild_meta_tensor_no_storage
torch.serialization._get_layout""".split()


def spelled(module, name):
    """One global called with 'touch' and the canary's path, by everything that a pickle has for that."""
    pair, what = globl(module, name), text("touch " + os.environ.get("CKPTFS_CANARY", "ckptfs-was-here"))
    stacked = text(module) + text(name) + b"\x93"
    yield "global", PROTO2 + pair + STOP
    yield "reduce", PROTO2 + call(pair, what) + STOP
    yield "stack-global", PROTO4 + call(stacked, what) + STOP
    short = b"".join(b"\x8c" + bytes([len(s)]) + s.encode() for s in (module, name))
    yield "short-strings", PROTO4 + short + b"\x93" + tuple_of(what) + REDUCE + STOP
    yield "memo-names", PROTO4 + text(name) + b"\x94" + text(module) + b"\x94" + b"h\x01h\x00\x93" + tuple_of(what) + REDUCE + STOP
    yield "inst", MARK + what + b"i" + pair[1:] + STOP
    yield "obj", PROTO2 + MARK + pair + what + b"o" + STOP
    yield "newobj", PROTO2 + pair + tuple_of(what) + b"\x81" + STOP
    yield "newobj-ex", PROTO4 + pair + tuple_of(what) + DICT + b"\x92" + STOP
    yield "setstate", PROTO2 + call(globl("collections", "OrderedDict")) + dict_of((text("__setstate__"), pair)) + BUILD + what + BUILD + STOP
    yield "popped", PROTO2 + call(pair, what) + b"0" + DICT + STOP
    yield "framed", PROTO4 + b"\x95" + struct.pack("<Q", len(pair) + 1) + pair + STOP
    yield "as-key", PROTO2 + dict_of((pair, tensor())) + STOP
    yield "as-persistent-id", PROTO2 + pair + b"Q" + STOP


@part
def foreign():
    for i, dotted in enumerate(FOREIGN):
        module, name = dotted.rsplit(".", 1)
        for spelling, pickle in spelled(module, name):
            write("call-%02d-%s" % (i, spelling), pickle, "error", dotted)
    for i, dotted in enumerate(MORE_FOREIGN):
        module, name = dotted.rsplit(".", 1)
        bad("name-%02d" % i, call(globl(module, name), text("x")), dotted)
        if dotted not in KNOWN:
            bad("name-%02d-stacked" % i, text(module) + text(name) + b"\x93", dotted)
    for width, code in (1, b"\x82"), (2, b"\x83"), (4, b"\x84"):
        for which, what in (0, "zero"), (1, "one"), ((1 << 8 * width) - 1, "ones"):
            bad("extension-%d-%s" % (width, what), code + which.to_bytes(width, "little"), "EXT%d" % width)
    for op, body in ("NEXT_BUFFER", b"\x97"), ("READONLY_BUFFER", NONE + b"\x98"), ("PERSID", b"Pposix.system\n"):
        bad("refused-" + op.lower(), body, op)


@part
def disguised():
    """Names that nearly are, or lead on from, the ones that a checkpoint has."""
    for i, (module, name) in enumerate((
            ("torch._utils", "_rebuild_tensor_v2.__globals__"), ("torch._utils", "os.system"), ("collections", "OrderedDict.__reduce__"),
            ("torch.serialization", "os.system"), ("torch", "serialization.os.system"), ("torch", "_utils._rebuild_tensor_v2"),
            ("", "posix.system"), ("posix.system", ""), ("torch._utils ", "_rebuild_tensor_v2"), ("torch._utils", " _rebuild_tensor_v2"),
            ("torch._utils", "_rebuild_tensor_v2\r"), ("Torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_Rebuild_Tensor_V2"),
            ("t\u043erch", "FloatStorage"), ("torch", "FloatStorage\0"), ("torch\0", "FloatStorage"), ("torch", "Float\u0405torage"),
            ("torch", "__dict__"), ("torch", "float"), ("torch.cuda", "QInt8Storage"), ("torch.sparse", "BoolTensor"), ("torch", "%s%n%s%n"),
            ("a" * 100000, "b" * 100000), ("torch", "FloatStorage" * 1000), ("\x1b[2J\x1b[31m", "\x07\x08"), ("torch", "\u202egnp.exe"))):
        bad("like-%02d-global" % i, globl(module, name), "GLOBAL")
        bad("like-%02d-stacked" % i, text(module) + text(name) + b"\x93", "STACK_GLOBAL")
    bad("like-bytes", b"c\xff\xfe\n\xff\n", "GLOBAL")
