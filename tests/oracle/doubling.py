#!/usr/bin/env python3
"""What publishing costs when a draft asks for twice as much: the daemon's CPU time must not grow fourfold.

Usage: doubling.py MNT STORE PID. Each case is a draft of a size and of twice that size, published three times each; the least
CPU time of the daemon counts. Prints a line a case; the last one is the number of cases.
"""
import itertools
import json
import os
import struct
import sys
import time

import numpy

MNT, STORE, PID = sys.argv[1], sys.argv[2], int(sys.argv[3])
TAG = os.path.join(STORE, "base_checkpoints/d12")
STEPS = itertools.count(1000)
CPU = (~PID << 3) | 2          # the clock of another process's CPU time, see clock_getcpuclockid(3)
MOST = 3.0                     # linear is 2, quadratic 4


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else json.dumps(data).encode())


def npy(files, name, others):
    """A small .npy, and more names of it."""
    path = os.path.join(files, name)
    os.makedirs(path, exist_ok=True)
    numpy.save(os.path.join(path, "a.npy"), numpy.arange(2, dtype="f4"))
    for i, other in enumerate(others):
        # A file system gives a file a limited number of names.
        if i % 30000 == 0:
            numpy.save(os.path.join(path, "first%d.npy" % i), numpy.arange(2, dtype="f4"))
            first = os.path.join(path, "first%d.npy" % i)
        os.link(first, os.path.join(path, other))


def shard(files, groups, names=()):
    npy(files, "optim/rank0", names)
    state = {n[:-4]: {"$tensor": n[:-4]} for n in os.listdir(os.path.join(files, "optim/rank0"))}
    write(os.path.join(files, "optim/rank0.json"), {"state": state, "param_groups": groups})


NAN = {"$float": "nan"}


def nan_set(files, n):
    shard(files, [{"x": {"$set": [NAN] * n}}])


def nan_keys(files, n):
    shard(files, [{"$dict": [[{"$tuple": [1, NAN]}, i] for i in range(n)]}])


def bits(n):
    """N different rows of 17 bits."""
    return [[i >> k & 1 for k in range(17)] for i in range(n)]


def nested_keys(files, n):
    """An empty tuple, and a zero."""
    shard(files, [{"$dict": [[{"$tuple": [{"$tuple": []} if b else 0 for b in row]}, 0] for row in bits(n)]}])


def float_keys(files, n):
    """A float, and the integer that has its bits."""
    same = struct.unpack("<q", struct.pack("<d", 1.5))[0]
    shard(files, [{"$dict": [[{"$tuple": [1.5 if b else same for b in row]}, 0] for row in bits(n)]}])


def frozen_keys(files, n):
    """One set in two orders."""
    items = list(range(80))
    shard(files, [{"$dict": [[{"$frozenset": items[::1 if i % 2 else -1]}, 0] for i in range(n)]}])


def int_keys(files, n):
    shard(files, [{"$keys": "int", **{str(i << 40): i for i in range(n)}}])


def strings(files, n):
    shard(files, [["string %d" % i for i in range(n)]])


def digits(files, n):
    shard(files, [{"x": int("7" * 300), "y": [int("9" * 200)] * (n // 200), "z": "1" * n}])


def numbers(files, n):
    text = json.dumps([0.1, "X"]).replace('"X"', "1" * n + "." + "1" * n + "e-" + str(n))
    write(os.path.join(files, "optim/rank0.json"), b'{"state": {}, "param_groups": [' + text.encode() + b"]}")


def backwards(files, n):
    """The tensors of a shard, referred to from the last to the first."""
    names = ["%06d.npy" % i for i in range(n)]
    npy(files, "optim/rank0", names)
    state = {name[:-4]: {"$tensor": name[:-4]} for name in sorted(os.listdir(os.path.join(files, "optim/rank0")), reverse=True)}
    write(os.path.join(files, "optim/rank0.json"), {"state": state, "param_groups": []})


def ranks(files, n):
    for i in range(n):
        write(os.path.join(files, "optim/rank%d.json" % i), {"state": {}, "param_groups": []})


def header(files, n):
    os.remove(os.path.join(files, "model/a.npy"))
    os.rmdir(os.path.join(files, "model"))
    tensors = {"k%d" % i: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]} for i in range(n)}
    text = json.dumps(tensors).encode()
    write(os.path.join(files, "model.safetensors"), struct.pack("<Q", len(text)) + text + bytes(4 * n))


def meta(files, n):
    write(os.path.join(files, "meta.json"), {"step": 1, **{"k%d" % i: [i, {"x": [NAN]}] for i in range(n)}})


CASES = {nan_set: 40000, nan_keys: 20000, nested_keys: 16000, float_keys: 16000, frozen_keys: 2000, int_keys: 40000, strings: 40000,
         digits: 200000, numbers: 200000, backwards: 8000, ranks: 50, header: 20000, meta: 20000}


def publish(make, n):
    """The daemon's CPU seconds for one draft."""
    step = next(STEPS)
    files = os.path.join(TAG, ".ckptfs/%06d.partial/files" % step)
    npy(files, "model", [])
    write(os.path.join(files, "meta.json"), {"step": step})
    make(files, n)
    draft = os.path.join(MNT, "base/d12/%06d" % step)
    begin = time.clock_gettime(CPU)
    try:
        os.rename(draft + ".partial", draft)
        how = "published"
    except OSError as e:
        how = e.strerror
    return time.clock_gettime(CPU) - begin, how


def main():
    failed = 0
    os.makedirs(os.path.join(TAG, ".ckptfs"), exist_ok=True)
    for make, n in CASES.items():
        once, how = min(publish(make, n) for _ in range(3))
        twice, how = min(publish(make, 2 * n) for _ in range(3))
        bad = twice > MOST * once and twice > 0.05
        failed += bad or how != "published"
        print("%s%s: %d in %.3f s, %d in %.3f s (%s)" % ("QUADRATIC " if bad else "", make.__name__, n, once, 2 * n, twice, how), flush=True)
    print(len(CASES))
    return 1 if failed else 0


sys.exit(main())
