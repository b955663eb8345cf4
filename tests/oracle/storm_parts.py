#!/usr/bin/python3
"""What can happen in a storm, one at a time.

storm_parts.py hold MOUNT READERS [gone]             readers of what they have open of step 1; 'open' when all are, the verdict at a line on stdin.
    gone: the mount may go away under them
storm_parts.py young MOUNT STORED                    a file that is changed without a new mtime, just after it was read
storm_parts.py size MOUNT COUNT STORED               fstat and the bytes of files that are open while they are replaced and COUNT others are read
"""
import errno
import mmap
import os
import random
import sys
import time

import stormdata as data
from storm import STUCK, Shared, forked, name_of, now, put, read_all

# The last is the kernel's own for a page whose request was cut off.
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO)


def hold_one(shared, mount, gone, opened, report):
    names = [n for n, (kind, _) in data.FILES.items() if kind == "model" and n != "model.tsv"]
    fds = {n: os.open("%s/base/d12/000001/%s" % (mount, n), os.O_RDONLY) for n in names}
    sizes = {n: os.fstat(fd).st_size for n, fd in fds.items()}
    os.write(opened, b"o")
    while not shared.stop[0]:
        for name, fd in fds.items():
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                content = os.pread(fd, 1 << 20, 0)
            except OSError as e:
                if gone and e.errno in GONE:
                    return
                raise
            if gone and len(content) < sizes[name]:
                continue  # the end came in the middle of this read; the next one fails
            if data.FILES[name][1](content) != 1:
                report("%s has other bytes" % name)
    for fd in fds.values():
        os.close(fd)


def hold(mount, readers, gone=False):
    shared, (ready, opened) = Shared(readers, 1.0), os.pipe()
    workers = [forked(hold_one, shared, mount, gone, opened, complain) for _ in range(readers)]
    os.close(opened)
    for _ in workers:
        if not os.read(ready, 1):
            sys.exit("a reader did not open its files")
    print("open", flush=True)
    sys.stdin.readline()
    shared.stop[0] = 1
    until, failed = now() + STUCK, 0
    for pid in workers:
        status = None
        while status is None and now() < until:
            found, code = os.waitpid(pid, os.WNOHANG)
            status = code if found else None
            time.sleep(0.005)
        failed += status != 0
    print("%d of %d readers failed" % (failed, readers))
    sys.exit(failed != 0)


def complain(line):
    print(line, file=sys.stderr)
    os._exit(1)


def size(mount, count, stored):
    tag = os.path.join(mount, "base/d12")
    names = ["model/big.weight.npy", "model.raw/half.weight", "model.safetensors", "model.pt", "meta.json", "optim/rank0.json"]
    fds = [os.open("%s/000001/%s" % (tag, n), os.O_RDONLY) for n in names]
    before = [os.fstat(fd) for fd in fds]
    # The files were young: by now what was read of them is read again, by others.
    time.sleep(2.6)
    for name in names:
        read_all("%s/000001/%s" % (tag, name), random)
    for kind, make_one in data.STORED.items():
        put(os.path.join(stored, name_of(kind, 1)), make_one(2))
    for step in range(100, 100 + count):
        put(os.path.join(stored, name_of("model", step)), data.model(3))
        os.stat("%s/%06d/model/big.weight.npy" % (tag, step))
    time.sleep(1.1)
    for name, fd, was in zip(names, fds, before):
        after = os.fstat(fd)
        if (after.st_size, after.st_ino, after.st_mtime_ns) != (was.st_size, was.st_ino, was.st_mtime_ns):
            complain("%s: fstat has changed" % name)
        if data.FILES[name][1](os.pread(fd, was.st_size, 0)) != 1:
            complain("%s: not the bytes that were opened" % name)
    with open(tag + "/000001/meta.json", "rb") as f:
        if data.of_meta(f.read()) != 2:
            complain("the new meta.json is not shown")


def young(mount, stored):
    """Bytes that change while mtime doesn't: by a mapping whose pages were all written to before."""
    step, path = os.path.join(mount, "base/d12/000002"), os.path.join(stored, name_of("model", 2))
    names = [n for n, (kind, _) in data.FILES.items() if kind == "model"]

    def shown():
        found = {data.FILES[n][1](read_all("%s/%s" % (step, n), random)) for n in names}
        return found | {data.of_names(os.listdir(step + "/model"), ".npy")}

    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        m[:] = data.model(1)
        if shown() != {1}:
            complain("not the first version")
        m[:] = data.model(7)
        if os.path.getsize(path) != len(data.model(7)):
            complain("the versions are not of one size")
        time.sleep(2.6)
        if shown() != {7}:
            complain("what was seen of a file that was being changed is shown later: %r" % shown())


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "hold":
        hold(args[0], int(args[1]), args[2:] == ["gone"])
    elif what == "size":
        size(args[0], int(args[1]), args[2])
    else:
        young(args[0], args[1])


if __name__ == "__main__":
    main()
