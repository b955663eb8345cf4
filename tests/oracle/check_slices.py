#!/usr/bin/python3
"""check_slices.py FILE...: reads at odd offsets and lengths, by pread and through shared mappings, equal slices of the whole file."""
import mmap
import os
import random
import subprocess
import sys

LENGTHS = [1, 2, 3, 7, 61, 449, 521, 941, 4095, 4096, 4097, 65537, 131072 + 13]


def offsets(size, rng):
    return sorted({0, 1, 7, 63, 64, 65, 127, 128, 129, size // 2, size // 3, max(size - 1, 0), max(size - 61, 0), size, size + 5,
                   *(rng.randrange(size + 1) for _ in range(12))})


def check(path):
    rng = random.Random(os.path.basename(path))
    with open(path, "rb") as f:
        whole = f.read()
        size = os.fstat(f.fileno()).st_size
    if size != len(whole):
        sys.exit("%s: st_size %d, read %d" % (path, size, len(whole)))
    fd = os.open(path, os.O_RDONLY)
    drop = getattr(os, "posix_fadvise", None)
    for offset in offsets(size, rng):
        for length in rng.sample(LENGTHS, 5):
            if drop:
                drop(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            got = os.pread(fd, length, offset)
            if got != whole[offset:offset + length]:
                sys.exit("%s: pread(%d, %d) is no slice" % (path, length, offset))
    if size:
        drop(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
            with mmap.mmap(fd, size, flags=flags, prot=mmap.PROT_READ) as m:
                for offset in offsets(size, rng):
                    if m[offset:offset + 977] != whole[offset:offset + 977]:
                        sys.exit("%s: mapped bytes at %d differ" % (path, offset))
                if m[:] != whole:
                    sys.exit(path + ": the mapping differs")
    os.close(fd)
    for bs, skip, count in ((13, 5, 11), (511, 1, 2), (4099, 0, 3)):
        dd = subprocess.run(["dd", "if=" + path, "bs=%d" % bs, "skip=%d" % skip, "count=%d" % count, "status=none"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
        if dd != whole[bs * skip:bs * (skip + count)]:
            sys.exit("%s: dd bs=%d skip=%d count=%d is no slice" % (path, bs, skip, count))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        check(name)
    print(len(sys.argv) - 1, "files")
