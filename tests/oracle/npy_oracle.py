#!/usr/bin/env python3
"""Compares core's .npy headers with NumPy's: npy_oracle.py NPYHEAD [SEED].

Headers for random dtypes and shapes must be those that NumPy writes, byte for byte; files that NumPy writes, and headers of
other spellings, must be read as NumPy reads them.
"""
import ast
import io
import os
import random
import subprocess
import sys
import tempfile

import numpy as np

DTYPES = {"bool": "?", "uint8": "u1", "int8": "i1", "int16": "<i2", "uint16": "<u2", "float16": "<f2", "int32": "<i4",
          "uint32": "<u4", "float32": "<f4", "complex64": "<c8", "float64": "<f8", "int64": "<i8", "uint64": "<u8",
          "complex128": "<c16"}
# NumPy has no such dtypes; the void types that stand for them have these descrs.
VOID = {"bfloat16": "<V2", "float8_e5m2": "|V1", "float8_e4m3fn": "|V1", "float8_e5m2fnuz": "|V1", "float8_e4m3fnuz": "|V1"}
OTHERS = ["U4", "S3", "M8[ns]", "m8[s]", "O", "V3", "f4,f4", "longdouble", "clongdouble"]


def numpy_header(descr, shape):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()


def random_shape(rng):
    ndim = rng.choice([0, 1, 1, 2, 2, 3, 4, 5, 8, 14, 20, 32, 64])
    shape = tuple(rng.choice([0, 1, 1, 2, 3, 10, rng.randrange(10 ** rng.randrange(1, 8))]) for _ in range(ndim))
    return shape if np.prod([float(s) for s in shape]) < 2 ** 58 else random_shape(rng)


def check_headers(tool, rng):
    cases = [(name, shape) for name in list(DTYPES) + list(VOID)
             for shape in [(), (0,), (1,), (3,), (2, 3), (32768, 768), (2 ** 55,), (2, 0, 5)]]
    cases += [(rng.choice(list(DTYPES) + list(VOID)), random_shape(rng)) for _ in range(2000)]
    # Every length of dict around the boundaries of 64 bytes.
    cases += [("float32", (1,) * n + (10 ** k,)) for n in range(0, 40) for k in range(0, 9)]
    text = "".join(" ".join([name, *map(str, shape)]) + "\n" for name, shape in cases)
    lines = subprocess.run([tool, "header"], input=text, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == len(cases), (len(lines), len(cases))
    for (name, shape), line in zip(cases, lines):
        header, size = line.split()
        dtype = np.dtype(DTYPES[name]) if name in DTYPES else np.dtype(VOID[name])
        want = numpy_header(dtype.str if name in DTYPES else VOID[name], shape)
        assert bytes.fromhex(header) == want, (name, shape, bytes.fromhex(header), want)
        count = 1
        for s in shape:
            count *= s
        assert int(size) == len(want) + count * dtype.itemsize, (name, shape, size)
        if name in DTYPES and max(shape, default=0) < 100 and count < 10000 and len(shape) < 9:
            out = io.BytesIO()
            np.save(out, np.zeros(shape, dtype))
            assert out.getvalue()[:len(want)] == want and len(out.getvalue()) == int(size), (name, shape)
    return len(cases)


def read_files(tool, files):
    """What the tool says of each of FILES, a list of bytes."""
    with tempfile.TemporaryDirectory() as where:
        paths = []
        for i, data in enumerate(files):
            paths.append(os.path.join(where, str(i)))
            with open(paths[-1], "wb") as f:
                f.write(data)
        run = subprocess.run([tool, "read", *paths], check=True, capture_output=True, text=True)
    lines = run.stdout.splitlines()
    assert len(lines) == len(files), run.stdout
    return lines


def saved(array, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=version)
    return out.getvalue()


def check_arrays(tool, rng):
    files, want = [], []
    for name, code in DTYPES.items():
        for shape in [(), (1,), (3,), (0,), (2, 3), (2, 3, 4), (1, 5), (5, 1), (0, 3), (3, 0, 2)]:
            for order in "CF":
                for byte_order in "<>":
                    for version in [(1, 0), (2, 0), (3, 0)]:
                        array = np.zeros(shape, np.dtype(code).newbyteorder(byte_order), order)
                        data = saved(array, version)
                        files.append(data)
                        plain = array.flags.c_contiguous
                        big = byte_order == ">" and array.dtype.itemsize > 1
                        want.append("%s [%s] %s %s %d" % (name, ",".join(map(str, shape)), "c" if plain else "fortran",
                                                          "big" if big else "little", len(data) - array.nbytes))
    for line, expected, data in zip(read_files(tool, files), want, files):
        assert line == expected, (line, expected, data[:200])
    void = saved(np.zeros((2, 3), "V2"))
    assert read_files(tool, [void]) == ["bfloat16 [2,3] c little %d" % (len(void) - 12)]
    for kind in OTHERS:
        array = np.zeros(2, kind)
        line, = read_files(tool, [saved(array)])
        assert line.startswith(("refused: expected a npy descr", "refused: npy descr")), (kind, line)
    assert "use safetensors" in read_files(tool, [saved(np.zeros(2, "V1"))])[0]
    cut = saved(np.zeros((7, 3), "<f4"))
    for line in read_files(tool, [cut[:n] for n in range(len(cut))]):
        assert line.startswith("refused: "), line
    # numpy.load reads what the header says and leaves the rest alone.
    for more in b"x", bytes(4096):
        assert np.load(io.BytesIO(cut + more)).shape == (7, 3)
        assert read_files(tool, [cut + more]) == ["float32 [7,3] c little %d" % (len(cut) - 84)]
    return len(files)


WORDS = """? b B h H i I l L q Q p P e f d F D b1 i1 u1 i2 u2 f2 i4 u4 f4 c8 i8 u8 f8 c16 bool bool_ int8 byte uint8 ubyte int16 short
uint16 ushort int32 intc uint32 uintc int64 int int_ intp longlong uint64 uint uintp ulonglong float16 half float32 single float64 float
double complex64 csingle complex128 complex cdouble g G O S U V M m a c f3 u3 b2 V2 V3 object str bytes void longdouble datetime64 nonsense""".split()


def check_names(tool):
    """Every name that NumPy has for a type, with every byte order: what numpy.load takes is taken as what it gives."""
    names = {np.dtype(code): name for name, code in DTYPES.items()}
    descrs = [order + word for word in WORDS for order in ("", "<", ">", "=", "|")]
    files, want = [], []
    for descr in descrs:
        for key in "'descr'", "u'descr'", 'U"descr"':
            text = "{%s: %r, u'fortran_order': False, 'shape': (2,), }" % (key, descr)
            files.append(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(64))
            try:
                dtype = np.load(io.BytesIO(files[-1])).dtype
            except (ValueError, TypeError, SyntaxError):
                dtype = None
            name = names.get(dtype.newbyteorder("=") if dtype else None) or ("bfloat16" if dtype == np.dtype("V2") else None)
            big = name and name != "bfloat16" and dtype.itemsize > 1 and dtype.newbyteorder(">") == dtype
            want.append(name and "%s [2] c %s %d" % (name, "big" if big else "little", 10 + len(text)))
    for line, expected, data in zip(read_files(tool, files), want, files):
        assert line == expected if expected else line.startswith("refused: "), (line, expected, data[:80])
    assert len([w for w in want if w]) > 300
    return len(files)


def mutate(rng, text):
    """A header that a fuzzer might write: mostly still a dict, in another spelling or broken."""
    pieces = [" ", "\n", ",", "(", ")", "{", "}", "'", '"', "L", "0", "1", "-", "_", "T", ":", "[", "\\", "\t", "#", "+", "."]
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            text = text[:at] + rng.choice(pieces) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + 1:]
        elif kind == 2:
            text = text[:at] + rng.choice(pieces) + text[at + 1:]
        else:
            end = min(len(text), at + rng.randrange(20))
            text = text[:at] + text[at:end] + text[at:]
    return text


def check_spellings(tool, rng):
    """Whatever core reads, Python must read as the same; what Python refuses, core must refuse."""
    texts = []
    for _ in range(4000):
        items = [rng.choice(["'descr': '<f4'", '"descr": "<f4"', "'descr':'<f4'"]),
                 rng.choice(["'fortran_order': False", "'fortran_order' : False"]),
                 rng.choice(["'shape': (3,)", "'shape': (1, 3)", "'shape':(3,1,)", "'shape': ( 3 , )"])]
        rng.shuffle(items)
        text = "{" + rng.choice([", ", ","]).join(items) + rng.choice([", }", "}", ",}"]) + rng.choice(["", "\n", "   \n"])
        texts.append(mutate(rng, text) if rng.random() < 0.9 else text)
    files = [b"\x93NUMPY\x03\x00" + len(t).to_bytes(4, "little") + t.encode() + bytes(12) for t in texts]
    taken = 0
    for text, line in zip(texts, read_files(tool, files)):
        if line.startswith("refused: "):
            continue
        taken += 1
        d = ast.literal_eval(text.strip())
        assert np.dtype(d["descr"]) == np.float32, text
        shape = "[%s]" % ",".join(map(str, d["shape"]))
        assert set(d) == {"descr", "fortran_order", "shape"} and isinstance(d["shape"], tuple), text
        assert line.split()[:3] == ["float32", shape, "c"], (text, line)
    assert taken > 400, taken
    return taken


def main():
    tool = sys.argv[1]
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print("ok %d headers as NumPy %s writes them" % (check_headers(tool, rng), np.__version__))
    print("ok %d arrays of NumPy's read" % check_arrays(tool, rng))
    print("ok %d headers with NumPy's other names" % check_names(tool))
    print("ok %d spellings read as Python does" % check_spellings(tool, rng))


if __name__ == "__main__":
    main()
