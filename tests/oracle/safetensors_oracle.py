#!/usr/bin/env python3
"""Compares core's safetensors with the format: safetensors_oracle.py STCAT [SEED].

Files that core writes must be those that the writer below makes, and, where the safetensors library can be imported, those
of the library, byte for byte. Files that core reads must be read the same by the reader below; what that refuses, core must.
Both are written from the format's description.
"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

try:
    import torch
    import safetensors
    import safetensors.torch
except ImportError:
    safetensors = None

# In the library's order, from low to high.
DTYPES = [("bool", "BOOL", 1), ("uint8", "U8", 1), ("int8", "I8", 1), ("float8_e5m2", "F8_E5M2", 1),
          ("float8_e4m3fn", "F8_E4M3", 1), ("float8_e4m3fnuz", "F8_E4M3FNUZ", 1), ("float8_e5m2fnuz", "F8_E5M2FNUZ", 1),
          ("int16", "I16", 2), ("uint16", "U16", 2), ("float16", "F16", 2), ("bfloat16", "BF16", 2), ("int32", "I32", 4),
          ("uint32", "U32", 4), ("float32", "F32", 4), ("complex64", "C64", 8), ("float64", "F64", 8), ("int64", "I64", 8),
          ("uint64", "U64", 8)]
WIDTH = {name: width for _, name, width in DTYPES}
TORCH = {name: torch_name for torch_name, name, _ in DTYPES}
LIBRARY = ["bool", "uint8", "int8", "float8_e5m2", "float8_e4m3fn", "int16", "float16", "bfloat16", "int32", "float32",
           "float64", "int64"]  # that version 0.4 knows

KEYS = ["", "a", "b", "transformer.wte.weight", "lm_head.weight", "value_embeds.1.weight", "\"\\/", "\0\1\b\t\n\v\f\r\x1f\x7f",
        "\u2028\u2029", "h\u00e9", "\U0001f600", "\uffff", "__metadata", "{", "k" * 300]


def product(shape):
    n = 1
    for s in shape:
        n *= s
    return n


def random_tensors(rng, dtypes):
    """A list of (key, index into DTYPES, shape), and as long as it, their bytes."""
    keys = rng.sample(KEYS, rng.randrange(len(KEYS))) + ["layers.%d.w" % i for i in range(rng.randrange(12))]
    tensors = []
    for key in keys:
        shape = tuple(rng.choice([0, 1, 2, 3, 5]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 6])))
        tensors.append((key, rng.choice(dtypes), shape))
    rng.shuffle(tensors)
    return tensors, [bytes(rng.randrange(2) for _ in range(product(s) * DTYPES[d][2])) for _, d, s in tensors]


def write(tensors, data):
    """The file, from the format's description and the library's order."""
    order = sorted(range(len(tensors)), key=lambda i: (-tensors[i][1], tensors[i][0].encode()))
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for i in order:
        key, dtype, shape = tensors[i]
        header[key] = {"dtype": DTYPES[dtype][1], "shape": shape, "data_offsets": [at, at + len(data[i])]}
        at += len(data[i])
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data[i] for i in order)


def library_write(tensors, data):
    state = {}
    for (key, dtype, shape), raw in zip(tensors, data):
        flat = torch.frombuffer(bytearray(raw), dtype=torch.uint8) if raw else torch.empty(0, dtype=torch.uint8)
        state[key] = flat.view(getattr(torch, DTYPES[dtype][0])).reshape(shape)
    return safetensors.torch.save(state, metadata={"format": "pt"})


def core_write(tool, where, tensors, data):
    source, out = os.path.join(where, "data"), os.path.join(where, "out")
    lines, at = [], 0
    for (key, dtype, shape), raw in zip(tensors, data):
        lines.append(" ".join([DTYPES[dtype][0], str(at), "x" + key.encode().hex(), *map(str, shape)]) + "\n")
        at += len(raw)
    with open(source, "wb") as f:
        f.write(b"".join(data))
    run = subprocess.run([tool, "write", source, out], input="".join(lines), capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    with open(out, "rb") as f:
        return f.read()


def check_writing(tool, where, rng):
    for _ in range(120):
        tensors, data = random_tensors(rng, range(len(DTYPES)))
        got = core_write(tool, where, tensors, data)
        assert got == write(tensors, data), (tensors, got[:1000])
    print("ok 120 files as the format says")
    if safetensors is None:
        print("skip the library's files: no safetensors library here")
        return
    known = [i for i, d in enumerate(DTYPES) if d[0] in LIBRARY]
    for _ in range(120):
        tensors, data = random_tensors(rng, known)
        got, want = core_write(tool, where, tensors, data), library_write(tensors, data)
        assert got == want, (tensors, got[:1000], want[:1000])
    print("ok 120 files as safetensors %s writes them" % safetensors.__version__)


class Refused(Exception):
    pass


def need(ok, why):
    if not ok:
        raise Refused(why)


def unique(pairs):
    d = dict(pairs)
    need(len(d) == len(pairs), "duplicate")
    return d


def is_int(x):
    return type(x) is int and 0 <= x < 2 ** 63


def read(raw):
    """The lines that stcat writes for the file, or Refused."""
    need(len(raw) >= 8, "length")
    n, = struct.unpack("<Q", raw[:8])
    need(n <= 100_000_000 and n <= len(raw) - 8, "length")
    text, size = raw[8:8 + n], len(raw) - 8 - n
    need(text[:1] == b"{", "start")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique,
                            parse_constant=lambda c: need(False, "constant"))
        json.dumps(header, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as e:
        raise Refused(str(e)) from e
    metadata = header.pop("__metadata__", {})
    need(isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values()), "metadata")
    lines, spans = [], []
    for key, entry in header.items():
        need(isinstance(entry, dict) and "\0" not in key, "entry")
        dtype, shape, offsets = (entry.get(k) for k in ("dtype", "shape", "data_offsets"))
        need(isinstance(dtype, str) and dtype in WIDTH, "dtype")
        need(isinstance(shape, list) and len(shape) <= 64 and all(map(is_int, shape)), "shape")
        need(isinstance(offsets, list) and len(offsets) == 2 and all(map(is_int, offsets)), "offsets")
        begin, end = offsets
        need(begin <= end <= size and end - begin == product(shape) * WIDTH[dtype], "size")
        spans.append((begin, end))
        lines.append("x%s %s [%s] %d %d" % (key.encode().hex(), TORCH[dtype], ",".join(map(str, shape)), 8 + n + begin,
                                            end - begin))
    at = 0
    for begin, end in sorted(spans):
        need(begin == at, "hole")
        at = end
    need(at == size, "cover")
    return lines


def core_read(tool, where, files):
    """What stcat says of each file: its lines."""
    paths = []
    for i, raw in enumerate(files):
        paths.append(os.path.join(where, str(i)))
        with open(paths[-1], "wb") as f:
            f.write(raw)
    run = subprocess.run([tool, "read", *paths], check=True, capture_output=True, text=True)
    result, known = [], set(paths)
    for line in run.stdout.splitlines():
        if line in known:
            result.append([])
        else:
            result[-1].append(line)
    assert len(result) == len(files), run.stdout
    return result


def mutate(rng, raw):
    """The file with its header changed here and there; the length is kept right most times."""
    n, = struct.unpack("<Q", raw[:8])
    text, data = raw[8:8 + n], raw[8 + n:]
    words = [b"0", b"1", b"-", b",", b"[", b"]", b"{", b"}", b'"', b":", b" ", b"\\", b"e", b".", b"9223372036854775808", b"null",
             b"\xff", b"\0", b'"dtype"', b'"U8"', b'"BOOL"', b"[]", b"{}", b"true", b"\\u0061", b"\\ud800"]
    for _ in range(rng.randrange(3)):
        at, cut = rng.randrange(n), rng.randrange(3)
        text = text[:at] + rng.choice(words) + text[at + cut:]
    if rng.random() < 0.3:
        at = rng.randrange(n)
        digits = [i for i, c in enumerate(text) if 48 <= c <= 57]
        at = rng.choice(digits) if digits else at
        text = text[:at] + b"%d" % rng.randrange(10) + text[at + 1:]
    if rng.random() < 0.1:
        data = data[:-1] if rng.random() < 0.5 else data + b"x"
    length = len(text) if rng.random() < 0.95 else rng.choice([0, len(text) - 1, len(text) + 1, 2 ** 63, 2 ** 64 - 1])
    return struct.pack("<Q", length) + text + data


def library_takes(raw):
    try:
        safetensors.deserialize(raw)
        return True
    except safetensors.SafetensorError:
        return False


def check_reading(tool, where, rng):
    files = []
    for _ in range(150):
        tensors, data = random_tensors(rng, range(len(DTYPES)))
        raw = write([t for t in tensors if "\0" not in t[0]], [d for t, d in zip(tensors, data) if "\0" not in t[0]])
        files += [raw] + [mutate(rng, raw) for _ in range(10)]
    taken = 0
    for raw, lines in zip(files, core_read(tool, where, files)):
        refused = bool(lines) and lines[0].startswith("refused: ")
        try:
            want = read(raw)
        except Refused as e:
            assert refused, (e, raw[:2000])
            continue
        assert not refused, (lines, raw[:2000])
        assert lines == want, (lines, want)
        taken += 1
        if safetensors and not any(w in raw for w in [b"C64", b"FNUZ"]):
            assert library_takes(raw), raw[:2000]
    print("ok %d of %d files read as the format says, the rest refused" % (taken, len(files)))


def main():
    tool = sys.argv[1]
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with tempfile.TemporaryDirectory() as where:
        check_writing(tool, where, rng)
        check_reading(tool, where, rng)


if __name__ == "__main__":
    main()
