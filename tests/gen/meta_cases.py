#!/usr/bin/python3
"""meta_cases.py make TAGDIR MODEL.pt | check MOUNTEDTAG: metadata of every spelling, and what Python's json.dump makes of the patched dict.

One step per case; the model beside it is a copy of MODEL.pt.
"""
import json
import os
import shutil
import sys

CONFIG = {"sequence_len": 2048, "vocab_size": 65536, "n_layer": 3}
NASTY = "quote\" slash\\ / \b\f\n\r\t \x00\x1f\x7f\x80\u00e9\u2028\u2029\ufeff\uffff \ud800 \udfff\ud800 \U0001f600 \U0010ffff"
DOCUMENTS = [
    {"step": 1, "model_config": CONFIG},
    {"model_config": {**CONFIG, "window_pattern": "SSSL"}, "loop_state": {"min_val_bpb": float("inf")}},
    {"model_config": {"window_pattern": None}, "nan": float("nan"), "minus": [float("-inf")]},
    {"model_config": {}}, {"model_config": []}, {"model_config": None}, {}, {"window_pattern": 1},
    {"ints": [0, -0, 1, -1, 2 ** 31, -2 ** 31, 2 ** 63 - 1, 2 ** 63, -2 ** 63, -2 ** 63 - 1, 2 ** 64, 10 ** 100]},
    {"floats": [0.0, -0.0, 1.0, -1.5, 0.1, 1 / 3, 1e15, 1e16, 1e17, 123456789012345678.0, 1e22, 1e23, 1e-4, 1e-5, 9.999e-5, 5e-324,
                2.2250738585072014e-308, 1.7976931348623157e308, 0.1 + 0.2, 2.5e-7, 100000.0, 4e-05]},
    {"text": NASTY, NASTY: {"deep": [[[[]], {}], [{}], {"a": {"b": {"c": []}}}]}},
    {"": "", " ": [True, False, None], "a": {"": {}}, "\u00fc": 1, "z": [1], "A": [[], {}]},
    {"list": [{"a": 1, "b": [2, 3]}, [], {}, "x"], "user_config": {"run": "dummy", "model_tag": None}},
]
TEXTS = [  # never json.dump's, but json.load reads them
    ' {"a" : 1 , "model_config":{"n_layer":2},"a":2 ,"b":[ 1,2 ]}\n\n', '{"e": [1E5, 1e+5, 1.0E-2, -0, -0.0, 1.10, 0e0, 1e400, -1e400, 100000000000000000000.0]}',
    '{"u": "\\u00e9\\ud83d\\ude00\\ud83d\\/\\u0000", "\\u0061": 1, "a": 2}', '{"NaN": NaN, "i": [Infinity, -Infinity]}',
    '{"model_config": {"n_layer": 1}, "model_config": {"n_layer": 5}}', '\r\n\t {}',
]


def cases():
    for i, document in enumerate(DOCUMENTS):
        for indent in (None, 2, 4, 0, "\t"):
            yield json.dumps(document, indent=indent)
        if "text" not in document:  # a lone surrogate has no UTF-8
            yield json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    yield from TEXTS


def make(directory, pt):
    os.makedirs(directory, exist_ok=True)
    for step, text in enumerate(cases()):
        shutil.copy(pt, os.path.join(directory, "model_%06d.pt" % step))
        with open(os.path.join(directory, "meta_%06d.json" % step), "wb") as f:
            f.write(text.encode())


def patched(text):
    meta = json.loads(text)
    config = meta.get("model_config")
    if isinstance(config, dict) and "window_pattern" not in config:
        config["window_pattern"] = "L"
    return meta


def check(mounted):
    bad = 0
    for step, text in enumerate(cases()):
        path = os.path.join(mounted, "%06d" % step, "meta.json")
        want = json.dumps(patched(text), indent=2).encode()
        try:
            with open(path, "rb") as f:
                got = f.read()
        except OSError as e:
            got = str(e).encode()
        if got != want:
            bad += 1
            print("%s\n stored %r\n got    %r\n want   %r" % (path, text[:300], got[:300], want[:300]), file=sys.stderr)
    if bad:
        sys.exit("%d metadata differ" % bad)


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
