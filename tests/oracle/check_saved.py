#!/usr/bin/python3
"""What the store holds after a step was written, against torch, NumPy and zipfile.

check_saved.py model NEW.pt OLD.pt META.json DEVICE   NEW is the model that nanochat would have made of OLD
check_saved.py any-order NEW.pt OLD.pt META.json DEVICE  the same, but for the order of the keys
check_saved.py state NEW.pt OLD.pt                    equal to the last bit, type and place
check_saved.py cases NEW.pt [KIND]                    write_cases' arrays: all (default), little (what safetensors can say), unsigned
check_saved.py zip NEW.pt...                          the archive itself, as torch writes it
"""
import collections
import io
import math
import os
import struct
import sys
import zipfile

import numpy as np

import ckpt
import write_cases
from ckpt import check

torch = ckpt.torch


def same_tensor(got, want, where):
    check(got.dtype == want.dtype and got.shape == want.shape, "%s: %s %s, want %s %s" % (where, got.dtype, got.shape, want.dtype, want.shape))
    check(got.requires_grad == want.requires_grad and isinstance(got, torch.nn.Parameter) == isinstance(want, torch.nn.Parameter),
          where + ": requires_grad or Parameter")
    check(ckpt.as_numpy(got).tobytes() == ckpt.as_numpy(want).tobytes(), where + ": values")


def same(got, want, where="state"):
    if isinstance(want, torch.Tensor):
        if check(isinstance(got, torch.Tensor), where + ": no tensor"):
            same_tensor(got, want, where)
        return
    if not check(type(got) is type(want), "%s: a %s, not a %s" % (where, type(got).__name__, type(want).__name__)):
        return
    if isinstance(want, dict):
        check([(type(k), k) for k in got] == [(type(k), k) for k in want], "%s: keys %r, want %r" % (where, list(got)[:9], list(want)[:9]))
        for key in want:
            same(got.get(key), want[key], "%s[%r]" % (where, key))
    elif isinstance(want, (list, tuple)):
        check(len(got) == len(want), where + ": length")
        for i, (g, w) in enumerate(zip(got, want)):
            same(g, w, "%s[%d]" % (where, i))
    elif isinstance(want, float):
        check(struct.pack("<d", got) == struct.pack("<d", want) or math.isnan(got) and math.isnan(want), "%s: %r, want %r" % (where, got, want))
    else:
        check(got == want, "%s: %r, want %r" % (where, got, want))


def check_zip(path):
    """Stored entries under one directory, data.pkl first, storages at multiples of 64, the CRCs true."""
    with zipfile.ZipFile(path) as z:
        check(z.testzip() is None, path + ": a CRC is wrong")
        names = z.namelist()
        tops = {n.split("/")[0] for n in names}
        check(len(tops) == 1 and len(set(names)) == len(names), "%s: %r" % (path, sorted(tops)))
        check({"data.pkl", "version", "byteorder"} <= {n.split("/", 1)[1] for n in names}, "%s: %r" % (path, names[:5]))
        top = tops.pop() + "/"
        check(z.read(top + "version").strip() == b"3" and z.read(top + "byteorder") == b"little", path + ": version or byteorder")
        check(all(i.compress_type == 0 for i in z.infolist()), path + ": deflated")
        check(z.read(top + "data.pkl")[:2] == b"\x80\x02", path + ": pickle protocol")
    check(all(offset % 64 == 0 for offset, _, _ in ckpt.storage_places(path).values()), path + ": a storage is not aligned")
    check(top[:-1] == os.path.basename(path)[:-3], "%s: named %s inside" % (path, top))


class LayoutUnpickler(ckpt.LayoutUnpickler):
    """Also of dtypes that the torch at hand lacks."""

    def find_class(self, module, name):
        return name if module == "torch" and name.startswith("uint") else super().find_class(module, name)


def layout_of(path):
    with zipfile.ZipFile(path) as z:
        return LayoutUnpickler(io.BytesIO(z.read(ckpt.archive_prefix(z) + "data.pkl"))).load()


def check_model(new, old, meta, device, ordered=True):
    got = ckpt.load(new)
    check(type(got) is collections.OrderedDict, "not an OrderedDict")
    want = ckpt.nanochat_model(old, ckpt.load_meta(meta), device)
    if not ordered:
        got, want = {k: got[k] for k in sorted(got)}, {k: want[k] for k in sorted(want)}
    same(dict(got), want, "model")


def check_cases(new, kind="all"):
    cases = {"all": write_cases.arrays, "unsigned": write_cases.unsigned,
             "little": lambda: [(k, a) for k, a in write_cases.arrays() if a.dtype.str[1:] != "c16"]}[kind]()
    layout, places = layout_of(new), ckpt.storage_places(new)
    check(list(layout) == [k for k, _ in cases], "keys %r" % list(layout))
    loaded = ckpt.load(new) if kind != "unsigned" else {}
    for key, array in cases:
        want = write_cases.little(array)
        stored = layout.get(key)
        if not check(stored is not None and stored.size == array.shape, "%s: %r" % (key, stored and stored.size)):
            continue
        if kind == "unsigned":
            offset, size, _ = places[stored.key]
            with open(new, "rb") as f:
                f.seek(offset)
                check(f.read(size) == want.tobytes("C"), key + ": bytes")
            continue
        got = loaded[key]
        check(got.is_contiguous(), key + ": not in C order")
        shown = ckpt.as_numpy(got)
        check(shown.dtype == want.dtype and shown.shape == want.shape and shown.tobytes() == want.tobytes("C"), "%s: %s" % (key, shown.dtype))


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "model":
        check_model(*args)
    elif what == "any-order":
        check_model(*args, ordered=False)
    elif what == "state":
        same(ckpt.load(args[0]), ckpt.load(args[1]))
    elif what == "cases":
        check_cases(*args)
    for path in args if what == "zip" else args[:1]:
        check_zip(path)
    ckpt.finish("%s %s" % (what, args[0]))


if __name__ == "__main__":
    main()
