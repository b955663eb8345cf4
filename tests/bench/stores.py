"""The stores that bench.py reads: torch.save's format by hand, in seconds, without torch."""
import json
import os
import sys
import zlib

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "gen"))
import handmade  # noqa: E402
import history  # noqa: E402
import make_big  # noqa: E402

EMBED = 768
LAYER = (("attn.c_q", EMBED, EMBED), ("attn.c_k", EMBED, EMBED), ("attn.c_v", EMBED, EMBED),
         ("attn.c_proj", EMBED, EMBED), ("mlp.c_fc", 4 * EMBED, EMBED), ("mlp.c_proj", EMBED, 4 * EMBED))
STEP = 500


def paths(tag):
    return os.path.join(tag, "model_%06d.pt" % STEP), os.path.join(tag, "meta_%06d.json" % STEP)


def write_meta(tag):
    with open(paths(tag)[1], "w", encoding="utf-8") as f:
        f.write('{\n  "step": %d\n}' % STEP)


def shapes(size):
    """A nanochat d12 (0.8 GB as float32) with as many layers, and then vocabulary, as SIZE bytes of float32 want."""
    layers = max(1, min(12, round(12 * size / 8e8)))
    rows = max(64, (size // 4 - layers * 12 * EMBED * EMBED) // (3 * EMBED) // 64 * 64)
    for i in range(layers):
        for name, a, b in LAYER:
            yield "transformer.h.%d.%s.weight" % (i, name), (a, b)
    for name in ("transformer.wte.weight", "lm_head.weight", "value_embeds.1.weight"):
        yield name, (rows, EMBED)


class Numbers:
    """Random numbers of (0.5, 1), the same ones for each tensor, so that the CRC of a length is computed once."""

    def __init__(self, largest, bfloat16):
        bits = np.random.default_rng(1).integers(0, 1 << 23, 1 << 20, dtype=np.uint32) | np.uint32(0x3F000000)
        block = (bits >> 16).astype("<u2") if bfloat16 else bits.astype("<u4")
        self.data = memoryview(np.tile(block, largest // block.nbytes + 1).tobytes())
        self.crcs = {}

    def take(self, n):
        if n not in self.crcs:
            self.crcs[n] = zlib.crc32(self.data[:n])
        return self.data[:n], self.crcs[n]


def model(tag, size, bfloat16=False):
    """A model of SIZE bytes as float32; stored in half of it where BFLOAT16."""
    os.makedirs(tag)
    width, storage = (2, "BFloat16") if bfloat16 else (4, "Float")
    tensors = list(shapes(size))
    numbers = Numbers(max(a * b for _, (a, b) in tensors) * width, bfloat16)
    value = {key: handmade.tensor(i, shape, storage=storage) for i, (key, shape) in enumerate(tensors)}
    with open(paths(tag)[0], "wb") as f:
        w = handmade.Writer(f)
        w.entry("data.pkl", handmade.dumps(value))
        for i, (_, (a, b)) in enumerate(tensors):
            data, crc = numbers.take(a * b * width)
            w.entry("data/%d" % i, data, crc=crc, align=True)
        w.entry("version", b"3\n")
        w.finish()
    write_meta(tag)


def sparse(tag, size=100 << 30, count=25):
    """SIZE bytes, all holes."""
    os.makedirs(tag)
    each = size // count
    value = {"layer.%02d.weight" % i: handmade.tensor(i, (each // 4096, 1024)) for i in range(count)}
    handmade.write(paths(tag)[0], value, {str(i): each for i in range(count)})
    write_meta(tag)


def ranks(tag):
    os.makedirs(tag)
    make_big.ranks(paths(tag)[0])
    write_meta(tag)


def many(tag, count):
    os.makedirs(tag)
    make_big.many(paths(tag)[0], count)
    write_meta(tag)


def each(tag, count):
    """A model of COUNT tensors of 16 KiB, each in a record of its own."""
    os.makedirs(tag)
    value = {"layer.%05d.weight" % i: handmade.tensor(i, (4096,)) for i in range(count)}
    handmade.write(paths(tag)[0], value, {str(i): 16384 for i in range(count)})
    write_meta(tag)


def forest(root, tags, steps):
    """TAGS tags of STEPS steps each: one small checkpoint under many names."""
    small = os.path.join(root, "small.pt")
    os.makedirs(root)
    handmade.write(small, {"w": handmade.tensor(0, (4,))}, {"0": b"\0" * 16})
    meta = os.path.join(root, "small.json")
    with open(meta, "w", encoding="utf-8") as f:
        f.write(json.dumps({"val_bpb": 0.9, "model_config": {"n_layer": 1}}))
    for t in range(tags):
        tag = os.path.join(root, "base_checkpoints", "d%d" % (t + 1))
        os.makedirs(tag)
        for s in range(steps):
            os.link(small, os.path.join(tag, "model_%06d.pt" % (s + 1)))
            os.link(meta, os.path.join(tag, "meta_%06d.json" % (s + 1)))


def steps(root, count):
    """One tag of COUNT steps of one small checkpoint, each with metadata of its own as nanochat's base_train writes it."""
    small = os.path.join(root, "small.pt")
    os.makedirs(root)
    handmade.write(small, {"w": handmade.tensor(0, (4,))}, {"0": b"\0" * 16})
    history.many(os.path.join(root, "base_checkpoints", "d1"), count, small)


def plain(directory, count):
    """COUNT empty files: what a listing is compared with."""
    os.makedirs(directory)
    for i in range(count):
        os.close(os.open(os.path.join(directory, "layer.%06d.weight.npy" % i), os.O_CREAT | os.O_WRONLY))
