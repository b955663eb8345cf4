#!/usr/bin/python3
"""check_ranks.py cut STEP RANKS [--list]: optim/rankR of a mounted step in all its forms, and nanochat's own names, against the real
shards of RANKS ranks. check_ranks.py all STEP: optim/all against the state of one rank, under the parameters' names."""
import json
import os
import sys

import torch

import check_optim
import ckpt
import make_ranks
import views
from ckpt import check

ADAMW = (["lm_head."], ["transformer.wte."], ["value_embeds."], ["resid_lambdas"], ["x0_lambdas"],
         ["smear_gate.", "smear_lambda", "backout_lambda"])


def parameters(model):
    """The parameters' names by id, as nanochat's setup_optimizer numbers them."""
    names = [k for group in ADAMW for start in group for k in model if k.startswith(start)]
    blocks = [k for k in model if k.startswith("transformer.h.")]
    for shape in sorted({tuple(model[k].shape) for k in blocks}):
        names += [k for k in blocks if tuple(model[k].shape) == shape]
    return names


def joined():
    """{parameter: {field: value}} in the model's order, and the groups with names."""
    state, model = make_ranks.whole(), make_ranks.model()
    names, fields = parameters(model), {}
    groups = [dict(g, params=[names[p] for p in g["params"]]) for g in state["param_groups"]]
    for g in state["param_groups"]:
        for i, p in enumerate(g["params"]):
            own = state["state"][g["params"][0] if g["kind"] == "muon" else p]
            fields[names[p]] = {k: v[i] if g["kind"] == "muon" else v for k, v in own.items()}
    return {"state": {k: fields[k] for k in model if k in fields}, "param_groups": groups}


def same(got, want, where):
    """Equality of what torch.load gives, with types, orders of keys, dtypes, strides and bytes."""
    if not check(type(got) is type(want), "%s: a %s, not a %s" % (where, type(got).__name__, type(want).__name__)):
        return
    if torch.is_tensor(want):
        kind = lambda t: (t.dtype, t.shape, t.stride(), t.requires_grad)  # noqa: E731
        check(kind(got) == kind(want) and torch.equal(got, want), where + ": tensors differ")
    elif isinstance(want, dict):
        if check(list(got) == list(want), "%s: keys %r" % (where, list(got))):
            for k in want:
                same(got[k], want[k], "%s.%s" % (where, k))
    elif isinstance(want, (list, tuple)):
        if check(len(got) == len(want), where + ": length"):
            for i, pair in enumerate(zip(got, want)):
                same(*pair, "%s.%d" % (where, i))
    else:
        check(got == want, "%s: %r, want %r" % (where, got, want))


def ways():
    """The ways to load that this torch has. Before 2.0 weights_only knew no float."""
    modern = int(torch.__version__.split(".")[0]) >= 2
    yield {}
    if modern:
        yield {"weights_only": True}
        if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 1):
            yield {"weights_only": True, "mmap": True}


def check_cut(step, ranks, listed):
    tag, number = os.path.split(step)
    for rank, want in enumerate(make_ranks.shards_of(ranks, listed)):
        name = "optim/rank%d" % rank
        own = os.path.join(tag, "optim_%s_rank%d.pt" % (number, rank))
        for path in (os.path.join(step, name + ".pt"), own):
            for way in ways():
                same(torch.load(path, map_location="cpu", **way), want, path)
        text = ckpt.read(os.path.join(step, name + ".json")).decode()
        parsed = json.loads(text, object_pairs_hook=check_optim.Object, parse_constant=check_optim.reject_constant)
        check_optim.same(check_optim.decode(parsed), want)
        check_views(views.check_group, step, name, ckpt.walk_tensors(want), own)


def check_views(checks, step, name, tensors, pt):
    tensors = {".".join(path): t for path, t in tensors}
    dtypes = {k: ckpt.dtype_name(t.dtype) for k, t in tensors.items()}
    checks(step, name, tensors, dtypes, {}, pt)


def check_all(step):
    want = joined()
    parsed = json.loads(ckpt.read(step + "/optim/all.json").decode())
    check(list(parsed["state"]) == list(want["state"]), "all.json: the order of parameters")
    check(parsed["param_groups"][0]["betas"] == {"$tuple": list(want["param_groups"][0]["betas"])}, "all.json: betas")
    for got, group in zip(parsed["param_groups"], want["param_groups"]):
        check(got["params"] == group["params"], "all.json: params %r" % got["params"])
    check(parsed["state"]["lm_head.weight"]["step"] == 4, "all.json: step")
    check_views(views.check_forms, step, "optim/all", ckpt.walk_tensors(want["state"]), step + "/optim/rank0.pt")


def main():
    what, step = sys.argv[1:3]
    if what == "all":
        check_all(step)
    else:
        check_cut(step, int(sys.argv[3]), "--list" in sys.argv)
    ckpt.finish("%s: %s" % (step, " ".join(sys.argv[3:] or [what])))


if __name__ == "__main__":
    main()
