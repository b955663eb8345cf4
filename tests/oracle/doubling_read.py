#!/usr/bin/env python3
"""What reading costs when what a store holds is doubled twice: the daemon's CPU time must not grow sixteenfold.

Usage: doubling_read.py MNT STORE PID. Each case is a tag of a size and one of four times that size, each looked at three times
under another name, so that nothing of it is in memory; the least CPU time of the daemon counts. Prints a line a case; the last one
is the number of cases. How the kernel asks (name by name, or many at a time) makes a difference of two.
"""
import itertools
import json
import os
import shutil
import struct
import sys
import time

import handmade
from handmade import Call, Pairs, tensor

MNT, STORE, PID = sys.argv[1], sys.argv[2], int(sys.argv[3])
NAMES = ("d%d" % i for i in itertools.count(1))
CPU = (~PID << 3) | 2          # the clock of another process's CPU time, see clock_getcpuclockid(3)
MOST = 9.0                     # linear is 4, quadratic 16
BLOB = struct.pack("<4f", 1, 2, 3, 4)


def step(tag, number=1, value=None, storages=None, meta=None, shard=None):
    """The files of a step: a model (small, if VALUE is None), meta.json, and a shard."""
    if value is None:
        value, storages = {"w": tensor(0, (4,))}, {"0": BLOB}
    handmade.write("%s/model_%06d.pt" % (tag, number), value, storages)
    with open("%s/meta_%06d.json" % (tag, number), "w") as f:
        json.dump({"step": number} if meta is None else meta, f)
    if shard is not None:
        handmade.write("%s/optim_%06d_rank0.pt" % (tag, number), shard, {"0": BLOB})


def whole(tag):
    """Reads whatever stands in step 1 of TAG, by whatever name, and what stands beside it."""
    for top, _, files in os.walk(tag + "/000001"):
        for name in files:
            with open(os.path.join(top, name), "rb") as f:
                while f.read(1 << 20):
                    pass


def views(tag):
    """The tables and the files that hold all tensors; a look at each name."""
    for name in sorted(os.listdir(tag + "/000001")):
        path = os.path.join(tag, "000001", name)
        if os.path.isdir(path):
            for one in os.listdir(path):
                os.stat(os.path.join(path, one))
        elif not name.endswith(".pt"):
            with open(path, "rb") as f:
                f.read()


def listing(tag):
    """ls -lR, and the links."""
    for top, dirs, files in os.walk(tag):
        for name in dirs + files:
            os.lstat(os.path.join(top, name))


def optimizer(tag):
    with open(tag + "/000001/optim/rank0.json", "rb") as f:
        f.read()
    listing(tag + "/000001/optim")


def shared_storage(tag, n):
    """Tensors that are views of one storage."""
    step(tag, value={"k%d" % i: tensor(0, (1,), numel=4, offset=i % 4) for i in range(n)}, storages={"0": BLOB})


def storages(tag, n):
    """Tensors with an entry of the zip each."""
    step(tag, value={"k%d" % i: tensor(i, (4,)) for i in range(n)}, storages={str(i): BLOB for i in range(n)})


def entries(tag, n):
    """Entries that no tensor is in."""
    step(tag, value={"w": tensor(0, (4,))}, storages={str(i): BLOB for i in range(n)})


def same_keys(tag, n):
    """Keys that are the same once the prefix is gone, and keys that stand twice."""
    step(tag, value=Pairs(("_orig_mod." * (i % 2) + "k%d" % (i // 4), tensor(0, (4,))) for i in range(n)), storages={"0": BLOB})


def long_keys(tag, n):
    """Keys of which the names are cut, and get a hash."""
    step(tag, value={"k" * 300 + "/%d" % i: tensor(0, (4,)) for i in range(n)}, storages={"0": BLOB})


def colliding_names(tag, n):
    """Keys that differ only in what is encoded."""
    step(tag, value={"".join("/%"[i >> b & 1] for b in range(17)): tensor(0, (4,)) for i in range(n)}, storages={"0": BLOB})


def many_dimensions(tag, n):
    step(tag, value={"k%d" % i: tensor(0, (1,) * 60 + (4,)) for i in range(n)}, storages={"0": BLOB})


def groups(value):
    return {"state": {}, "param_groups": [{"x": value}]}


def long_list(tag, n):
    step(tag, shard=groups([i * 0.5 for i in range(n)]))


def members(tag, n):
    step(tag, shard=groups({"key %d" % i: i for i in range(n)}))


def twice_members(tag, n):
    """A dict in which each key stands twice, with an int that equals a float."""
    step(tag, shard=groups(Pairs((float(i // 2) if i % 2 else i // 2, i) for i in range(n))))


def tuples(tag, n):
    step(tag, shard=groups({(i, (i, "x")): () for i in range(n)}))


def sets(tag, n):
    step(tag, shard=groups(Call("builtins", "set", list(range(n)))))


def nans(tag, n):
    step(tag, shard=groups(Pairs((float("nan"), i) for i in range(n))))


def many_lists(tag, n):
    step(tag, shard=groups([[[]]] * n))


def states(tag, n):
    """Parameters with a state each, as Adam has them."""
    step(tag, shard={"state": {i: {"step": i, "exp_avg": tensor(0, (4,))} for i in range(n)}, "param_groups": [{"params": list(range(n))}]})


def big_meta(tag, n):
    step(tag, meta={"step": 1, **{"k%d" % i: [i, 0.5, {"x": [float("nan")]}] for i in range(n)}})


def copies(tag, kinds, n):
    """The same files under N names."""
    step(tag, shard={"state": {}, "param_groups": []})
    for i in range(2, n + 2):
        for kind in kinds:
            os.link(kind % (tag, 1), kind % (tag, i))


def shards(tag, n):
    step(tag, shard={"state": {}, "param_groups": []})
    for i in range(1, n):
        os.link(tag + "/optim_000001_rank0.pt", "%s/optim_000001_rank%d.pt" % (tag, i))


def steps(tag, n):
    copies(tag, ("%s/model_%06d.pt", "%s/meta_%06d.json", "%s/optim_%06d_rank0.pt"), n)


def bad_steps(tag, n):
    """Steps of which none can be shown: what is latest?"""
    os.makedirs(tag, exist_ok=True)
    for i in range(n):
        with open("%s/model_%06d.pt" % (tag, i), "wb") as f:
            f.write(b"no zip")


def other_names(tag, n):
    step(tag)
    for i in range(n):
        open("%s/other_%d" % (tag, i), "w").close()


def tags(n):
    """A look at a checkpoints directory of N more tags. They stay."""
    for i in range(n):
        tag = os.path.join(STORE, "base_checkpoints", next(NAMES))
        os.mkdir(tag)
        step(tag)
    begin = time.clock_gettime(CPU)
    listing(os.path.join(MNT, "base"))
    return time.clock_gettime(CPU) - begin


CASES = [
    (shared_storage, 5000, views), (storages, 5000, views), (storages, 500, whole), (entries, 10000, views), (same_keys, 10000, views),
    (long_keys, 2000, views), (colliding_names, 5000, views), (many_dimensions, 1000, views), (long_list, 20000, optimizer),
    (members, 20000, optimizer), (twice_members, 20000, optimizer), (tuples, 10000, optimizer), (sets, 20000, optimizer),
    (nans, 20000, optimizer), (many_lists, 10000, optimizer), (states, 2500, optimizer), (big_meta, 10000, views),
    (shards, 250, listing), (steps, 300, listing), (bad_steps, 300, listing), (other_names, 2000, listing), (tags, 200, None),
]


def look(make, n, read):
    """The daemon's least CPU seconds for a tag of size N."""
    first = os.path.join(STORE, "base_checkpoints", next(NAMES))
    os.makedirs(first)
    make(first, n)
    for name in os.listdir(first):
        os.utime(os.path.join(first, name), (1e9, 1e9))         # what is young is read twice
    least = None
    for _ in range(3):
        tag = os.path.join(STORE, "base_checkpoints", next(NAMES))
        os.mkdir(tag)
        for name in os.listdir(first):
            os.link(os.path.join(first, name), os.path.join(tag, name))
        begin = time.clock_gettime(CPU)
        read(os.path.join(MNT, "base", os.path.basename(tag)))
        took = time.clock_gettime(CPU) - begin
        least = took if least is None else min(least, took)
        shutil.rmtree(tag)
    shutil.rmtree(first)
    return least


def main():
    failed = count = 0
    for make, n, read in CASES:
        # What else the machine does costs a daemon's caches, too: what looks quadratic is looked at again.
        for _ in range(3):
            once, more = (look(make, n, read), look(make, 4 * n, read)) if read else (tags(n), tags(3 * n))
            bad = more > MOST * once and more > 0.05
            if not bad or not read:
                break
        failed += bad
        count += 1
        print("%s%s: %d in %.3f s, %d in %.3f s" % ("QUADRATIC " if bad else "", make.__name__, n, once, 4 * n, more), flush=True)
    print(count)
    return 1 if failed else 0


sys.exit(main())
