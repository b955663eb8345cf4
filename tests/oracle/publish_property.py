#!/usr/bin/python3
"""What is written is what is read: random tensors, trees and metadata, published by every door, against torch, NumPy, json and zipfile.

publish_property.py DIRECTORY [EXAMPLES [SEED]]    of each property so many examples (default 100); the same for the same seed (default 0)

Two mounts, as on cpu and on cuda. Each example is a step of its own, which is removed again. Hypothesis shrinks what fails, and prints it.
"""
import collections
import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import zipfile

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, example, given, seed, settings, strategies as st

import check_saved
import ckpt
import faulty
import publish_values as pv
from publish_values import Bits, Leaf, Ordered

ONE = Bits("float32", (1,), struct.pack("<f", 1.5))
# The widest first, then by name: as the safetensors library orders them.
RANK = {dtype: -ckpt.SAFETENSORS_ORDER.index(name) for dtype, name in ckpt.SAFETENSORS.items()}


class Place:
    """Where the mounts are, and how many steps there were."""
    base, steps = None, 0


class Step:
    """A draft, until publish()."""

    def __init__(self, device="cpu", door="rename"):
        Place.steps += 1
        self.number, self.door, self.device = "%06d" % Place.steps, door, device
        self.tag = os.path.join(Place.base, device, "mnt/base/d1")
        self.store = os.path.join(Place.base, device, "store/base_checkpoints/d1")
        self.dir = os.path.join(self.tag, self.number) + (".partial" if door == "rename" else "")
        self.shown = os.path.join(self.tag, self.number)
        os.mkdir(self.dir)

    def write(self, path, data):
        path = os.path.join(os.fsencode(self.dir), path if isinstance(path, bytes) else path.encode())
        with open(path, "wb", buffering=0) as f:
            view = memoryview(data)
            while view:
                view = view[f.write(view):]

    def publish(self, model, meta=b'{"step": 1}'):
        """MODEL is called to write it; by the door that is a close, meta.json comes last."""
        try:
            if self.door == "close":
                model(self)
            self.write("meta.json", meta)
            if self.door != "close":
                model(self)
            if self.door == "rename":
                os.rename(self.dir, self.shown)
            elif self.door == "sync":
                fd = os.open(self.dir, os.O_RDONLY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
        except OSError as e:
            raise AssertionError("%s: %s" % (e, self.why())) from e
        assert os.path.exists(self.stored("model_%s.pt")), "not published: " + self.why()
        assert not os.path.exists(os.path.join(self.tag, self.number + ".partial")), "the draft is still there"

    def why(self):
        try:
            with open(os.path.join(self.dir, "DRAFT.error"), errors="replace") as f:
                return f.read()
        except OSError:
            return "no DRAFT.error"

    def stored(self, name):
        return os.path.join(self.store, name % self.number)

    def read(self, path):
        with open(os.path.join(os.fsencode(self.shown), path if isinstance(path, bytes) else path.encode()), "rb") as f:
            return f.read()

    def __enter__(self):
        return self

    def __exit__(self, *failed):
        """Out of the store, so that the next example has the tag to itself."""
        if not os.path.exists(self.stored("model_%s.pt")):
            shutil.rmtree(self.dir, ignore_errors=True)
        for name in os.listdir(self.store):
            if "_%s" % self.number in name:
                os.unlink(os.path.join(self.store, name))


def one_model(step):
    os.mkdir(os.path.join(step.dir, "model"))
    step.write("model/w.npy", pv.npy(ONE, (1, 0), None))


# ---- what the store holds ----

class Layout(ckpt.LayoutUnpickler):
    """Also of dtypes that the torch at hand lacks."""

    def find_class(self, module, name):
        return name if module.startswith("torch") and not name.startswith("_") else super().find_class(module, name)


STORAGES = {"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "LongStorage": "int64",
            "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
            "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128"}


def stored_tensors(path):
    """(key, Bits) of a model by pickle and zipfile alone."""
    check_saved.check_zip(path)
    assert not ckpt.FAILURES, ckpt.FAILURES
    out = []
    with zipfile.ZipFile(path) as z:
        prefix = ckpt.archive_prefix(z)
        for key, t in Layout(io.BytesIO(z.read(prefix + "data.pkl"))).load().items():
            dtype = t.rest[2] if t.type == "UntypedStorage" else STORAGES[t.type]
            strides = tuple(int(np.prod(t.size[i + 1:], dtype=object)) for i in range(len(t.size)))
            assert t.offset == 0 and (t.stride == strides or 0 in t.size), "%s: offset %d, strides %s" % (key, t.offset, t.stride)
            out.append((key, Bits(dtype, t.size, z.read(prefix + "data/" + t.key))))
    return out


def same_tensors(got, want, where):
    assert [k for k, _ in got] == [k for k, _ in want], "%s: keys %r" % (where, [k for k, _ in got])
    for (key, g), (_, w) in zip(got, want):
        assert g == w, "%s: %r: %r, want %r" % (where, key, clipped(g), clipped(w))


def clipped(t):
    return t.dtype, t.shape, t.data[:64].hex()


def check_loaded(path, want):
    """torch.load of the published file, and again with weights_only."""
    for got in ckpt.load(path), torch.load(path, map_location="cpu", weights_only=True):
        assert type(got) is collections.OrderedDict
        assert all(t.is_contiguous() and not t.requires_grad for t in got.values())
        same_tensors([(k, pv.from_torch(t)) for k, t in got.items()], want, "torch.load")


# ---- what the mount shows ----

def as_nanochat(tensors, meta, device):
    """What build_model hands to the model, by its own rules."""
    out = {}
    for key, t in tensors:
        if t.dtype == "bfloat16" and device != "cuda":
            t = Bits("float32", t.shape, (np.frombuffer(t.data, "<u2").astype("<u4") << 16).tobytes())
        out[key[len("_orig_mod."):] if key.startswith("_orig_mod.") else key] = t
    n = ckpt.n_layer_of(meta)
    if n is not None:
        out.setdefault("resid_lambdas", Bits("float32", (n,), np.ones(n, "<f4").tobytes()))
        out.setdefault("x0_lambdas", Bits("float32", (n,), np.zeros(n, "<f4").tobytes()))
    return list(out.items())


def check_name(path, key, suffix):
    """A directory entry's name: the key's, or cut and then the key's beginning."""
    name, whole = os.path.basename(path), pv.file_name(key, suffix)
    if len(whole) <= 255:
        assert name == whole, "%r is named %r" % (key, name)
    else:
        stem = name[:len(name) - len(suffix)]
        assert len(name) <= 255 and name.endswith(suffix.encode()) and whole.startswith(stem[:-17]) and stem[-17:-16] == b"~", (key, name)


def check_shown(step, want, stem="model"):
    raw = os.path.join(os.fsencode(step.shown), stem.encode() + b".raw")
    npy = os.path.join(os.fsencode(step.shown), stem.encode())
    assert len(os.listdir(npy)) == len(os.listdir(raw)) == len(want), "%d files, want %d" % (len(os.listdir(npy)), len(want))
    for (key, t), npy_name, raw_name in zip(want, os.listdir(npy), os.listdir(raw)):
        check_name(os.path.join(npy, npy_name), key, ".npy")
        check_name(os.path.join(raw, raw_name), key, "")
        assert step.read(os.path.join(npy, npy_name)) == ckpt.npy_bytes(pv.array(t)), "%r: %r" % (key, npy_name)
        assert step.read(os.path.join(raw, raw_name)) == t.data, "%r: raw" % key
        assert os.getxattr(os.path.join(npy, npy_name), "user.ckptfs.key") == key.encode("utf-8", "surrogatepass"), "xattr of %r" % key
    left_out = [k for k, t in want if t.dtype == "complex128" or not pv.is_unicode(k)]
    want = [(k, t) for k, t in want if k not in left_out]
    metadata, got = ckpt.read_safetensors(step.read(stem + ".safetensors"))
    assert json.loads(metadata.pop("ckptfs.left_out", "[]")) == left_out
    assert metadata == {"format": "pt"}
    order = sorted(want, key=lambda pair: (RANK[pair[1].dtype], pair[0].encode()))
    assert list(got.items()) == [(k, (ckpt.SAFETENSORS[t.dtype], t.shape, t.data)) for k, t in order], "safetensors"


def check_meta(step, meta):
    assert ckpt.read(step.stored("meta_%s.json")) == meta, "the stored meta.json has other bytes"
    with open(step.stored("meta_%s.json"), encoding="utf-8") as f:
        want = ckpt.patched_meta(json.load(f))
    assert step.read("meta.json") == json.dumps(want, indent=2).encode(), "meta.json"
    return want


# ---- properties ----

DOORS = st.sampled_from(["rename", "close", "sync"])
DEVICES = st.sampled_from(["cpu", "cuda"])
LAYERS = st.sampled_from([{}, {}, {"model_config": {"n_layer": 0}}, {"model_config": {"n_layer": 3, "window_pattern": "SSSL"}}])


def check_model(step, want, meta):
    path = step.stored("model_%s.pt")
    same_tensors(stored_tensors(path), want, "stored")
    if all(t.dtype in pv.KNOWN for _, t in want):
        check_loaded(path, want)
    check_shown(step, as_nanochat(want, meta, step.device))


@given(pv.named(pv.NPY_KEYS, st.tuples(pv.bits(pv.NPY), st.sampled_from([(1, 0), (2, 0), (3, 0)]), st.sampled_from([None, "fortran", "big"]))),
       st.sampled_from(["in turn", "created first", "renamed"]), st.randoms(use_true_random=False), DOORS, DEVICES, LAYERS)
@example([("", (Bits("bfloat16", (), b"\xc1\x7f"), (3, 0), None)), ("_orig_mod.", (ONE, (2, 0), "fortran"))], "renamed", random.Random(0), "close",
         "cpu", {"model_config": {"n_layer": 2}})
def model_of_npy_files(tensors, how, order, door, device, meta):
    """Whatever the order in which they are filled: the keys have that in which they were made."""
    def write(step):
        os.mkdir(os.path.join(step.dir, "model"))
        files = [(b"model/" + pv.file_name(k), pv.npy(*spelled)) for k, spelled in tensors]
        if how == "created first":
            for name, _ in files:
                step.write(name, b"")
            order.shuffle(files)
        for name, data in files:
            step.write(b"model/.one.tmp" if how == "renamed" else name, data)
            if how == "renamed":
                os.rename(os.path.join(os.fsencode(step.dir), b"model/.one.tmp"), os.path.join(os.fsencode(step.dir), name))

    with Step(device, door) as step:
        step.publish(write, json.dumps(meta).encode())
        check_model(step, [(k, t) for k, (t, _, _) in tensors], meta)


@given(pv.named(pv.SAFE_KEYS, pv.bits(sorted(ckpt.SAFETENSORS))), st.sampled_from([None, {"format": "pt"}, {"a": "__metadata__", "": "x" * 200}]),
       DOORS, DEVICES, LAYERS)
def model_of_safetensors(tensors, metadata, door, device, meta):
    with Step(device, door) as step:
        step.publish(lambda s: s.write("model.safetensors", pv.safetensors(tensors, metadata)), json.dumps(meta).encode())
        check_model(step, tensors, meta)


def viewed(t, how):
    """The same values with other strides, in a storage of more, or shared."""
    if how == "transposed":
        around = list(reversed(range(t.dim())))
        return t.permute(around).contiguous().permute(around)
    if how == "inside":
        return torch.stack([t, t])[1]
    if how == "conjugate" and t.is_complex():
        return t.conj().resolve_conj().conj()
    return t.expand(2, *t.shape)[0] if how == "expanded" else t


@given(pv.named(pv.LONG_KEYS, st.tuples(pv.bits(pv.KNOWN), st.sampled_from(["plain", "transposed", "inside", "conjugate", "expanded"]))),
       st.booleans(), DOORS, DEVICES, LAYERS)
@example([("a", (Bits("float32", (0,), b""), "inside"))], True, "rename", "cpu", {})    # it begins behind the end of its empty storage
def model_of_pt(tensors, ordered, door, device, meta):
    """The file as torch.save made it, bytes and all."""
    values = collections.OrderedDict((k, viewed(pv.to_torch(t), how)) for k, (t, how) in tensors)
    data = faulty.pt(values if ordered else dict(values))
    with Step(device, door) as step:
        step.publish(lambda s: s.write("model.pt", data), json.dumps(meta).encode())
        assert ckpt.read(step.stored("model_%s.pt")) == data == step.read("model.pt")
        # Not what was saved: torch before 2.0 loses the conjugate bit.
        want = [(k, pv.from_torch(t)) for k, t in ckpt.load(io.BytesIO(data)).items()]
        check_shown(step, as_nanochat(want, meta, device))


@given(pv.DOCUMENTS, pv.STYLES, DOORS)
@example({"a": float("inf"), "": [[], {}, ()], "\ud800": -0.0, "model_config": {"n_layer": 1}}, {"ensure_ascii": False, "indent": "\t"}, "close")
def metadata(document, style, door):
    with Step("cpu", door) as step:
        text = pv.dumps(document, **style).encode()
        step.publish(one_model, text)
        meta = check_meta(step, text)
        check_shown(step, as_nanochat([("w", ONE)], meta, "cpu"))


def refuse(constant):
    raise ValueError(constant + " is no JSON")


def check_shard(step, rank, want):
    """torch.load of a published shard, and its rankN.json in the mount."""
    got = ckpt.load(step.stored("optim_%%s_rank%d.pt" % rank))
    assert pv.exact(got) == pv.exact(want), "rank%d is %r" % (rank, got)
    text = step.read("optim/rank%d.json" % rank)
    shown = json.loads(text, parse_constant=refuse)
    assert pv.unnamed(shown) == pv.unnamed(json.loads(json.dumps(pv.outline(want, str)))), "rank%d.json: %s" % (rank, text.decode())


@given(pv.TREES, pv.named(pv.NPY_KEYS, st.none(), 30), st.sampled_from([0, 7, 1023]), st.booleans(), st.booleans(), st.randoms(use_true_random=False))
@example({"state": {0: Leaf(ONE, False, True)}, "o": Ordered([(1, None), (-5, "$")], {"_metadata": Ordered([("", {"version": 1})], {})})},
         [("a", None)], 0, True, True, random.Random(0))
def shard_of_json(tree, names, rank, later, ascii_only, order):
    """rankN.json and its tensors in a draft, or added to the published step."""
    value, files = pv.realize(tree), []
    names = [k for k, _ in names]

    def name_of(t):
        key = names[len(files)] if len(files) < len(names) else "more than that.%d" % len(files)
        files.append((key, pv.npy(pv.from_torch(t), (1, 0), None)))
        return key

    text = pv.dumps(pv.outline(value, name_of), ensure_ascii=ascii_only, indent=2 if later else None).encode()
    order.shuffle(files)

    def write_shard(step):
        top = os.path.join(step.shown if later else step.dir, "optim")
        os.mkdir(top)
        if files:
            os.mkdir(os.path.join(top, "rank%d" % rank))
        for key, data in files:
            step.write(os.path.join(os.fsencode(top), b"rank%d" % rank, pv.file_name(key)), data)
        step.write(os.path.join(top, "rank%d.json" % rank), text)

    with Step() as step:
        step.publish(lambda s: (one_model(s), None if later else write_shard(s)))
        if later:
            write_shard(step)
        check_shard(step, rank, value)


@given(pv.TREES, st.booleans(), st.booleans())
@example([Leaf(ONE, True, False), [[[[]]]]], True, True)
@example({"x" * 300: Leaf(ONE, False, False), "x" * 299 + "y": [Leaf(ONE, True, True)]}, False, True)   # names that are cut
@example({"a": Ordered([("b", 1)], {"_metadata": Leaf(ONE, False, False)})}, False, False)              # a tensor in an attribute
@example({(0.0, b"\x80\xff"): Leaf(ONE, False, False)}, False, False)                                     # bytes in a path
@example({"\ud83d\ude00": Leaf(ONE, False, False), "\U0001f600": [Leaf(ONE, True, True)]}, False, False)  # surrogates in a path
@example({"": {"": Leaf(ONE, False, False), "a": Leaf(ONE, True, False)}, "a": Leaf(ONE, True, True)}, False, True)
def shard_and_back(tree, twice, native):
    """torch.save, under nanochat's own name or in a draft; the mount's views of it; cp of these into a draft; torch.load."""
    value = pv.realize(tree)
    value = {"a": value, "b": [value]} if twice else value

    def save(step):
        one_model(step)
        if not native:
            os.mkdir(os.path.join(step.dir, "optim"))
            step.write("optim/rank3.pt", faulty.pt(value))

    with Step() as first, Step() as second:
        first.publish(save)
        if native:
            first.write(os.path.join(first.tag, "optim_%s_rank3.pt" % first.number), faulty.pt(value))
        check_shard(first, 3, value)
        optim = os.path.join(first.shown, "optim")
        tensors = [os.path.join(optim, "rank3")] if os.path.isdir(os.path.join(optim, "rank3")) else []

        def copy(step):
            one_model(step)
            os.mkdir(os.path.join(step.dir, "optim"))
            subprocess.run(["cp", "-r", *tensors, os.path.join(optim, "rank3.json"), os.path.join(step.dir, "optim")], check=True)
        second.publish(copy)
        check_shard(second, 3, value)


PROPERTIES = (model_of_npy_files, model_of_safetensors, model_of_pt, metadata, shard_of_json, shard_and_back)


def main():
    Place.base, count, number = sys.argv[1:2] + [int(a) for a in sys.argv[2:] + ["100", "0"][len(sys.argv) - 2:]]
    daemons = []
    how = settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck),
                   phases=[Phase.explicit, Phase.generate, Phase.shrink])
    for device in "cpu", "cuda":
        top = os.path.join(Place.base, device)
        os.makedirs(os.path.join(top, "store/base_checkpoints/d1"))
        daemons.append(faulty.Daemon(os.path.join(top, "store"), os.path.join(top, "mnt"), ["-o", "device=" + device]))
    print("%d examples of each, seed %d" % (count, number), flush=True)
    for prove in PROPERTIES:
        seed(number)(how(prove))()
    for daemon in daemons:
        daemon.unmount()
    for device in "cpu", "cuda":
        left = faulty.leftovers(os.path.join(Place.base, device, "store/base_checkpoints/d1"))
        faulty.check(not left, "left:", left)
    print("%d properties, %d steps, seed %d" % (len(PROPERTIES), Place.steps, number))


if __name__ == "__main__":
    main()
