#!/usr/bin/python3
"""make_case.py CASE FILE: writes one model .pt made by hand, good or bad in one way; without arguments lists the cases."""
import io
import os
import struct
import sys
import zipfile

import handmade
from handmade import Call, Global, Pairs, RawString, tensor

FLOATS = struct.pack("<6f", *range(6))
MODEL = {"transformer.wte.weight": tensor(0, (2, 3)), "lm_head.weight": tensor(1, (3, 2))}
STORAGES = {"0": FLOATS, "1": FLOATS[::-1]}
CASES = {}


def case(function):
    CASES[function.__name__.replace("_", "-")] = function
    return function


def model(path, value, storages=None, **more):
    handmade.write(path, value, STORAGES if storages is None else storages, **more)


def one(path, **fields):
    """The model with a third tensor, which has the fault."""
    fields = {"key": 0, "shape": (2, 3), "numel": 6, **fields}
    model(path, {**MODEL, "faulty": tensor(**fields)})


def assemble(path, entries, patch=None):
    """ENTRIES: (name, data, keywords of Writer.entry)."""
    out = io.BytesIO()
    w = handmade.Writer(out)
    for name, data, more in entries:
        w.entry(name, data, **more)
    w.finish()
    blob = bytearray(out.getvalue())
    if patch:
        patch(blob)
    with open(path, "wb") as f:
        f.write(blob)


def standard(**more):
    """The good file's entries; MORE: keywords by entry name, '/' as '_'."""
    names = [("data.pkl", handmade.dumps(MODEL)), ("data/0", STORAGES["0"]), ("data/1", STORAGES["1"]), ("version", b"3\n")]
    return [(n, d, {"align": n[:5] == "data/", **more.get(n.replace("/", "_").replace(".", "_"), {})}) for n, d in names]


@case
def good(path):
    model(path, MODEL)


@case
def deflated(path):
    model(path, MODEL, method=8)


@case
def deflated_no_crcs(path):
    """Re-zipped by a program that leaves the CRCs turned off, as the file had them."""
    assemble(path, [(n, d, {"method": 8, "crc": 0}) for n, d, _ in standard()])


def version(path, *entries):
    assemble(path, [e for e in standard() if e[0] != "version"] + [(n, d, {}) for n, d in entries])


@case
def no_version(path):
    version(path)


@case
def version_word(path):
    version(path, ("version", b"three\n"))


@case
def version_empty(path):
    version(path, ("version", b""))


@case
def version_zero(path):
    version(path, ("version", b"0\n"))


@case
def version_eleven(path):
    version(path, ("version", b"11\n"))


@case
def version_large(path):
    version(path, ("version", b"99999999999999999999\n"))


@case
def version_ten(path):
    version(path, ("version", b" +0010 and more"))


@case
def version_in_data(path):
    version(path, (".data/version", b"3"))


@case
def version_twice(path):
    version(path, ("version", b"3\n"), (".data/version", b"no"))


@case
def big_endian(path):
    """As torch saves on s390x: what little-endian readers must see is 0, 1, 2, 3, 4, 5 in both."""
    with open(path, "wb") as f:
        w = handmade.Writer(f)
        w.entry("data.pkl", handmade.dumps({"float": tensor(0, (6,)), "short": tensor(1, (2, 3), storage="Short"),
                                            "complex": tensor(2, (3,), storage="ComplexFloat")}))
        w.entry("byteorder", b"big")
        w.entry("data/0", struct.pack(">6f", *range(6)), align=True)
        w.entry("data/1", struct.pack(">6h", *range(6)), align=True)
        w.entry("data/2", struct.pack(">6f", *range(6)), align=True)
        w.entry("version", b"3\n")
        w.finish()


@case
def text(path):
    with open(path, "w", encoding="ascii") as f:
        f.write("<html>404 Not Found</html>\n" * 40)


@case
def empty(path):
    with open(path, "wb"):
        pass


@case
def zeros(path):
    with open(path, "wb") as f:
        f.write(bytes(4096))


@case
def pickle_only(path):
    with open(path, "wb") as f:
        f.write(handmade.dumps({"a": 1}))


@case
def legacy(path):
    import torch
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)


@case
def truncated(path):
    good(path)
    os.truncate(path, os.path.getsize(path) * 2 // 3)


@case
def no_pickle(path):
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("archive/version", "3\n")
        z.writestr("archive/data/0", FLOATS)


@case
def two_pickles(path):
    assemble(path, standard() + [("/other/data.pkl", handmade.dumps({}), {})])


@case
def duplicate_entry(path):
    assemble(path, standard() + [("data/0", FLOATS, {})])


@case
def pickle_crc(path):
    assemble(path, standard(data_pkl={"crc": 12345}))


@case
def encrypted(path):
    def patch(blob):
        at = blob.index(b"PK\x01\x02")
        blob[at + 8] |= 1
        blob[6] |= 1
    assemble(path, standard(), patch)


@case
def strange_method(path):
    assemble(path, standard(data_0={"method": 99}))


@case
def overlapping(path):
    def patch(blob):
        first = blob.index(b"PK\x01\x02")
        second = blob.index(b"PK\x01\x02", first + 4)
        third = blob.index(b"PK\x01\x02", second + 4)
        blob[third + 42:third + 46] = blob[second + 42:second + 46]
    assemble(path, standard(), patch)


@case
def local_name(path):
    assemble(path, standard(data_0={"central_name": b"archive/data/2"}) + [("data/0", FLOATS, {})])


@case
def local_name_used(path):
    assemble(path, [(n if n != "data/0" else "data/x", d, {**m, **({"central_name": b"archive/data/0"} if n == "data/0" else {})})
                    for n, d, m in standard()])


@case
def storage_outside(path):
    assemble(path, standard(data_1={"claim": 1 << 40}))


@case
def storage_past_directory(path):
    big = tensor(1, (300, 2))
    assemble(path, [("data.pkl", handmade.dumps({**MODEL, "lm_head.weight": big}), {})] + standard(data_1={"claim": 2400})[1:])


@case
def storage_missing(path):
    model(path, MODEL, {"0": FLOATS})


@case
def storage_short(path):
    model(path, MODEL, {"0": FLOATS, "1": FLOATS[:20]})


@case
def storage_long(path):
    model(path, MODEL, {"0": FLOATS, "1": STORAGES["1"] + b"\0\0\0\0"})


@case
def tensor_offset(path):
    one(path, offset=1)


@case
def tensor_stride(path):
    one(path, stride=(4, 1))


@case
def tensor_shape(path):
    one(path, shape=(1 << 62, 1 << 62), stride=(0, 0))


@case
def tensor_huge(path):
    one(path, shape=(1 << 40,), stride=(1,))


@case
def negative_offset(path):
    one(path, offset=-1)


@case
def negative_stride(path):
    one(path, offset=5, stride=(-3, -1))


@case
def negative_shape(path):
    one(path, shape=(-2, 3))


@case
def numel_overflow(path):
    one(path, key=0, numel=(1 << 62) + 6)


@case
def foreign_global(path):
    model(path, {**MODEL, "x": Call("posix", "system", "touch " + os.environ.get("CKPTFS_CANARY", "ckptfs-was-here"))})


@case
def foreign_stack_global(path):
    pickled = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R."
    model(path, None, pickle=pickled)


@case
def foreign_instance(path):
    model(path, None, pickle=b"(X\2\0\0\0idios\nsystem\n.")


@case
def foreign_numpy(path):
    model(path, {**MODEL, "x": Global("numpy.core.multiarray", "scalar")})


@case
def extension_opcode(path):
    model(path, None, pickle=b"\x80\x02\x82\x01.")


@case
def no_stop(path):
    model(path, None, pickle=handmade.dumps(MODEL)[:-1])


@case
def doubling_dict(path):
    """A dict that weighs 2^60 when it is spelled out."""
    model(path, None, pickle=b"\x80\x02}X\x01\x00\x00\x00aK\x01" + b"q\x00h\x00h\x00\x86" * 60 + b"s.")


@case
def underflow(path):
    model(path, None, pickle=b"\x80\x02R.")


@case
def memo_missing(path):
    model(path, None, pickle=b"\x80\x02h\x07.")


@case
def setitem_on_list(path):
    model(path, None, pickle=b"\x80\x02]K\x01K\x02s.")


@case
def cycle(path):
    model(path, None, pickle=b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.")


@case
def deep(path):
    model(path, None, pickle=b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b".")


@case
def doubling(path):
    model(path, None, pickle=b"\x80\x02K\x01" + b"q\x00h\x00h\x00\x86" * 60 + b".")


@case
def long_string(path):
    model(path, None, pickle=b"\x80\x02X\xff\xff\xff\x7fabc.")


@case
def list_of_tensors(path):
    model(path, list(MODEL.values()))


@case
def just_a_number(path):
    model(path, 42)


@case
def keys(path):
    """Keys that are no file names. The order is the listing's."""
    names = ["a/b", "/", "nul\0in", "100%", "%2F", ".", "..", "", "x" * 251, "x" * 252, "y" * 255, "z" * 256, "k" * 1000, "k" * 999 + "l",
             "\u00fc" * 127, "\u00fc" * 500, "q" + "\u2603" * 400, "p" * 236 + "/" * 20, "p" * 235 + "/" * 20, "p" * 234 + "/" * 20,
             "tab\there", "new\nline", "back\\slash", "~0123456789abcdef", "\U0001f600", "\udc80 alone", "model.npy", "-rf"]
    model(path, Pairs((k, tensor(0, (1,), offset=i % 6, numel=6)) for i, k in enumerate(names)), {"0": FLOATS})


@case
def key_bytes(path):
    model(path, Pairs([("good", MODEL["lm_head.weight"]), (RawString(b"bad\xff\xfe"), MODEL["transformer.wte.weight"])]))


@case
def same_key(path):
    """A dict's items can't say a key twice, a pickle can: the first place, the last value."""
    model(path, Pairs([("a", tensor(0, (6,))), ("b", tensor(0, (2, 3))), ("a", tensor(1, (6,)))]))


@case
def number_key(path):
    model(path, {**MODEL, 7: tensor(0, (6,))})


def main():
    if len(sys.argv) != 3:
        sys.exit("\n".join([__doc__] + sorted(CASES)))
    CASES[sys.argv[1]](sys.argv[2])


if __name__ == "__main__":
    main()
