#!/usr/bin/python3
"""check_fixture.py MOUNTTAG FIXTURE DEVICE: the mounted tag of a committed fixture against its expected.json. Needs NumPy, no torch."""
import hashlib
import json
import os
import sys

import numpy as np

import ckpt
import views
from ckpt import check, read


def sha(data):
    return hashlib.sha256(data).hexdigest()


def check_group(base, expected):
    views.check_listing(base, [e["key"] for e in expected], ".npy")
    views.check_listing(base + ".raw", [e["key"] for e in expected], "")
    rows = [line.split("\t") for line in read(base + ".tsv").decode().split("\n")[1:-1]]
    check([r[0] for r in rows] == [e["key"] for e in expected], base + ".tsv: keys")
    raw = {}
    for e, row in zip(expected, rows):
        path = os.path.join(os.fsencode(base), views.file_name(e["key"], ".npy"))
        raw[e["key"]] = read(os.path.join(os.fsencode(base + ".raw"), views.file_name(e["key"], "")))
        check(sha(read(path)) == e["npy"], "%s/%s.npy: not numpy.save's bytes" % (base, e["key"]))
        check(sha(raw[e["key"]]) == e["raw"], "%s.raw/%s differs" % (base, e["key"]))
        check(np.load(path).shape == tuple(e["shape"]), "%s/%s.npy: shape" % (base, e["key"]))
        shape = "[" + ",".join(map(str, e["shape"])) + "]"
        check(row[1:5] == [e["dtype"], shape, str(len(raw[e["key"]])), e["stored_dtype"]], "%s.tsv: %r" % (base, row))
        check(os.getxattr(path, "user.ckptfs.dtype").decode() == e["dtype"], "%s/%s.npy: xattr" % (base, e["key"]))
    check_safetensors(base + ".safetensors", expected, raw)


def check_safetensors(path, expected, raw):
    left_out = [e["key"] for e in expected if e["dtype"] not in ckpt.SAFETENSORS]
    expected = [e for e in expected if e["key"] not in left_out]
    metadata, tensors = ckpt.read_safetensors(read(path))
    views.check_metadata(path, metadata, left_out)
    want = {e["key"]: (ckpt.SAFETENSORS[e["dtype"]], tuple(e["shape"]), raw[e["key"]]) for e in expected}
    check(tensors == want, path + " differs")
    order = sorted(expected, key=lambda e: (-ckpt.SAFETENSORS_ORDER.index(ckpt.SAFETENSORS[e["dtype"]]), e["key"].encode()))
    check(list(tensors) == [e["key"] for e in order], path + ": order")


def main():
    tag, fixture, device = sys.argv[1:]
    with open(os.path.join(fixture, "expected.json"), encoding="utf-8") as f:
        expected = json.load(f)
    for name, tensors in expected.items():
        if name.startswith(device + "/"):
            check_group(os.path.join(tag, name[len(device) + 1:]), tensors)
    library = os.path.join(fixture, "library.safetensors")
    if os.path.exists(library) and device == "cuda":
        ours, theirs = (ckpt.read_safetensors(read(p)) for p in (os.path.join(tag, "000002/model.safetensors"), library))
        check(ours == theirs and list(ours[1]) == list(theirs[1]), "model.safetensors is not what the library writes")
    ckpt.finish("%s for %s" % (fixture, device))


if __name__ == "__main__":
    main()
