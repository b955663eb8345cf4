#!/usr/bin/python3
"""check_hf.py STEPDIR STORED.pt META.json DEVICE: a mounted step's hf/ against torch, json and the description of transformers' NanoChat.

The tensors' names, the settings and the forward pass are written from the descriptions of nanochat's gpt.py and of transformers'
models/nanochat, each by itself: the logits of nanochat's model, read from model/, must be those of transformers', read from hf/.
"""
import json
import os
import sys

import numpy as np
import torch

import ckpt
import views
from ckpt import check, read

try:
    import safetensors.torch as library
except ImportError:
    library = None

RENAMED = [("transformer.wte.weight", "model.embed_tokens.weight"), ("lm_head.weight", "lm_head.weight")]
IN_LAYER = [("attn.c_q", "self_attn.q_proj"), ("attn.c_k", "self_attn.k_proj"), ("attn.c_v", "self_attn.v_proj"),
            ("attn.c_proj", "self_attn.o_proj"), ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")]


def renamed(tensors, layers):
    names = dict(RENAMED)
    for i in range(layers):
        names.update({"transformer.h.%d.%s.weight" % (i, a): "model.layers.%d.%s.weight" % (i, b) for a, b in IN_LAYER})
    return {b: tensors[a] for a, b in names.items()}


def config_of(tensors, config, device):
    dtype = "bfloat16" if device == "cuda" else "float32"
    v = config["vocab_size"]
    head = config["n_embd"] // config["n_head"]
    return {
        "architectures": ["NanoChatForCausalLM"], "model_type": "nanochat", "vocab_size": tensors["transformer.wte.weight"].shape[0],
        "hidden_size": config["n_embd"], "intermediate_size": tensors["transformer.h.0.mlp.c_fc.weight"].shape[0],
        "num_hidden_layers": config["n_layer"], "num_attention_heads": config["n_head"],
        "num_key_value_heads": tensors["transformer.h.0.attn.c_k.weight"].shape[0] // head,
        "max_position_embeddings": config["sequence_len"], "hidden_act": "relu2", "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "rope_theta": 10000.0, "final_logit_softcapping": 15.0,
        "attention_bias": False, "attention_dropout": 0.0, "tie_word_embeddings": False, "use_cache": True, "initializer_range": 0.02,
        "bos_token_id": v - 9, "eos_token_id": [v - 5, v - 9], "pad_token_id": v - 9, "dtype": dtype, "torch_dtype": dtype,
    }


# ---- the two models ----

def norm(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def nanochat_logits(get, config, tokens):
    """gpt.py: rotary embedding over the two halves of a head, by (x1 cos + x2 sin, x2 cos - x1 sin)."""
    heads, width = config["n_head"], config["n_embd"] // config["n_head"]
    angle = torch.outer(torch.arange(len(tokens)).float(), 10000.0 ** (-torch.arange(0, width, 2).float() / width))
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]

    def rotate(x):
        a, b = x[..., :width // 2], x[..., width // 2:]
        return torch.cat([a * cos + b * sin, b * cos - a * sin], -1)

    x = norm(get("transformer.wte.weight")[tokens])
    for i in range(config["n_layer"]):
        h = "transformer.h.%d." % i
        y = norm(x)
        q, k, v = ((y @ get(h + "attn.c_%s.weight" % c).T).view(len(tokens), -1, width) for c in "qkv")
        q, k = norm(rotate(q)), norm(rotate(k))
        k, v = (t.repeat_interleave(heads // t.shape[1], 1) for t in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / width ** 0.5
        scores = scores.masked_fill(torch.ones(scores.shape[1:]).triu(1).bool(), float("-inf")).softmax(-1)
        x = x + torch.einsum("hqk,khd->qhd", scores, v).reshape(len(tokens), -1) @ get(h + "attn.c_proj.weight").T
        x = x + (norm(x) @ get(h + "mlp.c_fc.weight").T).relu().square() @ get(h + "mlp.c_proj.weight").T
    return 15 * torch.tanh(norm(x) @ get("lm_head.weight").T / 15)


def transformers_logits(get, config, tokens):
    """modeling_nanochat.py: cos and sin doubled over the whole head, by (x cos + rotate_half(x) sin), whose rotate_half has the other
    sign than llama's: (x2, -x1). All sizes from config.json."""
    heads, kv, eps = config["num_attention_heads"], config["num_key_value_heads"], config["rms_norm_eps"]
    width = config["hidden_size"] // heads
    theta = config["rope_parameters"]["rope_theta"]
    angle = torch.arange(len(tokens)).float()[:, None] / theta ** (torch.arange(0, width, 2).float() / width)
    angle = torch.cat([angle, angle], -1)

    def rms(t):
        return t / (t.square().mean(-1, keepdim=True) + eps).sqrt()

    def rope(t):
        half = torch.cat([t[..., width // 2:], -t[..., :width // 2]], -1)
        return t * angle.cos() + half * angle.sin()

    x = rms(torch.nn.functional.embedding(torch.tensor(tokens), get("model.embed_tokens.weight")))
    for i in range(config["num_hidden_layers"]):
        at = "model.layers.%d." % i

        def linear(t, name):
            return torch.nn.functional.linear(t, get(at + name + ".weight"))

        y = rms(x)
        q = rms(rope(linear(y, "self_attn.q_proj").view(-1, heads, width).transpose(0, 1)))
        k = rms(rope(linear(y, "self_attn.k_proj").view(-1, kv, width).transpose(0, 1)))
        v = linear(y, "self_attn.v_proj").view(-1, kv, width).transpose(0, 1)
        out = []
        for h in range(heads):
            g = h // (heads // kv)
            weights = (q[h] @ k[g].T) * width ** -0.5 + torch.full((len(tokens),) * 2, float("-inf")).triu(1)
            out.append(torch.softmax(weights, -1) @ v[g])
        x = x + linear(torch.cat(out, -1), "self_attn.o_proj")
        x = x + linear(torch.relu(linear(rms(x), "mlp.fc1")) ** 2, "mlp.fc2")
    cap = config["final_logit_softcapping"]
    return cap * torch.tanh(torch.nn.functional.linear(rms(x), get("lm_head.weight")) / cap)


def check_logits(step, config, hf_config, tensors):
    tokens = [5, 77, 3, 120, 9, 9, 41]

    def from_npy(key):
        return torch.from_numpy(np.load(os.path.join(step, "model", key + ".npy")))

    if library:
        loaded = library.load_file(os.path.join(step, "hf/model.safetensors"))
    else:
        _, raw = ckpt.read_safetensors(read(os.path.join(step, "hf/model.safetensors")))
        loaded = {k: torch.from_numpy(np.frombuffer(data, "<f4").reshape(shape).copy()) for k, (_, shape, data) in raw.items()}
    a = nanochat_logits(from_npy, config, tokens)
    b = transformers_logits(loaded.__getitem__, hf_config, tokens)
    check(a.shape == (len(tokens), tensors["lm_head.weight"].shape[0]) and a.abs().max() > 0.05, step + ": logits of nothing")
    check(torch.allclose(a, b, rtol=1e-4, atol=1e-5), "%s: logits differ by %g" % (step, (a - b).abs().max()))


def main():
    step, pt, meta_path, device = sys.argv[1:]
    config = ckpt.load_meta(meta_path)["model_config"]
    tensors = ckpt.nanochat_model(pt, ckpt.load_meta(meta_path), device)
    hf = os.path.join(step, "hf")
    want = config_of(tensors, config, device)
    text = read(os.path.join(hf, "config.json")).decode()
    got = json.loads(text)
    for key in sorted(set(want) | set(got)):
        check(want.get(key) == got.get(key) and type(want.get(key)) is type(got.get(key)),
              "config.json: %s: expected %r, found %r" % (key, want.get(key), got.get(key)))
    check(text == json.dumps(want, indent=2, sort_keys=True) + "\n", "config.json: not as json.dumps sorts and indents it")
    generation = {"_from_model_config": True, **{k: want[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")}}
    text = read(os.path.join(hf, "generation_config.json")).decode()
    check(text == json.dumps(generation, indent=2, sort_keys=True) + "\n", "generation_config.json: " + text)
    for name in os.listdir(hf):
        check(os.stat(os.path.join(hf, name)).st_size == len(read(os.path.join(hf, name))), name + ": st_size")
    tensors_hf = renamed(tensors, config["n_layer"])
    views.check_safetensors(os.path.join(hf, "model.safetensors"), tensors_hf)
    if library:
        ordered = library.save({k: t.contiguous() for k, t in tensors_hf.items()}, {"format": "pt"})
        check(read(os.path.join(hf, "model.safetensors")) == ordered, "model.safetensors: not byte for byte the library's")
    if device == "cpu":
        check_logits(step, config, got, tensors)
    ckpt.finish("%s: hf/ for %s" % (step, device))


main()
