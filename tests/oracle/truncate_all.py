#!/usr/bin/python3
"""Every prefix and every damaged byte of a small checkpoint.

truncate_all.py prefixes FILE.pt TAGDIR    one step per prefix (all short ones, then every 7th byte, then the last 40)
truncate_all.py damage FILE.pt TAGDIR      one step per byte: inverted (every 3rd byte; the seed of the choice is fixed)
truncate_all.py check-prefixes TAG         each mounted step is an error, and says so
truncate_all.py check-damage TAG           each mounted step is an error or is shown, and every read gives bytes or EIO
"""
import errno
import os
import sys


def prefixes(source, tag):
    with open(source, "rb") as f:
        blob = f.read()
    lengths = sorted({*range(0, 64), *range(64, len(blob), 7), *range(len(blob) - 40, len(blob))})
    for step, length in enumerate(lengths):
        write(tag, step, blob[:length])


def damage(source, tag):
    with open(source, "rb") as f:
        blob = f.read()
    for step, at in enumerate(range(0, len(blob), 3)):
        write(tag, step, blob[:at] + bytes([blob[at] ^ 0xff]) + blob[at + 1:])


def write(tag, step, data):
    os.makedirs(tag, exist_ok=True)
    with open(os.path.join(tag, "model_%06d.pt" % step), "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def check_error(step):
    names = sorted(os.listdir(step))
    if names != ["model.error", "model.pt"]:
        sys.exit("%s holds %s" % (step, names))
    line = read(os.path.join(step, "model.error")).decode("latin-1")
    if line.count("\n") != 1 or line[-1] != "\n" or "model_%s.pt" % os.path.basename(step) not in line:
        sys.exit("%s says %r" % (step, line))


def check_shown(step):
    for directory, _, files in os.walk(step):
        for name in files:
            try:
                read(os.path.join(directory, name))
            except OSError as e:
                if e.errno != errno.EIO:
                    sys.exit("%s/%s: %s" % (directory, name, e))


def steps(tag):
    return [os.path.join(tag, s) for s in sorted(os.listdir(tag)) if s.isdigit()]


def check_prefixes(tag):
    if os.path.lexists(os.path.join(tag, "latest")):
        sys.exit("latest is " + os.readlink(os.path.join(tag, "latest")))
    for step in steps(tag):
        check_error(step)
    print(len(steps(tag)), "prefixes")


def check_damage(tag):
    bad = 0
    for step in steps(tag):
        if os.path.exists(os.path.join(step, "model.error")):
            check_error(step)
            bad += 1
        else:
            check_shown(step)
    print(len(steps(tag)), "damaged files,", bad, "refused")


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
