#!/usr/bin/python3
"""check_model.py STEPDIR STORED.pt META.json DEVICE: a mounted step's model and meta.json against torch, NumPy, json and nanochat's rules."""
import json
import os
import sys

import ckpt
import views
from ckpt import check, read


def check_meta(step, path):
    meta = ckpt.load_meta(path)
    if meta is None:
        return None
    want = json.dumps(ckpt.patched_meta(meta), indent=2)
    check(read(os.path.join(step, "meta.json")).decode() == want, step + "/meta.json: not what json.dump writes")
    check(os.stat(os.path.join(step, "meta.json")).st_size == len(want), step + "/meta.json: st_size")
    return meta


def strip(key):
    return key[len("_orig_mod."):] if key.startswith("_orig_mod.") else key


def main():
    step, pt, meta_path, device = sys.argv[1:]
    meta = check_meta(step, meta_path)
    tensors = ckpt.nanochat_model(pt, meta, device)
    stored = {strip(k): v for k, v in ckpt.layout(pt).items()}
    dtypes = {strip(k): ckpt.dtype_name(v.dtype) for k, v in ckpt.load(pt).items()}
    dtypes.update({k: "float32" for k in tensors if k not in dtypes})
    views.check_group(step, "model", tensors, dtypes, stored, pt)
    ckpt.finish("%s: %d tensors for %s" % (step, len(tensors), device))


if __name__ == "__main__":
    main()
