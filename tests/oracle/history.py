#!/usr/bin/python3
"""TAG/history.tsv and TAG/best by Python's json module, from their description in ckptfs(1), against the mount.

history.py make STORE SEED FILE.pt   makes a store of tags with random metadata; the steps' models are copies of FILE.pt, or broken
history.py check STORE MOUNT         compares the table and the link of each tag
history.py many TAG COUNT FILE.pt    makes a tag of COUNT steps, whose models and shards are links to FILE.pt
history.py runs STORE FILE.pt        makes a store of three base runs, one of which diverged, and a fine-tuned one with a val_loss alone
"""
import csv
import json
import math
import os
import re
import shutil
import sys
import time

NAMED = ("step val_bpb val_loss min_val_bpb smooth_train_loss total_training_time total_batch_size tokens epoch ranks model_bytes "
         "optim_bytes saved state").split()


def numeric(x):
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def as_float(x):
    """As C's strtod reads its digits: hypothesis' ints may be too large for float()."""
    return float(repr(x))


def text(x):
    return "" if x is None else repr(x)


def column(key):
    """A key as the name of a column: escaped as in JSON where it would end or quote a cell."""
    if re.search(r'["\\\x00-\x1f\x7f\ud800-\udfff]', key):
        return json.dumps(key)[1:-1]
    return key


def load(path):
    try:
        with open(path, "rb") as f:
            meta = json.loads(f.read().decode("utf-8", "surrogatepass"))
    except (OSError, ValueError, RecursionError):
        return None
    return meta if isinstance(meta, dict) else None


def loop(meta, where, key):
    inner = meta.get(where)
    for d in (inner if isinstance(inner, dict) else {}, meta):
        if numeric(d.get(key)):
            return d[key]
    return None


def rows(tag):
    """The table, a dict per step, and which columns it has."""
    extra, table = [], []
    steps = sorted(int(m.group(1)) for n in os.listdir(tag) for m in [re.fullmatch(r"model_(\d{6}|[1-9]\d{6,})\.pt", n)] if m)
    for step in steps:
        model = os.stat(os.path.join(tag, "model_%06d.pt" % step))
        meta = load(os.path.join(tag, "meta_%06d.json" % step))
        known = meta or {}
        row = {k: known[k] for k in ("val_bpb", "val_loss", "total_batch_size") if numeric(known.get(k))}
        for where, key in (("loop_state", "min_val_bpb"), ("loop_state", "smooth_train_loss"), ("loop_state", "total_training_time"),
                           ("dataloader_state_dict", "epoch")):
            row[key] = loop(known, where, key)
        if "total_batch_size" in row:
            row["tokens"] = step * row["total_batch_size"]
        shards = [n for n in os.listdir(tag) if re.fullmatch(r"optim_%06d(_rank\d+)?\.pt" % step, n)]
        row.update(step=step, ranks=len(shards), model_bytes=model.st_size,
                   optim_bytes=sum(os.stat(os.path.join(tag, n)).st_size for n in shards))
        row = {k: text(v) for k, v in row.items()}
        row["saved"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(model.st_mtime))
        row["state"] = "empty" if model.st_size == 0 else "no-meta" if meta is None else "ok"
        for key, value in known.items():
            if numeric(value) and key not in NAMED:
                row[column(key)] = text(value)
                if column(key) not in extra:
                    extra.append(column(key))
        table.append(row)
    return table, NAMED + extra


def best(tag, good):
    """The step that `best` names: among those that nanochat can load, or if there are none, those whose model opens."""
    metas = {}
    for n in os.listdir(tag):
        m = re.fullmatch(r"model_(\d+)\.pt", n)
        if m and os.path.getsize(os.path.join(tag, n)) == good:
            metas[int(m.group(1))] = load(os.path.join(tag, "meta_%s.json" % m.group(1))) or {}
    loads = {s: m for s, m in metas.items() if isinstance(m.get("model_config"), dict)} or metas
    for key in ("val_bpb", "val_loss"):
        scores = [(as_float(m[key]), s) for s, m in loads.items() if numeric(m.get(key)) and not math.isnan(as_float(m[key]))]
        if scores:
            return "%06d" % min(scores)[1]
    return None


def check_tag(tag, shown, good):
    want, columns = rows(tag)
    with open(os.path.join(shown, "history.tsv"), newline="", encoding="utf-8") as f:
        raw = f.read()
    lines = list(csv.reader(raw.splitlines(), delimiter="\t"))
    if raw.count("\n") != len(lines) or not raw.endswith("\n") or os.stat(os.path.join(shown, "history.tsv")).st_size != len(raw.encode()):
        sys.exit("%s: not %d whole lines, or another size" % (tag, len(lines)))
    if lines[0] != columns:
        sys.exit("%s: columns %s\nwanted %s" % (tag, lines[0], columns))
    for line, row in zip(lines[1:], want):
        if line != [row.get(c, "") for c in columns]:
            sys.exit("%s: %s\nwanted %s" % (tag, line, [row.get(c, "") for c in columns]))
    if len(lines) != len(want) + 1:
        sys.exit("%s: %d lines for %d steps" % (tag, len(lines) - 1, len(want)))
    link = os.path.join(shown, "best")
    got = os.readlink(link) if os.path.lexists(link) else None
    if got != best(tag, good):
        sys.exit("%s: best is %s, wanted %s" % (tag, got, best(tag, good)))
    if ("best" in os.listdir(shown)) != (got is not None):
        sys.exit("%s: best is %s, and the listing is %s" % (tag, got, os.listdir(shown)))


def check(store, mount):
    base = os.path.join(store, "base_checkpoints")
    with open(os.path.join(store, "good"), encoding="ascii") as f:
        good = int(f.read())
    for tag in sorted(os.listdir(base)):
        check_tag(os.path.join(base, tag), os.path.join(mount, "base", tag), good)


def metas():
    """Metadata as nanochat writes it, and as others might."""
    from hypothesis import strategies as st
    scores = st.one_of(st.floats(), st.sampled_from([0.5, 0.75, 0.75, 1, math.nan, math.inf, -math.inf, True, None, "0.1", [0.1]]),
                       st.integers(-10**30, 10**40))
    numbers = st.one_of(st.floats(), st.integers(), st.integers(-10**40, 10**40), st.booleans(), st.text(max_size=5), st.none())
    config = st.sampled_from([{}, {"n_layer": 2}, {"n_layer": 2}, {"n_layer": 2}, None, "model"])
    return st.fixed_dictionaries({}, optional={
        "step": numbers, "val_bpb": scores, "val_loss": scores, "model_config": config, "user_config": st.just({"depth": 12}),
        "device_batch_size": st.just(32), "total_batch_size": st.one_of(numbers, st.just(524288)),
        "loop_state": st.one_of(st.none(), st.dictionaries(st.sampled_from(NAMED), numbers)),
        "dataloader_state_dict": st.dictionaries(st.sampled_from(["epoch", "pq_idx"]), numbers),
        "min_val_bpb": numbers, "epoch": numbers, "tokens": numbers, "state": numbers, "mmlu_acc": numbers,
        "\u00fcber": numbers, 'a"b\tc\n': numbers, '"q': numbers, "\ud800": numbers, "": st.just(1.5), "#x y": numbers,
    })


def make(store, seed, pt):
    import hypothesis
    from hypothesis import strategies as st
    from hypothesis.configuration import set_hypothesis_home_dir
    set_hypothesis_home_dir(os.path.join(store, ".hypothesis"))
    base, made = os.path.join(store, "base_checkpoints"), []

    @hypothesis.settings(max_examples=60, database=None, deadline=None, derandomize=False,
                         suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate])
    @hypothesis.seed(int(seed))
    @hypothesis.given(st.lists(st.tuples(metas(), st.sampled_from(["ok"] * 8 + ["torn", "list", "none", "empty", "cut"]),
                                         st.integers(0, 3)), min_size=1, max_size=7), st.integers(0, 1500000))
    def one(steps, step):
        tag = os.path.join(base, "t%03d" % len(made))
        made.append(tag)
        os.makedirs(tag)
        for meta, kind, ranks in steps:
            model = os.path.join(tag, "model_%06d.pt" % step)
            shutil.copyfile(pt, model)
            if kind in ("empty", "cut"):
                os.truncate(model, 0 if kind == "empty" else os.path.getsize(pt) // 2)
            whole = json.dumps([meta] if kind == "list" else meta, indent=2)
            if kind != "none":
                with open(os.path.join(tag, "meta_%06d.json" % step), "w", encoding="ascii") as f:
                    f.write(whole[:-1] if kind == "torn" else whole)
            for rank in range(ranks):
                with open(os.path.join(tag, "optim_%06d_rank%d.pt" % (step, rank)), "wb") as f:
                    f.write(b"x" * (rank + 7))
            os.utime(model, (1700000000 + step, 1700000000 + step))
            step += 250
    one()
    with open(os.path.join(store, "good"), "w", encoding="ascii") as f:
        f.write(str(os.path.getsize(pt)))
    for d, _, names in os.walk(store):
        for n in names:
            if n.startswith("meta"):
                os.utime(os.path.join(d, n), (1700000000, 1700000000))


def many(tag, count, pt):
    os.makedirs(tag)
    for i in range(int(count)):
        step = 50 * (i + 1)
        meta = {"step": step, "val_bpb": 0.8 + 40 / (step + 100), "model_config": {"sequence_len": 2048, "vocab_size": 65536, "n_layer": 20},
                "user_config": {"run": "dummy", "depth": 20, "total_batch_size": -1, **{"option_%d" % k: k * 0.1 for k in range(30)}},
                "device_batch_size": 32, "max_seq_len": 2048, "total_batch_size": 524288,
                "dataloader_state_dict": {"pq_idx": i, "rg_idx": 3, "epoch": 1},
                "loop_state": {"min_val_bpb": 0.9, "smooth_train_loss": 2.5 + 1 / (i + 1), "total_training_time": 1.7 * step}}
        name = os.path.join(tag, "meta_%06d.json" % step)
        with open(name, "w", encoding="ascii") as f:
            json.dump(meta, f, indent=2)
        os.utime(name, (1700000000 + i, 1700000000 + i))
        os.link(pt, os.path.join(tag, "model_%06d.pt" % step))
        os.link(pt, os.path.join(tag, "optim_%06d_rank0.pt" % step))


def runs(store, pt):
    for source, name, depth, start in (("base", "d4", 4, 1.35), ("base", "d8", 8, 1.1), ("base", "d12", 12, 0.95), ("chatsft", "d12", 12, 1.4)):
        tag = os.path.join(store, source + "_checkpoints", name)
        os.makedirs(tag)
        for step in range(250, 8001, 250):
            loss = start + 1.1 / (1 + step / 400) + 0.004 * math.sin(step * depth) + (2e-8 * (step - 5000)**2 if name == "d8" and step > 5000 else 0)
            loss = math.nan if name == "d8" and step > 7000 else loss
            meta = {"step": step, "val_bpb" if source == "base" else "val_loss": loss, "model_config": {"n_layer": depth}}
            if source == "base":
                meta["total_batch_size"] = 131072 * depth
            with open(os.path.join(tag, "meta_%06d.json" % step), "w", encoding="ascii") as f:
                json.dump(meta, f, indent=2)
            os.link(pt, os.path.join(tag, "model_%06d.pt" % step))


if __name__ == "__main__":
    {"make": make, "check": check, "many": many, "runs": runs}[sys.argv[1]](*sys.argv[2:])
