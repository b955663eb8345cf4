"""What every oracle here needs: torch.load, nanochat's rules, and the layout of a .pt as the zip and pickle modules see it.

Nothing in this directory looks at ckptfs: expected values come from torch, NumPy, json, pickle and zipfile.
"""
import io
import json
import os
import pickle
import struct
import sys
import zipfile

import numpy as np

try:
    import torch
except ImportError:  # the checks of committed fixtures do without
    torch = None

FAILURES = []


def check(condition, message):
    """Counts a failure and goes on, so that one run names them all."""
    if not condition:
        FAILURES.append(message)
        if len(FAILURES) <= 40:
            print("FAIL " + message, file=sys.stderr)
    return bool(condition)


def finish(what):
    """The exit status of an oracle: says what was checked, fails when anything was wrong."""
    if FAILURES:
        print("%s: %d checks failed" % (what, len(FAILURES)), file=sys.stderr)
        sys.exit(1)
    print(what + ": ok")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def load(path):
    """torch.load of a file, or a path, that the tests made themselves. From 2.6 on torch refuses shards unless it is told otherwise."""
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except TypeError:
        return torch.load(path, map_location="cpu")


def load_meta(path):
    """The metadata, or None where it can't be used; then nanochat's patches have nothing to work with."""
    try:
        with open(path, encoding="utf-8") as f:
            meta = json.load(f)
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) else None


def patched_meta(meta):
    """nanochat's _patch_missing_config_keys."""
    config = meta.get("model_config")
    if isinstance(config, dict) and "window_pattern" not in config:
        config["window_pattern"] = "L"
    return meta


def n_layer_of(meta):
    config = (meta or {}).get("model_config")
    n = config.get("n_layer") if isinstance(config, dict) else None
    return n if isinstance(n, int) and not isinstance(n, bool) and n >= 0 else None


def nanochat_model(path, meta, device):
    """The dict that nanochat's build_model hands to the model: bfloat16, then the prefix, then the lambdas."""
    data = load(path)
    if device in ("cpu", "mps"):
        data = {k: v.float() if v.dtype == torch.bfloat16 else v for k, v in data.items()}
    data = {k[len("_orig_mod."):] if k.startswith("_orig_mod.") else k: v for k, v in data.items()}
    n_layer = n_layer_of(meta)
    if n_layer is not None:
        if "resid_lambdas" not in data:
            data["resid_lambdas"] = torch.ones(n_layer)
        if "x0_lambdas" not in data:
            data["x0_lambdas"] = torch.zeros(n_layer)
    return data


def dtype_name(dtype):
    return str(dtype).replace("torch.", "")


def as_numpy(tensor):
    """The array whose numpy.save is the .npy: bfloat16 as '<V2' and float8 as '|V1', which NumPy has no type for."""
    tensor = tensor.detach()
    if tensor.is_conj():
        tensor = tensor.resolve_conj()
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    tensor = tensor.contiguous()
    name = dtype_name(tensor.dtype)
    if name == "bfloat16":
        return tensor.view(torch.int16).numpy().view(np.dtype("V2"))
    if name.startswith("float8_"):
        return tensor.view(torch.uint8).numpy().view(np.dtype("V1"))
    return tensor.numpy()


def npy_bytes(array):
    """numpy.save's bytes. bfloat16 is spelled '<V2', as the type that the ml_dtypes package gives to NumPy, not '|V2' as anonymous bytes."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue().replace(b"'descr': '|V2'", b"'descr': '<V2'", 1)


def walk_tensors(value, path=()):
    """Yields (path, tensor) in the order in which the containers hold them; the parts are keys and positions."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from walk_tensors(v, path + (str(k),))
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            yield from walk_tensors(v, path + (str(i),))


class Stored:
    """A tensor as the pickle spells it: which storage, and which part of it."""

    def __init__(self, storage, offset, size, stride, *rest):
        self.type, self.key = storage[1], storage[2]
        self.offset, self.size, self.stride = offset, tuple(size), tuple(stride)
        self.rest = rest


class LayoutUnpickler(pickle.Unpickler):
    """Reads a data.pkl without torch's rebuild functions."""

    def find_class(self, module, name):
        if name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3"):
            return Stored
        if name == "_rebuild_parameter":
            return lambda data, *rest: data
        if module == "torch" and name.endswith("Storage"):
            return name
        return super().find_class(module, name)

    def persistent_load(self, pid):
        return pid


def archive_prefix(z):
    return next(n for n in z.namelist() if n.endswith("/data.pkl"))[:-len("data.pkl")]


def layout(path):
    """The unpickled structure with Stored in the tensors' places."""
    with zipfile.ZipFile(path) as z:
        return LayoutUnpickler(io.BytesIO(z.read(archive_prefix(z) + "data.pkl"))).load()


def storage_places(path):
    """Where each storage's bytes begin in the .pt: {'0': (offset, size, stored)}, by the local headers."""
    places = {}
    with zipfile.ZipFile(path) as z, open(path, "rb") as f:
        prefix = archive_prefix(z) + "data/"
        for info in z.infolist():
            if info.filename.startswith(prefix):
                f.seek(info.header_offset + 26)
                name_len, extra_len = struct.unpack("<HH", f.read(4))
                places[info.filename[len(prefix):]] = (
                    info.header_offset + 30 + name_len + extra_len, info.file_size, info.compress_type == 0)
    return places


def storage_crcs(path):
    """The CRC-32 of each storage's record: {'0': crc}, by the central directory."""
    with zipfile.ZipFile(path) as z:
        prefix = archive_prefix(z) + "data/"
        return {i.filename[len(prefix):]: i.CRC for i in z.infolist() if i.filename.startswith(prefix)}


SAFETENSORS = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "float8_e5m2": "F8_E5M2", "float8_e4m3fn": "F8_E4M3",
    "float8_e8m0fnu": "F8_E8M0", "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e4m3fnuz": "F8_E4M3FNUZ", "int16": "I16", "uint16": "U16",
    "float16": "F16", "bfloat16": "BF16", "int32": "I32", "uint32": "U32", "float32": "F32", "complex64": "C64",
    "float64": "F64", "int64": "I64", "uint64": "U64",
}
# The order of the safetensors library's Dtype (0.8; older ones have a part of it); it writes the last of these first.
SAFETENSORS_ORDER = ["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16", "U16", "F16", "BF16",
                     "I32", "U32", "F32", "C64", "F64", "I64", "U64"]


def read_safetensors(data):
    """A reader written from the format's description; breaks of its rules are ValueErrors."""
    def no_duplicates(pairs):
        if len({k for k, _ in pairs}) != len(pairs):
            raise ValueError("duplicate keys")
        return dict(pairs)

    if len(data) < 8:
        raise ValueError("shorter than its length field")
    n = struct.unpack("<Q", data[:8])[0]
    if n > 100000000 or 8 + n > len(data):
        raise ValueError("header length %d" % n)
    if n % 8 or data[8:9] != b"{":
        raise ValueError("header not padded to 8 bytes, or no object")
    header = json.loads(data[8:8 + n].decode("utf-8"), object_pairs_hook=no_duplicates)
    metadata = header.pop("__metadata__", None)
    body, end, tensors = data[8 + n:], 0, {}
    for name, info in header.items():
        if set(info) != {"dtype", "shape", "data_offsets"}:
            raise ValueError("fields of " + name)
        begin, stop = info["data_offsets"]
        if begin != end or stop < begin:
            raise ValueError("a hole or an overlap before " + name)
        end = stop
        tensors[name] = (info["dtype"], tuple(info["shape"]), body[begin:stop])
    if end != len(body):
        raise ValueError("the data don't end the file")
    return metadata, tensors
