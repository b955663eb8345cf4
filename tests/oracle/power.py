#!/usr/bin/python3
"""What a power loss may leave: power.py DIRECTORY [SEED [SAMPLES]].

For each way of writing a step the daemon's calls that change the store are recorded (tests/lib/shims/faults.c), then
every prefix of them is replayed as a disk might hold it after the power went, and the results are mounted. Each
published step must be complete and load in torch, or be absent; what the writer was told is done must be there;
nothing else is left in the tag.

The model is that of ALICE (Pillai et al., OSDI 2014), without the guarantees that a particular file system adds:
- A file's bytes are safe once it was fsynced. Of later writes any subset may be there; what is missing reads as zeros
  or ends the file before. Its size may be the new one without the bytes.
- An entry of a directory is safe once that directory was fsynced; fsync of a file does nothing for its entry. Of
  later changes of entries any subset may be there, in any order of directories.
- A rename is one change: an old name goes exactly when the new one comes; it is safe once the new name's directory
  was fsynced, or both.
- What was there before the recording is safe. An fsynced file's size, mode and times are, too.
- fsync tells the truth, a write of a file's bytes within a page is not torn, nothing that was safe is harmed.

For each prefix: nothing, or all, of what isn't safe; all of the entries with none of the bytes, and with zeros for
them; the entries' changes up to each point; and random subsets (seeded). Equal results are mounted once. Each result
is a tag of its own, so that one mount recovers them all.

Inode numbers and times stand in some of the daemon's files, `intent` and its likes; the replay puts those of its own files there.
"""
import hashlib
import os
import random
import re
import shutil
import sys

import faulty
from faulty import check
import crash

INITIAL = "model_000001.pt", "meta_000001.json"


# ---- the recording ----

def read_record(path, tag):
    """Operations as tuples; paths relative to the tag, None for what lies outside of it."""
    ops, at = [], 0
    with open(path, "rb") as f:
        log = f.read()

    def relative(name):
        return os.path.normpath(name[len(tag) + 1:]) if name.startswith(tag + "/") else None

    while at < len(log):
        end = log.index(b"\n", at)
        words = log[at:end].decode().split("\t")
        size = int(words.pop())
        data, at = log[end + 1:end + 1 + size], end + 1 + size
        if words[0] in ("create", "mkdir"):
            ops.append((words[0], relative(words[1]), int(words[2])))
        elif words[0] in ("rename", "link"):
            ops.append((words[0], relative(words[1]), relative(words[2])))
        elif words[0] == "unlink":
            ops.append((words[0], relative(words[1])))
        elif words[0] == "write":
            ops.append((words[0], int(words[1]), int(words[2]), data))
        elif words[0] == "truncate":
            ops.append((words[0], int(words[1]), int(words[2])))
        else:
            ops.append((words[0], int(words[1])))
    return [op for op in ops if op[1] is not None]


class Inode:
    """A file: the bytes that are safe, and the changes since. Or a directory."""

    def __init__(self, number, is_dir):
        self.number, self.is_dir = number, is_dir
        self.safe, self.changes = b"", []

    def contents(self, keep):
        """keep(i) says whether change I reached the disk: True, False, or "zeros" where only the size did."""
        data = bytearray(self.safe)
        for i, (at, piece) in enumerate(self.changes):
            how = keep(i)
            if not how:
                continue
            if piece is None:
                del data[at:]
                data.extend(bytes(at - len(data)))
                continue
            data.extend(bytes(max(0, at + len(piece) - len(data))))
            if how is True:
                data[at:at + len(piece)] = piece
        return bytes(data)


class Disk:
    """The state of the tag after each operation: safe entries, and the changes of entries since."""

    def __init__(self, root, initial):
        """INITIAL: path to (number, bytes or None)."""
        self.root = Inode(root, True)
        self.inodes = {root: self.root}         # by number, of which a file system makes use again
        self.safe, self.live, self.pending = {}, {}, []
        for path, (number, data) in sorted(initial.items()):
            inode = self.inodes[number] = Inode(number, data is None)
            inode.safe = data or b""
            self.safe[self.where(path)] = self.live[self.where(path)] = inode

    def where(self, path):
        """The directory and the name in it, by what the daemon sees."""
        at, names = self.root, path.split("/")
        for name in names[:-1]:
            at = self.live[at, name]
        return at, names[-1]

    def change(self, *entries):
        self.pending.append(entries)
        self.persist(self.live, entries)

    def apply(self, op):
        kind = op[0]
        if kind in ("create", "mkdir"):
            self.inodes[op[2]] = Inode(op[2], kind == "mkdir")
            self.change((self.where(op[1]), self.inodes[op[2]]))
        elif kind == "unlink":
            self.change((self.where(op[1]), None))
        elif kind == "link":
            self.change((self.where(op[2]), self.live[self.where(op[1])]))
        elif kind == "rename":
            self.change((self.where(op[1]), None), (self.where(op[2]), self.live[self.where(op[1])]))
        elif op[1] not in self.inodes:
            pass                        # outside of the tag
        elif kind == "write":
            self.inodes[op[1]].changes.append((op[2], op[3]))
        elif kind == "truncate":
            self.inodes[op[1]].changes.append((op[2], None))
        elif kind == "fsync":
            self.sync(self.inodes[op[1]])

    def sync(self, inode):
        if not inode.is_dir:
            inode.safe, inode.changes = inode.contents(lambda i: True), []
            return
        rest = []
        for entries in self.pending:
            # The last is the new name of a rename.
            if entries[-1][0][0] is inode:
                self.persist(self.safe, entries)
                # What became of these names before is past.
                places = [place for place, _ in entries]
                rest = [tuple(e for e in r if e[0] not in places) for r in rest]
            else:
                rest.append(entries)
        self.pending = [r for r in rest if r]

    @staticmethod
    def persist(entries, change):
        for place, inode in change:
            if inode is None:
                entries.pop(place, None)
            else:
                entries[place] = inode

    def crashed(self, keep_entry, keep_bytes):
        """A tree, path to (inode, bytes or None), of what the disk holds."""
        entries = dict(self.safe)
        for i, change in enumerate(self.pending):
            if keep_entry(i, len(self.pending)):
                self.persist(entries, change)
        tree = {}

        def walk(directory, path):
            for (parent, name), child in entries.items():
                if parent is not directory or path.count("/") > 8:
                    continue
                tree[path + name] = (child, None if child.is_dir else child.contents(lambda i: keep_bytes(child, i)))
                if child.is_dir:
                    walk(child, path + name + "/")
        walk(self.root, "")
        return tree

    def variants(self, rng, samples):
        yield self.crashed(lambda i, n: False, lambda f, i: False)
        yield self.crashed(lambda i, n: True, lambda f, i: True)
        yield self.crashed(lambda i, n: True, lambda f, i: False)
        yield self.crashed(lambda i, n: True, lambda f, i: "zeros")
        for upto in range(1, len(self.pending)):
            yield self.crashed(lambda i, n, u=upto: i < u, lambda f, i: True)
            yield self.crashed(lambda i, n, u=upto: i >= u, lambda f, i: True)
        for _ in range(samples):
            odds = rng.random()
            kept = [rng.random() < odds for _ in self.pending]
            bytes_of = {}
            yield self.crashed(lambda i, n: kept[i],
                               lambda f, i: bytes_of.setdefault((f, i), rng.choice((True, True, False, "zeros"))))


# ---- a tree as a tag ----

def lay_out(tree, tag):
    """Makes the tree on disk, hard links too."""
    os.mkdir(tag)
    made = {}
    for path in sorted(tree, key=lambda p: p.count("/")):
        inode, data = tree[path]
        full = os.path.join(tag, path)
        if data is None:
            os.mkdir(full)
        elif inode in made:
            os.link(made[inode], full)
        else:
            with open(full, "wb") as f:
                f.write(data)
        made.setdefault(inode, full)
    for path, (_, data) in tree.items():
        if data is not None and re.fullmatch(r"\.ckptfs/(trash/)?[^/]*/(intent|retire|restore)", path):
            by_name = {(os.path.basename(p).encode(), i.number): made[i] for p, (i, _) in tree.items()}
            translate(os.path.join(tag, path), lambda text: translate_intent(text, by_name))


def translate(path, function):
    with open(path, "rb") as f:
        text = f.read()
    with open(path, "wb") as f:
        f.write(function(text))


def translate_intent(text, by_name):
    def line(m):
        path = by_name.get((m[4], int(m[1])))
        st = os.lstat(path) if path else None
        # The size stays: a file that is there with fewer bytes is not that file.
        return b"%d %s %d %s\n" % (st.st_ino if st else 0, m[2], st.st_mtime_ns if st else 0, m[4])
    return re.sub(rb"(\d+) (\d+) (-?\d+) (\S+)\n", line, text)


def digest(tree):
    names = {}
    for path in sorted(tree):
        names.setdefault(tree[path][0], path)   # hard links
    return hashlib.sha256(repr([(p, names[tree[p][0]], tree[p][1]) for p in sorted(tree)]).encode()).digest()


# ---- one scenario ----

class Synced(crash.Scenario):
    """A draft that isn't finished, whose files and directories its writer fsyncs: it is there after the power loss, and
    gets its keys in the order in which their files were created."""

    publishes = False

    def __init__(self):
        super().__init__()
        self.model = faulty.model(21)
        self.plan = [("000600.partial", None), *crash.npy_parts("000600.partial/model", self.model)]

    def door(self, tag):
        for at, _, files in os.walk(os.path.join(tag, "000600.partial"), topdown=False):
            for path in [os.path.join(at, name) for name in files] + [at]:
                fd = os.open(path, os.O_RDONLY)
                os.fsync(fd)
                os.close(fd)

    def finish(self, tag):
        self.done = {path for path, _ in self.plan}
        self.draft_is_intact(tag)
        with open(os.path.join(tag, "000600.partial/meta.json"), "wb") as f:
            f.write(crash.META)
        os.rename(os.path.join(tag, "000600.partial"), os.path.join(tag, "000600"))


def initial_of(tag):
    """What the tag has: path to (number, bytes or None)."""
    there = {}
    for at, dirs, files in os.walk(tag):
        for name in dirs + files:
            path = os.path.join(at, name)
            data = None
            if name in files:
                with open(path, "rb") as f:
                    data = f.read()
            there[os.path.relpath(path, tag)] = os.stat(path).st_ino, data
    return there


def record(stage, scenario, path):
    """Runs SCENARIO; returns its operations, and after how many of them the writer knew what: (count, paths of the plan done)."""
    marks = []
    daemon = stage.fresh(scenario, record=path)
    size = os.path.getsize(path) if os.path.exists(path) else 0
    check(size == 0 or not read_record(path, stage.tag), "the mount itself changed the tag")
    root = os.stat(stage.tag).st_ino
    initial = initial_of(stage.tag)
    plan = scenario.plan
    for i in range(max(1, len(plan))):
        scenario.plan = plan[:i + 1]
        if i + 1 < len(plan):
            scenario.door = lambda tag: None
        else:
            scenario.__dict__.pop("door", None)
        scenario.write(stage.seen())
        marks.append((len(read_record(path, stage.tag)), set(scenario.done)))
    daemon.unmount()
    ops = read_record(path, stage.tag)
    validate(ops, root, initial, stage.tag)
    return ops, marks, root, initial


def validate(ops, root, initial, tag):
    """The recording misses nothing: replayed to its end, with nothing lost, it gives the store as it is."""
    disk = Disk(root, initial)
    for op in ops:
        disk.apply(op)
    tree = disk.crashed(lambda i, n: True, lambda f, i: True)
    there = {path: data for path, (_, data) in initial_of(tag).items()}
    tree = {p: d for p, (_, d) in tree.items()}
    differ = sorted(p for p in {*tree, *there} if tree.get(p, 0) != there.get(p, 0))
    check(not differ, "the recording is not complete:", differ)


class State:
    def __init__(self, tree, done, published, intact):
        self.tree, self.done, self.published, self.intact = tree, done, published, intact


def states(ops, marks, root, initial, rng, samples):
    """Every different disk, with what the writer had been told by then."""
    disk, seen = Disk(root, initial), set()
    for n in range(len(ops) + 1):
        if n:
            disk.apply(ops[n - 1])
        done = set().union(*[d for count, d in marks if count <= n] or [set()])
        published = n >= marks[-1][0]
        for i, tree in enumerate(disk.variants(rng, samples)):
            key = digest(tree), published
            if key not in seen:
                seen.add(key)
                yield State(tree, done, published, i == 1)


def verify(scenario, tag, state):
    check(not faulty.leftovers(tag), "left:", faulty.leftovers(tag))
    names = [n for n in os.listdir(tag) if n not in INITIAL and n != ".ckptfs"]
    check(not [n for n in names if n not in faulty.files_of(tag, scenario.step)], "strange names", names)
    scenario.done = set(state.done) if scenario.native else set()
    there = scenario.whole(tag)
    check(there or not state.published or not scenario.publishes, "the writer was told that it is published")
    if there and not scenario.native:
        check(not scenario.drafts(os.path.join(tag, ".ckptfs")), "a draft outlives its publication")
    return there


def run(stage, scenario, rng, samples):
    name = type(scenario).__name__
    log = os.path.join(stage.base, name + ".record")
    ops, marks, root, initial = record(stage, scenario, log)
    stage.drop()
    store = os.path.join(stage.base, name)
    os.makedirs(store)
    tags = []
    for state in states(ops, marks, root, initial, rng, samples):
        tags.append(state)
        lay_out(state.tree, os.path.join(store, "d%d" % len(tags)))
    daemon = faulty.Daemon(store, stage.mnt, options=["-o", "level=source"])
    there = 0
    for i, state in enumerate(tags):
        try:
            whole = verify(scenario, os.path.join(store, "d%d" % (i + 1)), state)
            there += whole
            seen = os.path.join(stage.mnt, "d%d" % (i + 1), scenario.place() if whole and scenario.place() else "%06d" % scenario.step)
            check(not (os.path.isdir(seen) and "model.error" in os.listdir(seen)), "model.error")
            if state.intact and not whole:
                scenario.done = set(state.done)
                scenario.draft_is_intact(os.path.join(stage.mnt, "d%d" % (i + 1)))
            if state.published and not scenario.publishes:
                scenario.finish(os.path.dirname(seen))
                check(scenario.whole(os.path.join(store, "d%d" % (i + 1))), "a draft that was fsynced is not all there")
        except Exception:
            print("%s: disk %d of %d: %s" % (name, i + 1, len(tags), sorted((p, d and len(d)) for p, (_, d) in state.tree.items())))
            raise
    daemon.unmount()
    shutil.rmtree(store)
    print("%s: %d calls, %d disks, the step there on %d of them" % (name, len(ops), len(tags), there))
    return len(tags)


def main():
    base = sys.argv[1]
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    samples = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    os.makedirs(base, exist_ok=True)
    stage = crash.Stage(base)
    rank_json = faulty.rank_json(faulty.optimizer(2), os.path.join(base, "mnt"))
    total = sum(run(stage, make(), rng, samples) for make in [Synced, *crash.scenarios(rank_json)])
    print("%d disks" % total)


main()
