#!/usr/bin/python3
"""hold.py FILE REFERENCE LATE: a reader with a file open while the stored file changes.

Reads the first 4096 bytes and says 'open'; when a line comes in on stdin it reads on to the end. REFERENCE has the old bytes.
LATE 'old': the rest must be the old bytes. LATE 'eio': the rest must be EIO, or the old bytes as far as they were cached; never others.
"""
import errno
import os
import sys


def main():
    path, reference, late = sys.argv[1:]
    with open(reference, "rb") as f:
        old = f.read()
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    got = os.pread(fd, 4096, 0)
    print("open", flush=True)
    sys.stdin.readline()
    try:
        while len(got) < len(old):
            piece = os.pread(fd, 65536, len(got))
            if not piece:
                break
            got += piece
        outcome = "old" if got == old else "mixed"
    except OSError as e:
        outcome = "eio" if e.errno == errno.EIO and old.startswith(got) else "mixed"
    print(outcome, flush=True)
    sys.exit(outcome != late)


if __name__ == "__main__":
    main()
