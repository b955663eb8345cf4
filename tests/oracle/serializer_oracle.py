#!/usr/bin/env python3
"""Lets torch read what core's serializer writes.

  serializer_oracle.py REPACK            makes .pt and .npy files with this Python's torch, packs them with REPACK,
                                         reads the results; then the same with the python3 of each tree (a chroot) in
                                         $CKPTFS_TORCH_ROOTS, by ':', which also reads the files of the first
  serializer_oracle.py make|check DIR    the parts of that which need torch
  serializer_oracle.py big REPACK DIR    packs 6 GB of sparse files into DIR, and entries around 4 GiB

Expected is what torch.load gives for the file that torch.save wrote, what numpy.load gives for an array, and what this
file says.
"""
import collections
import json
import math
import os
import pickle
import pickletools
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile

import numpy
import torch

NAMES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128 " \
        "uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz"
DTYPES = [getattr(torch, n) for n in NAMES.split() if hasattr(torch, n)]
SHAPES = [(), (1,), (7,), (0,), (3, 0, 5), (2, 3), (1, 1, 4), (5, 4, 3, 2)]
ODD_FLOATS = [0.1, -0.0, 1e-300, 5e-324, 1.7976931348623157e308, math.inf, -math.inf]


def random_tensor(dtype, shape):
    """Any bytes, NaNs included, of the dtype; of bool, both."""
    width = torch.empty(0, dtype=dtype).element_size()
    count = math.prod(shape)
    raw = torch.randint(0, 2 if dtype == torch.bool else 256, (count * width,), dtype=torch.uint8)
    return raw.view(dtype).reshape(shape) if count else torch.empty(shape, dtype=dtype)


def saved_values():
    """What is saved by torch and packed again: name -> value."""
    every = collections.OrderedDict((f"{d}.{i}", random_tensor(d, s)) for d in DTYPES
                                    for i, s in enumerate(SHAPES))
    base = torch.randn(6, 8)
    wide = random_tensor(torch.bfloat16, (40, 1000))
    views = {"whole": base, "t": base.t(), "step": base[::2, 1::3], "expanded": base[:1].expand(4, 8),
             "permuted": random_tensor(torch.int16, (2, 3, 4)).permute(2, 0, 1), "wide": wide.t(),
             "tail": base[5], "scalar": base[2, 3], "conj": torch.randn(3, dtype=torch.complex64).conj(),
             "neg": torch.randn(3, dtype=torch.complex64).conj().imag}
    grads = {"p": torch.nn.Parameter(torch.randn(3)), "leaf": torch.randn(3, requires_grad=True),
             "frozen": torch.nn.Parameter(torch.randn(3), requires_grad=False),
             "ints": torch.nn.Parameter(torch.arange(3), requires_grad=False)}
    for d in DTYPES:
        if d.is_floating_point or d.is_complex:
            grads[str(d)] = torch.nn.Parameter(random_tensor(d, (2,)))
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Embedding(5, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    return {"dtypes": every, "views": views, "grads": grads, "model": model.state_dict(),
            "adamw": optimizer.state_dict(), "tensor": torch.arange(5), "none": {},
            "list": [torch.zeros(2), (1, [torch.ones(1), None])],
            "many": {f"layers.{i}.w": torch.full((i % 3,), float(i)) for i in range(10000)},
            "large": {"a": torch.randn(3_000_001), "b": torch.arange(3_000_003, dtype=torch.int32)}}


def optimizer_outline(tensor):
    """nanochat's optimizer as an outline, and the same as Python has it; TENSOR gives what stands for a path."""
    outline, value = {"$keys": "int"}, {}
    for i in range(3):
        paths = {k: f"state.{i}.{k}" for k in ("exp_avg", "exp_avg_sq")}
        outline[str(i)] = {"step": 2 ** 40 + i, **{k: {"$tensor": p} for k, p in paths.items()}}
        value[i] = {"step": 2 ** 40 + i, **{k: tensor(p) for k, p in paths.items()}}
    group = {"kind": "adamw", "lr": 0.3, "eps": 1e-10, "fused": True, "maximize": None, "big": 10 ** 30,
             "name": "\u00e9\U0001f600", "params": [0, 1, 2]}
    odd = [{"$float": {math.inf: "inf", -math.inf: "-inf"}[f]} if math.isinf(f) else f for f in ODD_FLOATS]
    nested = {"$dict": [[{"$tuple": [1, "a"]}, {"$ordered": True, "x": [True, False]}]]}
    return ({"state": outline, "param_groups": [{**group, "betas": {"$tuple": [0.9, 0.95]}}], "odd": odd,
             "nested": nested},
            {"state": value, "param_groups": [{**group, "betas": (0.9, 0.95)}], "odd": ODD_FLOATS,
             "nested": {(1, "a"): collections.OrderedDict(x=[True, False])}})


def arrays():
    """What is written by NumPy and packed: key -> array."""
    rng = numpy.random.default_rng(1)
    out = {}
    for kind in "? u1 i1 i2 i4 i8 f2 f4 f8 c8 c16".split():
        for order in "<>":
            a = numpy.frombuffer(rng.integers(0, 2, 24 * 16, dtype="u1").tobytes(), order + kind)[:24].reshape(2, 3, 4)
            out[f"{order}{kind}".replace("<", "l").replace(">", "b")] = a
            out[f"{order}{kind}.fortran".replace("<", "l").replace(">", "b")] = numpy.asfortranarray(a)
    out["0d"] = numpy.array(2.5)
    out["empty"] = numpy.zeros((0, 3), "f4")
    out["fortran.wide"] = numpy.asfortranarray(rng.standard_normal((700, 900)))
    for i in range(3):
        out[f"state.{i}.exp_avg"], out[f"state.{i}.exp_avg_sq"] = rng.standard_normal((2, 4, 3)).astype("f4")
    return out


def make(where):
    torch.manual_seed(1)
    os.makedirs(where + "/pt")
    os.makedirs(where + "/npy")
    for name, value in saved_values().items():
        torch.save(value, f"{where}/pt/{name}.pt")
    every = arrays()
    for key, a in every.items():
        numpy.save(f"{where}/npy/{key}.npy", a)
    bf16 = random_tensor(torch.bfloat16, (3, 5))
    numpy.save(f"{where}/npy/bf16.npy", bf16.view(torch.int16).numpy().view("V2"))
    torch.save(bf16, where + "/bf16.pt")
    with open(where + "/optim.json", "w") as f:
        json.dump(optimizer_outline(str)[0], f)


def pack(repack, where):
    os.makedirs(where + "/out")
    for name in sorted(os.listdir(where + "/pt")):
        subprocess.run([repack, "pt", f"{where}/pt/{name}", f"{where}/out/{name}"], check=True)
    keys = [k[:-4] for k in sorted(os.listdir(where + "/npy"))]
    for out, outline, chosen in (("arrays", [], [k for k in keys if not k.startswith("state.")]),
                                 ("optim", [where + "/optim.json"], [k for k in keys if k.startswith("state.")])):
        lines = "".join(f"{k} {where}/npy/{k}.npy\n" for k in chosen)
        subprocess.run([repack, "npy", f"{where}/out/{out}.pt", *outline], input=lines, text=True, check=True)


def same(a, b, path=""):
    """As ==, but exact: types, order of keys, dtype, shape, bytes of tensors."""
    assert type(a) is type(b), (path, type(a), type(b))
    if isinstance(a, torch.Tensor):
        assert (a.dtype, a.shape, a.requires_grad) == (b.dtype, b.shape, b.requires_grad), (path, a, b)
        assert b.is_contiguous() and not b.is_conj() and not b.is_neg(), path
        x, y = (t.detach().resolve_conj().resolve_neg().contiguous().reshape(-1) for t in (a, b))
        assert torch.equal(x.view(torch.uint8), y.view(torch.uint8)) if a.numel() else True, (path, a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b), (path, list(a)[:5], list(b)[:5])
        for k in a:
            same(a[k], b[k], f"{path}.{k}")
        if isinstance(a, collections.OrderedDict):
            assert vars(a) == vars(b), path
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{path}.{i}")
    else:
        assert repr(a) == repr(b), (path, a, b)


def check_zip(path):
    top = os.path.basename(path)[:-3]
    with zipfile.ZipFile(path) as z, open(path, "rb") as f:
        assert z.testzip() is None
        names = z.namelist()
        count = len(names) - 3
        storages = [f"data/{i}" for i in range(count)]
        assert names == [f"{top}/{n}" for n in ["data.pkl", "byteorder", *storages, "version"]], names
        pickletools.dis(z.read(top + "/data.pkl"), out=open(os.devnull, "w"))
        assert z.read(top + "/byteorder") == b"little" and z.read(top + "/version") == b"3\n"
        for info in z.infolist():
            f.seek(info.header_offset)
            name, extra = struct.unpack("<26xHH", f.read(30))
            assert (info.header_offset + 30 + name + extra) % 64 == 0, info
            assert info.compress_type == 0 and not info.flag_bits & 8, info
            assert info.extra == b"" or struct.unpack("<HH", info.extra[:4]) == (1, len(info.extra) - 4), info
    return count


def ways(path):
    """The ways of torch.load that read PATH, torch's own: 1.13 refuses floats and parameters with weights_only."""
    maps = [{}, {"mmap": True}] if torch.__version__ >= "2" else [{}]
    for way in [{"weights_only": w, **m} for w in (False, True) for m in maps]:
        try:
            torch.load(path, **way)
            yield way
        except pickle.UnpicklingError:
            assert torch.__version__ < "2", (path, way)


def check(where):
    checked = 0
    for name in sorted(os.listdir(where + "/pt")):
        out = f"{where}/out/{name}"
        assert check_zip(out) >= 0
        want = torch.load(f"{where}/pt/{name}", weights_only=False)
        for way in ways(f"{where}/pt/{name}"):
            same(want, torch.load(out, **way), name)
            checked += 1
    check_zip(where + "/out/arrays.pt")
    for way in ways(where + "/pt/model.pt"):
        got = torch.load(where + "/out/arrays.pt", **way)
        assert type(got) is collections.OrderedDict
        assert list(got) == [k[:-4] for k in sorted(os.listdir(where + "/npy")) if not k.startswith("state.")]
        same(torch.load(where + "/bf16.pt"), got.pop("bf16"), "bf16")
        for key, t in got.items():
            a = numpy.load(f"{where}/npy/{key}.npy")
            native = a.astype(a.dtype.newbyteorder("="), order="C")
            assert t.numpy().dtype == native.dtype and t.shape == a.shape and t.is_contiguous(), key
            assert t.numpy().tobytes() == native.tobytes(), key
            checked += 1
    check_zip(where + "/out/optim.pt")
    want = optimizer_outline(lambda p: torch.from_numpy(numpy.load(f"{where}/npy/{p}.npy")))[1]
    for way in ways(where + "/pt/adamw.pt"):
        same(want, torch.load(where + "/out/optim.pt", **way), "optim")
        checked += 1
    print(f"ok serializer_oracle: {checked} comparisons, torch {torch.__version__}")


def sparse_npy(path, dtype, count):
    """An array of zeros with a one at either end, that costs no disk."""
    with open(path, "wb") as f:
        numpy.lib.format.write_array_header_1_0(f, {"descr": dtype, "fortran_order": False, "shape": (count,)})
        start = f.tell()
        f.truncate(start + count * numpy.dtype(dtype).itemsize)
    numpy.memmap(path, dtype, "r+", start, (count,))[[0, -1]] = 1


def check_big(repack, where):
    """zip64: an entry of over 4 GiB, entries that start behind it; and one that would start at 0xffffffff."""
    start = 448     # of the storage that would end at 0xffffffff, where no header can stand: it is moved on
    for out, arrays_of in (("six", [("|u1", 4_500_000_000), ("<f4", 375_000_000), ("<i8", 1000)]),
                           ("edge", [("|u1", 0xffffffff - start), ("<i8", 1000)])):
        for i, (dtype, count) in enumerate(arrays_of):
            sparse_npy(f"{where}/{i}.npy", dtype, count)
        lines = "".join(f"{i} {where}/{i}.npy\n" for i in range(len(arrays_of)))
        path = f"{where}/{out}.pt"
        subprocess.run([repack, "npy", path], input=lines, text=True, check=True)
        assert check_zip(path) == len(arrays_of)
        with zipfile.ZipFile(path) as z, open(path, "rb") as f:
            for i, (dtype, count) in enumerate(arrays_of):
                info = z.getinfo(f"{out}/data/{i}")
                f.seek(info.header_offset)
                name, extra = struct.unpack("<26xHH", f.read(30))
                at = info.header_offset + 30 + name + extra
                a = numpy.memmap(path, dtype, "r", at, (count,))
                assert info.file_size == a.nbytes and a[0] == a[-1] == 1 and not a[1:1000 - 1].any(), (out, i)
                assert i or out == "six" or at == start + 64, at
        os.unlink(path)
    print("ok serializer_oracle: 6 GB, and the 4 GiB edge")


def run_in(root, *args):
    """This file, run by the Python of the tree ROOT."""
    with open(__file__) as f:
        subprocess.run(["chroot", root, "python3", "-", *args], stdin=f, check=True)


def main():
    warnings.simplefilter("ignore")
    if sys.argv[1] == "big":
        return check_big(*sys.argv[2:])
    if len(sys.argv) == 3:
        return {"make": make, "check": check}[sys.argv[1]](sys.argv[2])
    roots = [r for r in os.environ.get("CKPTFS_TORCH_ROOTS", "").split(":") if r]
    with tempfile.TemporaryDirectory() as where:
        make(where + "/x")
        pack(sys.argv[1], where + "/x")
        check(where + "/x")
        for root in roots:
            with tempfile.TemporaryDirectory(dir=root + "/tmp") as inside:
                path = inside[len(root):]
                run_in(root, "make", path + "/own")
                pack(sys.argv[1], inside + "/own")
                run_in(root, "check", path + "/own")
                shutil.copytree(where + "/x", inside + "/other")
                run_in(root, "check", path + "/other")


if __name__ == "__main__":
    main()
