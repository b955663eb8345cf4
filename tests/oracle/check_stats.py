#!/usr/bin/python3
"""ckptfs --check --finite -v --json against NumPy: check_stats.py CKPTFS STORE. Every tensor of every file, but complex and float8 ones, whose
NaN and infinities alone are counted."""
import json
import os
import subprocess
import sys

import numpy as np
import torch

from ckpt import check, finish, load


def tensors(value, path=()):
    """Keys as the mount has them, to tensors."""
    if isinstance(value, torch.Tensor):
        key = ".".join(path)
        yield (key[len("_orig_mod."):] if key.startswith("_orig_mod.") else key), value
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from tensors(v, (*path, str(k)))
    elif isinstance(value, (list, tuple)):
        for k, v in enumerate(value):
            yield from tensors(v, (*path, str(k)))


def printed(x):
    return float("%.6g" % x)


def expected(t):
    # NumPy's own type lacks bfloat16; float64 has every value of every other type but the largest 64-bit integers.
    x = (t.detach().resolve_conj().resolve_neg() if hasattr(t, "resolve_neg") else t.detach()).cpu()
    x = (x.to(torch.complex128) if x.is_complex() else x.to(torch.float64)).numpy()
    want = {"nan": int(np.isnan(x).sum()), "inf": int((np.isinf(x) & ~np.isnan(x)).sum())}
    if t.is_complex() or "float8" in str(t.dtype):
        return want
    want["zeros"] = int((x == 0).sum())
    x = x[np.isfinite(x)]
    if x.size:
        want.update(min=printed(x.min()), max=printed(x.max()), mean=printed(x.mean()), std=printed(x.std()), l2=printed(np.sqrt((x * x).sum())))
    return want


def main():
    ckptfs, store = sys.argv[1:]
    done = subprocess.run([ckptfs, "--check", "--finite", "-v", "--json", store], stdout=subprocess.PIPE, check=False)
    rows = {}
    for line in map(json.loads, done.stdout.decode().splitlines()):
        if "tensor" in line:
            rows.setdefault(line["path"], {})[line["tensor"]] = line
    count = 0
    for top, _, names in os.walk(store):
        for name in names:
            path = os.path.join(top, name)
            if not name.endswith(".pt"):
                continue
            try:
                wanted = dict(tensors(load(path)))
            except Exception as e:  # a fixture of a newer torch
                print("%s: %s" % (path, str(e)[:100]))
                continue
            check(path in rows, path + ": no rows")
            for key, t in wanted.items():
                row = rows.get(path, {}).get(key)
                if t.layout is not torch.strided or t.is_quantized or not check(row is not None, "%s: no row for %s" % (path, key)):
                    continue
                for k, v in expected(t).items():
                    check(row[k] == v, "%s: %s: %s is %r, NumPy says %r" % (path, key, k, row[k], v))
                count += 1
    check(count > 0, "nothing was compared")
    finish("%d tensors" % count)


if __name__ == "__main__":
    main()
