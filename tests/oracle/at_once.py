#!/usr/bin/python3
"""at_once.py TAG SOURCE FIRST ROUNDS FILE...: writes SOURCE's FILEs into ROUNDS steps of TAG from FIRST on, each file by a
thread, and closes them at the same moment. When all have closed theirs, each step must be published."""
import os
import sys
import threading


def put(path, data, moment, failures):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(fd, data)
        moment.wait()
        os.close(fd)
    except (OSError, threading.BrokenBarrierError) as e:
        failures.append(f"{path}: {e}")
        moment.abort()


def main():
    tag, source, first, rounds, *names = sys.argv[1:]
    contents = {}
    for name in names:
        with open(f"{source}/{name}", "rb") as f:
            contents[name] = f.read()
    drafts, failures = [], []
    for number in range(int(first), int(first) + int(rounds)):
        step = f"{tag}/{number:06d}"
        os.mkdir(step)
        moment = threading.Barrier(len(names))
        threads = [threading.Thread(target=put, args=(f"{step}/{name}", data, moment, failures))
                   for name, data in contents.items()]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if os.path.exists(f"{step}/DRAFT.error"):
            drafts.append(number)
    assert not failures, failures
    assert not drafts, f"{len(drafts)} of {rounds} steps were not published when every file was closed: {drafts[:5]}"


if __name__ == "__main__":
    main()
