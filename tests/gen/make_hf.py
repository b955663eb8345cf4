#!/usr/bin/python3
"""Makes a nanochat store of every generation of models, and of models that lie: make_hf.py DIRECTORY.

Each tag's name says what is special; `ok_*` are those that Hugging Face transformers' NanoChat can represent, by its description.
REFUSED beside the store, a line each: tag, and words that hf.error must say.
"""
import json
import os
import sys

import torch

LAYERS, EMBD, HEADS, ROWS = 2, 64, 4, 128
CONFIG = {"sequence_len": 256, "vocab_size": 121, "n_layer": LAYERS, "n_head": HEADS, "n_kv_head": HEADS, "n_embd": EMBD}


def gpt(kv_heads=HEADS, layers=LAYERS, prefix="", embeddings=torch.float32, seed=1):
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(*shape, generator=g) / 8

    sd = {"transformer.wte.weight": rand(ROWS, EMBD).to(embeddings)}
    for i in range(layers):
        h = "transformer.h.%d." % i
        for name, rows in (("c_q", EMBD), ("c_k", kv_heads * EMBD // HEADS), ("c_v", kv_heads * EMBD // HEADS), ("c_proj", EMBD)):
            sd[h + "attn.%s.weight" % name] = rand(rows, EMBD)
        sd[h + "mlp.c_fc.weight"] = rand(4 * EMBD, EMBD)
        sd[h + "mlp.c_proj.weight"] = rand(EMBD, 4 * EMBD)
    sd["lm_head.weight"] = rand(ROWS, EMBD)
    return {prefix + k: v for k, v in sd.items()}


def save(store, tag, sd, config=CONFIG, meta=True):
    directory = os.path.join(store, "base_checkpoints", tag)
    os.makedirs(directory)
    torch.save(sd, os.path.join(directory, "model_000500.pt"))
    if meta:
        with open(os.path.join(directory, "meta_000500.json"), "w") as f:
            json.dump({"step": 500, "model_config": config} if config else {"step": 500}, f, indent=2)


def without(dictionary, *keys):
    return {k: v for k, v in dictionary.items() if k not in keys}


def main():
    store = sys.argv[1]
    neutral = {"resid_lambdas": torch.ones(LAYERS), "x0_lambdas": torch.zeros(LAYERS)}
    save(store, "ok_october", gpt())
    save(store, "ok_compiled", gpt(prefix="_orig_mod.", embeddings=torch.bfloat16))
    save(store, "ok_grouped", gpt(kv_heads=2), {**CONFIG, "n_kv_head": 2})
    save(store, "ok_window", gpt(), {**CONFIG, "window_pattern": "LL"})
    save(store, "ok_lambdas", {**gpt(), **neutral})
    save(store, "ok_bf16_lambdas", {**gpt(), **{k: v.bfloat16() for k, v in neutral.items()}})
    save(store, "ok_eleven", gpt(layers=11), {**CONFIG, "n_layer": 11})
    save(store, "ok_order", dict(reversed(gpt().items())))
    refused = []

    def refuse(tag, words, *args, **kw):
        save(store, tag, *args, **kw)
        refused.append("%s\t%s" % (tag, words))

    refuse("trained_lambdas", "resid_lambdas: found 1.25", {**gpt(), **neutral, "resid_lambdas": torch.tensor([1.0, 1.25])})
    refuse("trained_x0", "x0_lambdas: found 0.5", {**gpt(), **neutral, "x0_lambdas": torch.tensor([0.5, 0.0])})
    refuse("nan_lambdas", "resid_lambdas: found nan", {**gpt(), **neutral, "resid_lambdas": torch.tensor([float("nan"), 1.0])})
    refuse("long_lambdas", "resid_lambdas: expected 2 numbers", {**gpt(), **neutral, "resid_lambdas": torch.ones(3)})
    refuse("double_lambdas", "resid_lambdas: float64", {**gpt(), **neutral, "resid_lambdas": torch.ones(2).double()})
    refuse("value_embeds", "value_embeds.1.weight: no such tensor", {**gpt(), "value_embeds.1.weight": torch.zeros(ROWS, EMBD)})
    refuse("ve_gate", "transformer.h.1.attn.ve_gate.weight: no such tensor", {**gpt(), "transformer.h.1.attn.ve_gate.weight": torch.ones(4, 32)})
    refuse("smear_gate", "smear_gate.weight: no such tensor", {**gpt(), "smear_gate.weight": torch.ones(1, 24)})
    refuse("smear_lambda", "smear_lambda: no such tensor", {**gpt(), "smear_lambda": torch.zeros(1)})
    refuse("backout", "backout_lambda: no such tensor", {**gpt(), "backout_lambda": torch.zeros(1)})
    refuse("window", "model_config: window_pattern found SSSL", gpt(), {**CONFIG, "window_pattern": "SSSL"})
    refuse("window_number", "model_config: window_pattern found none", gpt(), {**CONFIG, "window_pattern": 7})
    refuse("no_meta", "model_config: expected n_layer meta.json", gpt(), meta=False)
    refuse("no_config", "model_config: expected n_layer meta.json", gpt(), None)
    refuse("no_heads", "model_config: expected n_head found none", gpt(), without(CONFIG, "n_head"))
    refuse("odd_heads", "model_config: multiple of n_head 64 and 5", gpt(), {**CONFIG, "n_head": 5})
    refuse("large_vocab", "model_config: vocab_size at most 128 found 129", gpt(), {**CONFIG, "vocab_size": 129})
    refuse("small_vocab", "model_config: expected vocab_size of at least 9", gpt(), {**CONFIG, "vocab_size": 8})
    refuse("no_head", "lm_head.weight: expected found no such tensor", without(gpt(), "lm_head.weight"))
    refuse("lost_layer", "transformer.h.1.mlp.c_fc.weight: found no such tensor", without(gpt(), "transformer.h.1.mlp.c_fc.weight"))
    refuse("more_layers", "transformer.h.2.attn.c_q.weight: no such tensor", gpt(layers=3))
    refuse("many_layers", "transformer.h.2.attn.c_q.weight: found no such tensor", gpt(), {**CONFIG, "n_layer": 100000})
    refuse("no_layers", "transformer.h.0.attn.c_q.weight: no such tensor", gpt(), {**CONFIG, "n_layer": 0})
    refuse("narrow", "transformer.wte.weight: expected the shape [128,32] found [128,64]", gpt(), {**CONFIG, "n_embd": 32})
    refuse("other_shape", "transformer.h.1.mlp.c_proj.weight: expected the shape [64,256] found [64,255]",
           {**gpt(), "transformer.h.1.mlp.c_proj.weight": torch.zeros(64, 255)})
    refuse("flat", "lm_head.weight: expected the shape [128,64] found [8192]", {**gpt(), "lm_head.weight": torch.zeros(8192)})
    refuse("half_head", "transformer.h.0.attn.c_k.weight: whole heads found 24 rows",
           {**gpt(), "transformer.h.0.attn.c_k.weight": torch.zeros(24, EMBD)})
    refuse("three_heads", "transformer.h.0.attn.c_k.weight: whole heads found 48 rows",
           {**gpt(), "transformer.h.0.attn.c_k.weight": torch.zeros(48, EMBD)})
    refuse("sparse", "lm_head.weight: expected an array", {**gpt(), "lm_head.weight": torch.zeros(ROWS, EMBD).to_sparse()})
    with open(store + "/REFUSED", "w") as f:
        f.write("\n".join(refused) + "\n")


main()
