"""What the scripts that write hostile checkpoints share: pickles opcode by opcode, zips around them, and the list of what is expected."""
import os
import struct
import sys
import zipfile

OUT = sys.argv[1]
PARTS, EXPECT = [], []
FLOATS = struct.pack("<6f", *range(6))

# Opcodes with their arguments.
PROTO2, PROTO4, STOP, MARK, NONE, REDUCE, BUILD, TUPLE = b"\x80\x02", b"\x80\x04", b".", b"(", b"N", b"R", b"b", b"t"
DICT, LIST, EMPTY_TUPLE, SETITEM, SETITEMS, APPEND, APPENDS = b"}", b"]", b")", b"s", b"u", b"a", b"e"


def part(function):
    PARTS.append(function)
    return function


def text(s):
    s = s if isinstance(s, bytes) else s.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(s)) + s


def number(n):
    if -2 ** 31 <= n < 2 ** 31:
        return b"J" + struct.pack("<i", n)
    data = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<I", len(data)) + data


def tuple_of(*items):
    return MARK + b"".join(items) + TUPLE


def ints(*values):
    return tuple_of(*map(number, values))


def globl(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def call(function, *args):
    return function + tuple_of(*args) + REDUCE


def storage(kind=None, key=text("0"), numel=number(6), tag=text("storage"), location=text("cpu")):
    return tuple_of(tag, globl("torch", "FloatStorage") if kind is None else kind, key, location, numel) + b"Q"


def tensor(place=None, offset=number(0), size=ints(2, 3), stride=ints(3, 1), grad=b"\x89", hooks=None, more=()):
    return call(globl("torch._utils", "_rebuild_tensor_v2"), storage() if place is None else place, offset, size, stride, grad,
                call(globl("collections", "OrderedDict")) if hooks is None else hooks, *more)


def dict_of(*pairs):
    return DICT + MARK + b"".join(k + v for k, v in pairs) + SETITEMS


def write(name, pickle, expected, *words, entries=(), data=FLOATS, method=zipfile.ZIP_STORED):
    file = name + ".pt"
    with zipfile.ZipFile(os.path.join(OUT, file), "w", method) as z:
        for entry, blob in (("data.pkl", pickle), *entries, ("data/0", data), ("version", b"3\n")):
            z.writestr(zipfile.ZipInfo("archive/" + entry), blob, method)
    EXPECT.append((file, expected, *words))


def bad(name, body, *words, **more):
    """BODY leaves a value on the stack, or wants to."""
    write(name, PROTO2 + body + STOP, "error", *words, **more)


def any_way(name, body, **more):
    write(name, PROTO2 + body + STOP, "any", **more)
