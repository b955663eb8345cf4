#!/usr/bin/env python3
"""Compares core's JSON with Python's, byte for byte: json_oracle.py JSONCAT [SEED].

Random documents through json.dump and back, random doubles through repr, texts that json.loads refuses, metas that are
patched, and floats through an outline.
"""
import json
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)

FLOATS = [5e-324, 1e16, 1e15, 9999999999999998.0, 1e22, 1e23, 0.1, 123456789012345680.0, -0.0, 0.0, 1e-5, 0.0001,
          math.inf, -math.inf, math.nan, 1.7976931348623157e308, 2.2250738585072014e-308, 2.225073858507201e-308,
          2.0 ** -44, 1 / 3, 100.0, 1e100, -1.5e-7, 9007199254740993.0, 3.5]
INTS = [0, -1, 2 ** 63 - 1, 2 ** 63, -2 ** 63, -2 ** 63 - 1, 2 ** 64, 10 ** 18, 10 ** 19, 10 ** 400, -10 ** 400]
STRINGS = ["", "plain", "\"\\/\b\f\n\r\t", "\x00\x01\x1f\x7f\x80\x9f", "\u2028\u2029", "h\u00e9llo", "\U0001f600",
           "\U0010ffff", "\ud800", "\udfff", "\udc00\ud800", "\ud800x\udc00", "\uffff\ufffe", "</script>", "a" * 300]

# What Python refuses. Bytes, because some are no UTF-8.
BAD = [
    b"", b" ", b"{", b"}", b"[", b"]", b"[1,]", b"[,1]", b"[1 2]", b"[1,,2]", b'{"a":1,}', b'{"a"}', b'{"a":}',
    b'{"a" 1}', b"{1:2}", b"{a:1}", b"{'a':1}", b'{"a":1 "b":2}', b'{,}', b"nul", b"nulll", b"True", b"None",
    b"nan", b"-NaN", b"+1", b"01", b"-01", b"00", b"1.", b".5", b"-.5", b"1.e5", b"1e", b"1e+", b"1E-", b"-",
    b"--1", b"0x10", b"1_000", b"+Infinity", b"infinity", b"-infinity", b"Inf", b"1 2", b"[] []", b"{} x",
    b'"', b'"abc', b'"a\\"', b'"\\', b'"\\x41"', b'"\\u12"', b'"\\u12g4"', b'"\\uD83D\\u12"', b'"\\u"',
    b'"\\U00000041"', b'"\\\'"', b'"\\a"', b'"a\nb"', b'"a\tb"', b'"a\x00b"', b'"a\x1fb"', b"'a'",
    b"\xef\xbb\xbf{}", b"\xef\xbb\xbf", b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"',
    b'"\xe2\x82"', b'"\xc3"', b'"\x80"', b'\xff', b"[1]\x00", b"\x00", b"[1]\xc2\xa0", b"\xc2\xa0[1]",
    b"[1]\x0b", b"\x0c[1]", b"// c\n1", b"/* c */ 1", b"[1]#", b"1,", b":", b",", b'{"a":1]', b'[1}',
    b'{"a":[}', b'\xd9\xa1', b"1\xd9\xa1", b'{"a":1,"b"', b'{"a":1,', b'[1,', b'[1', b'{"a":1', b'{"a":',
    b'{"a"', b'{"', b'"\xf5\x80\x80\x80"', b'"\xf8\x88\x80\x80\x80"', b"tru", b"-Infinit", b"-I", b"Infinityy",
    b"[NaN,NAN]", b'"\\ud800\\"', b'"\\uD800\\uzzzz"', b'"\\u 123"', b'"\\u+123"', b'"\\u00_1"', b"1e5.5",
    b"1.5.5", b"1-2", b'"a" "b"',
]

# What Python takes, though other readers may not.
GOOD = [
    b"-0", b"-0.0", b"0e0", b"1E5", b"1e400", b"-1e400", b"1e-400", b"0.1e1", b'"\\/"', b'"\x7f"',
    b'"\\ud83d\\ude00"', b'"\\ud83d"', b'"\\ude00\\ud83d"', b'"\\ud83d\\u0041"', b'"\\ud83d\\ud83d\\ude00"',
    b'"\\uD83D\\uDE00"', b'{"a":1,"b":2,"a":3}', b'{"":0}', b" \t\r\n[ 1 , 2 ]\r\n ",
    b"[NaN,Infinity,-Infinity]", b'"\\u0000"', b'{"\\u0000":"\\u0000"}', b"9223372036854775807",
    b"-9223372036854775808", b"-9223372036854775809", b"0.30000000000000004", b"2.5e-324",
    b"2.4703282292062328e-324", b"1." + b"0" * 2000 + b"1", b"1" * 5000, b"0." + b"123456789" * 500, b"4.35",
    b"[[],{},[{}],{\"a\":[]}]", b'"\xf0\x9f\x98\x80\xc3\xa9"',
]

DAMAGE = [b"", b",", b'"', b"\\", b"{", b"]", b"0", b"-", b".", b"e", b"\xc3", b"u"]


def random_float(rng):
    return rng.choice([rng.choice(FLOATS), rng.random(), struct.unpack("<d", rng.randbytes(8))[0],
                       round(rng.uniform(-1e6, 1e6), rng.randrange(6))])


def random_string(rng):
    if rng.random() < 0.4:
        return rng.choice(STRINGS)
    pools = [(0, 0x20), (0x20, 0x7f), (0x7f, 0x800), (0x800, 0x10000), (0x10000, 0x110000)]
    return "".join(chr(rng.randrange(*rng.choice(pools))) for _ in range(rng.randrange(12)))


def random_value(rng, depth):
    kind = rng.randrange(9 if depth else 6)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice(INTS) if rng.random() < 0.3 else rng.randrange(-10 ** rng.randrange(1, 40), 10 ** 40)
    if kind in (2, 3):
        return random_float(rng)
    if kind in (4, 5):
        return random_string(rng)
    if kind == 6:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(5))]
    return {random_string(rng): random_value(rng, depth - 1) for _ in range(rng.randrange(rng.choice([5, 5, 40])))}


def dump(rng, value):
    """As any program that uses json.dump might have written it. Raw surrogates can't be UTF-8."""
    options = {"indent": rng.choice([None, 0, 1, 2, 4, "\t"]), "ensure_ascii": True}
    if rng.random() < 0.5:
        try:
            return json.dumps(value, **{**options, "ensure_ascii": False}).encode("utf-8")
        except UnicodeEncodeError:
            pass
    if rng.random() < 0.2:
        options["separators"] = (",", ":")
    return json.dumps(value, **options).encode("ascii")


class Oracle:
    def __init__(self, program, directory):
        self.program, self.directory, self.failures = program, directory, 0

    def run(self, mode, texts):
        paths = []
        for i, text in enumerate(texts):
            paths.append(os.path.join(self.directory, str(i)))
            with open(paths[-1], "wb") as f:
                f.write(text)
        out = subprocess.run([self.program, mode, *paths], stdout=subprocess.PIPE, check=True).stdout
        results = out.split(b"\0")
        assert results.pop() == b"" and len(results) == len(texts), "jsoncat said too little"
        return results

    def same(self, what, got, want):
        if got != want:
            self.failures += 1
            print(f"FAIL {what}\n  got  {got[:300]!r}\n  want {want[:300]!r}")

    def documents(self, rng):
        values = [random_value(rng, 4) for _ in range(400)]
        values += FLOATS + INTS + STRINGS + [[], {}, [[]], [{}], {"a": {}}, {"a": []}, FLOATS, INTS, STRINGS]
        texts = [dump(rng, v) for v in values] + GOOD
        for mode, indent in (("2", 2), ("-1", None), ("0", 0)):
            for text, got in zip(texts, self.run(mode, texts)):
                want = json.dumps(json.loads(text.decode()), indent=indent).encode()
                self.same(f"indent {mode}: {text[:200]!r}", got, want)
        return len(texts)

    def refused(self, _rng):
        for text, got in zip(BAD, self.run("2", BAD)):
            try:
                json.loads(text.decode("utf-8"))
                raise AssertionError(f"Python takes {text!r}")
            except ValueError as e:
                if isinstance(e, UnicodeDecodeError) and f"byte {e.start}:".encode() not in got:
                    self.same(f"offset in {text!r}", got, f"byte {e.start}:".encode())
            self.same(f"refuses {text!r}", got[:3], b"\x013 ")
        return len(BAD)

    def mutations(self, rng):
        """Damaged documents: the same verdict, and where both take it the same text."""
        texts = []
        for _ in range(1500):
            text = bytearray(dump(rng, random_value(rng, 2)))
            for _ in range(rng.randrange(1, 3)):
                at = rng.randrange(len(text) + 1)
                text[at:at + rng.randrange(2)] = rng.choice(DAMAGE)
            texts.append(bytes(text))
        for text, got in zip(texts, self.run("2", texts)):
            try:
                want = json.dumps(json.loads(text.decode("utf-8")), indent=2).encode()
            except ValueError:
                got, want = got[:3], b"\x013 "
            self.same(f"damaged {text[:300]!r}", got, want)
        return len(texts)

    def reprs(self, rng):
        values = FLOATS + [s * 2.0 ** e for e in range(-1074, 1024) for s in (1, -1)]
        values += [math.nextafter(2.0 ** e, d) for e in range(-1073, 1024) for d in (0, math.inf)]
        values += [float(f"1e{e}") for e in range(-323, 309)]
        values += [float(f"{m}e{e}") for e in range(-30, 30) for m in (3, 25, 123456789)]
        values += [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(20000)]
        values += [rng.randrange(1, 2 ** 52) * 5e-324 for _ in range(1000)] + [rng.random() for _ in range(2000)]
        values += [float(rng.randrange(10 ** rng.randrange(1, 25))) for _ in range(2000)]
        data = struct.pack(f"={len(values)}d", *values)
        out = subprocess.run([self.program, "repr"], input=data, stdout=subprocess.PIPE, check=True).stdout
        lines = out.decode().split("\n")
        assert lines.pop() == "" and len(lines) == len(values)
        for value, line in zip(values, lines):
            self.same("repr", line, repr(value))
        return len(values)

    def metas(self, rng):
        metas = [{}, {"model_config": {}}, {"model_config": None}, {"model_config": [1]},
                 {"model_config": {"window_pattern": None}},
                 {"model_config": {"n_layer": 12, "window_pattern": "SSSL"}, "step": 1},
                 {"step": 500, "val_bpb": 0.9123, "model_config": {"sequence_len": 2048, "n_layer": 20},
                  "loop_state": {"min_val_bpb": math.inf}}]
        metas += [{**rest, "model_config": {"a": v}} for rest in ({}, {"step": 2 ** 70}) for v in FLOATS]
        metas += [{"model_config": random_value(rng, 2), random_string(rng): random_value(rng, 2)} for _ in range(100)]
        texts = [dump(rng, m) for m in metas]
        for text, got in zip(texts, self.run("meta", texts)):
            meta = json.loads(text.decode())
            if isinstance(meta.get("model_config"), dict):
                meta["model_config"].setdefault("window_pattern", "L")
            self.same(f"meta {text[:200]!r}", got, json.dumps(meta, indent=2).encode())
        others = [b"[]", b"1", b"null", b'"{}"', b"", b"{"]
        for text, got in zip(others, self.run("meta", others)):
            self.same(f"meta refuses {text!r}", got[:3], b"\x013 ")
        return len(texts) + len(others)

    def outlines(self, rng):
        def spell(v):
            if isinstance(v, float) and not math.isfinite(v):
                return {"$float": repr(v)}
            if isinstance(v, str) and any("\ud800" <= c <= "\udfff" for c in v):
                return {"$utf8": v.encode("utf-8", "surrogatepass").decode("latin-1")}
            if isinstance(v, list):
                return [spell(x) for x in v]
            if isinstance(v, dict) and any(isinstance(spell(k), dict) for k in v):
                return {"$dict": [[spell(k), spell(x)] for k, x in v.items()]}
            if isinstance(v, dict):
                return {"$" + k if k.startswith("$") else k: spell(x) for k, x in v.items()}
            return v

        values = [spell(v) for v in [random_value(rng, 3) for _ in range(200)] + FLOATS + STRINGS]
        values += [{"$tuple": [1, {"$set": ["a", 2]}]}, {"$keys": "int", "0": 1, "-7": None, str(10 ** 30): {}},
                   {"$ordered": True, "$keys": "int", "$state": {"_metadata": {"$ordered": True}}, "3": []},
                   {"$dict": [[{"$tuple": [1]}, 1.5], [None, 2], [True, "x"]]}, {"$complex": [1.0, {"$float": "nan"}]},
                   {"$bytes": "".join(map(chr, range(256)))}, {"$size": [2, 3]}, {"$dtype": "bfloat16"},
                   {"$device": "cuda:0"}, {"$device": "cpu"}, {"$$": {"$$a": 1}},
                   {"$tensor": "state.0.exp_avg", "dtype": "float32", "shape": [], "requires_grad": True,
                    "parameter": True}]
        texts = [dump(rng, v) for v in values]
        results = self.run("outline", texts)
        if shutil.which("jq"):
            subprocess.run(["jq", "empty"], input=b"\n".join(results), check=True)
        for text, got in zip(texts, results):
            self.same(f"outline {text[:200]!r}", got, json.dumps(json.loads(text.decode()), indent=2).encode())
        return len(texts)


def main():
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with tempfile.TemporaryDirectory() as directory:
        oracle = Oracle(sys.argv[1], directory)
        for case in (oracle.documents, oracle.mutations, oracle.reprs, oracle.metas, oracle.outlines, oracle.refused):
            before = oracle.failures
            count = case(rng)
            if oracle.failures == before:
                print(f"ok {case.__name__} ({count})")
    sys.exit(1 if oracle.failures else 0)


if __name__ == "__main__":
    main()
