#!/usr/bin/python3
"""nanochat's find_largest_model and find_last_step, from their description, against the mount.

choose.py make STORE SEED FILE.pt    makes a random store of tags and steps, all of them copies of FILE.pt
choose.py check STORE MOUNT          compares the links of the mount with the functions' choices
choose.py load MOUNTSOURCE SOURCE    finds and torch.loads the largest model through the mount (-o native) and from the store
"""
import os
import random
import re
import shutil
import sys


def find_largest_model(directory):
    tags = [d for d in os.listdir(directory) if os.path.isdir(os.path.join(directory, d))]
    numbered = [(int(m.group(1)), d) for d in tags for m in [re.match(r"d(\d+)", d)] if m]
    if numbered:
        return {d for n, d in numbered if n == max(numbered)[0]}
    newest = max(os.path.getmtime(os.path.join(directory, d)) for d in tags)
    return {d for d in tags if os.path.getmtime(os.path.join(directory, d)) == newest}


def find_last_step(directory):
    steps = [m.group(1) for n in os.listdir(directory) for m in [re.fullmatch(r"model_(\d+)\.pt", n)] if m]
    return max(steps, key=int)


def make(store, seed, pt):
    rng = random.Random(int(seed))
    base = os.path.join(store, "base_checkpoints")
    names = ["d%d" % rng.randrange(1, 130) for _ in range(rng.randrange(0, 6))] if int(seed) % 3 else []
    names += rng.sample(["baseline", "x1", "d", "dd12", "Depth9", "d-3", "run 7", "\u00fc"], rng.randrange(1, 5))
    for i, name in enumerate(dict.fromkeys(names)):
        tag = os.path.join(base, name)
        os.makedirs(tag)
        for step in rng.sample(range(2000000), rng.randrange(1, 6)):
            shutil.copy(pt, os.path.join(tag, "model_%06d.pt" % step))
            with open(os.path.join(tag, "meta_%06d.json" % step), "w", encoding="utf-8") as f:
                f.write('{"step": %d}' % step)
        when = 1700000000 + rng.randrange(1000) * 10 + i
        os.utime(tag, (when, when))


def check(store, mount):
    base = os.path.join(store, "base_checkpoints")
    largest = os.readlink(os.path.join(mount, "base", "largest"))
    wanted = find_largest_model(base)
    if largest not in wanted:
        sys.exit("largest is %s, nanochat takes one of %s" % (largest, wanted))
    for tag in os.listdir(base):
        latest, want = os.readlink(os.path.join(mount, "base", tag, "latest")), find_last_step(os.path.join(base, tag))
        if latest != want:
            sys.exit("%s: latest is %s, nanochat takes %s" % (tag, latest, want))


def load(mounted, source):
    import torch
    for d in (mounted, source):
        tags = find_largest_model(d) - {"largest"}
        tag = os.path.join(d, min(tags))
        step = find_last_step(tag)
        data = torch.load(os.path.join(tag, "model_%s.pt" % step), map_location="cpu")
        got = (min(tags), step, {k: v.numpy().tobytes() for k, v in data.items() if v.dtype != torch.bfloat16})
        if d == mounted:
            first = got
    if first != got:
        sys.exit("the mount loads another model than the store")


if __name__ == "__main__":
    {"make": make, "check": check, "load": load}[sys.argv[1]](*sys.argv[2:])
