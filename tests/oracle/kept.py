#!/usr/bin/python3
"""What a program wrote under one of nanochat's names is, after close, in the store as it was written, or beside it.

kept.py TAG STORED FILE...   TAG is a tag's directory in a mount, STORED the same in the store, both else unused. Each FILE as it is, cut and with
                             random bytes, under each of nanochat's names, in each way in which a program makes a file there.

The bytes that are looked for are those that were written. Whether they may have the name is asked of others: of Python's zipfile and of torch.load (a
whole zip takes a .pt's name unless it plainly is the other kind), and of json. What a plain directory holds after torch.save is the oracle of that.
"""
import collections
import json
import mmap
import os
import random
import sys
import tempfile
import time
import zipfile

import numpy
import torch

import ckpt

EACH = os.environ.get("CKPTFS_KEPT", "each") == "each"
NAMES = ("model_%06d.pt", "optim_%06d_rank0.pt", "meta_%06d.json")
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def plainly(path, label):
    """What torch.load says that the file is: "model", "optim", None where it is neither, "?" where this torch can't read it."""
    # Python's own hash of a tuple that holds another twice, which holds another twice, and so on, ends some other day.
    if "laughs-" in label or "doubling-" in label:
        return "?"
    try:
        obj = torch.load(path, map_location="cpu", weights_only=True)    # the hostile files are run by nobody
    except Exception:
        return "?"
    def optim(o):
        return isinstance(o, dict) and "state" in o and "param_groups" in o
    if optim(obj) or (isinstance(obj, list) and obj and all(map(optim, obj))):
        return "optim"
    if isinstance(obj, dict) and obj and all(torch.is_tensor(v) for v in obj.values()):
        return "model"
    return None


def wanted(data, name, readable, label=""):
    """True: it takes the name. False: it doesn't. None: nobody at hand can tell, or not who can't read it (READABLE says that everybody can)."""
    if name.startswith("meta"):
        try:
            return isinstance(json.loads(data.decode()), dict)    # as text, as nanochat reads it: no mark of its encoding in front
        except RecursionError:
            return None
        except ValueError:
            return False
    if data.startswith(LEGACY):
        return True
    with tempfile.NamedTemporaryFile(suffix=".pt") as f:
        f.write(data)
        f.flush()
        try:
            with zipfile.ZipFile(f.name) as z:
                z.infolist()
        except Exception as e:
            # zipfile says this where it found no end of the zip, for which it looks no further than torch does. What else it finds wrong, and
            # is_zipfile with it since the repairs for CVE-2025-8291, may be read by others.
            return False if str(e) == "File is not a zip file" else None
        kind = plainly(f.name, label)
    if kind in (None, name.partition("_")[0]):
        return True
    return False if readable and kind != "?" else None


def by_write(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for at in range(0, len(data), 70001):
        os.write(fd, data[at:at + 70001])
    return closes(fd)


def closes(fd):
    try:
        os.close(fd)
    except OSError as e:
        return e.errno
    return 0


def by_mmap(path, data, early=False):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    os.ftruncate(fd, len(data))
    m = mmap.mmap(fd, len(data))
    if early:
        m[:] = data
        m.flush()
        m.close()
        return closes(fd)
    closes(fd)
    m[:] = data
    m.close()
    return None     # nobody is there to be told


def by_early_mmap(path, data):
    return by_mmap(path, data, early=True)


def by_rename(path, data):
    source = os.path.join(os.path.dirname(path), ".tmp-of-%s" % os.path.basename(path))
    with open(source, "wb") as f:
        f.write(data)
    try:
        os.rename(source, path)
    except OSError as e:
        with open(source, "rb") as f:
            ckpt.check(f.read() == data, "%s: the source of a refused rename" % path)
        os.unlink(source)
        return -e.errno
    return 0


def content(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def found(stored, data, took):
    """Whether DATA has its name (TOOK), or stands beside it; both when nobody can tell."""
    places = {True: [stored], False: [stored + ".rejected"], None: [stored, stored + ".rejected"]}[took]
    return any(content(p) == data for p in places)


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


WAYS = (by_write, by_mmap, by_early_mmap, by_rename)


def one(tag, stored, step, label, data, readable=False):
    # Of the many files each takes its turn, with another name and in another way than the one before it.
    names, ways = (NAMES, WAYS) if EACH else ((NAMES[step % 3],), (WAYS[step % 4],))
    for name in names:
        took = wanted(data, name, readable, label)
        for way in ways:
            at = name % step
            what = "%s as %s, %s" % (label, at, way.__name__)
            error = way(os.path.join(tag, at), data)
            if way is by_rename and error:
                ckpt.check(error == -22 and took is not True, "%s: refused with %d" % (what, error))
                continue
            there = within(3, lambda: found(os.path.join(stored, at), data, took))
            ckpt.check(there, "%s: the bytes are not where they should be (%s)" % (what, took))
            if error is not None:
                named = content(os.path.join(stored, at)) == data
                ckpt.check(error == (0 if named else 22), "%s: close says %d" % (what, error))
            for left in (at, at + ".rejected"):
                if os.path.exists(os.path.join(stored, left)):
                    os.unlink(os.path.join(stored, left))


def variants(rng, data):
    yield "whole", data
    if len(data) > 1:
        for _ in range(2):
            yield "cut", data[:rng.randrange(1, len(data))]
        torn = bytearray(data)
        torn[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield "flipped", bytes(torn)


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)


def objects():
    """What a training script hands to torch.save, and no reader of plain checkpoints takes."""
    weights = {"lm_head.weight": torch.arange(6.0).reshape(2, 3)}
    state = {"state": {0: {"step": 1, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    yield "optim", "numpy scalar", {**state, "param_groups": [{"lr": numpy.float64(0.1), "params": [0]}]}
    yield "optim", "defaultdict", {**state, "state": collections.defaultdict(dict, state["state"])}
    yield "model", "sparse mask", {**weights, "mask": torch.eye(3).to_sparse()}
    yield "model", "a whole module", Module()
    yield "model", "200,000 scalars", {str(i): i for i in range(200000)}
    yield "model", "a bare tensor", weights["lm_head.weight"]
    yield "model", "nothing", {}
    yield "model", "storage", weights["lm_head.weight"].storage()


def by_torch_save(tag, stored, plain):
    for i, (kind, label, obj) in enumerate(objects()):
        for legacy in (False, True):
            name = (NAMES[0] if kind == "model" else NAMES[1]) % (900000 + 2 * i + legacy)
            for directory in (plain, tag):
                torch.save(obj, os.path.join(directory, name), _use_new_zipfile_serialization=not legacy)
            want = content(os.path.join(plain, name))
            ckpt.check(content(os.path.join(stored, name)) == want, "torch.save of %s: not under its name" % label)


def main(tag, stored, *files):
    rng = random.Random(11)
    with tempfile.TemporaryDirectory() as plain:
        by_torch_save(tag, stored, plain)
    step = 0
    for path in files:
        if len(ckpt.FAILURES) > 10:
            break
        data = content(path)
        for label, bytes_ in variants(rng, data):
            if bytes_:
                step += 1
                one(tag, stored, step, "%s (%s)" % (path, label), bytes_, label == "whole" and ("/torch-" in path or "/field/" in path))
    for size in (1, 21, 22, 4096, 70000, 300000):
        step += 1
        one(tag, stored, step, "%d random bytes" % size, rng.randbytes(size))
    ckpt.finish("%d files in each way" % step)


if __name__ == "__main__":
    main(*sys.argv[1:])
