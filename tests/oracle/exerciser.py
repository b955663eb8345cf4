#!/usr/bin/python3
"""Random programs in a draft, or in the mount's directory PLACE, against the same in a plain directory: exerciser.py DIRECTORY [SECONDS [PLACE]].

Each call is made in both; both must succeed with the same result, or fail by the same errno. At the end, and after
each remount and kill -9 in between, both trees must be the same: names, types, bytes, modes, times. Without SECONDS
the same programs each time; with them, others until the time is over. Hypothesis shrinks what it finds.
"""
import errno
import mmap
import os
import shutil
import stat
import sys
import time

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import faulty

# A few names, so that calls meet. None is a commit record; some are programs' temporary ones.
PATHS = st.sampled_from(["model", "model/a.npy", "model/b.npy", "model/.b.npy.Xq3", "model/a.npy", "model/b.npy",
                         "optim", "optim/rank0", "optim/rank0/a.npy", "optim/rank0.pt", "a.npy", "c~", "model/a.npy/x", "x" * 255, "y" * 256])
FLAGS = st.sampled_from([os.O_RDONLY, os.O_WRONLY, os.O_RDWR]).flatmap(
    lambda mode: st.lists(st.sampled_from([os.O_CREAT, os.O_CREAT, os.O_TRUNC, os.O_EXCL, os.O_APPEND]), max_size=3).map(
        lambda more: mode | sum(set(more))))
OFFSETS = st.one_of(st.integers(0, 70), st.sampled_from([4095, 4096, 4097, 65535, 131072, 200000]))
DATA = st.one_of(st.binary(max_size=40), st.integers(1, 5).map(lambda n: bytes(range(1, 252)) * 80 * n))
MODES = st.sampled_from([0o600, 0o644, 0o666, 0o755, 0o444, 0o400])
TIMES = st.integers(0, 1 << 60)
WHICH = st.integers(0, 5)


class Place:
    base = daemon = None
    within = "base/d1"
    number = 0


def mount():
    Place.daemon = faulty.Daemon(os.path.join(Place.base, "store"), os.path.join(Place.base, "mnt"))


class Exerciser(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        Place.number += 1
        self.draft = os.path.join(Place.base, "mnt", Place.within, "%06d" % Place.number)
        self.plain = os.path.join(Place.base, "plain", str(Place.number))
        for top in self.draft, self.plain:
            os.mkdir(top)
            os.mkdir(os.path.join(top, "model"))
        self.files = []         # pairs of descriptors
        self.create("model/a.npy")

    def both(self, call):
        """call(top, 0 or 1) in both; its result, or None when both failed."""
        results = []
        for i, top in enumerate((self.draft, self.plain)):
            try:
                results.append((call(top, i), None))
            except OSError as e:
                results.append((None, e.errno))
        (ours, our_errno), (theirs, their_errno) = results
        assert our_errno == their_errno, "errno %s, wanted %s" % (our_errno and errno.errorcode[our_errno],
                                                                  their_errno and errno.errorcode[their_errno])
        return ours, theirs

    def same(self, call):
        ours, theirs = self.both(call)
        assert ours == theirs, "%r, wanted %r" % (ours, theirs)

    def file(self, which):
        return self.files[which % len(self.files)]

    # ---- names ----

    @rule(path=PATHS, mode=st.sampled_from([0o755, 0o700]))
    def mkdir(self, path, mode):
        self.same(lambda top, i: os.mkdir(os.path.join(top, path), mode))

    @rule(path=PATHS, remove=st.sampled_from([os.unlink, os.rmdir]))
    def remove(self, path, remove):
        self.same(lambda top, i: remove(os.path.join(top, path)))

    @rule(old=PATHS, new=PATHS)
    def rename(self, old, new):
        self.same(lambda top, i: os.rename(os.path.join(top, old), os.path.join(top, new)))

    @rule(path=PATHS)
    def look(self, path):
        def call(top, i):
            s = os.lstat(os.path.join(top, path))
            if stat.S_ISDIR(s.st_mode):
                return s.st_mode, sorted(os.listdir(os.path.join(top, path)))
            return s.st_mode, s.st_size, s.st_nlink
        self.same(call)

    @rule(path=PATHS, mode=MODES)
    def chmod(self, path, mode):
        # A directory stays usable; root is not held back anyway.
        self.same(lambda top, i: os.chmod(os.path.join(top, path), mode | (0o700 if os.path.isdir(os.path.join(top, path)) else 0)))

    @rule(path=PATHS, atime=TIMES, mtime=TIMES)
    def utimens(self, path, atime, mtime):
        def call(top, i):
            os.utime(os.path.join(top, path), ns=(atime, mtime))
            s = os.stat(os.path.join(top, path))
            return s.st_atime_ns, s.st_mtime_ns
        self.same(call)

    @rule(path=PATHS, size=OFFSETS)
    def truncate(self, path, size):
        self.same(lambda top, i: os.truncate(os.path.join(top, path), size))

    # ---- files ----

    @rule(path=PATHS, flags=FLAGS, mode=MODES)
    def open(self, path, flags, mode):
        """One of a few; the oldest goes."""
        if len(self.files) > 5:
            self.close(0)
        pair = self.both(lambda top, i: os.open(os.path.join(top, path), flags, mode))
        if pair[0] is not None:
            self.files.append(pair)

    @rule(path=st.sampled_from(["model/a.npy", "model/b.npy", "optim/rank0/a.npy"]))
    def create(self, path):
        self.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    @rule(path=PATHS, data=DATA)
    def save(self, path, data):
        def call(top, i):
            with open(os.path.join(top, path), "wb", buffering=0) as f:
                f.write(data)
        self.same(call)

    @precondition(lambda self: self.files)
    @rule(which=WHICH)
    def close(self, which):
        pair = self.files.pop(which % len(self.files))
        self.same(lambda top, i: os.close(pair[i]))

    @precondition(lambda self: self.files)
    @rule(which=WHICH, at=OFFSETS, data=DATA)
    def pwrite(self, which, at, data):
        self.same(lambda top, i: os.pwrite(self.file(which)[i], data, at))

    @precondition(lambda self: self.files)
    @rule(which=WHICH, data=DATA)
    def write(self, which, data):
        self.same(lambda top, i: os.write(self.file(which)[i], data))

    @precondition(lambda self: self.files)
    @rule(which=WHICH, at=OFFSETS, size=st.sampled_from([1, 100, 5000, 300000]))
    def pread(self, which, at, size):
        self.same(lambda top, i: os.pread(self.file(which)[i], size, at))

    @precondition(lambda self: self.files)
    @rule(which=WHICH, size=OFFSETS)
    def ftruncate(self, which, size):
        self.same(lambda top, i: os.ftruncate(self.file(which)[i], size))

    @precondition(lambda self: self.files)
    @rule(which=WHICH, sync=st.booleans())
    def fstat(self, which, sync):
        def call(top, i):
            if sync:
                os.fsync(self.file(which)[i])
            s = os.fstat(self.file(which)[i])
            return (s.st_mode, s.st_nlink, s.st_size) if stat.S_ISREG(s.st_mode) else s.st_mode
        self.same(call)

    @precondition(lambda self: self.files)
    @rule(which=WHICH, shared=st.booleans(), at=st.integers(0, 5000), data=st.binary(min_size=1, max_size=40), write=st.booleans())
    def map(self, which, shared, at, data, write):
        def call(top, i):
            fd = self.file(which)[i]
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            size = os.fstat(fd).st_size
            if size == 0:
                return None
            prot = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
            with mmap.mmap(fd, size, mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE, prot) as m:
                if write and at < size:
                    m[at:min(size, at + len(data))] = data[:size - at]
                    m.flush()
                return m[:]
        self.same(call)

    # ---- the mount ----

    def close_all(self):
        while self.files:
            self.close(0)

    def tree(self, top):
        seen = {}
        for at, dirs, files in os.walk(top):
            for name in dirs + files:
                path = os.path.join(at, name)
                if os.path.relpath(path, top) == "DRAFT.error":    # what stands in every draft, and in no plain directory
                    continue
                s = os.lstat(path)
                # Of a directory, when it changed is no longer the same moment.
                seen[os.path.relpath(path, top)] = (s.st_mode, s.st_size, open(path, "rb").read()) if name in files else s.st_mode
        return seen

    @rule()
    def compare(self):
        ours, theirs = self.tree(self.draft), self.tree(self.plain)
        assert ours == theirs, sorted(p for p in {*ours, *theirs} if ours.get(p) != theirs.get(p))

    @rule(hard=st.booleans(), chance=st.integers(0, 3))
    def remount(self, hard, chance):
        if chance:
            return
        self.close_all()
        if hard:
            Place.daemon.kill()
        else:
            Place.daemon.unmount()
        mount()
        self.compare()

    def teardown(self):
        try:
            self.close_all()
            self.compare()
        finally:
            for pair in self.files:
                for fd in pair:
                    os.close(fd)
            shutil.rmtree(self.plain)
            shutil.rmtree(self.draft)
            assert not os.path.exists(self.draft)


def main():
    Place.base, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0
    os.makedirs(os.path.join(Place.base, "store/base_checkpoints/d1"))
    os.makedirs(os.path.join(Place.base, "plain"))
    mount()
    if len(sys.argv) > 3:
        Place.within = sys.argv[3]
        os.makedirs(os.path.join(Place.base, "mnt", Place.within), exist_ok=True)
    how = dict(stateful_step_count=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    end = time.monotonic() + seconds
    while True:
        run_state_machine_as_test(Exerciser, settings=settings(max_examples=120, derandomize=not seconds, **how))
        if time.monotonic() >= end:
            break
    Place.daemon.unmount()
    left = faulty.leftovers(os.path.join(Place.base, "store/base_checkpoints/d1"))
    faulty.check(not left, "left:", left)
    print("%d programs" % Place.number)


main()
