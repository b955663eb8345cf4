#!/usr/bin/python3
"""check_field.py CHECKPOINTS FIELD: the field files of FIELD, mounted as the tags of CHECKPOINTS, against what real torch 2.6 gave for them.

FIELD/torch-2.6.json has dtype, shape and the SHA-256 of the C-order bytes of every tensor that is an array; the others have a word on what they are.
Needs NumPy and no torch.
"""
import hashlib
import json
import os
import struct
import sys

import numpy as np

import ckpt
from ckpt import check, read

LARGE = 100 << 20   # a mask of 400 MB: its size is checked, and its ends
SAFE = {"float32": "F32", "bool": "BOOL"}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def xattr(path, name):
    return os.getxattr(path, "user.ckptfs." + name).decode()


def check_array(path, raw, want):
    shape, size = tuple(want["shape"]), np.dtype(want["dtype"]).itemsize * int(np.prod(want["shape"]))
    check(os.stat(raw).st_size == size, raw + ": its size")
    array = np.load(path, mmap_mode="r")
    check(array.dtype.name == want["dtype"] and array.shape == shape, "%s: %s %s" % (path, array.dtype, array.shape))
    if size > LARGE:
        check(want["sha"] is None and bool(array.flat[0]) and bool(array.flat[-1]), path + ": the ends of the mask")
        return
    check(sha(array.tobytes()) == want["sha"], path + ": the values")
    check(sha(read(raw)) == want["sha"], raw + ": the values")


def check_error(group, key, want):
    path = os.path.join(group, key + ".error")
    line = read(path).decode()
    check(line.endswith("\n") and line.count("\n") == 1 and len(line) > 20, path + ": one line")
    check(not os.path.exists(os.path.join(group, key + ".npy")), path + ": and the array, too")
    check(xattr(path, "key") == key, path + ": user.ckptfs.key")
    if "meta" in want:
        check(xattr(path, "dtype") == want["dtype"].replace("torch.", ""), path + ": user.ckptfs.dtype")
        check(xattr(path, "shape") == "[%s]" % ",".join(map(str, want["shape"])), path + ": user.ckptfs.shape")


def check_table(group, tensors, shown):
    lines = read(group + ".tsv").decode().splitlines()
    head, rows = lines[0].split("\t"), [line.split("\t") for line in lines[1:]]
    check([r[0] for r in rows] == list(tensors), group + ".tsv: its keys")
    for row in rows:
        row = dict(zip(head, row))
        check((row["file_offset"] == "-") == (row["key"] not in shown), "%s.tsv: %s: its place" % (group, row))


def check_safetensors(group, tensors, shown):
    path = group + ".safetensors"
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        head = json.loads(f.read(size))
        start = 8 + size
        meta = head.pop("__metadata__")
        check(set(head) == set(shown), path + ": its keys")
        left = [k for k in tensors if k not in shown]
        check(json.loads(meta.get("ckptfs.left_out", "[]")) == left, path + ": ckptfs.left_out")
        check(("ckptfs.left_out" in meta) == bool(left) and meta["format"] == "pt", path + ": __metadata__")
        for key, entry in head.items():
            want, (at, end) = shown[key], entry["data_offsets"]
            check(entry["dtype"] == SAFE[want["dtype"]] and entry["shape"] == want["shape"], "%s: %s: %s" % (path, key, entry))
            if end - at <= LARGE:
                f.seek(start + at)
                check(sha(f.read(end - at)) == want["sha"], "%s: %s: the values" % (path, key))


def check_file(checkpoints, field, name, tensors):
    tag, file = name.split("/")
    step = os.path.join(checkpoints, tag, "000100")
    group = os.path.join(step, "model" if file.startswith("model") else "optim/rank0")
    shown = {k: v for k, v in tensors.items() if "sha" in v}
    if not check(os.path.isdir(group), group + ": not shown"):
        return
    check(sorted(os.listdir(group)) == sorted(k + (".npy" if k in shown else ".error") for k in tensors), group + ": its names")
    check(sorted(os.listdir(group + ".raw")) == sorted(shown), group + ".raw: its names")
    for key, want in tensors.items():
        if key in shown:
            check_array(os.path.join(group, key + ".npy"), os.path.join(group + ".raw", key), want)
        else:
            check_error(group, key, want)
    check_table(group, tensors, shown)
    check_safetensors(group, tensors, shown)
    stored = group + ".pt"
    check(read(stored) == read(os.path.join(field, name)), stored + ": the bytes")
    check(xattr(stored, "pickle") == "safe", stored + ": user.ckptfs.pickle")
    if "optim" in file:
        check(isinstance(json.loads(read(group + ".json")), (dict, list)), group + ".json")


def main(checkpoints, field):
    with open(os.path.join(field, "torch-2.6.json"), encoding="utf-8") as f:
        files = json.load(f)
    for name, what in files.items():
        check(what["opens"], name + ": torch refuses it")
        check_file(checkpoints, field, name, what["tensors"])
    check(len(files) >= 20, "only %d files" % len(files))
    ckpt.finish("%d field files" % len(files))


if __name__ == "__main__":
    main(*sys.argv[1:])
