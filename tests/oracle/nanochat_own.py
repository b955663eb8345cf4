#!/usr/bin/python3
"""nanochat_own.py NANOCHAT: what nanochat's own checkpoint_manager does in the base directory that it finds."""
import inspect
import os
import sys

sys.path.insert(0, sys.argv[1])
import torch  # noqa: E402
from nanochat import checkpoint_manager as cm, common, gpt  # noqa: E402


class Tokenizer:
    def get_vocab_size(self):
        return 64


def main():
    base = common.get_base_dir()
    config = {"sequence_len": 32, "vocab_size": 64, "n_layer": 2, "n_head": 2, "n_kv_head": 2, "n_embd": 64}
    config = {k: v for k, v in config.items() if k in inspect.signature(gpt.GPTConfig).parameters}
    torch.manual_seed(1)
    model = gpt.GPT(gpt.GPTConfig(**config))
    model.init_weights()
    model.to(torch.float32)
    optimizer = {"state": {0: {"exp_avg": torch.randn(8, 8)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    cm.get_tokenizer = Tokenizer
    for source, name in ("base", "base_checkpoints"), ("sft", "chatsft_checkpoints"), ("rl", "chatrl_checkpoints"):
        for tag in "d20", "d10":
            for step in 100, 200:
                cm.save_checkpoint(os.path.join(base, name, tag), step, model.state_dict(), optimizer, {"step": step, "model_config": config})
        checkpoints = os.path.join(base, name)
        assert cm.find_largest_model(checkpoints) == "d20"
        directory = os.path.join(checkpoints, "d20")
        assert cm.find_last_step(directory) == 200
        loaded, state, meta = cm.load_checkpoint(directory, 200, torch.device("cpu"), load_optimizer=True)
        assert meta["step"] == 200 and state["state"][0]["exp_avg"].equal(optimizer["state"][0]["exp_avg"])
        assert all(loaded[k].equal(v) for k, v in model.state_dict().items()) and list(loaded) == list(model.state_dict())
        built, _, meta = cm.load_model(source, torch.device("cpu"), "eval")
        assert meta["step"] == 200 and sum(p.numel() for p in built.parameters()) == sum(p.numel() for p in model.parameters())
        if hasattr(cm, "load_optimizer_state"):
            state = cm.load_optimizer_state(source, torch.device("cpu"), 0)
            assert state["state"][0]["exp_avg"].equal(optimizer["state"][0]["exp_avg"])


main()
