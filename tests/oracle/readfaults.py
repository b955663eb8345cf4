#!/usr/bin/python3
"""Each read of the daemon fails by EIO in turn: readfaults.py STORE DIRECTORY [STRIDE].

Whoever reads gets EIO or the right bytes, never wrong ones (where meta.json couldn't be read, the right ones are
those without its patch); what was shown as an error for it is right again once the fault is over (within a second);
the daemon stays.
"""
import errno
import hashlib
import os
import shutil
import stat
import sys
import time

import faulty
from faulty import check


def walk(top):
    """Path to the checksum, the errno, or (".error" files) the text; in the order of a depth-first walk."""
    seen = {}
    names = sorted(os.listdir(top))
    for name in names:
        path = os.path.join(top, name)
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                seen[path] = os.readlink(path)
            elif stat.S_ISDIR(mode):
                seen.update(walk(path))
            else:
                with open(path, "rb", buffering=0) as f:
                    if name.endswith(".error"):
                        seen[path] = f.read().decode()
                        continue
                    h = hashlib.sha256()
                    while piece := f.read(1 << 16):
                        h.update(piece)
                    seen[path] = h.hexdigest()
        except OSError as e:
            seen[path] = e.errno
    return seen


def compare(seen, truth, unpatched):
    for path, got in seen.items():
        if path.endswith(".error"):
            check(got == errno.ENOENT or "Input/output error" in str(got) or path in truth, path, got)
        elif isinstance(got, int):
            check(got == errno.EIO or truth.get(path) == got, path, "errno", got)
        elif not os.path.basename(path) in ("latest", "best", "largest"):
            check(got in (truth.get(path), unpatched.get(path)), path, "has other bytes")


def main():
    store, base, stride = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
    os.makedirs(base, exist_ok=True)
    mnt = os.path.join(base, "mnt")
    daemon = faulty.Daemon(store, mnt, ["-o", "ro"], arm=("read", 0, 1, 0))
    truth = walk(mnt)
    reads = daemon.count()
    daemon.unmount()
    shutil.copytree(store, base + "/bare", ignore=shutil.ignore_patterns("meta_*.json"), copy_function=shutil.copy2)
    daemon = faulty.Daemon(base + "/bare", mnt, ["-o", "ro"])
    unpatched = walk(mnt)
    daemon.unmount()
    faults = 0
    for nth in range(1, reads + 1, stride):
        daemon = faulty.Daemon(store, mnt, ["-o", "ro"], arm=("read", nth, 1, errno.EIO))
        compare(walk(mnt), truth, unpatched)
        daemon.disarm()
        # A walk that begins so much later shows all again; how long it takes doesn't count.
        began, end = 0, time.monotonic() + 1.5
        while (now := walk(mnt)) != truth and began < end:
            time.sleep(0.05)
            began = time.monotonic()
        check(now == truth, "read %d of %d failed, and the mount did not recover:" % (nth, reads),
              sorted(p for p in {*now, *truth} if now.get(p) != truth.get(p))[:5])
        daemon.unmount()
        faults += 1
    print("%d reads, %d faults" % (reads, faults))


main()
