#!/usr/bin/python3
"""together.py DIRECTORY: what one program does with its files another sees at once: two processes in turns."""
import fcntl
import mmap
import multiprocessing
import os
import sys


def other(calls, answers):
    """Does as it is told, with its own descriptors, and answers what it finds."""
    files = {}
    while (call := calls.get()) is not None:
        what, name, *more = call
        try:
            if what == "open":
                files[name] = os.open(name, os.O_RDWR)
                answer = None
            elif what == "read":
                answer = os.pread(files[name], 1 << 20, 0)
            elif what == "write":
                answer = os.pwrite(files[name], *more)
            elif what == "size":
                answer = os.fstat(files[name]).st_size, os.stat(name).st_size
            elif what == "map":
                files["map"] = mmap.mmap(files[name], 0)
                answer = files["map"][:]
            elif what == "mapped":
                answer = files["map"][:]
            elif what == "names":
                answer = sorted(os.listdir(name))
            elif what == "lock":
                fcntl.lockf(files[name], fcntl.LOCK_EX | fcntl.LOCK_NB, *more)
                answer = True
            elif what == "unlock":
                answer = fcntl.lockf(files[name], fcntl.LOCK_UN)
        except OSError as e:
            answer = type(e)
        answers.put(answer)


def main():
    os.chdir(sys.argv[1])
    calls, answers = multiprocessing.Queue(), multiprocessing.Queue()
    process = multiprocessing.Process(target=other, args=(calls, answers))
    process.start()

    def ask(*call):
        calls.put(call)
        return answers.get(timeout=60)

    fd = os.open("f", os.O_RDWR | os.O_CREAT, 0o644)
    for i in range(100):
        body = b"%03d" % i * (i * 50 + 1)
        if i == 0:
            ask("open", "f")
        os.ftruncate(fd, 0)
        os.pwrite(fd, body, 0)
        assert ask("read", "f") == body, i
        assert ask("size", "f") == (len(body), len(body))
        ask("write", "f", b"theirs", len(body))
        assert os.pread(fd, 1 << 20, 0) == body + b"theirs" and os.fstat(fd).st_size == len(body) + 6
        only = os.open("f", os.O_WRONLY)
        os.pwrite(only, b"W%02d" % (i % 100), 0)
        os.close(only)
        assert ask("read", "f")[:3] == b"W%02d" % (i % 100) == os.pread(fd, 3, 0), i
    mine = mmap.mmap(fd, 0)
    ask("map", "f")
    for i in range(50):
        mine[i] = i
        assert ask("mapped", "f")[i] == i and ask("read", "f")[i] == i
        os.pwrite(fd, b"!", i)
        assert ask("mapped", "f")[i] == ord("!") == mine[i]
    for i in range(50):
        os.rename("f" if i % 2 == 0 else "g", "g" if i % 2 == 0 else "f")
        assert ask("names", ".") == ["g" if i % 2 == 0 else "f"]
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
    assert issubclass(ask("lock", "f", 5, 5), OSError) and ask("lock", "f", 5, 20) is True
    fcntl.lockf(fd, fcntl.LOCK_UN)
    assert ask("lock", "f") is True
    ask("unlock", "f")
    for i in range(50):
        fresh = os.open("n", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fresh, b"new %02d" % i)
        ask("open", "n")
        assert ask("read", "n") == b"new %02d" % i
        os.pwrite(fresh, b"OLD", 0)
        assert ask("read", "n") == b"OLD %02d" % i
        os.close(fresh)
        os.unlink("n")
    calls.put(None)
    process.join()
    os.close(fd)
    os.unlink("f")


main()
