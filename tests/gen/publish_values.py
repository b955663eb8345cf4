"""Random tensors, keys, trees of values and metadata for publish_property.py, and how each is spelled in a file: by NumPy's and
safetensors' descriptions, json, and the page on rankN.json in ckptfs(1).

A tensor here is its dtype (torch's name), its shape, and its bytes in C order, so that nothing is lost on the way to what is compared.
"""
import collections
import json
import struct

import numpy as np
import torch
from hypothesis import strategies as st

import write_cases
from ckpt import SAFETENSORS, dtype_name, as_numpy

Bits = collections.namedtuple("Bits", "dtype shape data")
Leaf = collections.namedtuple("Leaf", "bits grad parameter")       # a tensor in a tree
Ordered = collections.namedtuple("Ordered", "items state")         # an OrderedDict, with attributes

DESCR = {"float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": "V2", "int64": "<i8", "int32": "<i4", "int16": "<i2", "int8": "|i1",
         "uint8": "|u1", "bool": "|b1", "complex64": "<c8", "complex128": "<c16", "uint16": "<u2", "uint32": "<u4", "uint64": "<u8"}
FLOAT8 = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
NPY = sorted(DESCR)
KNOWN = sorted(d for d in DESCR if hasattr(torch, d))              # what the torch at hand has
FLOATING = [d for d in KNOWN if "float" in d or "complex" in d]


def width(dtype):
    return 1 if dtype in FLOAT8 else np.dtype(DESCR[dtype]).itemsize


# ---- tensors ----

def special_items(dtype):
    """Infinities, NaNs with payloads, zeros of both signs, the smallest numbers; of integers what is here the same bits."""
    if dtype == "bool":
        return [b"\0", b"\1"]
    if dtype.startswith("complex"):
        part = special_items("float32" if dtype == "complex64" else "float64")
        return [a + b for a, b in zip(part, part[1:] + part[:1])]
    code, bits = {1: ("B", (0, 1, 0x7f, 0x80, 0xff)), 2: ("<H", (0, 1, 0x7c00, 0xfc01, 0x7f80, 0x7f81, 0xffc1, 0x8000, 0x7fff)),
                  4: ("<I", (0, 1, 0x7f800000, 0xff800000, 0x7f800001, 0xffc12345, 0x80000000, 0x7fffffff)),
                  8: ("<Q", (0, 1, 0x7ff << 52, 0xfff << 52, (0x7ff << 52) + 1, (0xfff << 52) + 0x123456789, 1 << 63, (1 << 63) - 1))}[width(dtype)]
    return [struct.pack(code, b) for b in bits]


@st.composite
def bits(draw, dtypes):
    dtype = draw(st.sampled_from(dtypes))
    shape = draw(st.one_of(st.lists(st.integers(0, 4), max_size=4), st.lists(st.integers(1, 3), min_size=5, max_size=6),
                           st.sampled_from([[1], [300], [17, 33], [70000], [0, 1 << 20], [1] * 12])))
    count = int(np.prod(shape, dtype=np.int64))
    size = count * width(dtype)
    some = draw(st.lists(st.sampled_from(special_items(dtype)), min_size=1, max_size=5)) if draw(st.booleans()) else [
        draw(st.binary(min_size=min(size, 64), max_size=min(size, 64)))]
    data = b"".join(some) or b"\0"
    data = (data * (size // len(data) + 1))[:size]
    return Bits(dtype, tuple(shape), bytes(b & 1 for b in data) if dtype == "bool" else data)


def array(t):
    return np.frombuffer(t.data, DESCR.get(t.dtype, "V1")).reshape(t.shape)


def npy(t, version, layout):
    """A .npy of any version and order that NumPy reads."""
    a = array(t)
    if layout == "big" and a.dtype.kind != "V":
        a = a.astype(a.dtype.newbyteorder(">"))     # a byte swap, to the bit, as the next line checks
        assert a.byteswap().tobytes() == t.data
    return write_cases.npy(a, version, True if layout == "fortran" else None)


def safetensors(tensors, metadata):
    header, body = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for key, t in tensors:
        header[key] = {"dtype": SAFETENSORS[t.dtype], "shape": t.shape, "data_offsets": [len(body), len(body) + len(t.data)]}
        body += t.data
    return write_cases.pack_safetensors(json.dumps(header).encode(), body)


def to_torch(t):
    a = array(t)
    if t.dtype == "bfloat16":
        return torch.from_numpy(a.view("<i2").copy()).view(torch.bfloat16)
    return torch.from_numpy(a.copy())


def from_torch(t):
    return Bits(dtype_name(t.dtype), tuple(t.shape), as_numpy(t).tobytes())


# ---- keys ----

def file_name(key, suffix=".npy"):
    return (("%" if key == "" else write_cases.file_name(key)[:-len(".npy")]) + suffix).encode("utf-8", "surrogatepass")


LETTERS = st.one_of(st.sampled_from("ab.%/~$_2F0 -\\\n"), st.characters(), st.characters(blacklist_categories=["Cs"], max_codepoint=0x2ff))
PLAIN_KEYS = st.one_of(
    st.sampled_from(["transformer.wte.weight", "lm_head.weight", "transformer.h.0.attn.c_q.weight", "resid_lambdas", "x0_lambdas", "model",
                     "meta.json", "a", "a.npy", "", ".", "..", "...", "%", "%2F", "~", "$tensor", "_orig_mod.", "_orig_mod._orig_mod.a",
                     "state.0.x"]),
    st.text(LETTERS, max_size=12), st.text(LETTERS, min_size=30, max_size=60), st.text(st.sampled_from("xy.\u2603"), min_size=80, max_size=83))
KEYS = st.one_of(PLAIN_KEYS, PLAIN_KEYS.map(lambda k: "_orig_mod." + k))
LONG_KEYS = st.one_of(KEYS, st.integers(240, 700).map(lambda n: "k" * n), st.text(st.sampled_from("a/\u00fc"), min_size=120, max_size=300))
NPY_KEYS = KEYS.filter(lambda k: len(file_name(k)) <= 250)          # past 255 bytes a name is cut, and doesn't tell its key


def is_unicode(text):
    return not any("\ud800" <= c <= "\udfff" for c in text)


SAFE_KEYS = LONG_KEYS.filter(lambda k: k != "__metadata__" and "\0" not in k and is_unicode(k))


def named(keys, tensors, max_size=6):
    return st.lists(st.tuples(keys, tensors), min_size=1, max_size=max_size, unique_by=lambda pair: pair[0])


# ---- trees ----

LEAVES = st.builds(lambda b, grad, parameter: Leaf(b, grad and b.dtype in FLOATING, parameter and b.dtype in FLOATING),
                   bits(KNOWN), st.booleans(), st.integers(0, 3).map(lambda n: n == 0))
INTS = st.one_of(st.integers(-3, 300), st.integers(), st.integers(-1 << 600, 1 << 600),
                 st.sampled_from([s * (1 << n) + d for s in (1, -1) for n in (7, 8, 15, 16, 31, 32, 63, 64, 2039) for d in (-1, 0, 1)]))
STRINGS = st.one_of(st.text(st.one_of(st.characters(), st.sampled_from("$a\\\"\n\0\ud800\udfff\U0001f600")), max_size=8),
                    st.sampled_from(["$tensor", "$", "$$", "$dict", "$keys", "$ordered", "$state", "x" * 300]))
HASHABLE = st.recursive(
    st.one_of(st.none(), st.booleans(), INTS, st.floats(allow_nan=False), STRINGS, st.binary(max_size=5), st.complex_numbers(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3)), max_leaves=5)
SCALARS = st.one_of(
    st.none(), st.booleans(), INTS, st.floats(), STRINGS, st.binary(max_size=300), st.binary(max_size=5).map(bytearray), st.complex_numbers(),
    st.lists(st.integers(0, 1 << 62), max_size=3).map(torch.Size), st.sampled_from([getattr(torch, d) for d in KNOWN]),
    st.sampled_from(["cpu", "cuda:0", "cuda", "mps", "meta", "cuda:12", "xla:127"]).map(torch.device), st.sets(HASHABLE, max_size=3), HASHABLE)


def containers(inner):
    def dicts(keys, size=3):
        return st.dictionaries(keys, inner, max_size=size)
    ordered = st.one_of(dicts(STRINGS), dicts(INTS), dicts(HASHABLE)).map(lambda d: list(d.items()))
    attributes = st.one_of(st.just({}), st.just({}), st.dictionaries(st.sampled_from(["_metadata", "a", "$b"]), inner, min_size=1, max_size=2))
    return st.one_of(st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), dicts(STRINGS), dicts(INTS), dicts(HASHABLE),
                     st.builds(Ordered, ordered, attributes))


TREES = st.recursive(st.one_of(SCALARS, LEAVES), containers, max_leaves=12)


def realize(tree):
    """The tree as torch.save takes it and torch.load gives it."""
    if isinstance(tree, Leaf):
        t = to_torch(tree.bits)
        return torch.nn.Parameter(t, tree.grad) if tree.parameter else t.requires_grad_(tree.grad)
    if isinstance(tree, Ordered):
        out = collections.OrderedDict((k, realize(v)) for k, v in tree.items)
        out.__dict__.update({k: realize(v) for k, v in tree.state.items()})
        return out
    if type(tree) in (list, tuple):
        return type(tree)(map(realize, tree))
    return {k: realize(v) for k, v in tree.items()} if type(tree) is dict else tree


def exact(value):
    """A form in which == tells apart all that must not be mixed up: types, signs, bits, the order of keys; of a NaN only that it is one."""
    if isinstance(value, torch.Tensor):
        return "tensor", from_torch(value), value.requires_grad, isinstance(value, torch.nn.Parameter)
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, "nan" if value != value else struct.pack(">d", value)
    if isinstance(value, complex):
        return kind, exact(value.real), exact(value.imag)
    if isinstance(value, dict):
        return kind, [(exact(k), exact(v)) for k, v in value.items()], exact(dict(getattr(value, "__dict__", {}))) if kind != "dict" else None
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(exact, value), key=repr)
    if isinstance(value, (list, tuple)):
        return kind, [exact(v) for v in value]
    return kind, repr(value)


# ---- rankN.json ----

def outline(value, name_of):
    """What rankN.json holds for VALUE, a realized tree; NAME_OF gives the file of each tensor, which comes in the order of the tree."""
    def go(v):
        return outline(v, name_of)
    if isinstance(value, torch.Tensor):
        entry = {"$tensor": go(name_of(value)), "dtype": dtype_name(value.dtype), "shape": list(value.shape)}
        entry.update({k: True for k, on in (("requires_grad", value.requires_grad), ("parameter", isinstance(value, torch.nn.Parameter))) if on})
        return entry
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"$float": repr(value)}
    if isinstance(value, str) and not is_unicode(value):
        return {"$utf8": value.encode("utf-8", "surrogatepass").decode("latin-1")}
    simple = {bytes: ("$bytes", lambda v: v.decode("latin-1")), bytearray: ("$bytearray", lambda v: v.decode("latin-1")),
              complex: ("$complex", lambda v: [go(v.real), go(v.imag)]), torch.Size: ("$size", list), torch.dtype: ("$dtype", dtype_name),
              torch.device: ("$device", str), tuple: ("$tuple", lambda v: list(map(go, v))), set: ("$set", lambda v: list(map(go, v))),
              frozenset: ("$frozenset", lambda v: list(map(go, v)))}
    if type(value) in simple:
        mark, spell = simple[type(value)]
        return {mark: spell(value)}
    if isinstance(value, dict):
        return outline_dict(value, go)
    return list(map(go, value)) if isinstance(value, list) else value


def outline_dict(value, go):
    out = {}
    if isinstance(value, collections.OrderedDict):
        out["$ordered"] = True
    ints = value and all(type(k) is int for k in value)
    if ints:
        out["$keys"] = "int"
    if getattr(value, "__dict__", None):
        out["$state"] = go(value.__dict__)
    if ints or all(type(k) is str and is_unicode(k) for k in value):
        out.update(("$" + k if str(k).startswith("$") else str(k), go(v)) for k, v in value.items())
    else:
        out["$dict"] = [[go(k), go(v)] for k, v in value.items()]
    return out


def unnamed(node):
    """An outline without the tensors' names, which are the writer's choice, and the order of sets, which have none."""
    if isinstance(node, list):
        return [unnamed(v) for v in node]
    if not isinstance(node, dict):
        return node
    for mark in "$set", "$frozenset":
        if list(node) == [mark]:
            return {mark: sorted(map(unnamed, node[mark]), key=repr)}
    return {k: None if k == "$tensor" else unnamed(v) for k, v in node.items()}


# ---- meta.json ----

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), INTS, st.floats(), STRINGS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple),
                            st.dictionaries(st.one_of(STRINGS, STRINGS, st.integers(), st.floats(), st.booleans(), st.none()), inner, max_size=4)),
    max_leaves=20)
CONFIG = st.fixed_dictionaries({}, optional={"n_layer": st.one_of(st.integers(-1, 4), JSON), "window_pattern": JSON, "n_head": JSON})
DOCUMENTS = st.builds(lambda d, c: {**d, **c}, st.dictionaries(STRINGS, JSON, max_size=4),
                      st.fixed_dictionaries({}, optional={"model_config": st.one_of(CONFIG, CONFIG, JSON), "step": st.integers()}))
STYLES = st.fixed_dictionaries({}, optional={"indent": st.sampled_from([None, 0, 1, 2, 4, "\t"]), "ensure_ascii": st.booleans(),
                                             "sort_keys": st.just(False), "separators": st.sampled_from([(",", ":"), (", ", ": ")])})


def dumps(value, **style):
    """json.dumps; a lone surrogate has no place in UTF-8, so that text is written in ASCII."""
    text = json.dumps(value, **style)
    return text if is_unicode(text) else json.dumps(value, **{**style, "ensure_ascii": True})
