#!/usr/bin/python3
"""make_ranks.py RANKS [--list] DIRECTORY: a store whose step 4 was saved on 1, 2 or 4 ranks (or any number that divides its rows).

The optimizer's state is a real one: tests/fixtures/ranks has the shard of nanochat's own optimizer (July 2026) after four steps on one
rank, and real.json the SHA-256 of every tensor that the same four steps left on 1, 2 and 4 ranks. What is cut here, by torch, must have
those. --list: the layout of 15 to 29 January 2026, a list of AdamW's state and Muon's.
"""
import hashlib
import json
import os
import sys

import torch

import ckpt

FIXTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "ranks")
FILE = "optim_000004_rank%d.pt"
WHOLE_BELOW = 1024


def facts():
    with open(os.path.join(FIXTURE, "real.json"), encoding="utf-8") as f:
        return json.load(f)


def whole():
    """The state on one rank."""
    return torch.load(os.path.join(FIXTURE, FILE % 0))


def model():
    """Names and shapes in the model's order; nothing depends on the values."""
    g = torch.Generator().manual_seed(4)
    return {key: torch.randn(*shape, generator=g) for key, shape in facts()["model"]}


def slice_rows(t, ranks, rank):
    if t.numel() < WHOLE_BELOW:
        return t
    assert t.shape[0] % ranks == 0, (t.shape, ranks)
    return t.chunk(ranks)[rank].clone()


def slice_stack(t, ranks, rank):
    each = -(-t.shape[0] // ranks)
    padded = torch.cat([t, torch.zeros(each * ranks - t.shape[0], *t.shape[1:])])
    return padded[rank * each:(rank + 1) * each].clone()


def cut(state, ranks, rank):
    """The shard of RANK of the state that one rank would save."""
    kinds = {p: g["kind"] for g in state["param_groups"] for p in g["params"]}
    cutting = {"adamw": slice_rows, "muon": slice_stack}
    return {"state": {p: {k: cutting[kinds[p]](v, ranks, rank) if torch.is_tensor(v) else v for k, v in fields.items()}
                      for p, fields in state["state"].items()},
            "param_groups": state["param_groups"]}


def digests(shard):
    return {".".join(map(str, path)): hashlib.sha256(ckpt.as_numpy(t).tobytes()).hexdigest() for path, t in ckpt.walk_tensors(shard)}


def real(ranks):
    """The shards that nanochat's optimizer saved on RANKS ranks."""
    shards = [cut(whole(), ranks, r) for r in range(ranks)]
    known = facts()["shards"].get(str(ranks))
    assert not known or [digests(s) for s in shards] == known
    return shards


def as_list(shard, ranks):
    """One dict as the two of January 2026: ids count from 0 in each, no kind, a chunk_size."""
    out = []
    for kind in ("adamw", "muon"):
        groups = [g for g in shard["param_groups"] if g["kind"] == kind]
        first = groups[0]["params"][0]
        made = []
        for g in groups:
            made.append({k: v for k, v in g.items() if k != "kind"})
            made[-1]["params"] = [p - first for p in g["params"]]
            if kind == "muon":
                made[-1]["chunk_size"] = -(-len(g["params"]) // ranks)
        ids = {p for g in groups for p in g["params"]}
        out.append({"state": {p - first: fields for p, fields in shard["state"].items() if p in ids}, "param_groups": made})
    return out


def shards_of(ranks, listed=False):
    return [as_list(s, ranks) if listed else s for s in real(ranks)]


def main():
    root, ranks, listed = sys.argv[-1], int(sys.argv[1]), "--list" in sys.argv
    tag = os.path.join(root, "base_checkpoints", "d2")
    os.makedirs(tag)
    torch.save(model(), os.path.join(tag, "model_000004.pt"))
    with open(os.path.join(tag, "meta_000004.json"), "w", encoding="utf-8") as f:
        json.dump(facts()["meta"], f, indent=2)
    for rank, shard in enumerate(shards_of(ranks, listed)):
        torch.save(shard, os.path.join(tag, FILE % rank))


if __name__ == "__main__":
    main()
