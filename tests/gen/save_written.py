#!/usr/bin/python3
"""nanochat's save_checkpoint, rank by rank, into a directory that may be a mount.

save_written.py DIRECTORY STEP RANK          one rank's part of a save: each rank its own process
save_written.py check DIRECTORY STEP RANKS   what torch.load and json find there
save_written.py hold FILE                    prints "open", waits for a line on stdin, and checks that FILE, open since, is what it was
save_written.py slow FILE                    torch.save of a large model, a piece at a time; prints "half" and sleeps in the middle
"""
import hashlib
import io
import json
import os
import sys
import time

import torch

import ckpt
import make_store


def rank_parts(step, rank):
    return make_store.gpt_state(step, lambdas=True), make_store.meta(step, float("inf")), make_store.optimizer_state(step + rank, 2)


def save_checkpoint(checkpoint_dir, step, model_data, optimizer_data, meta_data, rank=0):
    """As nanochat/checkpoint_manager.py has it."""
    if rank == 0:
        os.makedirs(checkpoint_dir, exist_ok=True)
        torch.save(model_data, os.path.join(checkpoint_dir, f"model_{step:06d}.pt"))
        with open(os.path.join(checkpoint_dir, f"meta_{step:06d}.json"), "w", encoding="utf-8") as f:
            json.dump(meta_data, f, indent=2)
    if optimizer_data is not None:
        os.makedirs(checkpoint_dir, exist_ok=True)
        torch.save(optimizer_data, os.path.join(checkpoint_dir, f"optim_{step:06d}_rank{rank:d}.pt"))


def check_saved(directory, step, ranks):
    import check_saved as saved
    model, meta, _ = rank_parts(step, 0)
    saved.same(ckpt.load("%s/model_%06d.pt" % (directory, step)), model, "model")
    with open("%s/meta_%06d.json" % (directory, step), encoding="utf-8") as f:
        ckpt.check(f.read() == json.dumps(meta, indent=2), "meta")
    for rank in range(ranks):
        saved.same(ckpt.load("%s/optim_%06d_rank%d.pt" % (directory, step, rank)), rank_parts(step, rank)[2], "rank%d" % rank)
    ckpt.finish("%s: step %d with %d ranks" % (directory, step, ranks))


def hold(path):
    with open(path, "rb") as f, open(path, "rb") as late:
        want = hashlib.sha256(f.read()).hexdigest()
        start = late.read(1000)
        print("open", flush=True)
        sys.stdin.readline()
        for again in range(20):
            f.seek(0)
            ckpt.check(hashlib.sha256(f.read()).hexdigest() == want, "a reader's bytes changed")
            time.sleep(0.02)
        ckpt.check(hashlib.sha256(start + late.read()).hexdigest() == want, "a late reader's bytes changed")
    ckpt.finish("held")


def slow(path):
    out = io.BytesIO()
    torch.save(make_store.gpt_state(1, lambdas=True), out)
    data = out.getvalue()
    with open(path, "wb", buffering=0) as f:
        f.write(data[:len(data) // 2])
        print("half", flush=True)
        time.sleep(60)
        f.write(data[len(data) // 2:])


def main():
    args = sys.argv[1:]
    if args[0] == "check":
        check_saved(args[1], int(args[2]), int(args[3]))
    elif args[0] in ("hold", "slow"):
        {"hold": hold, "slow": slow}[args[0]](args[1])
    else:
        directory, step, rank = args[0], int(args[1]), int(args[2])
        model, meta, optimizer = rank_parts(step, rank)
        save_checkpoint(directory, step, model, optimizer, meta, rank)


if __name__ == "__main__":
    main()
