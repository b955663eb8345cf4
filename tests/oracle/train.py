#!/usr/bin/python3
"""Trains as nanochat's scripts do, with their calls in their order, is killed inside its saves, and goes on from the last step.

train.py BASE PLAIN PROCESSES [STORE]: the same run in BASE, a base directory on a mount, with a kill inside every save at many
moments, and on PLAIN, a plain directory, without any. After each kill no file under nanochat's names is torn (in STORE, too,
where the mount's own directory can be seen), and the last complete step loads. At the end all files are equal.
"""
import fcntl
import glob
import hashlib
import json
import multiprocessing
import os
import pickle
import re
import resource
import signal
import sys
import time

import torch

LAST_STEP, TAG, WIDTH = 12, "d4", 160
torch.set_num_threads(1)


# ---- what nanochat does before it trains ----

def download(base, name, make):
    """Once, by whoever comes first, under a lock as the package filelock takes it."""
    path = os.path.join(base, name)
    if os.path.exists(path):
        return path
    lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        if not os.path.exists(path):
            with open(path + ".tmp", "wb") as f:
                make(f)
            os.rename(path + ".tmp", path)
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
    return path


def shard(f):
    """Tokens like a parquet file's: appended in groups, a footer that says where they are."""
    groups = []
    for i in range(8):
        groups.append(f.tell())
        f.write(torch.arange(i * 20000, i * 20000 + 20000, dtype=torch.int32).numpy().tobytes())
    footer = json.dumps(groups).encode()
    f.write(footer + len(footer).to_bytes(4, "little") + b"TOK1")


def tokens(path, group):
    with open(path, "rb") as f:
        f.seek(-8, os.SEEK_END)
        tail = f.read()
        assert tail[4:] == b"TOK1", path
        f.seek(-8 - int.from_bytes(tail[:4], "little"), os.SEEK_END)
        f.seek(json.loads(f.read(int.from_bytes(tail[:4], "little")))[group])
        return torch.frombuffer(bytearray(f.read(80000)), dtype=torch.int32)


def prepare(base, rank):
    data = os.path.join(base, "base_data")
    os.makedirs(data, exist_ok=True)
    shards = [download(data, "shard_%05d.bin" % i, shard) for i in range(2)]
    if rank == 0:
        tokenizer = os.path.join(base, "tokenizer")
        os.makedirs(tokenizer, exist_ok=True)
        with open(os.path.join(tokenizer, "tokenizer.pkl"), "wb") as f:
            pickle.dump({b"%d" % i: i for i in range(1000)}, f)
        with open(os.path.join(tokenizer, "token_bytes.pt"), "wb") as f:
            torch.save(torch.arange(1000, dtype=torch.int32), f)
    return shards


# ---- checkpoints ----

def save(directory, step, model, optimizer, meta, rank):
    if rank == 0:
        os.makedirs(directory, exist_ok=True)
        torch.save(model, os.path.join(directory, "model_%06d.pt" % step))
        with open(os.path.join(directory, "meta_%06d.json" % step), "w", encoding="utf-8") as f:
            json.dump(meta, f, indent=2)
    torch.save(optimizer, os.path.join(directory, "optim_%06d_rank%d.pt" % (step, rank)))


def steps(directory):
    found = (re.match(r"model_(\d+)\.pt$", os.path.basename(path)) for path in glob.glob(os.path.join(directory, "model_*.pt")))
    return sorted(int(m.group(1)) for m in found if m)


def largest(checkpoints):
    tags = [t for t in os.listdir(checkpoints) if os.path.isdir(os.path.join(checkpoints, t)) and re.match(r"d(\d+)", t)]
    return max(tags, key=lambda t: int(re.match(r"d(\d+)", t).group(1)))


def files_of(step, ranks):
    return ["model_%06d.pt" % step, "meta_%06d.json" % step] + ["optim_%06d_rank%d.pt" % (step, r) for r in range(ranks)]


def last_complete(directory, ranks):
    """Its number; 0: none."""
    return max((s for s in steps(directory) if all(os.path.exists(os.path.join(directory, n)) for n in files_of(s, ranks))), default=0)


# ---- the run ----

def one_rank(base, rank, ranks, barrier, until, limit, saving):
    shards = prepare(base, rank)
    checkpoints = os.path.join(base, "base_checkpoints")
    directory = os.path.join(checkpoints, TAG)
    os.makedirs(directory, exist_ok=True)
    assert largest(checkpoints) == TAG
    barrier.wait()
    at = last_complete(directory, ranks)
    g = torch.Generator().manual_seed(5)
    model = {"transformer.wte.weight": torch.randn(WIDTH, WIDTH, generator=g).to(torch.bfloat16),
             "lm_head.weight": torch.randn(WIDTH, WIDTH, generator=g)}
    state = {"exp_avg": torch.zeros(2 * WIDTH, WIDTH + rank), "step": 0}
    if at:
        model = torch.load(os.path.join(directory, "model_%06d.pt" % at), map_location="cpu")
        with open(os.path.join(directory, "meta_%06d.json" % at), encoding="utf-8") as f:
            assert json.load(f)["step"] == at
        optimizer = torch.load(os.path.join(directory, "optim_%06d_rank%d.pt" % (at, rank)), map_location="cpu")
        state = optimizer["state"][0]
    barrier.wait()
    while at < until:
        for _ in range(2):
            at += 1
            seen = tokens(shards[at % 2], (at + rank) % 8).float().mean().item()
            state = {"exp_avg": state["exp_avg"] * 0.9 + seen, "step": at}
            model = {k: (v.float() + at / 7).to(v.dtype) for k, v in model.items()}
        barrier.wait()
        saving.value = 1
        # The kill inside torch.save: at this byte of a file.
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        save(directory, at, model, {"state": {0: state}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.95), "params": [0]}]},
             {"step": at, "val_bpb": 1 / at, "model_config": {"n_layer": 4, "vocab_size": WIDTH}}, rank)
        barrier.wait()
    with open(os.path.join(base, "report.md"), "a" if rank else "w") as f:
        f.write("" if rank else "done\n")


def train(base, ranks, until=LAST_STEP, limit=None, delay=None):
    """Whether it came to its end; else it was killed, all of it."""
    barrier, saving = multiprocessing.Barrier(ranks), multiprocessing.Value("i", 0)
    processes = [multiprocessing.Process(target=one_rank, args=(base, r, ranks, barrier, until, limit, saving)) for r in range(ranks)]
    for p in processes:
        p.start()
    while delay is not None and not saving.value and any(p.is_alive() for p in processes):
        time.sleep(0.0005)
    if delay is not None:
        time.sleep(delay)
    while any(p.is_alive() for p in processes):
        if delay is not None or any(p.exitcode not in (None, 0) for p in processes):
            for p in processes:
                p.kill()
        for p in processes:
            p.join(0.01)
    return all(p.exitcode == 0 for p in processes)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def check(directory, plain, ranks, complete):
    """What is there under nanochat's names is whole, and what the run without kills has; and nothing that was complete is gone."""
    for step in range(2, LAST_STEP + 1, 2):
        for name in files_of(step, ranks):
            path = os.path.join(directory, name)
            if os.path.exists(path):
                assert digest(path) == digest(os.path.join(plain, name)), path
                json.load(open(path)) if name.endswith(".json") else torch.load(path, map_location="cpu")
    now = last_complete(directory, ranks)
    assert now >= complete, (directory, now, complete)
    return now


def main():
    base, plain, ranks = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = sys.argv[4] if len(sys.argv) > 4 else None
    assert train(plain, ranks)
    in_plain = os.path.join(plain, "base_checkpoints", TAG)
    model, optim = (os.path.getsize(os.path.join(in_plain, n)) for n in ("model_000002.pt", "optim_000002_rank0.pt"))
    moments = [("limit", n) for n in (0, 1, 64, model // 3, model - 1, model, model + 1, optim // 2 + model // 2, optim - 1)]
    moments += [("delay", n) for n in (0, 0.002, 0.01, 0.03)]
    complete = kills = 0
    for i, (how, n) in enumerate(moments):
        if i % 3 == 2:
            assert train(base, ranks, complete + 2)
            complete += 2
        ended = train(base, ranks, **{how: n})
        kills += not ended
        for where in [base] + ([store] if store else []):
            now = check(os.path.join(where, "base_checkpoints", TAG), in_plain, ranks, complete)
        complete = now
    assert kills >= 9, kills
    assert train(base, ranks)
    for where, _, names in os.walk(plain):
        for name in names:
            ours = os.path.join(base, os.path.relpath(where, plain), name)
            assert digest(os.path.join(where, name)) == digest(ours), ours
    print("%d kills, %d processes" % (kills, ranks))


main()
