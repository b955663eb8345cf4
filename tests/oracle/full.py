#!/usr/bin/python3
"""Every way of writing a step, on a store that is full or faulty: full.py space|inodes|shim|recovery DIRECTORY [STRIDE].

space, inodes: DIRECTORY is a small file system of its own, filled up but for each amount in turn. shim: each call of
the daemon that changes the store, and each read, fails in turn, once or from then on, by EIO or EDQUOT. Then the
writer was told, by that errno, from the call at which it happened or at which it came to light, and nothing half-made
is visible; or (where the fault did no harm) the step is there, whole. Once the fault is over, the same draft is
published by the same daemon; and nothing else is left at the next mount.

recovery: the daemon is killed while it publishes, and the next one while it clears up, or its calls fail; what holds
after one crash holds after these.
"""
import errno
import fcntl
import os
import shutil
import sys

import crash
import faulty
from faulty import check


FAULTS = (("write", errno.EDQUOT), ("fsync", errno.EIO), ("rename", errno.EIO), ("link,unlink,rmdir", errno.EIO),
          ("open,mkdir", errno.EDQUOT), ("truncate,attr", errno.EIO), ("read", errno.EIO), ("rename,unlink", errno.EIO))


class Full:
    """A file system with so much free."""

    def __init__(self, base, inodes):
        self.base, self.inodes = base, inodes
        self.filler = os.path.join(base, "filler")

    def fill(self, free):
        v = os.statvfs(self.base)
        if self.inodes:
            os.mkdir(self.filler)
            for i in range(v.f_ffree - free - 1):
                os.mknod(os.path.join(self.filler, str(i)))
        else:
            with open(self.filler, "wb") as f:
                os.posix_fallocate(f.fileno(), 0, max(1, v.f_bavail * v.f_frsize - free * 4096))

    def empty(self):
        if os.path.isdir(self.filler):
            shutil.rmtree(self.filler)
        elif os.path.exists(self.filler):
            os.unlink(self.filler)


def attempt(scenario, seen, code):
    """Whether the writer was told. What a failed write left is then closed, which may fail in its own way."""
    try:
        scenario.write(seen)
    except OSError as e:
        while e.__context__:
            e = e.__context__
        check(e.errno == code, "wanted errno", errno.errorcode[code], "got", e)
        return True
    return False


def after(stage, scenario, daemon, told, clear, undone=True):
    """What holds after a fault, whether the writer was told of it or not; CLEAR ends it.

    Unless UNDONE, what was begun could not be taken back while it lasted.
    """
    if undone:
        there = scenario.whole(stage.tag)
        check(there or told, "neither an error nor a step")
        if told and not scenario.native and not isinstance(scenario, crash.Shard):
            check(not there, "an error, and a step")
    clear()
    if not undone and isinstance(scenario, crash.Retire):
        # A step that moves is only ever in one place: what can neither be done nor undone is the next mount's.
        daemon.unmount()
        daemon = faulty.Daemon(stage.store, stage.mnt)
        told = not scenario.whole(stage.tag)
    if told:
        scenario.draft_is_intact(stage.seen())
        scenario.write(stage.seen())
        check(scenario.whole(stage.tag), "not published after the fault")
    daemon.unmount()
    daemon = faulty.Daemon(stage.store, stage.mnt)
    daemon.unmount()
    crash.no_leftovers(stage, "the fault")
    check(not scenario.drafts(os.path.join(stage.tag, ".ckptfs")), "a draft outlives its publication")
    stage.drop()


def fill_up(stage, make, disk, stride):
    """From nothing free to as much as is needed."""
    name, free, told = type(make()).__name__, 0, 0
    while True:
        scenario = make()
        daemon = stage.fresh(scenario)
        disk.fill(free)
        try:
            failed = attempt(scenario, stage.seen(), errno.ENOSPC)
            after(stage, scenario, daemon, failed, disk.empty)
        except Exception:
            print("%s: with %d %s free" % (name, free, "inodes" if disk.inodes else "pages"))
            raise
        if not failed:
            break
        told += 1
        free += stride * (1 if disk.inodes else scenario.pages)
    print("%s: full in %d places, all told" % (name, told))
    return told


def fail_each(stage, make, ops, code, count, stride):
    """Each call of OPS in turn fails by CODE, and COUNT - 1 after it."""
    name, nth, told = type(make()).__name__, 1, 0
    while True:
        scenario = make()
        daemon = stage.fresh(scenario)
        daemon.arm(ops, nth, count, code)
        try:
            failed = attempt(scenario, stage.seen(), code)
            reached = daemon.count() >= nth
            lasts = ops == "rename,unlink" or (ops == "rename" and count > 1 and isinstance(scenario, crash.Retire))
            after(stage, scenario, daemon, failed, daemon.disarm, not lasts)
        except Exception:
            print("%s: %s number %d, %d times, fails by %s" % (name, ops, nth, count, errno.errorcode[code]))
            raise
        if not reached:
            break
        told += failed
        nth += stride
    how = "once" if count == 1 else "for good"
    print("%s: %s by %s %s: %d faults, %d told" % (name, ops, errno.errorcode[code], how, nth // stride, told))
    return nth // stride


def await_unlocked(tag):
    """A daemon that is killed as it starts leaves the process that unmounts, which may not have closed yet what it inherited."""
    path = os.path.join(tag, ".ckptfs/writers")
    if os.path.exists(path):
        with open(path, "r+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX, 1)


def recover_each(stage, make, stride):
    """A kill in the midst of a publication, then a fault or a kill at each call of the recovery."""
    name, calls, total = type(make()).__name__, crash.count_calls(stage, make), 0
    for nth in range(calls // 3, calls + 1, stride):
        for action in ("before", errno.EIO):
            call, reached = 1, True
            while reached:
                scenario = make()
                daemon = stage.fresh(scenario)
                daemon.arm(nth=nth, action="before")
                try:
                    scenario.write(stage.seen())
                except OSError:
                    pass
                daemon.await_kill(nth)
                daemon.kill()
                daemon = faulty.Daemon(stage.store, stage.mnt, arm=("all", call, 1 << 40, action))
                reached = daemon.count() >= call
                daemon.kill()
                await_unlocked(stage.tag)
                try:
                    crash.after(stage, scenario)
                except Exception:
                    print("%s: killed before call %d of %d, recovery's call %d: %s" % (name, nth, calls, call, action))
                    raise
                call, total = call + 2, total + reached
    print("%s: %d faults in recovery" % (name, total))
    return total


def main():
    how, base, stride = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
    os.makedirs(base, exist_ok=True)
    stage = crash.Stage(base)
    rank_json = faulty.rank_json(faulty.optimizer(2), os.path.join(base, "mnt"))
    total = 0
    for make in crash.scenarios(rank_json):
        if how == "recovery":
            total += recover_each(stage, make, 3 * stride)
            continue
        if how != "shim":
            total += fill_up(stage, make, Full(base, how == "inodes"), stride)
            continue
        for ops, code in FAULTS:
            if ops != "rename,unlink":
                total += fail_each(stage, make, ops, code, 1, stride)
            if ops in ("fsync", "rename", "rename,unlink"):
                total += fail_each(stage, make, ops, code, 1 << 40, stride)
    print("%d faults" % total)


main()
