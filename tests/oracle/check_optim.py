#!/usr/bin/python3
"""check_optim.py STEPDIR STORED.pt RANK: an optimizer shard's views against torch, and rankN.json, decoded, against the state_dict.

The encoding of rankN.json is core/format/outline.h's; the decoder here is written from that page.
"""
import collections
import json
import math
import os
import sys

import torch

import ckpt
import views
from ckpt import check, read


class Reference:
    """What stands where a tensor was."""

    def __init__(self, info):
        self.path, self.info = decode(info["$tensor"]), info


def special(name, value):
    if name == "$float":
        return float(value)
    if name == "$complex":
        return complex(decode(value[0]), decode(value[1]))
    if name == "$dtype":
        return getattr(torch, value)
    if name == "$dict":
        return {decode(k): decode(v) for k, v in value}
    make = {"$tuple": lambda v: tuple(map(decode, v)), "$set": lambda v: set(map(decode, v)),
            "$frozenset": lambda v: frozenset(map(decode, v)), "$bytes": lambda v: v.encode("latin-1"),
            "$bytearray": lambda v: bytearray(v.encode("latin-1")), "$utf8": lambda v: v.encode("latin-1").decode("utf-8", "surrogatepass"),
            "$size": torch.Size, "$device": torch.device}
    return make[name](value)


def decode_object(pairs):
    """PAIRS in the text's order: an object is the only thing in JSON that order matters in here."""
    first = pairs[0][0] if pairs else ""
    if first == "$tensor":
        return Reference(dict(pairs))
    ordered = first == "$ordered"
    if ordered:
        pairs = pairs[1:]
        if pairs and pairs[-1][0] == "$state":
            pairs = pairs[:-1]
    key_type = str
    if pairs and pairs[0][0] == "$keys":
        key_type, pairs = int, pairs[1:]
    elif len(pairs) == 1 and pairs[0][0].startswith("$") and not pairs[0][0].startswith("$$"):
        value = special(*pairs[0])
        return collections.OrderedDict(value) if ordered else value
    items = [(key_type(k[1:] if k.startswith("$$") else k), decode(v)) for k, v in pairs]
    return collections.OrderedDict(items) if ordered else dict(items)


class Object:
    def __init__(self, pairs):
        self.pairs = pairs


def decode(value):
    if isinstance(value, Object):
        return decode_object(value.pairs)
    return [decode(v) for v in value] if isinstance(value, list) else value


def reject_constant(text):
    raise ValueError(text + " is not JSON")


def same(got, want, path=()):
    """Equality with types, signs of zero, NaNs and orders of keys."""
    where = ".".join(path)
    if isinstance(want, torch.Tensor):
        check(isinstance(got, Reference) and got.path == where, "%s: reference %r" % (where, getattr(got, "path", got)))
        if isinstance(got, Reference):
            check(bool(got.info.get("requires_grad")) == want.requires_grad, where + ": requires_grad")
            check(bool(got.info.get("parameter")) == isinstance(want, torch.nn.Parameter), where + ": parameter")
        return
    if not check(type(got) is type(want), "%s: %r is a %s, not a %s" % (where, got, type(got).__name__, type(want).__name__)):
        return
    if isinstance(want, dict):
        check(list(got) == list(want) and [type(k) for k in got] == [type(k) for k in want], "%s: keys %r" % (where, list(got)))
        for k, v in want.items():
            same(got.get(k), v, path + (str(k),))
    elif isinstance(want, (list, tuple)):
        check(len(got) == len(want), where + ": length")
        for i, (g, w) in enumerate(zip(got, want)):
            same(g, w, path + (str(i),))
    elif isinstance(want, float):
        check(got == want and math.copysign(1, got) == math.copysign(1, want) or got != got and want != want, "%s: %r" % (where, got))
    else:
        check(got == want, "%s: %r, want %r" % (where, got, want))


def main():
    step, pt, rank = sys.argv[1:]
    state, name = ckpt.load(pt), "optim/rank" + rank
    text = read(os.path.join(step, name + ".json")).decode("utf-8")
    parsed = json.loads(text, object_pairs_hook=Object, parse_constant=reject_constant)
    same(decode(parsed), state)
    tensors = {".".join(path): t for path, t in ckpt.walk_tensors(state)}
    stored = {".".join(path): s for path, s in walk_stored(ckpt.layout(pt))}
    dtypes = {k: ckpt.dtype_name(t.dtype) for k, t in tensors.items()}
    views.check_group(step, name, tensors, dtypes, stored, pt)
    ckpt.finish("%s/%s: %d tensors" % (step, name, len(tensors)))


def walk_stored(value, path=()):
    if isinstance(value, ckpt.Stored):
        yield path, value
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from walk_stored(v, path + (str(k),))
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            yield from walk_stored(v, path + (str(i),))


if __name__ == "__main__":
    main()
