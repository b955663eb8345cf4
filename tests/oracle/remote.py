#!/usr/bin/python3
"""What must hold of a store behind a network: remote.py CASE REMOTE BEHIND DIRECTORY [ARG...].

REMOTE: the store's directory as this machine's client mounts it. BEHIND: the same, where another machine sees it. DIRECTORY: a local one, for
the mounts of ckptfs. The ways of writing a step, and what is asked of the store then, are those of crash.py.

doors [NAME...]                 each way of writing publishes, and the store's other side has the step
slow [NAME...]                  the same, with more than a second between the draft's files
killed MOMENTS [NAME...]        the daemon is killed at so many moments of each; what crash.py asks holds at the next mount
severed stop|kill MOMENTS [NAME...]
                                at these moments the network is cut, and comes back after some time: the step is whole or absent, the writer was told
                                of an error unless it is whole, and what isn't there can be published by the same daemon. Asks for the cut on
                                descriptor 5: "sever stop", "mend"; an answer on 6 says that it was done
two OTHER                       two mounts publish one draft at once, again and again. OTHER: the store as another client mounts it
replaced KEPT                   files are replaced under readers that are half-way. KEPT: seconds for which the client keeps attributes
NAME: of a class of crash.py; all of them by default.
"""
import errno
import os
import shutil
import sys
import threading
import time

import crash
import faulty
import stormdata as data
from faulty import check

PATIENCE = 20           # seconds until the other side has what a client sends when it likes
ROUNDS = int(os.environ.get("CKPTFS_ROUNDS", "8"))
WAYS = {c.__name__: c for c in (crash.ByMeta, crash.ByModel, crash.BySafetensors, crash.ByLastWriter, crash.ByRename, crash.BySync, crash.Large,
                                crash.Shard, crash.Native, crash.Ranks, *crash.MOVES)}


def eventually(true, what):
    """TRUE holds within PATIENCE; what it raises until then counts as no."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if true():
                return
            reason = "no"
        except Exception as e:      # a file that is only half there isn't a checkpoint
            reason = e
        check(time.monotonic() < end, what, "-", type(reason).__name__, reason)
        time.sleep(0.1)


class Stage(crash.Stage):
    """Each store is a directory of its own in the remote one."""

    def __init__(self, remote, behind, local):
        super().__init__(remote, local)
        self.behind, self.local = os.path.realpath(behind), os.path.realpath(local)

    def fresh(self, scenario, record=None):
        # Two runs may have one remote directory, one after the other.
        while os.path.exists(os.path.join(self.base, "store%d" % (self.runs + 1))):
            self.runs += 1
        daemon = super().fresh(scenario, record)
        # rclone sends files some seconds later, which changes them under who reads them. Until then some of its stores say that they are of 1999.
        eventually(lambda: all(t > 1577836800 for t in self.times(scenario)), "the client doesn't send what it was given")
        return daemon

    def times(self, scenario):
        """When the files were written that SCENARIO put there before the mount."""
        return [os.stat(os.path.join(d, n)).st_mtime for d, _, names in os.walk(self.tag) for n in names if n in getattr(scenario, "files", ())]

    def settle(self):
        """A file that is deleted while it is open has another name until then. Of a retired step the next mount takes the rest away."""
        time.sleep(0.3)
        left = faulty.leftovers(self.tag, self.may_stay)
        if left and all(name.startswith("trash") for name in left):
            faulty.Daemon(self.store, self.mnt).unmount()

    def there(self):
        """The tag as the other side sees it."""
        return os.path.join(self.behind, os.path.relpath(self.tag, self.base))

    def drop(self):
        shutil.rmtree(self.store, ignore_errors=True)


def makers(names, local):
    rank_json = faulty.rank_json(faulty.optimizer(2), os.path.join(local, "seed")) if not names or "ByMeta" in names else None
    for name in names or WAYS:
        yield name, (lambda n=name: crash.ByMeta(rank_json) if n == "ByMeta" else WAYS[n]())


def arrives(stage, scenario):
    eventually(lambda: scenario.whole(stage.there()), "the other side has no step")
    eventually(lambda: not faulty.leftovers(stage.there(), stage.may_stay), "leftovers on the other side")


def each(stage, names, one):
    """ONE of each way; all of them are tried before it fails."""
    failed = 0
    for name, make in makers(names, stage.local):
        try:
            print("%s: %s" % (name, one(make)), flush=True)
        except (Exception, SystemExit) as e:
            failed += 1
            print("FAIL %s: %s: %s" % (name, type(e).__name__, e), flush=True)
            give_up(stage)
    check(not failed, failed, "ways failed")


def give_up(stage):
    os.system("fusermount3 -uqz '%s'" % stage.mnt)
    time.sleep(0.5)


def doors(stage, *names):
    def one(make):
        scenario = make()
        daemon = stage.fresh(scenario)
        scenario.write(stage.seen())
        check(scenario.whole(stage.tag), "not published")
        if scenario.place():
            os.listdir(os.path.join(stage.seen(), scenario.place()))
        daemon.unmount()
        stage.settle()
        crash.no_leftovers(stage, "a publication")
        arrives(stage, scenario)
        stage.drop()
        return "published"
    each(stage, names, one)


def slow(stage, *names):
    """rclone changes a file's time when it is first read, until it was sent; its times are whole seconds."""
    crash.Scenario.pause = 1.2
    doors(stage, *names)


def moments_of(stage, make, count):
    """So many of the calls that change the store, the last ones above all: there the step is published."""
    calls = crash.count_calls(stage, make)
    late = [calls - i for i in range(count // 2)]
    return sorted({n for n in [1 + i * calls // count for i in range(count - len(late))] + late if n > 0}), calls


def killed(stage, count, *names):
    # A native save may be another machine's, so it stays for a day.
    stage.may_stay = ("staged",)

    def one(make):
        moments, calls = moments_of(stage, make, int(count))
        there = 0
        for nth in moments:
            try:
                there += crash.run(stage, make, nth, ("before", "after")[nth % 2])
            except (Exception, SystemExit) as e:
                raise RuntimeError("killed at call %d of %d: %s: %s" % (nth, calls, type(e).__name__, e)) from e
        return "%d calls, %d kills, there after %d of them" % (calls, len(moments), there)
    each(stage, names, one)


def ask(words):
    os.write(5, words.encode() + b"\n")
    check(os.read(6, 5) == b"done\n", words, "was not done")


def cut_at(stage, make, how, nth, seconds):
    """The daemon waits at its NTH call until the network is cut, and goes on. The
    network is back after SECONDS. Returns whether the writer was told of an error."""
    scenario = make()
    daemon = stage.fresh(scenario)
    daemon.arm(nth=nth, action="pause")
    told = []

    def write():
        try:
            scenario.write(stage.seen())
        except OSError as e:
            told.append(e)

    writer = threading.Thread(target=write)
    writer.start()
    daemon.await_pause(nth, writer)
    ask("sever " + how)
    daemon.go_on()
    time.sleep(seconds)
    ask("mend")
    writer.join(120)
    check(not writer.is_alive(), "the writer never came back")
    eventually(lambda: os.listdir(stage.tag), "the client doesn't come back")
    if told or not scenario.whole(stage.tag):
        check(told, "nobody was told of an error, and the step isn't there")
        eventually(lambda: os.listdir(stage.seen()), "the mount doesn't come back")
        if not scenario.whole(stage.tag):
            scenario.draft_is_intact(stage.seen())
            scenario.write(stage.seen())
            check(scenario.whole(stage.tag), "not published when the network was back, after", told)
    daemon.unmount()
    # What could not be removed goes at the next mount.
    faulty.Daemon(stage.store, stage.mnt).unmount()
    stage.settle()
    crash.no_leftovers(stage, "the cut")
    arrives(stage, scenario)
    stage.drop()
    return bool(told)


def severed(stage, how, count, *names):
    # The lease that could not be removed goes when it is a minute old, or somebody wants it.
    stage.may_stay = ("lease-",)

    def one(make):
        moments, calls = moments_of(stage, make, int(count))
        told = 0
        for nth in moments:
            try:
                # The last time for longer than clients wait before they give a server up.
                told += cut_at(stage, make, how, nth, 7 if nth == moments[-1] else 1)
            except (Exception, SystemExit) as e:
                raise RuntimeError("%s at call %d of %d: %s: %s" % (how, nth, calls, type(e).__name__, e)) from e
        return "%d calls, %d cuts, the writer was told of %d" % (calls, len(moments), told)
    each(stage, names, one)


# ---- two mounts on two clients ----

def publish_at_once(doors_of, results):
    """Calls each at the same moment."""
    moment = threading.Barrier(len(doors_of))

    def one(i, door):
        moment.wait()
        try:
            door()
            results[i] = 0
        except OSError as e:
            results[i] = e.errno
    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(doors_of)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def two(stage, other):
    """By the rename of a .partial and by fsync of the draft's directory in turns; then each mount has a draft of its own step as well."""
    won = [0, 0]
    for turn in range(ROUNDS):
        scenario = crash.ByRename() if turn % 2 else crash.BySync()
        first = stage.fresh(scenario)
        store = os.path.join(other, os.path.relpath(stage.store, stage.base))
        eventually(lambda: os.path.isdir(os.path.join(store, "base_checkpoints/d12")), "the other client sees no store")
        second = faulty.Daemon(store, os.path.join(stage.local, "other"))
        seen = os.path.join(second.mnt, "base/d12")
        door, scenario.door = scenario.door, lambda tag: None
        scenario.write(stage.seen())
        draft = "000600.partial" if turn % 2 else "000600"
        eventually(lambda: scenario.draft_is_intact(seen) is None, "the other mount sees no draft")
        results = [None, None]
        publish_at_once([lambda: door(stage.seen()), lambda: door(seen)], results)
        check(0 in results, "neither mount published", draft, [errno.errorcode.get(r, r) for r in results])
        # fsync of a draft that has become a step is no error; a rename whose source is gone is one.
        check(turn % 2 == 0 or results.count(0) == 1, "both renamed it")
        won[results.index(0)] += 1
        eventually(lambda: scenario.whole(stage.tag), "the step isn't whole")
        first.unmount()
        second.unmount()
        stage.settle()
        crash.no_leftovers(stage, "two publishers")
        check(not scenario.drafts(os.path.join(stage.tag, ".ckptfs")), "a draft outlives its publication")
        arrives(stage, scenario)
        stage.drop()
    print("%d rounds; the first mount won %d" % (ROUNDS, won[0]))


# ---- files replaced under readers ----

def put(path, content):
    with open(path + ".new", "wb") as f:
        f.write(content)
    os.rename(path + ".new", path)


NAMES = {"model": "model_%06d.pt", "meta": "meta_%06d.json", "optim": "optim_%06d_rank0.pt"}


def replaced(stage, kept, when="both"):
    """By a file of the same size, and by one of another; the rest is read at once, or when the client's cache is old; WHEN "late", only then."""
    kept, counts = float(kept), {}
    tag = os.path.join(stage.behind, "base_checkpoints/d12")
    os.makedirs(tag)
    eventually(lambda: os.path.isdir(os.path.join(stage.base, "base_checkpoints/d12")), "the client sees no store")
    for kind, name in NAMES.items():
        put(os.path.join(tag, name % 1), data.STORED[kind](1))
    daemon = faulty.Daemon(stage.base, os.path.join(stage.local, "mnt"))
    step = os.path.join(daemon.mnt, "base/d12/000001")
    eventually(lambda: os.listdir(step + "/model"), "the mount shows no step")
    versions, failures = {kind: 1 for kind in NAMES}, []
    for turn in range(ROUNDS):
        wait = 0 if when == "both" and turn % 2 == 0 else kept + 1.5
        files = {}
        for name, (kind, version_of) in data.FILES.items():
            eventually(lambda: is_version(version_of(read(step + "/" + name)), versions[kind]), name)
            fd = os.open(step + "/" + name, os.O_RDONLY)
            files[name] = fd, os.pread(fd, 8192, 0)
        for kind, name in NAMES.items():
            versions[kind] += 6 if turn // 2 % 2 == 0 else 1
            put(os.path.join(tag, name % 1), data.STORED[kind](versions[kind]))
        time.sleep(wait)
        for name, (fd, begun) in files.items():
            judged = rest_of(fd, begun, data.FILES[name][1])
            counts[judged] = counts.get(judged, 0) + 1
            if judged == data.TORN:
                failures.append("%s, replaced %.1f s before its rest was read: bytes of two versions" % (name, wait))
            os.close(fd)
    daemon.unmount()
    print("%d readers: %s" % (sum(counts.values()), ", ".join("%s %d" % c for c in sorted(counts.items()))))
    check(not failures, "\n".join(failures[:20]))


def is_version(version, wanted):
    check(version == wanted, "is version", version, "and not", wanted)
    return True


def read(path):
    with open(path, "rb") as f:
        return f.read()


def rest_of(fd, content, version_of):
    """"whole": one version's bytes; the errno of who can't have them; or TORN."""
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        size = os.fstat(fd).st_size
        while len(content) < size:
            part = os.pread(fd, size - len(content), len(content))
            if not part:
                return data.TORN
            content += part
    except OSError as e:
        check(e.errno in (errno.EIO, errno.ESTALE), e)
        return errno.errorcode[e.errno]
    return data.TORN if version_of(content) == data.TORN else "whole"


def main():
    case, remote, behind, local, *args = sys.argv[1:]
    os.makedirs(local, exist_ok=True)
    stage = Stage(remote, behind, local)
    {"doors": doors, "slow": slow, "killed": killed, "severed": severed, "two": two, "replaced": replaced}[case](stage, *args)


if __name__ == "__main__":
    main()
