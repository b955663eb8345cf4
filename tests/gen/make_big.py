#!/usr/bin/python3
"""make_big.py sparse|many|each|rezipped|blocks|swollen|ranks DIRECTORY: a tag's directory with a checkpoint that is big in bytes (8 GiB and zip64,
all holes but one tensor at its end; four storages of 64 MiB each), in tensors (100,000, which share storages or have one each), or unpacked (1,500
deflated storages; the four of 64 MiB, deflated), or has a d12's optimizer on 8 ranks beside it (1.5 GB of holes)."""
import os
import struct
import sys
import zipfile

import handmade

GIB = 1 << 30


def sparse(path):
    """One storage past 4 GiB, others to pass 8, and at the end, beyond 32-bit offsets, one with bytes that a reader can check."""
    sizes = {"0": 5 * GIB, "1": 2 * GIB, "2": GIB}
    model = {"transformer.wte.weight": handmade.tensor(0, (5 * 1024, GIB // 4096)),
             "transformer.h.0.mlp.weight": handmade.tensor(1, (1024, 512, 1024)),
             "lm_head.weight": handmade.tensor(2, (512, 1024, 1024), storage="BFloat16")}
    storages = dict(sizes)
    model["last"] = handmade.tensor(3, (64, 1024))
    storages["3"] = struct.pack("<65536f", *range(65536))
    handmade.write(path, model, storages)


def many(path, count=100000):
    """As many small tensors, which share a thousand storages."""
    blob = struct.pack("<256f", *range(256))
    model = {"layer.%05d.weight" % i: handmade.tensor(i % 1000, (4,), numel=256, offset=i // 1000) for i in range(count)}
    handmade.write(path, model, {str(i): blob for i in range(1000)})


def each(path, count=100000):
    """As many of one int64 each, as torch.save stores them."""
    model = {"layer.%05d.weight" % i: handmade.tensor(i, (1,), storage="Long") for i in range(count)}
    handmade.write(path, model, {str(i): struct.pack("<Q", i) for i in range(count)})


def rezip(path):
    """What a person's zip program makes of it: every entry deflated."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path + ".new", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    os.rename(path + ".new", path)


def rezipped(path, count=1500):
    each(path, count)
    rezip(path)


def blocks(path, count=4):
    """Storage I holds 64 MiB of the byte I."""
    model = {"w%d" % i: handmade.tensor(i, (64 << 20,), storage="Byte") for i in range(count)}
    handmade.write(path, model, {str(i): bytes([i]) * (64 << 20) for i in range(count)})


def swollen(path):
    blocks(path)
    rezip(path)


def ranks(path, count=8, layers=12, embed=768, vocab=32768):
    """A d12's optimizer on COUNT ranks, 1.5 GB in all, of holes."""
    matrices = {"attn.c_q": (embed, embed), "attn.c_k": (embed, embed), "attn.c_v": (embed, embed), "attn.c_proj": (embed, embed),
                "mlp.c_fc": (4 * embed, embed), "mlp.c_proj": (embed, 4 * embed)}
    model = {"transformer.wte.weight": (vocab, embed)}
    model.update({"transformer.h.%d.%s.weight" % (i, k): s for i in range(layers) for k, s in matrices.items()})
    model.update({"lm_head.weight": (vocab, embed), "value_embeds.1.weight": (vocab, embed), "value_embeds.3.weight": (vocab, embed),
                  "value_embeds.5.weight": (vocab, embed)})
    handmade.write(path, {k: handmade.tensor(i, s) for i, (k, s) in enumerate(model.items())}, {str(i): 4 * a * b for i, (a, b) in enumerate(model.values())})
    groups = [("adamw", [k]) for k in ("lm_head.weight", "transformer.wte.weight")] + [("adamw", [k for k in model if k.startswith("value_")])]
    groups += [("muon", [k for k in model if ".h." in k and model[k] == s]) for s in sorted(set(matrices.values()))]
    for rank in range(count):
        state, listed, storages = {}, [], {}

        def new(*shape):
            size = 4
            for n in shape:
                size *= n
            storages[str(len(storages))] = size
            return handmade.tensor(len(storages) - 1, shape)

        for kind, keys in groups:
            first = sum(len(g["params"]) for g in listed)
            listed.append({"kind": kind, "lr": 0.02, "params": list(range(first, first + len(keys)))})
            a, b = model[keys[0]]
            each = -(-len(keys) // count)
            for k in range(len(keys) if kind == "adamw" else 0):
                state[first + k] = {"step": 1, "exp_avg": new(a // count, b), "exp_avg_sq": new(a // count, b)}
            if kind == "muon":
                state[first] = {"momentum_buffer": new(each, a, b), "second_momentum_buffer": new(each, *((a, 1) if a >= b else (1, b)))}
        handmade.write(path.replace("model_", "optim_").replace(".pt", "_rank%d.pt" % rank), {"state": state, "param_groups": listed}, storages)


def main():
    kind, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    {"sparse": sparse, "many": many, "each": each, "rezipped": rezipped, "blocks": blocks, "swollen": swollen,
     "ranks": ranks}[kind](os.path.join(directory, "model_000001.pt"))
    with open(os.path.join(directory, "meta_000001.json"), "w", encoding="utf-8") as f:
        f.write('{"step": 1}')


if __name__ == "__main__":
    main()
