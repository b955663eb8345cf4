#!/usr/bin/python3
"""Kills the daemon at every system call by which a checkpoint is written and published: crash.py DIRECTORY [STRIDE].

For each way of writing a step, the calls of the daemon that change the store are counted once; then, for each of
them, the daemon is killed (SIGKILL) just before or just after it, and the store mounted again. Then the step is
there, whole, or it is absent and the draft is as far as its writer had come: what was closed is there to the byte,
and once the rest is written it is published. Nothing else is left in the store.
"""
import errno
import json
import os
import re
import shutil
import sys
import threading
import time

import faulty
from faulty import check

META = json.dumps({"step": 1, "model_config": {"n_layer": 2}, "loop_state": {"min_val_bpb": float("inf")}}, indent=2).encode()


class Scenario:
    """PLAN: (path in the tag, bytes) to write, or (path, None) to mkdir; then the door. A path that is written is closed."""

    step = 600
    shards = {}
    native = False
    publishes = True
    piece = 4000
    pause = 0               # seconds after each file
    pages = 1               # by so many goes the space that is left on a full disk

    def __init__(self):
        self.done = set()

    def write(self, tag):
        """All of it, but what was done before the kill."""
        for path, data in self.plan:
            if path in self.done:
                continue
            full = os.path.join(tag, path)
            if data is None:
                if not os.path.isdir(full):
                    os.mkdir(full)
            else:
                with open(full, "wb", buffering=0) as f:
                    for at in range(0, len(data), self.piece):
                        f.write(data[at:at + self.piece])
                time.sleep(self.pause)
            self.done.add(path)
        self.door(tag)

    def prepare(self, tag):
        """What the store has before it is mounted."""

    def place(self):
        """Where the step is seen in the tag, when all is done; None: nowhere."""
        return "%06d" % self.step

    def door(self, tag):
        pass

    def draft_is_intact(self, tag):
        for path, data in self.plan:
            if path in self.done and data is not None:
                with open(os.path.join(tag, path), "rb") as f:
                    check(f.read() == data, path, "in the draft")

    def whole(self, tag):
        """Whether it is in the store, whole; it fails for anything between whole and absent."""
        names = faulty.files_of(tag, self.step)
        if not any(n.startswith("model_") for n in names):
            check(not names, "half a step:", names)
            return False
        faulty.is_whole(tag, self.step, self.model, META, self.shards)
        return True

    def drafts(self, home):
        return [n for n in os.listdir(home) if n not in ("writers", "staged", "trash")] if os.path.isdir(home) else []


def npy_parts(at, sd):
    return [(at, None)] + [("%s/%s.npy" % (at, key), faulty.npy(t)) for key, t in sd.items()]


class ByMeta(Scenario):
    """.npy files and a shard as .npy files; published by the close of meta.json."""

    def __init__(self, rank_json):
        super().__init__()
        self.model, opt = faulty.model(1), faulty.optimizer(2)
        self.shards = {0: opt}
        tensors = {"state.0.exp_avg": opt["state"][0]["exp_avg"], "state.7.momentum_buffer": opt["state"][7]["momentum_buffer"]}
        self.plan = [("000600", None), *npy_parts("000600/model", self.model), ("000600/optim", None),
                     *npy_parts("000600/optim/rank0", tensors), ("000600/optim/rank0.json", rank_json), ("000600/meta.json", META)]


class ByRename(Scenario):
    """A safetensors file, two shards as .pt; published by the rename of 000600.partial."""

    def __init__(self):
        super().__init__()
        self.model = faulty.model(3, floats=False)
        self.shards = {0: faulty.optimizer(4), 1: faulty.optimizer(5)}
        at = "000600.partial/"
        self.plan = [(at, None), (at + "meta.json", META), (at + "model.safetensors", faulty.safetensors(self.model)),
                     (at + "optim", None), (at + "optim/rank0.pt", faulty.pt(self.shards[0])),
                     (at + "optim/rank1.pt", faulty.pt(self.shards[1]))]

    def door(self, tag):
        os.rename(os.path.join(tag, "000600.partial"), os.path.join(tag, "000600"))


class ByModel(Scenario):
    """model.pt beside a meta.json that is there; published by its close."""

    def __init__(self):
        super().__init__()
        self.model = faulty.model(6)
        self.plan = [("000600", None), ("000600/meta.json", META), ("000600/model.pt", faulty.pt(self.model))]


class BySafetensors(Scenario):
    """The same with model.safetensors, renamed into place."""

    def __init__(self):
        super().__init__()
        self.model, self.tries = faulty.model(13, floats=False), 0
        self.plan = [("000600", None), ("000600/meta.json", META)]

    def door(self, tag):
        # A new temporary name each time, as programs take: a rename that couldn't publish is done all the same.
        self.tries += 1
        new = os.path.join(tag, "000600/.new%d" % self.tries)
        with open(new, "wb", buffering=0) as f:
            f.write(faulty.safetensors(self.model))
        os.rename(new, os.path.join(tag, "000600/model.safetensors"))


class ByLastWriter(Scenario):
    """.npy files and meta.json; published by the close of the file that was still open when meta.json was closed."""

    def __init__(self):
        super().__init__()
        self.model = faulty.model(14)
        self.plan = [("000600", None), *npy_parts("000600/model", self.model)]

    def door(self, tag):
        last = open(os.path.join(tag, self.plan[-1][0]), "r+b", buffering=0)
        try:
            with open(os.path.join(tag, "000600/meta.json"), "wb", buffering=0) as f:
                f.write(META)
        finally:
            last.close()


class BySync(Scenario):
    """Two forms of one model, and one that is only shown; published by fsync of the draft's directory."""

    def __init__(self):
        super().__init__()
        self.model = faulty.model(6)
        self.plan = [("000600", None), ("000600/meta.json", META), *npy_parts("000600/model", self.model),
                     ("000600/model.tsv", b"key\n"), ("000600/model.pt", faulty.pt(self.model))]

    def door(self, tag):
        fd = os.open(os.path.join(tag, "000600"), os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class Large(Scenario):
    """Tensors of more than the blocks in which the step is written."""

    piece = 1 << 19
    pages = 101

    def __init__(self):
        super().__init__()
        self.model = {k: t.repeat(100, 15) if t.dim() == 2 else t for k, t in faulty.model(12, floats=False).items()}
        self.model = type(faulty.model(0))(self.model)
        self.plan = [("000600", None), ("000600/model.safetensors", faulty.safetensors(self.model)), ("000600/meta.json", META)]


class Shard(Scenario):
    """Two more shards, one after the other, for a step that is published."""

    step = 1

    def __init__(self):
        super().__init__()
        self.shards = {1: faulty.optimizer(7), 2: faulty.optimizer(8)}
        self.plan = [("000001/optim", None)] + [("000001/optim/rank%d.pt" % r, faulty.pt(o)) for r, o in self.shards.items()]

    def whole(self, tag):
        there = [r for r in self.shards if "optim_000001_rank%d.pt" % r in os.listdir(tag)]
        for r in there:
            check(faulty.same(self.shards[r], faulty.load(os.path.join(tag, "optim_000001_rank%d.pt" % r))), "shard", r)
        # A shard that is published is in no draft.
        self.done |= {"000001/optim/rank%d.pt" % r for r in there}
        return len(there) == 2


class Native(Scenario):
    """nanochat's own save: model, then meta, then the shard, under its own names; then the model once more, replaced."""

    native = True

    def __init__(self):
        super().__init__()
        self.old, self.model, opt = faulty.model(9), faulty.model(10), faulty.optimizer(11)
        self.shards = {0: opt}
        self.plan = [("model_000600.pt", faulty.pt(self.old)), ("meta_000600.json", META),
                     ("optim_000600_rank0.pt", faulty.pt(opt)), ("./model_000600.pt", faulty.pt(self.model))]

    def draft_is_intact(self, tag):
        pass

    def whole(self, tag):
        """Each file is whole or absent; what was closed is there. The files of one save are nanochat's to order."""
        names = faulty.files_of(tag, 600)
        for path in self.done:
            check(os.path.basename(path) in names, path, "was closed")
        if "model_000600.pt" in names:
            sd = faulty.load(os.path.join(tag, "model_000600.pt"))
            check(faulty.same(sd, self.model) or ("./model_000600.pt" not in self.done and faulty.same(sd, self.old)), "model")
        if "meta_000600.json" in names:
            with open(os.path.join(tag, "meta_000600.json"), "rb") as f:
                check(f.read() == META, "meta")
        if "optim_000600_rank0.pt" in names:
            check(faulty.same(self.shards[0], faulty.load(os.path.join(tag, "optim_000600_rank0.pt"))), "shard")
        return len(names) == 3 and faulty.same(sd, self.model)


class Ranks(Native):
    """nanochat's save by four ranks at once: rank 0 writes the model and meta, each its shard."""

    def __init__(self):
        super().__init__()
        self.shards = {r: faulty.optimizer(20 + r) for r in range(4)}
        shard = {r: ("optim_000600_rank%d.pt" % r, faulty.pt(o)) for r, o in self.shards.items()}
        self.plan = [("model_000600.pt", faulty.pt(self.model)), ("meta_000600.json", META), *shard.values()]
        self.ranks = [[*self.plan[:2], shard[0]], [shard[1]], [shard[2]], [shard[3]]]

    def write(self, tag):
        def save(files):
            rank = Scenario()
            rank.plan, rank.done = files, self.done
            try:
                rank.write(tag)
            except OSError as e:
                failed.append(e)

        failed = []
        threads = [threading.Thread(target=save, args=(files,)) for files in self.ranks]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failed:
            raise failed[0]

    def whole(self, tag):
        names = faulty.files_of(tag, 600)
        for path in self.done:
            check(path in names, path, "was closed")
        for name in names:
            path = os.path.join(tag, name)
            if name == "meta_000600.json":
                with open(path, "rb") as f:
                    check(f.read() == META, "meta")
            else:
                rank = re.search(r"_rank(\d)", name)
                check(faulty.same(self.shards[int(rank[1])] if rank else self.model, faulty.load(path)), name)
        return len(names) == 6


class Retire(Scenario):
    """A step is retired: then it is in one place, whole, or in the other. What is seen there is read as it moves."""

    back = False
    moved = "000600"
    names = ["000600", ".trash/000600"]

    def __init__(self):
        super().__init__()
        self.model, self.plan = faulty.model(15), []
        self.files = {"model_000600.pt": faulty.pt(self.model), "meta_000600.json": META,
                      "optim_000600_rank0.pt": faulty.pt(faulty.optimizer(16)), "optim_000600_rank1.pt": faulty.pt(faulty.optimizer(17))}

    def moving(self):
        return {n: d for n, d in self.files.items() if n.startswith("optim_") or not self.moved.endswith(".optim")}

    def prepare(self, tag):
        home = os.path.join(tag, ".ckptfs")
        os.makedirs(os.path.join(home, "trash", self.moved) if self.back else home)
        with open(os.path.join(home, "writers"), "wb") as f:
            os.fchmod(f.fileno(), 0o600)
        for name, data in self.files.items():
            at = os.path.join(home, "trash", self.moved) if self.back and name in self.moving() else tag
            with open(os.path.join(at, name), "wb") as f:
                f.write(data)

    def place(self):
        return self.names[not self.back]

    def door(self, tag):
        old, new = reversed(self.names) if self.back else self.names
        with open(os.path.join(tag, old, "rank1.pt" if self.moved.endswith(".optim") else "model.pt"), "rb") as f:
            os.rename(os.path.join(tag, old), os.path.join(tag, new))
            check(f.read() in self.files.values(), "an open reader's bytes")

    def draft_is_intact(self, tag):
        """It is where it was, to the byte."""
        self.is_seen(tag, self.names[self.back])

    def is_seen(self, tag, name):
        at = os.path.join(tag, name)
        if self.moved.endswith(".optim"):
            seen = {"optim_000600_rank%d.pt" % r: os.path.join(at, "rank%d.pt" % r) for r in range(2)}
        else:
            seen = {"model_000600.pt": os.path.join(at, "model.pt"), "optim_000600_rank1.pt": os.path.join(at, "optim/rank1.pt")}
        for stored, path in seen.items():
            with open(path, "rb") as f:
                check(f.read() == self.files[stored], path)

    def whole(self, tag):
        trash = os.path.join(tag, ".ckptfs/trash", self.moved)
        retired = [n for n in os.listdir(trash) if n not in ("retire", "restore") and not n.startswith(faulty.OPEN)] if os.path.isdir(trash) else []
        moving = self.moving()
        places = {n: [os.path.join(at, n) for at, there in ((tag, faulty.files_of(tag, 600)), (trash, retired)) if n in there]
                  for n in self.files}
        check(all(len(p) == 1 for p in places.values()), "files in no place, or in two:", places)
        for name, (path,) in places.items():
            with open(path, "rb") as f:
                check(f.read() == self.files[name], path)
        check(len(retired) in (0, len(moving)), "half a step is retired:", retired)
        return bool(retired) != self.back


class Restore(Retire):
    back = True


class RetireShards(Retire):
    """The shards alone."""

    moved = "000600.optim"
    names = ["000600/optim", ".trash/000600.optim"]


class RestoreShards(RetireShards):
    back = True


class Delete(Retire):
    """rm -r of a retired step: before its last rmdir, nothing is gone."""

    back = True
    interrupted = False

    def place(self):
        return None

    def door(self, tag):
        try:
            shutil.rmtree(os.path.join(tag, ".trash/000600"))
        except OSError as e:
            # model.error was listed, and the fault is over: what it stood for is there again.
            if e.errno in (errno.ENOENT, errno.ENOTEMPTY):
                return shutil.rmtree(os.path.join(tag, ".trash/000600"))
            self.interrupted = e.errno not in (errno.ENOTCONN, errno.ECONNABORTED)
            raise

    def draft_is_intact(self, tag):
        """It is in the store; on the mount that goes on, names may be away."""
        if not self.interrupted:
            self.is_seen(tag, ".trash/000600")

    def whole(self, tag):
        if os.path.isdir(os.path.join(tag, ".ckptfs/trash/000600")):
            check(not super().whole(tag), "a step that was to be deleted is back")
            return False
        check(not faulty.files_of(tag, 600), "a deleted step's files are back")
        return True


MOVES = Retire, Restore, RetireShards, RestoreShards, Delete


def scenarios(rank_json):
    """Makers of them: a scenario is used once."""
    return (lambda: ByMeta(rank_json)), ByModel, BySafetensors, ByLastWriter, ByRename, BySync, Large, Shard, Native, *MOVES


class Stage:
    """A store for one run, and the mounts of it."""

    def __init__(self, base, local=None):
        """LOCAL: where it is mounted, if not in BASE."""
        self.base, self.runs = os.path.realpath(base), 0
        self.mnt = os.path.join(os.path.realpath(local or base), "mnt")

    def fresh(self, scenario, record=None):
        self.runs += 1
        self.store = os.path.join(self.base, "store%d" % self.runs)
        self.tag = os.path.join(self.store, "base_checkpoints/d12")
        os.makedirs(self.tag)
        with open(os.path.join(self.tag, "model_000001.pt"), "wb") as f:
            f.write(faulty.pt(faulty.model(0)))
        with open(os.path.join(self.tag, "meta_000001.json"), "wb") as f:
            f.write(META)
        scenario.prepare(self.tag)
        return faulty.Daemon(self.store, self.mnt, record=record)

    may_stay = ()           # as in faulty.leftovers

    def seen(self):
        return os.path.join(self.mnt, "base/d12")

    def settle(self):
        """Comes before a look for leftovers after an unmount: what may stay until then goes."""

    def drop(self):
        shutil.rmtree(self.store)


def no_leftovers(stage, what):
    bad = faulty.leftovers(stage.tag, stage.may_stay)
    check(not bad, what, "left", bad)


def count_calls(stage, make):
    scenario = make()
    daemon = stage.fresh(scenario)
    daemon.arm(nth=0)
    scenario.write(stage.seen())
    calls = daemon.count()
    daemon.unmount()
    check(scenario.whole(stage.tag), "not published without a kill")
    stage.settle()
    no_leftovers(stage, "a publication")
    stage.drop()
    return calls


def run(stage, make, nth, action):
    """Returns whether the step was there after the crash."""
    scenario = make()
    daemon = stage.fresh(scenario)
    daemon.arm(nth=nth, action=action)
    try:
        scenario.write(stage.seen())
    except OSError as e:
        check(e.errno in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO), e)
    daemon.await_kill(nth, 0.2 if isinstance(scenario, Ranks) else 10)
    daemon.kill()
    return after(stage, scenario)


def after(stage, scenario):
    """What holds once the store is mounted again. Returns whether the step was there."""
    daemon = faulty.Daemon(stage.store, stage.mnt)
    no_leftovers(stage, "the crash")
    there = scenario.whole(stage.tag)
    if there and not scenario.native:
        check(not scenario.drafts(os.path.join(stage.tag, ".ckptfs")), "a draft outlives its publication")
    if not there:
        scenario.draft_is_intact(stage.seen())
        scenario.write(stage.seen())
        check(scenario.whole(stage.tag), "not published after the crash")
    if scenario.place():
        names = os.listdir(os.path.join(stage.seen(), scenario.place()))
        check(not any(n.endswith(".error") and n not in ("hf.error", "all.error") for n in names), "an error file in", names)
    daemon.unmount()
    stage.settle()
    no_leftovers(stage, "the second try")
    stage.drop()
    return there


def main():
    base, stride = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    os.makedirs(base, exist_ok=True)
    stage = Stage(base)
    rank_json = faulty.rank_json(faulty.optimizer(2), os.path.join(base, "mnt"))
    total = 0
    for make in (*scenarios(rank_json), Ranks):
        name = type(make()).__name__
        calls, published = count_calls(stage, make), 0
        # After a call is all but before the next: so that only for some.
        moments = [(n, action) for n in range(1, calls + 1, stride) for action in ("before", "after")
                   if action == "before" or n % 3 == 0]
        for nth, action in moments:
            try:
                published += run(stage, make, nth, action)
            except Exception:
                print("%s: killed %s call %d of %d" % (name, action, nth, calls))
                raise
        print("%s: %d calls, %d kills, there after %d of them" % (name, calls, len(moments), published))
        total += len(moments)
    print("%d kills" % total)


if __name__ == "__main__":
    main()
