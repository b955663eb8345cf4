"""Those who change the store of a storm, and what they tell its readers. Which step suffers what: see storm.py."""
import mmap
import os
import random
import time

import stormdata as data

STABLE, RENAMED, COMING, BROKEN = (1, 2), (3, 4, 5), (6, 7), (8, 9)
SETTLED = 3             # how long after a rewrite in place its file may be taken for the one before
WRITERS = 3
FIRST_VERSION = 100
now = time.monotonic


class Shared:
    """What writers and readers know of each other: in shared memory, made before the forks."""

    def __init__(self, readers, slack, cached=False):
        self.slack, self.readers, self.cached, self.stale_allowed = slack, readers, cached, cached
        self.apart = 0          # so many seconds lie between two versions under one name
        self.memory = mmap.mmap(-1, 8 * (2 * data.LIMIT + 64 + 5 * readers + 64))
        cells = memoryview(self.memory).cast("d")
        self.born, self.died = cells[:data.LIMIT], cells[data.LIMIT:2 * data.LIMIT]
        rest = cells[2 * data.LIMIT:]
        self.begun, self.ended = rest[:16], rest[16:32]         # the last rewrite in place of each step
        self.counters, self.stop, self.oldest, self.plain = rest[32:32 + WRITERS], rest[40:41], rest[41:42], rest[42:44]
        self.busy, self.ops, self.stale, self.errors, self.mixed = (rest[64 + i * readers:64 + (i + 1) * readers] for i in range(5))

    def version(self, writer):
        """The next number: each writer has every third one."""
        self.counters[writer] += 1
        v = int(FIRST_VERSION + self.counters[writer] * WRITERS % (data.LIMIT // 2 // WRITERS * WRITERS) + writer)
        self.born[v], self.died[v] = now(), float("inf")
        return v

    def replaced(self, v):
        if v:
            self.died[v] = now()


class Wrong(Exception):
    pass


def name_of(kind, step):
    return {"model": "model_%06d.pt", "meta": "meta_%06d.json", "optim": "optim_%06d_rank0.pt"}[kind] % step


def put(path, content):
    with open(path + ".new", "wb") as f:
        f.write(content)
    os.rename(path + ".new", path)


class Writer:
    def __init__(self, shared, store, mount, number):
        self.shared, self.mount, self.number, self.rng = shared, mount, number, random.Random(number)
        self.tags = {tag: os.path.join(store, "base_checkpoints", tag) for tag in ("d12", "d4")}
        self.current, self.written = {}, {}

    def is_due(self, kind, step, tag="d12"):
        """Whether the attributes of a next version would tell it from the one before."""
        return now() - self.written.get((kind, step, tag), -float("inf")) >= self.shared.apart

    def path(self, kind, step, tag="d12"):
        return os.path.join(self.tags[tag], name_of(kind, step))

    def replace(self, kind, step, tag="d12", direct=True):
        v = self.shared.version(self.number)
        path = self.path(kind, step, tag)
        if direct:
            put(path, data.STORED[kind](v))
        else:
            with open(os.path.join(self.mount, "base", tag, name_of(kind, step)), "wb") as f:
                f.write(data.STORED[kind](v))
        self.shared.replaced(self.current.get((kind, step, tag)))
        self.current[kind, step, tag], self.written[kind, step, tag] = v, now()

    def remove(self, kind, step, tag="d12"):
        os.unlink(self.path(kind, step, tag))
        self.shared.replaced(self.current.pop((kind, step, tag), None))

    def rewrite(self, step, how):
        """In place, in pieces, with pauses; a version at the end."""
        v, path = self.shared.version(self.number), self.path("model", step)
        content, fresh = data.model(v), now()
        self.shared.begun[step], self.shared.ended[step] = fresh, float("inf")
        with open(path, "r+b", buffering=0) as f:
            if how == "garbage":
                f.seek(self.rng.randrange(1000, 90000))
                f.write(os.urandom(50000))
            elif how == "cut":
                f.truncate(self.rng.randrange(len(content)))
            time.sleep(self.rng.random() * 0.3)
            f.seek(0)
            if how == "copy":
                f.truncate(0)
            for at in range(0, len(content), 131072):
                f.write(content[at:at + 131072])
                time.sleep(self.rng.random() * 0.02)
            f.truncate(len(content))
        self.shared.replaced(self.current.get(("model", step, "d12")))
        self.current["model", step, "d12"] = v
        self.shared.ended[step] = now()

    def draft(self, step, door):
        """A step by way of the mount."""
        v = self.shared.version(self.number)
        tag = os.path.join(self.mount, "base", "d4")
        place = os.path.join(tag, "%06d%s" % (step, ".partial" if door == "rename" else ""))
        os.mkdir(place)
        os.mkdir(place + "/model")
        for key, shape in data.shapes(v).items():
            with open("%s/model/%s.npy" % (place, key), "wb") as f:
                f.write(data.npy(data.shown(v, key, shape)))
        with open(place + "/meta.json", "wb") as f:
            f.write(data.meta(v))
        if door == "rename":
            os.rename(place, os.path.join(tag, "%06d" % step))
        until = now() + (20 if self.shared.cached else 0)
        while not os.path.exists(self.path("model", step, "d4")) and now() < until:
            time.sleep(0.1)
        if not os.path.exists(self.path("model", step, "d4")):
            raise Wrong("step %d was not published by %s" % (step, door))
        self.current["model", step, "d4"] = v


def write_stored(shared, store, mount, number, _report):
    """Everything that happens in the store itself, but for rewrites in place."""
    w = Writer(shared, store, mount, number)
    for step in STABLE + RENAMED + COMING:
        for kind in data.STORED:
            if step in RENAMED[:2] + COMING:
                w.replace(kind, step)
    while not shared.stop[0]:
        step, kind = w.rng.choice(RENAMED[:2] + COMING), w.rng.choice(list(data.STORED))
        if step in COMING and (kind, step, "d12") in w.current and w.rng.random() < 0.5:
            w.remove(kind, step)
        elif w.is_due(kind, step):
            w.replace(kind, step)
        time.sleep(w.rng.random() * 0.08)


def write_in_place(shared, store, mount, number, _report):
    w = Writer(shared, store, mount, number)
    for step in BROKEN:
        shared.begun[step] = shared.ended[step] = now()
    while not shared.stop[0]:
        w.rewrite(8, w.rng.choice(["garbage", "cut", "copy"]))
        w.rewrite(9, "over")
        if w.rng.random() < 0.3:
            w.replace("model", 8)
        until = now() + w.rng.choice([0.2, 1, SETTLED * shared.slack + 3])
        while now() < until and not shared.stop[0]:
            time.sleep(0.1)


def write_mounted(shared, store, mount, number, _report):
    """Drafts, by both doors that need no other program, and nanochat's own names."""
    w = Writer(shared, store, mount, number)
    steps, count = [], 0
    while not shared.stop[0]:
        # The numbers come again: the kernel, and so the daemon, remembers a name that nobody asks for any more.
        step = 10000 + count % 40
        count += 1
        w.draft(step, w.rng.choice(["close", "rename"]))
        steps.append(step)
        kind = w.rng.choice(list(data.STORED))
        if w.is_due(kind, 5):
            w.replace(kind, 5, direct=False)
        if len(steps) > 6:
            old = steps.pop(0)
            w.remove("model", old, "d4")
            os.unlink(w.path("meta", old, "d4"))
        time.sleep(w.rng.random() * 0.2)
