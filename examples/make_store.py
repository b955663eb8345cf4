#!/usr/bin/python3
"""make_store.py DIRECTORY: with the torch at hand writes what examples/store holds (made with torch 2.6): two steps of a tiny GPT.

The second step differs from the first in two tensors. As nanochat leaves it after training with torch.compile: keys with the
prefix `_orig_mod.`, bfloat16 embeddings, no lambdas, and Infinity in meta.json before the first evaluation.
"""
import json
import os
import sys

import torch

N_LAYER, N_EMBD, VOCAB = 2, 16, 64
MATRICES = {"attn.c_q": (16, 16), "attn.c_k": (16, 16), "attn.c_v": (16, 16), "attn.c_proj": (16, 16), "mlp.c_fc": (64, 16),
            "mlp.c_proj": (16, 64)}
CHANGED = "lm_head.weight", "transformer.h.1.mlp.c_fc.weight"


def randn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def model():
    shapes = {"transformer.wte.weight": (VOCAB, N_EMBD)}
    shapes.update({"transformer.h.%d.%s.weight" % (i, k): s for i in range(N_LAYER) for k, s in MATRICES.items()})
    shapes.update({"lm_head.weight": (VOCAB, N_EMBD), "value_embeds.1.weight": (VOCAB, N_EMBD)})
    tensors = {key: randn(i, *shape) * 0.1 for i, (key, shape) in enumerate(shapes.items())}
    return {"_orig_mod." + k: t.to(torch.bfloat16) if "wte" in k or "embeds" in k else t for k, t in tensors.items()}


def optimizer():
    adamw = {"step": 1000, "exp_avg": randn(91, VOCAB, N_EMBD).bfloat16(), "exp_avg_sq": randn(92, VOCAB, N_EMBD).abs().bfloat16()}
    return {"state": {0: adamw, 1: {"momentum_buffer": randn(93, 4, N_EMBD, N_EMBD)}},
            "param_groups": [{"kind": "adamw", "lr": 0.3, "betas": (0.8, 0.95), "eps": 1e-10, "weight_decay": 0.0, "params": [0]},
                             {"kind": "muon", "lr": 0.02, "momentum": 0.95, "nesterov": True, "beta2": None, "params": [1]}]}


def meta(step, min_val_bpb):
    config = {"sequence_len": 64, "vocab_size": VOCAB, "n_layer": N_LAYER, "n_head": 2, "n_kv_head": 2, "n_embd": N_EMBD}
    return {"step": step, "val_bpb": 1.2075, "model_config": config, "user_config": {"run": "dummy", "depth": N_LAYER},
            "loop_state": {"min_val_bpb": min_val_bpb, "smooth_train_loss": 3.21}}


def save(directory, step, tensors, min_val_bpb):
    torch.save(tensors, os.path.join(directory, "model_%06d.pt" % step))
    with open(os.path.join(directory, "meta_%06d.json" % step), "w", encoding="utf-8") as f:
        json.dump(meta(step, min_val_bpb), f, indent=2)


def main():
    directory = os.path.join(sys.argv[1], "base_checkpoints", "d2")
    os.makedirs(directory)
    tensors = model()
    save(directory, 500, tensors, float("inf"))
    for i, key in enumerate(CHANGED):
        tensors["_orig_mod." + key] = tensors["_orig_mod." + key] + randn(80 + i, *tensors["_orig_mod." + key].shape) * 0.01
    save(directory, 1000, tensors, 1.2075)
    torch.save(optimizer(), os.path.join(directory, "optim_001000_rank0.pt"))


if __name__ == "__main__":
    main()
