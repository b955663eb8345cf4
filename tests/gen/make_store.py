#!/usr/bin/python3
"""Makes a nanochat store with real torch: make_store.py [--dtypes] DIRECTORY. Same output for the same torch.

Without an option: two base tags and a tie (d12, d12_long, d20), sft and rl, as nanochat's scripts leave them. With --dtypes: a tag
whose steps hold every dtype and every kind of view that torch saves (step 1), complex128, which safetensors lacks (step 2), and the
same tensors nested as an optimizer shard.
"""
import collections
import json
import os
import sys

import torch

N_LAYER, N_EMBD, VOCAB = 4, 64, 256


def gpt_state(seed, lambdas, prefix="", embeddings=torch.bfloat16):
    """The state_dict of a small nanochat GPT."""
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(*shape, generator=g)

    sd = {"transformer.wte.weight": rand(VOCAB, N_EMBD).to(embeddings)}
    for i in range(N_LAYER):
        h = "transformer.h.%d." % i
        for name in ("attn.c_q", "attn.c_k", "attn.c_v", "attn.c_proj"):
            sd[h + name + ".weight"] = rand(N_EMBD, N_EMBD)
        sd[h + "mlp.c_fc.weight"] = rand(4 * N_EMBD, N_EMBD)
        sd[h + "mlp.c_proj.weight"] = rand(N_EMBD, 4 * N_EMBD)
    sd["lm_head.weight"] = rand(VOCAB, N_EMBD)
    for i in (1, 3):
        sd["value_embeds.%d.weight" % i] = rand(VOCAB, N_EMBD).to(embeddings)
    if lambdas:
        sd["resid_lambdas"] = rand(N_LAYER)
        sd["x0_lambdas"] = rand(N_LAYER)
    sd["smear_gate.weight"] = rand(1, 24)
    return {prefix + k: v for k, v in sd.items()}


def optimizer_state(seed, ranks):
    """The state_dict of nanochat's optimizer on one of so many ranks: AdamW groups, then Muon groups whose buffers are shared by parameters of one shape."""
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(*shape, generator=g)

    state = {}
    for i, shape in enumerate([(VOCAB // ranks, N_EMBD), (VOCAB // ranks, N_EMBD), (N_LAYER,)]):
        dtype = torch.bfloat16 if i == 0 else torch.float32
        state[i] = {"step": 1000, "exp_avg": rand(*shape).to(dtype), "exp_avg_sq": rand(*shape).abs().to(dtype)}
    state[5] = {"momentum_buffer": rand(4, N_EMBD, N_EMBD), "second_momentum_buffer": rand(4, N_EMBD, 1)}
    state[6] = {"step": torch.tensor(1000.0), "momentum_buffer": rand(N_EMBD, 4 * N_EMBD).t()}
    groups = [
        {"kind": "adamw", "lr": 0.2 * (N_EMBD / 768) ** -0.5, "betas": (0.8, 0.95), "eps": 1e-10, "weight_decay": 0.0,
         "initial_lr": 0.3, "params": [0]},
        {"kind": "adamw", "lr": 0.004, "betas": (0.8, 0.95), "eps": 1e-10, "weight_decay": 1e-16, "fused": None,
         "maximize": False, "foreach": True, "params": [1, 2]},
        {"kind": "muon", "lr": 0.02, "momentum": 0.95, "ns_steps": 5, "beta2": None, "nesterov": True, "params": [5, 6]},
    ]
    return {"state": state, "param_groups": groups}


def meta(step, min_val_bpb, window_pattern=True):
    """What base_train.py hands to save_checkpoint."""
    config = {"sequence_len": 2048, "vocab_size": VOCAB, "n_layer": N_LAYER, "n_head": 2, "n_kv_head": 2, "n_embd": N_EMBD}
    if window_pattern:
        config["window_pattern"] = "SSSL"
    return {
        "step": step, "val_bpb": 1.0372819481, "model_config": config,
        "user_config": {"run": "h\u00e9llo \u2603 \U0001f600", "device_type": "", "depth": 12, "target_param_data_ratio": 8,
                        "embedding_lr": 0.3, "unembedding_lr": 4e-05, "final_lr_frac": 0.0, "resume_from_step": -1,
                        "total_batch_size": 524288, "model_tag": None, "compile": True, "tiny": 1e-300, "huge": 1e+22},
        "device_batch_size": 32, "max_seq_len": 2048, "total_batch_size": 524288,
        "dataloader_state_dict": {"pq_idx": 3, "rg_idx": 14, "epoch": 1, "seen": 12345678901234567890123},
        "loop_state": {"min_val_bpb": min_val_bpb, "smooth_train_loss": 3.1415926535897931, "total_training_time": 0.1 + 0.2,
                       "history": [], "extra": {}},
    }


def save_checkpoint(directory, step, model, optim_shards, meta_data):
    """nanochat's save_checkpoint, for all ranks at once."""
    os.makedirs(directory, exist_ok=True)
    torch.save(model, os.path.join(directory, "model_%06d.pt" % step))
    with open(os.path.join(directory, "meta_%06d.json" % step), "w", encoding="utf-8") as f:
        json.dump(meta_data, f, indent=2)
    for rank, shard in enumerate(optim_shards):
        torch.save(shard, os.path.join(directory, "optim_%06d_rank%d.pt" % (step, rank)))


def make_nanochat(root):
    base = os.path.join(root, "base_checkpoints")
    d12 = os.path.join(base, "d12")
    save_checkpoint(d12, 500, gpt_state(500, lambdas=False, prefix="_orig_mod."), [optimizer_state(1, 1)],
                    meta(500, float("inf"), window_pattern=False))
    save_checkpoint(d12, 1000, gpt_state(1000, lambdas=False), [optimizer_state(2, 2), optimizer_state(3, 2)],
                    meta(1000, 1.0372819481))
    save_checkpoint(os.path.join(base, "d20"), 700, gpt_state(700, lambdas=True), [], meta(700, float("nan")))
    save_checkpoint(os.path.join(base, "d12_long"), 2000, gpt_state(2000, lambdas=True), [], meta(2000, float("-inf")))
    save_checkpoint(os.path.join(root, "chatsft_checkpoints", "d12"), 300,
                    gpt_state(300, lambdas=True, prefix="_orig_mod.", embeddings=torch.float32), [optimizer_state(4, 1)],
                    {"step": 300, "val_loss": 0.5, "model_config": meta(0, 0)["model_config"]})
    save_checkpoint(os.path.join(root, "chatrl_checkpoints", "d12"), 60, gpt_state(60, lambdas=True), [],
                    {"model_config": meta(0, 0)["model_config"]})
    os.makedirs(os.path.join(root, "tokenizer"), exist_ok=True)


def every_kind():
    """Each dtype of this torch, and each kind of view."""
    t = collections.OrderedDict()
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"):
        t["dtype." + name] = (torch.arange(-12, 12).reshape(4, 6) * (1 if name[0] != "u" else 3)).to(getattr(torch, name))
    t["dtype.bool"] = torch.arange(24).reshape(4, 6) % 3 == 0
    t["dtype.complex64"] = torch.complex(torch.arange(6.0), -torch.arange(6.0)).reshape(2, 3)
    t["nan.bfloat16"] = torch.tensor([0x7fc1, -1, 0x7f81, 0x7f80, -128, 0, -32768, 1], dtype=torch.int16).view(torch.bfloat16)
    for name in ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"):
        if hasattr(torch, name):
            t["dtype." + name] = torch.arange(24, dtype=torch.uint8).view(getattr(torch, name))
    base = torch.arange(120, dtype=torch.float32).reshape(4, 5, 6)
    t["view.base"], t["view.transposed"] = base, base.transpose(0, 2)
    t["view.offset"], t["view.strided"] = base[2:], base[::2, 1:4, ::3]
    t["view.row"], t["view.column"] = base[1, 2], base[1, :, 3]
    t["view.expanded"] = torch.arange(7, dtype=torch.int16).reshape(7, 1).expand(7, 9)
    t["view.expanded_scalar"] = torch.tensor(2.5, dtype=torch.bfloat16).expand(3, 4)
    t["view.bfloat16_t"] = torch.arange(300, dtype=torch.float32).reshape(20, 15).to(torch.bfloat16).t()
    t["view.diagonal"] = torch.arange(64, dtype=torch.float64).reshape(8, 8).diagonal()
    t["view.overlapping"] = torch.arange(11, dtype=torch.int32).as_strided((4, 4), (1, 2), 1)
    t["view.conj"] = torch.complex(torch.arange(12.0), torch.arange(12.0) + 1).reshape(3, 4).conj()
    t["view.conj_t"] = torch.complex(torch.arange(12.0), torch.arange(12.0) + 1).reshape(3, 4).t().conj()
    t["view.neg"] = torch.complex(torch.arange(4.0), torch.arange(4.0) - 9).conj().imag
    t["shape.scalar"], t["shape.scalar_int"] = torch.tensor(3.25), torch.tensor(-7)
    t["shape.empty"], t["shape.empty_2d"] = torch.empty(0), torch.empty(3, 0, 2, dtype=torch.int64)
    t["shape.ones"] = torch.arange(5.0).reshape(1, 5, 1, 1)
    t["shape.deep"] = torch.arange(64).reshape(2, 2, 2, 2, 2, 2)
    t["shape.odd"] = torch.arange(1009 * 3, dtype=torch.float32).reshape(1009, 3).to(torch.bfloat16)
    t["large.matrix_t"] = torch.arange(300 * 700, dtype=torch.int32).reshape(300, 700).t()
    t["param"] = torch.nn.Parameter(torch.arange(8.0))
    t["param.frozen"] = torch.nn.Parameter(torch.arange(8.0), requires_grad=False)
    t["grad"] = torch.arange(8.0).requires_grad_()
    t["key with spaces and \u00fcml\u00e4uts"] = torch.tensor([1, 2, 3])
    t["_orig_mod.first"], t["between"] = torch.tensor([1.0]), torch.tensor([2.0])
    t["first"] = torch.tensor([3.0])
    t["_orig_mod._orig_mod.twice"] = torch.tensor([4.0])
    return t


def odd_shard(tensors):
    """A shard of everything that plain Python and torch.save put side by side."""
    ordered = collections.OrderedDict([("b", 1), ("a", tensors["view.transposed"])])
    return {
        "state": {0: {"step": 3, "exp_avg": tensors["dtype.bfloat16"]}, 7: {"a tuple": (1, (2.5, None), [True, False])}, -1: {}},
        "param_groups": [{"params": [0, 7], "betas": (0.9, 0.999), "lr": 1e-3, "nan": float("nan"), "inf": [float("inf"), float("-inf")]}],
        "mixed": {1: "int", "1": "str", None: 0, (1, 2): "tuple", 2.5: tensors["shape.scalar"]},
        "$dollar": {"$tensor": "not a reference", "$$": 1}, "bytes": b"\x00\xff\n", "array": bytearray(b"\x01\xfe"),
        "sets": [{1}, frozenset(["x"])], "complex": complex(1.5, -2.0), "big": [2 ** 63, -(2 ** 200), 2 ** 63 - 1, -(2 ** 63)],
        "size": torch.Size([2, 3]), "dtype": torch.bfloat16, "device": torch.device("cpu"), "ordered": ordered,
        "empty": [{}, [], (), "", set()], "text": "quote\" back\\ tab\t nl\n \u2028 \U0001f600 \x7f",
        "ints": {0: 1, 5: 2, -3: 3}, "floats": [0.1, 1e16, 1e-5, 1.0, -0.0, 5e-324, 123456789012345680.0],
        "param": tensors["param"], "grad": tensors["grad"], "list": [tensors["view.conj"], (tensors["shape.empty"],)],
    }


def make_dtypes(root):
    directory = os.path.join(root, "base_checkpoints", "d1")
    tensors = every_kind()
    save_checkpoint(directory, 1, tensors, [odd_shard(tensors)], meta(1, float("inf")))
    save_checkpoint(directory, 2, {"wide": torch.complex(torch.arange(4.0, dtype=torch.float64), torch.ones(4, dtype=torch.float64)),
                                   "plain": torch.arange(4.0)}, [], meta(2, 1.0))


def main():
    args = sys.argv[1:]
    dtypes = "--dtypes" in args
    args = [a for a in args if a != "--dtypes"]
    if len(args) != 1:
        sys.exit(__doc__)
    make_dtypes(args[0]) if dtypes else make_nanochat(args[0])


if __name__ == "__main__":
    main()
