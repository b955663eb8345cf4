#!/usr/bin/python3
"""make_big.py sparse|many|each|rezipped|swollen DIRECTORY: a tag's directory with a checkpoint that is big in bytes (8 GiB and zip64, all
holes but one tensor at its end), in tensors (100,000, which share storages or have one each), or unpacked (1,500 deflated storages;
four deflated ones of 64 MiB each)."""
import os
import struct
import sys
import zipfile

import handmade

GIB = 1 << 30


def sparse(path):
    """One storage past 4 GiB, others to pass 8, and at the end, beyond 32-bit offsets, one with bytes that a reader can check."""
    sizes = {"0": 5 * GIB, "1": 2 * GIB, "2": GIB}
    model = {"transformer.wte.weight": handmade.tensor(0, (5 * 1024, GIB // 4096)),
             "transformer.h.0.mlp.weight": handmade.tensor(1, (1024, 512, 1024)),
             "lm_head.weight": handmade.tensor(2, (512, 1024, 1024), storage="BFloat16")}
    storages = dict(sizes)
    model["last"] = handmade.tensor(3, (64, 1024))
    storages["3"] = struct.pack("<65536f", *range(65536))
    handmade.write(path, model, storages)


def many(path, count=100000):
    """As many small tensors, which share a thousand storages."""
    blob = struct.pack("<256f", *range(256))
    model = {"layer.%05d.weight" % i: handmade.tensor(i % 1000, (4,), numel=256, offset=i // 1000) for i in range(count)}
    handmade.write(path, model, {str(i): blob for i in range(1000)})


def each(path, count=100000):
    """As many of one int64 each, as torch.save stores them."""
    model = {"layer.%05d.weight" % i: handmade.tensor(i, (1,), storage="Long") for i in range(count)}
    handmade.write(path, model, {str(i): struct.pack("<Q", i) for i in range(count)})


def rezip(path):
    """What a person's zip program makes of it: every entry deflated."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path + ".new", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    os.rename(path + ".new", path)


def rezipped(path, count=1500):
    each(path, count)
    rezip(path)


def swollen(path, count=4):
    """Storage I holds 64 MiB of the byte I."""
    model = {"w%d" % i: handmade.tensor(i, (64 << 20,), storage="Byte") for i in range(count)}
    handmade.write(path, model, {str(i): bytes([i]) * (64 << 20) for i in range(count)})
    rezip(path)


def main():
    kind, directory = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    {"sparse": sparse, "many": many, "each": each, "rezipped": rezipped, "swollen": swollen}[kind](os.path.join(directory, "model_000001.pt"))
    with open(os.path.join(directory, "meta_000001.json"), "w", encoding="utf-8") as f:
        f.write('{"step": 1}')


if __name__ == "__main__":
    main()
