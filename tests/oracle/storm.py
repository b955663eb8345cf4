#!/usr/bin/python3
"""Many readers of a mount while its store changes underneath; every byte and every errno is judged.

storm.py make STORE                            a store to begin with
storm.py run STORE MOUNT DAEMON SECONDS [READERS [SLACK [CLIENT]]]
    SLACK (default 1) stretches the limits of time, for a daemon that is slow (sanitizers). DAEMON: its pid, for memory and descriptors. CLIENT: the
    mount is of this directory, which shows STORE by a network, with names and attributes that may be old (NFS, sshfs). Then an errno is no fault while
    files are replaced; bytes of two versions are, unless CLIENT's own files are seen to have such, too; and afterwards everything is there, in its
    newest version, unless CLIENT itself can't read it. Where CLIENT counts whole seconds a file is replaced every 2.5 seconds at most.

Steps by what happens to their stored files: 1 and 2 nothing; 3, 4 replaced by rename; 5 by rename, under nanochat's own names through the
mount; 6, 7 come and go; 8 truncated, cut, overwritten with garbage, copied over; 9 overwritten in place, same size; the tag d4: new steps,
through the mount as drafts or by rename, that are deleted later.
"""
import ctypes
import errno
import json
import mmap
import os
import random
import signal
import sys
import time

import stormdata as data
from storm_writers import (BROKEN, COMING, RENAMED, SETTLED, STABLE, Shared, Wrong, name_of, now, put, write_in_place, write_mounted,
                           write_stored)

FRESH = 1.5             # the contract's second, and what a loaded machine takes to answer
STUCK = 25


# ---- reading ----

def read_all(path, rng):
    fd = os.open(path, os.O_RDONLY)
    try:
        size, piece, parts = os.fstat(fd).st_size, rng.choice([4096, 65536, 1 << 20]), []
        while True:
            part = os.read(fd, piece)
            if not part:
                break
            parts.append(part)
        content = b"".join(parts)
    finally:
        os.close(fd)
    if len(content) != size:
        raise Wrong("%d bytes read, fstat said %d" % (len(content), size))
    return content


class Reader:
    def __init__(self, shared, mount, index, report):
        self.shared, self.index, self.report = shared, index, report
        self.base = os.path.join(mount, "base")
        self.rng = random.Random(index * 7919 + 17)
        self.doing = ""

    def rewritten(self, step, since):
        """Whether a rewrite in place of STEP's model was under way, or had just ended, at some time since."""
        return step in BROKEN and self.shared.ended[step] > since - SETTLED * self.shared.slack

    def allowed(self, step, code, since):
        if self.shared.cached:
            return code in (errno.EIO, errno.ENOENT)
        if step in COMING or step is None:
            return code == errno.ENOENT
        # Where the model can't be read its views are gone (ENOENT), and those that are open are EIO.
        return step in BROKEN and code in (errno.EIO, errno.ENOENT) and self.rewritten(step, since)

    def judge(self, step, version, since, what):
        """VERSION was read between SINCE and now: it must have been in the store then, or a moment before."""
        if version is None:
            return
        if version == data.TORN:
            if not self.rewritten(step, since):
                self.mixed("bytes of no version, or of several")
            return
        if step in STABLE or step in BROKEN and what != "model":
            if version != data.FIRST[what]:
                raise Wrong("version %d of a step that never changes" % version)
            return
        if self.rewritten(step, since):
            return
        if self.shared.born[version] > now() or not self.shared.born[version]:
            raise Wrong("version %d was never written" % version)
        age = since - self.shared.died[version]
        self.shared.oldest[0] = max(self.shared.oldest[0], age)
        if age > FRESH * self.shared.slack:
            raise Wrong("version %d was replaced %.2f seconds before the open" % (version, age))

    def mixed(self, what):
        if not self.shared.cached:
            raise Wrong(what)
        self.shared.mixed[self.index] += 1

    def pick(self):
        """A step's directory and its number; None for those of d4."""
        if self.rng.random() < 0.15:
            names = [n for n in os.listdir(self.base + "/d4") if n.isdigit()]
            if names:
                return "d4/" + self.rng.choice(names), None
        step = self.rng.choice(STABLE + RENAMED + COMING + BROKEN)
        return "d12/%06d" % step, step

    def whole(self, place, step):
        name, (kind, version_of) = self.rng.choice(list(data.FILES.items()))
        self.doing = "read %s/%s" % (place, name)
        since = now()
        path = "%s/%s/%s" % (self.base, place, name)
        try:
            content = read_all(path, self.rng)
        except OSError as e:
            if step is None and e.errno == errno.ESTALE and "/model/" in path:
                return  # the draft was published in between
            raise
        if step is None and (kind != "model" or name.endswith((".npy", "meta.json"))):
            return self.drafted(path, name, content)
        # What drafts become is ours to write: the stored file is another than this one's.
        if step is not None or name not in ("model.pt", "model.tsv"):
            self.judge(step, version_of(content), since, kind)

    def drafted(self, path, name, content):
        """A file of d4: of a step, or of a draft that is just being written: then a beginning of it."""
        if not name.startswith("model/") or not content or data.of_tensor(content, name[6:]) != data.TORN:
            return
        bits = content[128:132]
        if len(bits) < 4:
            return
        v = data.version_of_array(name[6:-4], data.word_of(bits))
        key = name[6:-4]
        if v == data.TORN or not data.npy(data.shown(v, key, data.shapes(v)[key])).startswith(content):
            raise Wrong("not the beginning of any version")

    def held(self, place, step):
        """Part of a file now, the rest later: of the version that it was when it was opened, or EIO."""
        name = self.rng.choice(["model/big.weight.npy", "model.raw/half.weight", "model.safetensors", "model.pt"])
        if step is None:
            return
        self.doing = "hold %s/%s" % (place, name)
        since = now()
        fd = os.open("%s/%s/%s" % (self.base, place, name), os.O_RDONLY)
        try:
            settled = not self.rewritten(step, since)
            first = os.pread(fd, 8192, 0)
            settled = settled and not self.rewritten(step, since)
            self.busy(False)
            time.sleep(self.rng.random() * 2)
            self.busy(True)
            if self.rng.random() < 0.5:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            try:
                size = os.fstat(fd).st_size
                content = first
                while len(content) < size:      # what comes before a page that is EIO is a short read
                    part = os.pread(fd, size, len(content))
                    if not part:
                        raise Wrong("%d bytes, fstat said %d" % (len(content), size))
                    content += part
            except OSError as e:
                if e.errno == errno.EIO and step in BROKEN and self.rewritten(step, since) or self.shared.cached and e.errno in (errno.EIO, errno.ESTALE, errno.ENOENT):
                    return
                raise Wrong("the rest: %s" % e)
            if settled and data.FILES[name][1](content) == data.TORN:
                self.mixed("the rest is of another version: %d bytes of %d" % (len(content), size))
        finally:
            os.close(fd)

    def mapped(self, place, step):
        """By mmap, where no rewrite in place can make it SIGBUS."""
        if step in BROKEN or step is None:
            return
        self.doing = "mmap %s" % place
        since = now()
        if self.shared.cached:
            return self.mapped_apart(place, step, since)
        with open("%s/%s/model/big.weight.npy" % (self.base, place), "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
            self.judge(step, data.of_tensor(m[:], "big.weight.npy"), since, "model")

    def mapped_apart(self, place, step, since):
        """The same where EIO is allowed, which is SIGBUS to a mapping: in a process of its own."""
        pid = os.fork()
        if pid == 0:
            try:
                with open("%s/%s/model/big.weight.npy" % (self.base, place), "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
                    self.judge(step, data.of_tensor(m[:], "big.weight.npy"), since, "model")
            except OSError:
                os._exit(1)
            except BaseException as e:
                self.report("%s: %s" % (self.doing, e))
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        self.shared.errors[self.index] += status != 0
        if status and not os.WIFEXITED(status) and os.WTERMSIG(status) != signal.SIGBUS:
            raise Wrong("killed by signal %d" % os.WTERMSIG(status))

    def listed(self, place, step):
        suffix = self.rng.choice([".npy", ""])
        self.doing = "list %s/model%s" % (place, "" if suffix else ".raw")
        since = now()
        names = os.listdir("%s/%s/model%s" % (self.base, place, "" if suffix else ".raw"))
        if step is not None:
            self.judge(step, data.of_names(names, suffix), since, "model")

    def looked(self, place, step):
        """ls -l and getfattr of a step."""
        self.doing = "scan %s" % place
        since, seen = now(), {}
        with os.scandir("%s/%s" % (self.base, place)) as entries:
            for entry in entries:
                try:
                    seen[entry.name] = entry.stat(follow_symlinks=False).st_size
                except OSError as e:
                    if e.errno != errno.ENOENT or step in STABLE:
                        raise
        self.doing = "complete %s: %s" % (place, " ".join(seen))
        if self.shared.cached:
            return
        if step in STABLE + RENAMED and not {"meta.json", "model", "model.raw", "model.pt", "model.safetensors", "model.tsv", "optim"} <= set(seen):
            raise Wrong("something is missing")
        if not self.rewritten(step, since) and step is not None and any(n.endswith(".error") and n != "hf.error" for n in seen):
            raise Wrong("an error of a file that is whole")

    def asked(self, place, step):
        self.doing = "getfattr %s" % place
        path = "%s/%s" % (self.base, place)
        if step is None:
            return
        since = now()
        shape = json.loads(os.getxattr(path + "/model/big.weight.npy", "user.ckptfs.shape"))
        stored = os.getxattr(path + "/model/half.weight.npy", "user.ckptfs.stored_dtype")
        verdict = os.getxattr(path + "/model.pt", "user.ckptfs.pickle")
        if not self.rewritten(step, since) and not self.shared.cached and (stored != b"bfloat16" or verdict != b"safe" or shape[1] != 1500):
            raise Wrong("%r %r %r" % (shape, stored, verdict))

    def linked(self, place, step):
        """latest is a step that is there; d12's is 9, or 8 or 7... while those above can't be read."""
        self.doing = "readlink"
        since = now()
        latest = os.readlink(self.base + "/d12/latest")
        if latest != "000009" and not self.rewritten(9, since) and not self.shared.cached:
            raise Wrong("latest is %s" % latest)
        largest = os.readlink(self.base + "/largest")
        if largest != "d12":
            raise Wrong("largest is %s" % largest)
        # A client may have listed the store just when a file was replaced, and keep that.
        if not self.shared.cached and not {"%06d" % s for s in STABLE + RENAMED + BROKEN} <= set(os.listdir(self.base + "/d12")):
            raise Wrong("a step is missing")

    ACTIONS = (("whole", 10), ("held", 2), ("mapped", 2), ("listed", 2), ("looked", 2), ("asked", 1), ("linked", 1))

    def busy(self, working):
        self.shared.busy[self.index] = now() if working else 0

    def once(self):
        self.busy(True)
        step, since = None, now()
        try:
            place, step = self.pick()
            action = self.rng.choices([a for a, _ in self.ACTIONS], [n for _, n in self.ACTIONS])[0]
            since = now()
            getattr(self, action)(place, step)
        except Wrong as e:
            self.report("%s: %s" % (self.doing, e))
        except OSError as e:
            if e.errno == errno.ESTALE:
                self.shared.stale[self.index] += 1
            elif self.allowed(step, e.errno, since):
                self.shared.errors[self.index] += 1
            else:
                self.report("%s: %s" % (self.doing, e))
        self.busy(False)
        self.shared.ops[self.index] += 1

    def run(self, _report):
        os.nice(3)
        while not self.shared.stop[0]:
            self.once()
            time.sleep(self.rng.random() * 0.04)


def killed(shared, mount, report):
    """Readers that are interrupted or killed wherever they are; each must be gone at once."""
    rng = random.Random(5)
    base = os.path.join(mount, "base/d12/")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    while not shared.stop[0]:
        pid = os.fork()
        if pid == 0:
            die_with_parent()
            while True:
                try:
                    read_all(base + "%06d/%s" % (rng.choice(STABLE + RENAMED), rng.choice(list(data.FILES))), rng)
                except (OSError, Wrong):
                    pass
        rng.random()    # the child has the same numbers before it
        time.sleep(rng.random() * 0.1)
        os.kill(pid, rng.choice([signal.SIGINT, signal.SIGKILL]))
        until = now() + STUCK * shared.slack
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if now() > until:
                report("a reader that was killed is still there")
                os._exit(1)
            time.sleep(0.005)


# ---- the run ----

def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def forked(function, *args):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            die_with_parent()
            function(*args)
            status = 0
        except KeyboardInterrupt:
            pass
        except BaseException as e:
            args[-1]("%s: %s: %s" % (function.__name__, type(e).__name__, e))
        os._exit(status)
    return pid


def rss(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def descriptors(pid):
    """How many are open; 0 for a user, to whom a daemon that confined itself doesn't show them."""
    try:
        return len(os.listdir("/proc/%d/fd" % pid))
    except PermissionError:
        return 0


def median(values):
    return sorted(values)[len(values) // 2] if values else 0


def calm(shared, mount, client, report):
    """Nothing has changed for longer than anything may be old: all is there, and new. Returns how many files the client itself can't read."""
    time.sleep(FRESH * shared.slack + 1)
    shared.cached, lost = False, 0
    reader = Reader(shared, mount, 0, report)
    for step in STABLE + RENAMED + BROKEN[1:]:
        unread = set()
        for kind in data.STORED:
            try:
                read_all(os.path.join(client, "base_checkpoints/d12", name_of(kind, step)), reader.rng)
            except (OSError, Wrong):
                unread.add(kind)
        lost += len(unread)
        # How a model is shown is in its metadata.
        unread |= {"model"} if "meta" in unread else set()
        for name, (kind, version_of) in data.FILES.items():
            if kind not in unread:
                place = "d12/%06d" % step
                try:
                    reader.judge(step, version_of(read_all("%s/%s/%s" % (reader.base, place, name), reader.rng)), now(), kind)
                except (Wrong, OSError) as e:
                    report("afterwards: %s/%s: %s" % (place, name, e))
    try:
        # latest is a step of which all can be read.
        if not lost:
            reader.linked(None, None)
    except (Wrong, OSError) as e:
        report("afterwards: %s" % e)
    return lost


def plain(shared, client, _report):
    """Reads the client's own files: how often they are of two versions."""
    rng = random.Random(os.getpid())
    while not shared.stop[0]:
        try:
            content = read_all(os.path.join(client, "base_checkpoints/d12", name_of("model", rng.choice(RENAMED[:2]))), rng)
            shared.plain[0] += 1
            shared.plain[1] += data.of_model_pt(content) == data.TORN
        except (OSError, Wrong):
            pass
        time.sleep(0.02)


def counts_seconds(client):
    """Whether no file there has a time with a part of a second: two versions of one size within one second are then the same to everybody."""
    tag = os.path.join(client, "base_checkpoints/d12")
    return all(os.stat(os.path.join(tag, name)).st_mtime_ns % 10**9 == 0 for name in os.listdir(tag))


def run(store, mount, daemon, seconds, readers=64, slack=1.0, client=None):
    shared = Shared(readers, slack, client is not None)
    log = os.open(os.path.join(store, "..", "storm.log"), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)

    def report(line):
        os.write(log, ("%.1f %s\n" % (now() - start, line)).encode())

    if client and counts_seconds(client):
        shared.apart = 2.5
    start = now()
    shared.born[1], shared.died[1] = start, float("inf")    # the first of each file, for as long as it may be there
    workers = [forked(f, shared, store, mount, i, report) for i, f in enumerate((write_stored, write_in_place, write_mounted))]
    time.sleep(0.5)
    workers += [forked(Reader.run, Reader(shared, mount, i, report), report) for i in range(readers)]
    workers.append(forked(killed, shared, mount, report))
    if client:
        workers += [forked(plain, shared, client, report) for _ in range(4)]
    memory = []
    while now() - start < seconds and os.lseek(log, 0, os.SEEK_END) < 20000:
        time.sleep(min(1, seconds / 30))
        memory.append(rss(daemon))
        for i, since in enumerate(shared.busy):
            if since and now() - since > STUCK * slack:
                report("reader %d is stuck for %.0f seconds" % (i, now() - since))
                os.lseek(log, 0, os.SEEK_END)
                shared.stop[0] = 1
        if shared.stop[0]:
            break
    shared.stop[0] = 1
    finish(shared, workers, report)
    if client:
        lost = calm(shared, mount, client, report)
        mixed = int(sum(shared.mixed))
        apart = "whole seconds: versions at least %.1f s apart; " % shared.apart if shared.apart else ""
        print(apart + "bytes of two versions: %d of %d reads; of the client's own files %d of %d. Afterwards the client can't read %d files"
              % (mixed, sum(shared.ops), shared.plain[1], shared.plain[0], lost))
        if mixed and not shared.plain[1]:
            report("bytes of two versions, %d times, and never by the client itself" % mixed)
    verdict(shared, daemon, memory, now() - start, log, report)


def finish(shared, workers, report):
    until = now() + STUCK * shared.slack
    for pid in workers:
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if now() > until:
                report("process %d does not end" % pid)
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.01)


def verdict(shared, daemon, memory, seconds, log, report):
    third = max(1, len(memory) // 3)
    first, last = median(memory[third // 2:third]) or memory[0], median(memory[-third:])
    # What is still open is what the cache holds.
    until = now() + 3 * shared.slack
    while descriptors(daemon) > 90 and now() < until:
        time.sleep(0.1)
    fds = descriptors(daemon)
    if fds > 90:
        report("%d descriptors are left" % fds)
    if last > first * 1.25 + 8192 and shared.slack == 1:
        report("memory grew from %d to %d KiB" % (first, last))
    ops, stale = int(sum(shared.ops)), int(sum(shared.stale))
    if stale > 2 + ops / 20000 and not shared.stale_allowed:
        report("%d of %d reads by path ended with ESTALE" % (stale, ops))
    print("%.0f s, %d reads, %d of them with an errno that the contract names, %d ESTALE; " % (seconds, ops, sum(shared.errors), stale)
          + "%d versions written; replaced at most %.2f s before a read; " % (sum(shared.counters), shared.oldest[0])
          + "RSS %d, %d, %d KiB; %d descriptors at the end" % (first, median(memory[third:-third]), last, fds))
    os.lseek(log, 0, os.SEEK_SET)
    failures = os.read(log, 1 << 20).decode(errors="replace").splitlines()
    for line in failures[:40]:
        print("FAIL " + line, file=sys.stderr)
    sys.exit(bool(failures))


def make(store):
    for tag in ("d12", "d4"):
        os.makedirs(os.path.join(store, "base_checkpoints", tag))
    for step in STABLE + RENAMED + COMING + BROKEN:
        for kind, make_one in data.STORED.items():
            put(os.path.join(store, "base_checkpoints/d12", name_of(kind, step)), make_one(data.FIRST[kind]))


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "make":
        make(args[0])
    else:
        run(args[0], args[1], int(args[2]), float(args[3]), *(t(a) for t, a in zip((int, float, str), args[4:])))


if __name__ == "__main__":
    main()
