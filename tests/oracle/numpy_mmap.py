#!/usr/bin/python3
"""numpy_mmap.py FILE.npy...: numpy.load with mmap_mode='r' equals numpy.load, from the front and from the end."""
import sys

import numpy as np

for path in sys.argv[1:]:
    mapped, whole = np.load(path, mmap_mode="r"), np.load(path)
    if mapped.shape != whole.shape or mapped.tobytes() != whole.tobytes() or mapped.reshape(-1)[::-1].tobytes() != whole.reshape(-1)[::-1].tobytes():
        sys.exit(path + " differs when it is mapped")
