"""The checkpoints of a storm: every version is filled with its own number, so that bytes of two versions in one file show at once.

Written from the formats' descriptions with NumPy and json; needs no torch. A version is a number below LIMIT.
"""
import functools
import io
import json
import struct

import numpy as np

import handmade

LIMIT = 30000
TORN = "torn"       # no version, or more than one


def shapes(v):
    """The tensors of model version V in their order. Sizes differ, but not between all versions."""
    return {"big.weight": (60 + v % 3 * 40, 1500), "half.weight": (90 + v % 2 * 30, 500), "turned.weight": (70, 130), "v%05d.scale" % v: (8,)}


def word(v, key):
    """The 32 bits that each element of KEY has: a float32, or a bfloat16 that is shown as one."""
    return v << 16 if key == "half.weight" else 0x3f800000 + v


def shown(v, key, shape):
    """The array as nanochat would load it on cpu."""
    return np.full(shape, word(v, key), "<u4").view("<f4")


LAMBDAS = {"resid_lambdas": np.ones(2, "<f4"), "x0_lambdas": np.zeros(2, "<f4")}


@functools.lru_cache(maxsize=4)
def model(v):
    """model_NNNNNN.pt: float32 and bfloat16, a transposed view, a key with torch.compile's prefix."""
    values, storages = {}, {}
    for i, (key, shape) in enumerate(shapes(v).items()):
        name = "_orig_mod." + key if key.startswith("v") else key
        stride = (1, shape[0]) if key == "turned.weight" else None
        values[name] = handmade.tensor(i, shape, storage="BFloat16" if key == "half.weight" else "Float", stride=stride)
        array = shown(v, key, shape).view("<u4")
        storages[str(i)] = (array >> 16).astype("<u2").tobytes() if key == "half.weight" else array.tobytes()
    return archive(values, storages)


@functools.lru_cache(maxsize=4)
def optim(v):
    shape = (40 + v % 5, 700)
    state = {"state": {0: {"step": v, "exp_avg": handmade.tensor(0, shape), "exp_avg_sq": handmade.tensor(1, shape)}},
             "param_groups": [{"kind": "adamw", "lr": v / 8, "params": [0]}]}
    return archive(state, {"0": shown(v, "exp_avg", shape).tobytes(), "1": shown(v, "exp_avg_sq", shape).tobytes()})


def archive(values, storages):
    out = io.BytesIO()
    w = handmade.Writer(out)
    w.entry("data.pkl", handmade.dumps(values))
    for key, data in storages.items():
        w.entry("data/" + key, data, align=True)
    w.entry("version", b"3\n")
    w.finish()
    return out.getvalue()


def meta(v, patched=False):
    config = {"n_layer": 2, "sequence_len": v}
    if patched:
        config["window_pattern"] = "L"
    text = json.dumps({"step": v, "model_config": config, "loop_state": [v] * (100 + v % 9 * 90), "val_bpb": v / 8}, indent=2)
    return text.encode()


STORED = {"model": model, "meta": meta, "optim": optim}
FIRST = {"model": 1, "meta": 1, "optim": 1}


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def word_of(data, offset=-4):
    return struct.unpack("<I", data[offset:][:4] if offset < 0 else data[offset:offset + 4])[0]


def version_of_array(key, bits):
    v = bits >> 16 if key == "half.weight" else bits - 0x3f800000
    return v if 0 < v < LIMIT and word(v, key) == bits else TORN


# ---- what a file of a step says: its version, or TORN ----

def of_npy(data, key, shape_of):
    if len(data) < 132:
        return TORN
    v = version_of_array(key, word_of(data))
    return v if v != TORN and data == npy(shown(v, key, shape_of(v))) else TORN


def of_tensor(data, name):
    """model/NAME or model.raw/NAME."""
    key, raw = (name, True) if not name.endswith(".npy") else (name[:-4], False)
    if key in LAMBDAS:
        return None if data == (LAMBDAS[key].tobytes() if raw else npy(LAMBDAS[key])) else TORN
    if not raw:
        return of_npy(data, key, lambda v: shapes(v).get(key, (0,)))
    v = version_of_array(key, word_of(data)) if len(data) >= 4 else TORN
    return v if v != TORN and key in shapes(v) and data == shown(v, key, shapes(v)[key]).tobytes() else TORN


def of_safetensors(data):
    try:
        n = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + n])
        v = next(int(k[1:6]) for k in header if k.startswith("v"))
    except (ValueError, StopIteration, struct.error):
        return TORN
    arrays = {k: shown(v, k, s) for k, s in shapes(v).items()}
    if "resid_lambdas" in header:
        arrays.update(LAMBDAS)
    body = b""
    if set(header) != set(arrays) | {"__metadata__"}:
        return TORN
    for key in sorted(arrays):
        want = {"dtype": "F32", "shape": list(arrays[key].shape), "data_offsets": [len(body), len(body) + arrays[key].nbytes]}
        if header[key] != want:
            return TORN
        body += arrays[key].tobytes()
    return v if data[8 + n:] == body else TORN


def of_tsv(data):
    try:
        rows = [line.split("\t") for line in data.decode().splitlines()]
        v = next(int(row[0][1:6]) for row in rows if row[0].startswith("v") and row[0].endswith(".scale"))
    except (ValueError, StopIteration):
        return TORN
    got = {row[0]: row[1:5] for row in rows[1:] if row[0] not in LAMBDAS}
    want = {k: ["float32", "[%s]" % ",".join(map(str, s)), str(4 * int(np.prod(s))), "bfloat16" if k == "half.weight" else "float32"]
            for k, s in shapes(v).items()}
    places = all(model(v)[int(row[5]):int(row[5]) + 2] == shown(v, row[0], (1,)).tobytes()[2 if row[0] == "half.weight" else 0:][:2]
                 for row in rows[1:] if row[0] not in LAMBDAS) if got == want else False
    return v if places else TORN


def of_names(names, suffix):
    """A listing of model/ or model.raw/."""
    v = next((int(n[1:6]) for n in names if n.startswith("v")), TORN)
    if v == TORN:
        return TORN
    keys = list(shapes(v)) + (list(LAMBDAS) if "resid_lambdas" + suffix in names else [])
    return v if names == [k + suffix for k in keys] else TORN


def of_model_pt(data):
    place = data.find(b".scale")
    try:
        v = int(data[place - 5:place])
    except ValueError:
        return TORN
    return v if 0 < v < LIMIT and data == model(v) else TORN


def of_meta(data, patched=True):
    try:
        v = json.loads(data)["step"]
    except ValueError:
        return TORN
    return v if data == meta(v, patched) else TORN


def of_optim_json(data):
    try:
        groups = json.loads(data)["param_groups"]
        v = int(groups[0]["lr"] * 8)
    except (ValueError, KeyError, TypeError):
        return TORN
    shape = [40 + v % 5, 700]
    text = data.decode()
    fits = text.count('"step": %d,' % v) == 1 and json.dumps(shape)[1:-1].replace(" ", "") in text.replace(" ", "").replace("\n", "")
    return v if fits and groups == [{"kind": "adamw", "lr": v / 8, "params": [0]}] else TORN


def of_optim_pt(data):
    v = version_of_array("exp_avg", word_of(data, 4096)) if len(data) >= 4100 else TORN
    return v if v != TORN and data == optim(v) else TORN


def of_optim_npy(data):
    return of_npy(data, "exp_avg", lambda v: (40 + v % 5, 700))


# Every kind of file: its place in a step, the stored file it shows, and how its version is read.
FILES = {
    "model/big.weight.npy": ("model", lambda d: of_tensor(d, "big.weight.npy")),
    "model/half.weight.npy": ("model", lambda d: of_tensor(d, "half.weight.npy")),
    "model/turned.weight.npy": ("model", lambda d: of_tensor(d, "turned.weight.npy")),
    "model.raw/big.weight": ("model", lambda d: of_tensor(d, "big.weight")),
    "model.raw/half.weight": ("model", lambda d: of_tensor(d, "half.weight")),
    "model.raw/turned.weight": ("model", lambda d: of_tensor(d, "turned.weight")),
    "model.safetensors": ("model", of_safetensors),
    "model.tsv": ("model", of_tsv),
    "model.pt": ("model", of_model_pt),
    "meta.json": ("meta", of_meta),
    "optim/rank0/state.0.exp_avg.npy": ("optim", of_optim_npy),
    "optim/rank0.json": ("optim", of_optim_json),
    "optim/rank0.pt": ("optim", of_optim_pt),
}
