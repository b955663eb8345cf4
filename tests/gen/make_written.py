#!/usr/bin/python3
"""What programs write into a draft.

make_written.py npy DIR [unsigned]    write_cases' arrays, each by numpy.save where NumPy can, in their order, versions 1 to 3
make_written.py safetensors FILE      the same in one safetensors file, with __metadata__
make_written.py many DIR COUNT        COUNT small tensors
make_written.py shard DIR             an optimizer shard with every kind of value that rankN.json can say, as torch makes it: FILE.pt
"""
import os
import sys

import numpy as np

import write_cases


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def npy(directory, kind="all"):
    os.makedirs(directory, exist_ok=True)
    cases = write_cases.arrays() if kind == "all" else write_cases.unsigned()
    for i, (key, array) in enumerate(cases):
        path = os.path.join(directory, write_cases.file_name(key))
        if i % 3 == 0 and array.dtype.kind != "V":
            np.save(path, array)
        else:
            write(path, write_cases.npy(array, version=(1 + i % 3, 0)))


def safetensors(path):
    cases = [(k, a) for k, a in write_cases.arrays() if a.dtype.str[1:] != "c16"]
    write(path, write_cases.safetensors(cases, {"format": "np", "note": "kept out of the tensors"}))


def many(directory, count):
    os.makedirs(directory, exist_ok=True)
    for i in range(int(count)):
        write(os.path.join(directory, "t.%d.npy" % (i * 7919 % int(count))), write_cases.npy(np.arange(i % 5, dtype="<i4") + i))


def check_many(path, count):
    import ckpt
    got = ckpt.load(path)
    ckpt.check(list(got) == ["t.%d" % (i * 7919 % count) for i in range(count)], "keys or their order")
    ckpt.check(all(np.array_equal(t.numpy(), np.arange(i % 5, dtype="<i4") + i) for i, t in enumerate(got.values())), "values")
    ckpt.finish("%d tensors" % count)


def shard(path):
    import collections
    import torch

    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    state = {
        "state": {0: {"step": 1000, "exp_avg": torch.arange(12.0).reshape(3, 4).t(), "exp_avg_sq": torch.zeros(0, 3)},
                  5: {"step": torch.tensor(7.0), "momentum_buffer": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)},
                  -1: {}, 2 ** 40: {"flag": torch.tensor([True, False])}},
        "param_groups": [{"kind": "adamw", "lr": 0.1 + 0.2, "betas": (0.8, 0.95), "eps": 1e-300, "decay": -0.0, "maximize": False,
                          "foreach": None, "params": [0, 5], "nan": float("nan"), "inf": float("-inf"), "big": 12345678901234567890123,
                          "nested": [(), [], {}, ((1,), [2, (3.0,)])], "text": "sn\u00f6 \u2603 \"\\ \x01"}],
        "": "an empty key", "a.b": torch.ones(2), "$tensor": "a key with a dollar", 3: None, (1, "x"): "a tuple for a key", None: True, True: 1.5,
        "ordered": collections.OrderedDict([("b", 1), ("a", (2,))]), "bytes": b"\x00\xff", "complex": complex(1, float("inf")),
        "size": torch.Size([2, 3]), "dtype": torch.float16, "device": torch.device("cpu"), "set": {1, 2}, "weight": weight,
        "grad": torch.ones(2, requires_grad=True),
    }
    torch.save(state, path)


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "check-many":
        check_many(args[0], int(args[1]))
    else:
        {"npy": npy, "safetensors": safetensors, "many": many, "shard": shard}[what](*args)


if __name__ == "__main__":
    main()
