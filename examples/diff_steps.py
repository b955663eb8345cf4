#!/usr/bin/python3
"""diff_steps.py STEP STEP: which tensors of two mounted steps differ, and by how much: diff_steps.py mnt/base/d12/000500 mnt/base/d12/001000

A line for each tensor that differs, the most changed first: |b-a|/|a|, the largest |b-a|, the cosine between a and b, the key; then a line for each
layer, of its tensors that differ. Tensors whose CRC in the two tables is the same are the same and are not read; the others are, in pieces,
with NumPy alone. Exit status as diff's: 0 all are the same, 1 some differ, 2 trouble.
"""
import csv
import math
import os
import re
import sys

import numpy as np

PIECE = 1 << 20


def table(step):
    """{key: its row of model.tsv}"""
    with open(os.path.join(step, "model.tsv"), newline="", encoding="utf-8", errors="surrogateescape") as f:
        return {row["key"]: row for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)}


def files(step):
    """{key as the table spells it: its .npy file}. What isn't an array has none."""
    directory, found = os.path.join(step, "model"), {}
    escapes = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\", "\0": "\\0"})
    for name in os.listdir(directory):
        if name.endswith(".npy"):
            path = os.path.join(directory, name)
            found[os.getxattr(path, "user.ckptfs.key").decode("utf-8", "surrogateescape").translate(escapes)] = path
    return found


def numbers(array):
    """A piece as float64; complex numbers as pairs; bfloat16, which NumPy lacks, is the upper half of a float32."""
    if array.dtype == "V2":
        array = (array.view("<u2").astype("<u4") << 16).view("<f4")
    if array.dtype.kind == "c":
        array = array.view("<f%d" % (array.dtype.itemsize // 2))
    return array.astype("f8")


class Change:
    """Sums over tensors: of a*b, a*a, b*b, (b-a)*(b-a), and the largest |b-a|."""

    def __init__(self, sums=(0, 0, 0, 0), largest=0.0):
        self.sums, self.largest = np.array(sums, "f8"), largest

    def add(self, other):
        self.sums += other.sums
        self.largest = np.maximum(self.largest, other.largest)

    def row(self):
        ab, aa, bb, dd = self.sums
        with np.errstate(all="ignore"):
            return math.sqrt(dd) / np.sqrt(aa), self.largest, ab / np.sqrt(aa) / np.sqrt(bb)


def compare(first, second):
    """None where the shapes, or kinds that NumPy can't compute with, allow no comparison."""
    a, b = np.load(first, mmap_mode="r"), np.load(second, mmap_mode="r")
    if a.shape != b.shape or "|V1" in (a.dtype.str, b.dtype.str):
        return None
    a, b, change = a.reshape(-1), b.reshape(-1), Change()
    for at in range(0, a.size, PIECE):
        x, y = numbers(a[at:at + PIECE]), numbers(b[at:at + PIECE])
        with np.errstate(all="ignore"):
            d = y - x
            change.add(Change((x @ y, x @ x, y @ y, d @ d), np.abs(d).max()))
    return change


def show(rows):
    """Sorted: what is not a number, as one of the tensors isn't, comes first."""
    for (relative, largest, cosine), name in sorted(rows, key=lambda r: (not math.isnan(r[0][0]), -r[0][0], r[1])):
        print("%10.4g %10.4g %12.8f  %s" % (relative, largest, cosine, name))


def main(first, second):
    old, new = table(first), table(second)
    here, there = files(first), files(second)
    same, tensors, layers, others = 0, [], {}, []
    for key in old:
        a, b = old[key], new.get(key)
        if b is None:
            others.append("only in %s: %s" % (first, key))
        elif a["crc32"] != "-" and all(a[c] == b[c] for c in ("crc32", "stored_nbytes", "stored_dtype", "dtype", "shape")):
            same += 1
        elif key not in here or key not in there:
            others.append("no array: %s" % key)
        else:
            change = compare(here[key], there[key])
            if change is None:
                others.append("%s %s, then %s %s: %s" % (a["dtype"], a["shape"], b["dtype"], b["shape"], key))
            elif change.sums[3] == 0 and a["dtype"] == b["dtype"]:
                same += 1
            else:
                tensors.append((change.row(), key))
                layer = re.match(r"transformer\.h\.\d+", key)
                if layer:
                    layers.setdefault(layer.group(), Change()).add(change)
    others += ["only in %s: %s" % (second, key) for key in new if key not in old]
    if tensors:
        print("%10s %10s %12s" % ("|b-a|/|a|", "max|b-a|", "cosine"))
        show(tensors)
    if layers:
        print("\nby layer")
        show([(change.row(), name) for name, change in layers.items()])
    for line in others:
        print(line)
    print("%d differ, %d are the same" % (len(tensors) + len(others), same))
    return 1 if tensors or others else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[0])
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError) as why:
        print("diff_steps.py: %s" % why, file=sys.stderr)
        sys.exit(2)
