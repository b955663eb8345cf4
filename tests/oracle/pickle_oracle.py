#!/usr/bin/env python3
"""Compares the pickle reader and writer with Python's own pickle, on random plain objects in the protocols from 2 on.

usage: pickle_oracle.py PICKLEDUMP [COUNT [SEED]]

PICKLEDUMP is tests/tools/pickledump. Where torch is installed, files of torch.save are read too, and what the writer
makes of plain objects is given to torch.load(weights_only=True).
"""
import collections
import io
import os
import pickle
import pickletools
import random
import re
import struct
import subprocess
import sys
import tempfile
import zipfile

try:
    import torch
except ImportError:
    torch = None


def canonical(v):
    """The text that pickledump prints for v."""
    if v is None or v is True or v is False:
        return str(v)
    if isinstance(v, int):
        return str(v)
    if isinstance(v, float):
        return "f" + struct.pack(">d", v).hex()
    if isinstance(v, complex):
        return f"__builtin__.complex({canonical(v.real)},{canonical(v.imag)})"
    if isinstance(v, str):
        return "s" + v.encode("utf-8", "surrogatepass").hex()
    if isinstance(v, bytes):
        return "b" + v.hex()
    if isinstance(v, bytearray):
        return "a" + bytes(v).hex()
    if isinstance(v, (tuple, list)):
        return f"{type(v).__name__}({','.join(map(canonical, v))})"
    if isinstance(v, (set, frozenset)):
        return f"{type(v).__name__}({','.join(sorted(map(canonical, v)))})"
    ordered = isinstance(v, collections.OrderedDict)
    pairs = ",".join(f"{canonical(a)}:{canonical(b)}" for a, b in v.items())
    state = "+" + canonical(vars(v)) if ordered and vars(v) else ""
    return f"{'odict' if ordered else 'dict'}({pairs}){state}"


LEAF = 5  # the depth from which on there are no containers


class Generator:
    def __init__(self, rng):
        self.rng = rng
        self.seen = []  # some of them are used again: the pickle then refers to its memo

    def integer(self):
        bits = self.rng.choice([1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 62, 63, 64, 65, 127, 128, 200, 2040, 2041, 4000])
        n = self.rng.choice([self.rng.getrandbits(bits), 1 << bits, (1 << bits) - 1, 256, 65536, 0])
        return -n if self.rng.random() < 0.4 else n

    def real(self):
        special = [0.0, -0.0, 1.5, 1e300, 5e-324, float("inf"), float("-inf"), 0.1]
        return self.rng.choice([*special, self.rng.gauss(0, 1e9)])

    def text(self):
        alphabet = self.rng.choice(["abc", "aé\n\\\r'\"", "日本\0\x1a", "😀\ud800\udfff", "\\u0041\\", "\x80\xff"])
        return "".join(self.rng.choice(alphabet) for _ in range(self.rng.choice([0, 1, 3, 10, 300])))

    def octets(self):
        return bytes(self.rng.getrandbits(8) for _ in range(self.rng.choice([0, 1, 5, 255, 256, 300])))

    def key(self, depth=0):
        rng = self.rng
        kinds = [self.integer, self.text, self.text, self.octets, self.real, lambda: None, lambda: rng.random() < 0.5]
        if depth < 2:
            kinds.append(lambda: tuple(self.key(depth + 1) for _ in range(rng.randrange(4))))
            kinds.append(lambda: frozenset(self.key(depth + 1) for _ in range(rng.randrange(4))))
        return rng.choice(kinds)()

    def container(self, depth):
        rng = self.rng
        size = rng.choice([0, 1, 2, 3, 4, 9]) if depth else rng.choice([3, 10, 20, 40, 1000, 1001, 2500])
        item = lambda: self.value(depth + 1 if size < 1000 else LEAF)
        ordered = collections.OrderedDict()
        ordered.update((self.key(), item()) for _ in range(size))
        if rng.random() < 0.3:
            ordered._metadata = {"": {"version": 1}}
        return rng.choice([
            lambda: [item() for _ in range(size)],
            lambda: tuple(item() for _ in range(size)),
            lambda: {self.key(): item() for _ in range(size)},
            lambda: ordered,
            lambda: {self.key() for _ in range(size)},
            lambda: frozenset(self.key() for _ in range(size)),
            lambda: collections.Counter(self.text() for _ in range(size)),
        ])()

    def value(self, depth=0):
        rng = self.rng
        if self.seen and depth and rng.random() < 0.1:
            return rng.choice(self.seen)
        if depth >= LEAF or (depth and rng.random() < 0.6):
            return rng.choice([self.integer, self.real, self.text, self.octets, self.key,
                               lambda: bytearray(self.octets()), lambda: complex(self.real(), self.real()),
                               lambda: None, lambda: True, lambda: False])()
        v = self.container(depth)
        if depth > 2 and len(v) < 5:
            self.seen.append(v)
        return v


class Checker:
    def __init__(self, program, directory):
        self.program = program
        self.source = os.path.join(directory, "in.pkl")
        self.target = os.path.join(directory, "out.pkl")
        self.checked = 0

    def run(self, data, *more):
        with open(self.source, "wb") as f:
            f.write(data)
        done = subprocess.run([self.program, self.source, *more], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"FAIL: exit {done.returncode}: {done.stderr}\n{data[:200]!r}")
        return done.stdout.rstrip("\n")

    def same(self, got, want, data):
        self.checked += 1
        if got != want:
            at = max(len(os.path.commonprefix([got, want])) - 40, 0)
            raise SystemExit(f"FAIL at {at}:\n got  {got[at:at + 240]}\n want {want[at:at + 240]}\n{data[:300]!r}")

    def rewritten(self, data):
        self.run(data, self.target)
        with open(self.target, "rb") as f:
            return f.read()

    def object(self, v):
        want = canonical(strip(v))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            for pickler in (pickle.dumps, pickle._dumps):
                data = pickler(v, protocol)
                self.same(self.run(data), want, data)
        again = self.rewritten(data)
        pickletools.dis(again, io.StringIO())
        self.same(canonical(pickle.loads(again)), want, again)
        self.same(self.run(again), want, again)
        if torch and weights_only_can(v):
            self.same(canonical(weights_only(again)), want, again)


def strip(v):
    """v with each Counter in it made a dict, which is what the reader makes of it."""
    if isinstance(v, (list, tuple)):
        return type(v)(map(strip, v))
    if isinstance(v, collections.OrderedDict):
        new = collections.OrderedDict((a, strip(b)) for a, b in v.items())
        vars(new).update(vars(v))
        return new
    return {a: strip(b) for a, b in v.items()} if isinstance(v, dict) else v


def weights_only_can(v):
    """Whether torch's restricted unpickler knows what v is made of. Old ones lack much, all lack ints past 255 bytes."""
    from torch._weights_only_unpickler import _get_allowed_globals
    allowed = set(_get_allowed_globals()) | {"builtins.bytes"}  # the writer spells b"" in another way
    ops = list(pickletools.genops(pickle.dumps(v, 2)))
    names = {arg.replace("__builtin__", "builtins").replace(" ", ".") for op, arg, _ in ops if op.name == "GLOBAL"}
    return names <= allowed and all(op.name != "LONG4" for op, _, _ in ops)


def weights_only(data):
    """torch.load(weights_only=True) of a file of torch.save with DATA for its pickle."""
    source, target = io.BytesIO(), io.BytesIO()
    torch.save(None, source)
    with zipfile.ZipFile(source) as a, zipfile.ZipFile(target, "w") as b:
        for name in a.namelist():
            b.writestr(name, data if name.endswith("/data.pkl") else a.read(name))
    target.seek(0)
    return torch.load(target, weights_only=True)


def recursive_tuple(protocol, pickler):
    """A tuple that holds a list that holds it: a cycle, but its pickle has the opcodes POP and POP_MARK."""
    t = ([],)
    t[0].append(t)
    return pickler(t, protocol)


def torch_files(check):
    """Tensors and what else torch.save writes. What is expected is what Python's pickle sees in the stream."""
    class Call:
        def __init__(self, name):
            self.name = name

        def __call__(self, *args):
            return Made(self.name, args)

    class Made:
        def __init__(self, name, args):
            self.name, self.args = name, args

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            if module in ("collections", "_codecs", "__builtin__") and name != "complex":
                return super().find_class(module, name)
            return Call(f"{module}.{name}")

        def persistent_load(self, pid):
            return Made("persid", (pid,))

    def text(v):
        if isinstance(v, Made):
            return f"{v.name}({','.join(map(text, v.args))})"
        if isinstance(v, Call):
            return v.name
        if isinstance(v, (tuple, list)):
            return f"{type(v).__name__}({','.join(map(text, v))})"
        if isinstance(v, dict):
            name = "odict" if isinstance(v, collections.OrderedDict) else "dict"
            more = "+" + text(vars(v)) if name == "odict" and vars(v) else ""
            return f"{name}({','.join(text(a) + ':' + text(b) for a, b in v.items())}){more}"
        return canonical(v)

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Embedding(5, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    names = "uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 bool complex64 complex128 " \
            "uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz"
    dtypes = [getattr(torch, n) for n in names.split() if hasattr(torch, n)]
    things = [
        model.state_dict(), optimizer.state_dict(), {str(d): torch.zeros(2, 3).to(d) for d in dtypes}, dtypes,
        [torch.nn.Parameter(torch.ones(2)), torch.Size([1, 2]), torch.device("cuda:0"), torch.device("cpu")],
        [torch.zeros(4)[::2], torch.zeros(2, dtype=torch.complex64).conj(), torch.tensor(1.0), torch.zeros(0)],
        {"set": {1}, "bytes": b"\xff\0", "empty": b"", "array": bytearray(b"\xfe"), "complex": 1 + 2j},
    ]
    for thing in things:
        saved = io.BytesIO()
        torch.save(thing, saved)
        with zipfile.ZipFile(saved) as z:
            data = z.read(next(n for n in z.namelist() if n.endswith("/data.pkl")))
        want = text(Reader(io.BytesIO(data)).load())
        check.same(check.run(data), want, data)
        again = check.rewritten(data)
        check.same(text(Reader(io.BytesIO(again)).load()), want, again)


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    with tempfile.TemporaryDirectory() as directory:
        check = Checker(program, directory)
        for i in range(count):
            check.object(Generator(random.Random(seed * 1000003 + i)).value())
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            for pickler in (pickle.dumps, pickle._dumps):
                with open(check.source, "wb") as f:
                    f.write(recursive_tuple(protocol, pickler))
                done = subprocess.run([program, check.source], capture_output=True, text=True)
                check.same(re.sub(".*: ", "", done.stderr.strip()), "a container that contains itself", b"")
        if torch:
            torch_files(check)
    print(f"ok pickle_oracle: {check.checked} comparisons, torch {torch.__version__ if torch else 'is not installed'}")


if __name__ == "__main__":
    main()
