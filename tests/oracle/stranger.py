#!/usr/bin/env python3
"""Takes every lock that it can in a directory and below, as somebody who wants to hold up others, and keeps them until it is killed.

Usage: stranger.py DIR FILE; FILE then holds the number of files and directories that are locked.
"""
import fcntl
import os
import signal
import sys


def lock(path):
    """The strongest locks that the descriptor allows, of both kinds. Whether there is one."""
    fd = -1
    for flags in (os.O_RDWR, os.O_RDONLY):
        try:
            fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
            break
        except OSError:
            continue
    if fd < 0:
        return False
    for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
        try:
            fcntl.lockf(fd, kind | fcntl.LOCK_NB)
            break
        except OSError:
            continue
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


def main():
    count = 0
    for top, dirs, files in os.walk(sys.argv[1]):
        count += lock(top) + sum(lock(os.path.join(top, name)) for name in files)
    with open(sys.argv[2] + ".new", "w") as out:
        print(count, file=out)
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    signal.pause()


main()
