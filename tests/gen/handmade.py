"""A .pt by hand: the pickle opcodes and the zip records that torch.save would write, and what it never would. Needs no torch."""
import struct
import zlib

PAD = 64


class Global:
    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    def __init__(self, module, name, *args):
        self.callee, self.args = Global(module, name), args


class Persistent:
    def __init__(self, *pid):
        self.pid = pid


class RawString:
    """The bytes of a BINUNICODE, be they UTF-8 or not."""

    def __init__(self, data):
        self.data = data


def put_int(n):
    if 0 <= n < 256:
        return b"K" + bytes([n])
    if -2 ** 31 <= n < 2 ** 31:
        return b"J" + struct.pack("<i", n)
    data = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def put(v):
    """The opcodes of protocol 2, without memoising."""
    if v is None or isinstance(v, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[v]
    if isinstance(v, int):
        return put_int(v)
    if isinstance(v, float):
        return b"G" + struct.pack(">d", v)
    if isinstance(v, (str, RawString)):
        data = v.data if isinstance(v, RawString) else v.encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(data)) + data
    if isinstance(v, tuple):
        return b"(" + b"".join(map(put, v)) + b"t"
    if isinstance(v, Pairs):
        return b"}(" + b"".join(put(k) + put(x) for k, x in v) + b"u"
    if isinstance(v, list):
        return b"](" + b"".join(map(put, v)) + b"e"
    if isinstance(v, dict):
        return put(Pairs(v.items()))
    if isinstance(v, Global):
        return b"c" + v.module.encode() + b"\n" + v.name.encode() + b"\n"
    if isinstance(v, Call):
        return put(v.callee) + put(v.args) + b"R"
    if isinstance(v, Persistent):
        return put(v.pid) + b"Q"
    raise TypeError(type(v))


class Pairs(list):
    """A dict's items, where a key can't be a Python key (RawString) or stands twice."""


def dumps(v):
    return b"\x80\x02" + put(v) + b"."


def tensor(key, shape, storage="Float", numel=None, offset=0, stride=None):
    """The call that rebuilds a tensor on storage KEY."""
    count, steps = 1, []
    for n in reversed(shape):
        steps.insert(0, count)
        count *= n
    return Call("torch._utils", "_rebuild_tensor_v2",
                Persistent("storage", Global("torch", storage + "Storage"), str(key), "cpu", count if numel is None else numel),
                offset, tuple(shape), tuple(steps if stride is None else stride), False, Call("collections", "OrderedDict"))


def crc_of_zeros(n):
    """CRC-32 of N zero bytes by doubling: appending zeros is linear in the register, so powers of a 32x32 bit matrix do it."""
    def times(matrix, vector):
        out, i = 0, 0
        while vector:
            if vector & 1:
                out ^= matrix[i]
            vector >>= 1
            i += 1
        return out

    power = [zlib.crc32(b"\0", (1 << i) ^ 0xffffffff) ^ 0xffffffff for i in range(32)]
    register = 0xffffffff
    while n:
        if n & 1:
            register = times(power, register)
        n >>= 1
        power = [times(power, column) for column in power]
    return register ^ 0xffffffff


class Writer:
    """Records one after the other; sparse where an entry is given as a count of zero bytes."""

    def __init__(self, f, directory="archive"):
        self.f, self.directory, self.central = f, directory, []

    def entry(self, name, data, crc=None, central_name=None, claim=None, method=0, align=False):
        """NAME: below the directory, or outside of it with a leading '/'. DATA: bytes, or an int for that many zeros.

        CLAIM: the size that the directory says instead of the true one.
        """
        full = (name[1:] if name.startswith("/") else "%s/%s" % (self.directory, name)).encode()
        size = data if isinstance(data, int) else len(data)
        if crc is None:
            crc = crc_of_zeros(size) if isinstance(data, int) else zlib.crc32(data)
        packed = data
        if method == 8:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = deflate.compress(data) + deflate.flush()
        stored = packed if isinstance(packed, int) else len(packed)
        offset = self.f.tell()
        big = size >= 0xffffffff
        extra = struct.pack("<HHQQ", 1, 16, size, stored) if big else b""
        if align:
            pad = -(offset + 30 + len(full) + len(extra) + 4) % PAD
            extra += struct.pack("<HH", 0x4246, pad) + b"Z" * pad
        sizes = (0xffffffff, 0xffffffff) if big else (stored, size)
        self.f.write(struct.pack("<IHHHHHIIIHH", 0x04034b50, 45 if big else 20, 0, method, 0, 0x21, crc, *sizes, len(full), len(extra)))
        self.f.write(full + extra)
        self.f.write(packed) if not isinstance(packed, int) else self.f.seek(packed, 1)
        listed = full if central_name is None else central_name
        self.central.append((listed, method, crc, stored if claim is None else claim, size if claim is None else claim, offset))

    def directory_record(self, name, method, crc, stored, size, offset):
        extra, fields = b"", [stored, size, offset]
        for i, value in ((1, size), (0, stored), (2, offset)):
            if value >= 0xffffffff:
                extra += struct.pack("<Q", value)
                fields[i] = 0xffffffff
        if extra:
            extra = struct.pack("<HH", 1, len(extra)) + extra
        return struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 45, 45, 0, method, 0, 0x21, crc, fields[0], fields[1], len(name),
                           len(extra), 0, 0, 0, 0, fields[2]) + name + extra

    def finish(self):
        start = self.f.tell()
        records = b"".join(self.directory_record(*c) for c in self.central)
        self.f.write(records)
        end, n = self.f.tell(), len(self.central)
        if start >= 0xffffffff or n >= 0xffff:
            self.f.write(struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, n, n, len(records), start))
            self.f.write(struct.pack("<IIQI", 0x07064b50, 0, end, 1))
        self.f.write(struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, min(n, 0xffff), min(n, 0xffff), min(len(records), 0xffffffff),
                                 min(start, 0xffffffff), 0))


def write(path, value, storages, directory="archive", pickle=None, method=0):
    """A whole, well-formed file: VALUE pickled (or PICKLE as it is) and STORAGES {key: bytes or a count of zeros}."""
    with open(path, "wb") as f:
        w = Writer(f, directory)
        w.entry("data.pkl", dumps(value) if pickle is None else pickle, method=method)
        for key, data in storages.items():
            w.entry("data/%s" % key, data, align=True, method=method)
        w.entry("version", b"3\n", method=method)
        w.finish()
