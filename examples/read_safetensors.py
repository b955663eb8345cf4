#!/usr/bin/python3
"""read_safetensors.py FILE [KEY]: what a safetensors file holds, or one tensor of it: read_safetensors.py mnt/base/d12/latest/model.safetensors

With the safetensors library where it is installed, else with the few lines below, which show how little the format is.
"""
import json
import mmap
import sys

import numpy as np

try:
    from safetensors import safe_open
except ImportError:
    safe_open = None

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}


class OwnReader:
    """Eight bytes of header length, a header in JSON, the data."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.map = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        self.start = 8 + int.from_bytes(self.map[:8], "little")
        self.header = json.loads(self.map[8:self.start])
        self.header.pop("__metadata__", None)

    def keys(self):
        return self.header.keys()

    def get_tensor(self, key):
        entry = self.header[key]
        first, end = entry["data_offsets"]
        # NumPy has no bfloat16, which is the upper half of a float32.
        half = entry["dtype"] == "BF16"
        dtype = np.dtype("<u2" if half else DTYPES[entry["dtype"]])
        array = np.frombuffer(self.map, dtype, (end - first) // dtype.itemsize, self.start + first).reshape(entry["shape"])
        return (array.astype("<u4") << 16).view("<f4") if half else array


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    tensors = safe_open(sys.argv[1], framework="np") if safe_open else OwnReader(sys.argv[1])
    if len(sys.argv) == 3:
        print(tensors.get_tensor(sys.argv[2]))
        return
    for key in sorted(tensors.keys()):
        array = tensors.get_tensor(key)
        print("%-36s %-8s %-10s norm %.6f" % (key, array.dtype, "x".join(map(str, array.shape)),
                                              np.linalg.norm(array.astype("f8").ravel())))


if __name__ == "__main__":
    main()
