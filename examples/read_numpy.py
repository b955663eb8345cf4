#!/usr/bin/python3
"""read_numpy.py STEP: every tensor of a mounted step through NumPy, without copying it: read_numpy.py mnt/base/d12/latest"""
import pathlib
import sys

import numpy as np


def load(path):
    """The array at PATH, mapped. NumPy has no bfloat16: a mount with device=cuda shows it as 2-byte blanks, widened here."""
    array = np.load(path, mmap_mode="r")
    if array.dtype == np.dtype("V2"):
        array = (array.view("<u2").astype("<u4") << 16).view("<f4")
    return array


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    # In the order of inode numbers, which is the checkpoint's own.
    files = sorted(pathlib.Path(sys.argv[1], "model").iterdir(), key=lambda f: f.stat().st_ino)
    for file in files:
        array = load(file)
        print("%-36s %-8s %-10s mean %+.6f  std %.6f" % (
            file.name[:-len(".npy")], array.dtype, "x".join(map(str, array.shape)), array.mean(dtype="f8"), array.std(dtype="f8")))


if __name__ == "__main__":
    main()
