#!/usr/bin/env python3
"""make_zips.py DIR [PART...] - writes good and hostile .pt zips into DIR.

PART is the name of a function below; the default is all but unrecorded. DIR/expect.tsv has a line per file: its name, and "ok"
or a part of the error that must be reported. Behind an "ok" stands whether it is "torch"'s, which has a record `version`, or a "zip" alone. For each good file NAME there is NAME.list with what zipls must
print. It comes from Python's zipfile and from the local headers in the bytes, never from ckptfs.
"""
import io
import os
import struct
import sys
import zipfile
import zlib

OUT = sys.argv[1]
EXPECT = []
PICKLE = b"\x80\x02}q\x00."
U16, U32 = 0xFFFF, 0xFFFFFFFF


def emit(name, data, expect):
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)
    EXPECT.append((name, expect) if expect != "ok" else (name, expect, "torch" if listing(name) else "zip"))


def listing(name):
    """What zipls prints for a good file, by zipfile; returns whether it has torch's record `version`."""
    path = os.path.join(OUT, name)
    lines = []
    with open(path, "rb") as f, zipfile.ZipFile(path) as z:
        for i in z.infolist():
            if i.is_dir():
                continue
            f.seek(i.header_offset + 26)
            name_len, extra_len = struct.unpack("<HH", f.read(4))
            at = i.header_offset + 30 + name_len + extra_len
            lines.append("\t".join(map(str, (
                i.filename.split("/", 1)[1], i.compress_type, i.file_size, i.compress_size, i.header_offset,
                "-" if i.compress_type else at, "%08x" % i.CRC))) + "\n")
    with open(path + ".list", "w") as f:
        f.writelines(lines)
    return any(line.startswith("version\t") for line in lines)


def deflate(data):
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    return c.compress(data) + c.flush()


class Entry:
    """One entry. Keyword arguments lie: c_* in the central record, l_* in the local header, others in both."""

    def __init__(self, name, data=b"", method=0, **lie):
        self.stored = deflate(data) if method == 8 else data
        true = dict(sig=None, flags=0, method=method, crc=zlib.crc32(data), csize=len(self.stored),
                    usize=len(data), name=name.encode() if isinstance(name, str) else name, extra=b"", offset=None,
                    disk=0, comment=b"", tail=b"")
        self.fields = {}
        for side in "lc":
            f = dict(true)
            for k, v in lie.items():
                if k.startswith(side + "_"):
                    f[k[2:]] = v
                elif k in true:
                    f[k] = v
            self.fields[side] = f

    def local(self):
        f = self.fields["l"]
        return struct.pack("<4sHHHHHIIIHH", f["sig"] or b"PK\3\4", 20, f["flags"], f["method"], 0, 33, f["crc"],
                           f["csize"], f["usize"], len(f["name"]), len(f["extra"])) + f["name"] + f["extra"]

    def central(self, offset):
        f = self.fields["c"]
        return struct.pack("<4sHHHHHHIIIHHHHHII", f["sig"] or b"PK\1\2", 20, 20, f["flags"], f["method"], 0, 33,
                           f["crc"], f["csize"], f["usize"], len(f["name"]), len(f["extra"]), len(f["comment"]),
                           f["disk"], 0, 0, offset if f["offset"] is None else f["offset"]) \
            + f["name"] + f["extra"] + f["comment"]


def end(count, size, offset, comment=b"", disk=0):
    return struct.pack("<4sHHHHIIH", b"PK\5\6", disk, disk, count, count, size, offset, len(comment)) + comment


def end64(count, size, offset, at, where=None, rest=44, disks=1):
    return struct.pack("<4sQHHIIQQQQ", b"PK\6\6", rest, 45, 45, 0, 0, count, count, size, offset) \
        + struct.pack("<4sIQI", b"PK\6\7", 0, at if where is None else where, disks)


def build(entries, prefix=b"", base=0, comment=b"", gap=b"", **lie):
    """A zip. Lies about the end record: count, size, offset. BASE is added to all offsets."""
    out = bytearray(prefix)
    where = []
    for e in entries:
        where.append(len(out) - len(prefix) + base)
        out += e.local() + e.stored + e.fields["l"]["tail"]
    out += gap
    at = len(out) - len(prefix) + base
    cd = b"".join(e.central(w) for e, w in zip(entries, where))
    out += cd + end(lie.get("count", len(entries)), lie.get("size", len(cd)), lie.get("offset", at), comment)
    return bytes(out)


VERSION = Entry("archive/version", b"3\n")


def usual(*more):
    return [Entry("archive/data.pkl", PICKLE), Entry("archive/data/0", bytes(range(64))), VERSION, *more]


def good():
    emit("plain.pt", build(usual()), "ok")
    emit("only-pickle.pt", build([Entry("archive/data.pkl", PICKLE)]), "ok")
    emit("comment.pt", build(usual(), comment=b"a comment"), "ok")
    emit("gap.pt", build(usual(), gap=b"\0" * 100), "ok")
    emit("padding.pt", build([Entry("m/data.pkl", PICKLE, l_extra=b"FB\x0a\0" + b"Z" * 10)]), "ok")
    emit("descriptor.pt", build([
        Entry("m/data.pkl", PICKLE, flags=8, l_crc=0, l_csize=0, l_usize=0,
              l_tail=b"PK\7\x08" + struct.pack("<III", zlib.crc32(PICKLE), len(PICKLE), len(PICKLE)))]), "ok")
    emit("directories.pt", build([Entry("archive/"), Entry("archive/data.pkl", PICKLE), Entry("archive/data/"),
                                  Entry("archive/data/0", b"abcd")]), "ok")
    emit("empty-storage.pt", build(usual(Entry("archive/data/1", b""))), "ok")
    emit("deflated.pt", build([Entry("archive/data.pkl", PICKLE, 8), Entry("archive/data/0", b"x" * 100000, 8),
                               Entry("archive/data/1", bytes(range(256)) * 999, 8),
                               Entry("archive/data/2", b"", 8), Entry("archive/version", b"3\n")]), "ok")
    emit("deflated-descriptor.pt", build([
        Entry("archive/data.pkl", PICKLE, 8, flags=8, l_crc=0, l_csize=0, l_usize=0,
              l_tail=b"PK\7\x08" + bytes(12)), Entry("archive/data/0", b"y" * 5000, 8)]), "ok")
    emit("long-name.pt", build(usual(Entry("archive/" + "n" * 65000, b"1"))), "ok")
    # Entries that zip64 fields describe although they are small, as streaming writers do.
    z = struct.pack("<HHQQ", 1, 16, len(PICKLE), len(PICKLE))
    emit("zip64-sizes.pt", build([Entry("archive/data.pkl", PICKLE, csize=U32, usize=U32, extra=z)]), "ok")
    emit("zip64-offset.pt", build([Entry("archive/data.pkl", PICKLE, c_offset=U32,
                                         c_extra=struct.pack("<HHQ", 1, 8, 0))]), "ok")
    emit("record-comment.pt", build(usual(Entry("archive/x", b"1", c_comment=b"words"))), "ok")
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", zipfile.ZIP_DEFLATED) as w:
        for e in usual():
            w.writestr(e.fields["c"]["name"].decode(), e.stored)
    emit("python-zipfile.pt", b.getvalue(), "ok")


def many():
    for count, name in ((65535, "entries-65535.pt"), (65536, "entries-65536.pt")):
        b = io.BytesIO()
        with zipfile.ZipFile(b, "w") as w:
            for i in range(count - 1):
                w.writestr(zipfile.ZipInfo("archive/data/%d" % i), b"")
            w.writestr(zipfile.ZipInfo("archive/data.pkl"), PICKLE)
        emit(name, b.getvalue(), "ok")


def no_zips():
    legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    emit("empty.pt", b"", "the file is empty")
    emit("one-byte.pt", b"P", "not a zip file")
    emit("legacy.pt", legacy + b"\0" * 500, "a legacy torch file")
    emit("legacy-short.pt", legacy, "a legacy torch file")
    emit("pickle.pt", PICKLE, "a bare pickle")
    tar = bytearray(1024)
    tar[:6], tar[257:263] = b"pickle", b"ustar\0"
    emit("tar.pt", bytes(tar), "a tar")
    emit("zeros.pt", b"\0" * 4096, "not a zip file")
    emit("text.pt", b"version https://git-lfs.github.com/spec/v1\n", "not a zip file")
    emit("no-entries.pt", end(0, 0, 0), "no entries")
    whole = build([Entry("archive/data.pkl", PICKLE), Entry("archive/data/0", bytes(1000))])
    for i in range(1, 16):
        emit("cut-%02d.pt" % i, whole[:len(whole) * i // 16], "truncated or half-written")
    emit("cut-last.pt", whole[:-1], "truncated or half-written")


def names():
    emit("no-pickle.pt", build([Entry("archive/data/0", b"1")]), "no data.pkl: not a torch.save file")
    emit("twice.pt", build(usual(Entry("archive/data/0", b"other"))), "data/0: two entries of this name")
    emit("two-pickles.pt", build(usual(Entry("archive/data.pkl", PICKLE))), "data.pkl: two entries")
    # What torch.load would read of these is another file: miniz takes small and capital letters for the same.
    emit("capitals.pt", build(usual(Entry("archive/DATA.PKL", PICKLE))), "differ only in capital letters")
    emit("capitals-top.pt", build(usual(Entry("ARCHIVE/data.pkl", PICKLE))), "ARCHIVE/data.pkl: an entry outside")
    emit("torchscript.pt", build(usual(Entry("archive/constants.pkl", b"\x80\x02)."))), "constants.pkl: a TorchScript archive")
    emit("two-tops.pt", build(usual(Entry("x/data.pkl", PICKLE))), "x/data.pkl: an entry outside")
    emit("top-prefix.pt", build(usual(Entry("archive2/data.pkl", PICKLE))), "an entry outside")
    emit("no-top.pt", build([Entry("data.pkl", PICKLE)]), "data.pkl: an entry outside")
    emit("dotdot.pt", build(usual(Entry("archive/../../etc/x", b"1"))), "'..' parts")
    emit("dotdot-top.pt", build([Entry("../data.pkl", PICKLE)]), "'..' parts")
    emit("dot.pt", build(usual(Entry("archive/./data/1", b"1"))), "'..' parts")
    emit("absolute.pt", build(usual(Entry("/archive/data/1", b"1"))), "expected a relative name")
    emit("double-slash.pt", build(usual(Entry("archive//data/1", b"1"))), "empty, '.'")
    emit("nul.pt", build(usual(Entry(b"archive/data/1\0x", b"1"))), "found an empty one or a NUL")
    emit("empty-name.pt", build(usual(Entry("", b"1"))), "found an empty one or a NUL")
    emit("full-directory.pt", build(usual(Entry("archive/d/", b"1"))), "expected a directory without bytes, found 1")
    # 2^15 names that are one to a hash function in wide use, h * 33 + c. Nobody's time may go by them.
    same = ["".join("BA" if i >> k & 1 else "Ab" for k in range(15)) for i in range(1 << 15)]
    emit("collisions.pt", build(usual(*(Entry("archive/" + n) for n in same))), "ok")
    emit("collisions-top.pt", build(usual(*(Entry(n + "/data/0") for n in same))), "an entry outside")
    emit("unicode-path.pt", build(usual(Entry("archive/a", b"1", c_extra=struct.pack(
        "<HHBI", 0x7075, 5 + 9, 1, zlib.crc32(b"archive/a")) + b"archive/b"))), "archive/a: its Unicode path extra field has another name")


def unrecorded():
    """Good zips beside the default's, of all of which torch's verdicts are recorded."""
    emit("end-in-data.pt", build(usual(Entry("archive/data/1", end(0, 0, 0)))), "ok")
    # As zip tools write it where a name isn't ASCII.
    emit("unicode-path-same.pt", build(usual(Entry("archive/a", b"1", c_extra=struct.pack(
        "<HHBI", 0x7075, 5 + 9, 1, zlib.crc32(b"archive/a")) + b"archive/a"))), "ok")


def fields():
    for flag, name in ((1, "encrypted"), (0x40, "strong-alone"), (0x41, "strong"), (0x2000, "masked")):
        emit(name + ".pt", build(usual(Entry("archive/data/1", b"1" * 20, flags=flag))), "encrypted")
    emit("patched.pt", build(usual(Entry("archive/data/1", b"1", flags=0x20))), "patch data")
    for method in (1, 9, 12, 14, 93, 95):
        emit("method-%d.pt" % method, build(usual(Entry("archive/data/1", b"1", method))),
             "compression method %d" % method)
    emit("local-name.pt", build([Entry("archive/data.pkl", PICKLE, l_name=b"archive/datap.kl"), VERSION]), "disagree about the name")
    emit("local-name-longer.pt", build(usual(Entry("archive/a", b"1" * 9, l_name=b"archive/aa"))), "disagree about the name")
    emit("local-size.pt", build(usual(Entry("archive/a", b"1", l_usize=2))), "disagree about the size")
    emit("local-stored-size.pt", build(usual(Entry("archive/a", b"1", l_csize=2))), "disagree about the stored size")
    emit("local-crc.pt", build(usual(Entry("archive/a", b"1", l_crc=2))), "disagree about the CRC")
    emit("local-method.pt", build(usual(Entry("archive/a", b"1", l_method=8))), "disagree about the method")
    emit("local-encrypted.pt", build(usual(Entry("archive/a", b"1", l_flags=1))), "disagree about the flags")
    emit("local-descriptor.pt", build(usual(Entry("archive/a", b"1", l_flags=8, l_usize=0))), "disagree about the flags")
    emit("descriptor-size.pt", build(usual(Entry("archive/a", b"1", flags=8, l_usize=7))), "disagree about the size")
    emit("local-sig.pt", build(usual(Entry("archive/a", b"1", l_sig=b"PK\3\5"))), "expected a local header at")
    emit("local-zip64-none.pt", build(usual(Entry("archive/a", b"1", l_usize=U32))), "without one zip64 field")
    emit("local-zip64-lie.pt", build(usual(Entry("archive/a", b"1", l_usize=U32, l_extra=struct.pack(
        "<HHQQ", 1, 16, 2, 1)))), "disagree about the size")
    # Fields of all ones, of which the zip64 field of the central directory must have the values.
    one = struct.pack("<HHQQ", 1, 16, 1, 1)
    for field, ones in ("sizes", {"c_csize": U32, "c_usize": U32}), ("offset", {"c_offset": U32}):
        for name, extra, words in (("none", b"", "without one zip64 field"), ("two", one * 2, "without one zip64 field"),
                                   ("short", struct.pack("<HHI", 1, 4, 1), "the zip64 field is too short")):
            emit("zip64-%s-%s.pt" % (field, name), build(usual(Entry("archive/a", b"1", c_extra=extra, **ones))), words)
    emit("stored-sizes.pt", build(usual(Entry("archive/a", b"1", usize=2))), "found 2 and 1")
    emit("pickle-crc.pt", build([Entry("archive/data.pkl", PICKLE, crc=1), VERSION]), "data.pkl: its CRC is ")
    emit("pickle-crc-deflated.pt", build([Entry("archive/data.pkl", PICKLE, 8, crc=1), VERSION]), "data.pkl: its CRC is ")
    emit("deflated-crc.pt", build(usual(Entry("archive/data/1", b"z" * 999, 8, crc=1))), "data/1: its CRC is ")
    emit("record-sig.pt", build(usual(Entry("archive/a", b"1", c_sig=b"PK\1\1"))), "expected a central directory record at")
    emit("record-disk.pt", build(usual(Entry("archive/a", b"1", c_disk=1))), "several disks")
    emit("bad-deflate.pt", build(usual(Entry("archive/a", b"\xff" * 50, c_method=8, l_method=8))), "a: expected deflated bytes, zlib found: invalid block type")


def bombs():
    # A block that starts with an empty window can be repeated: 1 MB that inflate to 1 GB.
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = c.compress(bytes(1 << 20)) + c.flush(zlib.Z_FULL_FLUSH)
    bomb = block * 1000 + c.flush()

    def entry(usize):
        e = Entry("archive/data/0", b"", 8, usize=usize, csize=len(bomb), crc=0)
        e.stored = bomb
        return [Entry("archive/data.pkl", PICKLE), e, VERSION]
    emit("bomb-small.pt", build(entry(100)), "inflates to more than its 100 bytes")
    z = Entry("archive/data/0", b"", 8, csize=len(bomb), usize=U32, crc=0,
              extra=struct.pack("<HHQ", 1, 8, 1 << 50))
    z.fields["l"]["extra"] = struct.pack("<HHQQ", 1, 16, 1 << 50, len(bomb))
    z.stored = bomb
    emit("bomb-huge.pt", build([Entry("archive/data.pkl", PICKLE), z, VERSION]), "inflates to 1125899906842624 bytes; at most")
    emit("bomb-pickle.pt", build([Entry("archive/data.pkl", PICKLE, 8, usize=U32 - 1), VERSION]), "data.pkl: 4294967294 bytes; at most")
    emit("deflate-short.pt", build([Entry("archive/data.pkl", PICKLE, 8, usize=1000), VERSION]), "data.pkl: ")


def geometry():
    emit("past-end.pt", build(usual(Entry("archive/a", b"1", c_offset=10**6))), "do not end before the central directory")
    emit("past-end-size.pt", build(usual(Entry("archive/a", b"1", c_csize=10**6, c_usize=10**6))), "do not end before")
    emit("wrap.pt", build(usual(Entry("archive/a", b"1", c_offset=U32, c_extra=struct.pack(
        "<HHQ", 1, 8, (1 << 64) - 1)))), "do not end before the central directory")
    emit("wrap-size.pt", build(usual(Entry("archive/a", b"1", c_csize=U32, c_usize=U32, c_extra=struct.pack(
        "<HHQQ", 1, 16, (1 << 64) - 8, (1 << 64) - 8)))), "do not end before")
    emit("same-place.pt", build([Entry("archive/data.pkl", PICKLE), Entry("archive/a", b"1"),
                                 Entry("archive/b", b"1", c_offset=0)]), "overlap")
    # A quote of the next local header: the first entry's data runs over the second entry.
    inner = Entry("archive/data/1", b"q" * 10)
    outer = Entry("archive/data/0", inner.local() + inner.stored)
    at = 30 + len("archive/data.pkl") + len(PICKLE) + 30 + len("archive/data/0")
    e = Entry("archive/data/1", b"q" * 10, c_offset=at)
    e.stored, e.local = b"", lambda: b""
    emit("overlap.pt", build([Entry("archive/data.pkl", PICKLE), outer, e]), "data/0: entries overlap")
    # Only the extra field of the local header reaches into the next entry.
    emit("overlap-extra.pt", build([Entry("archive/data.pkl", PICKLE),
                                    Entry("archive/a", b"1" * 8), Entry("archive/b", b"2" * 8), VERSION])
         .replace(b"\0\0archive/a11111111", b"\xff\0archive/a11111111", 1), "do not end before the next entry")
    emit("prefix.pt", build(usual(), prefix=b"#!/bin/sh\n"), "bytes in front of the zip")
    emit("prefix-adjusted.pt", build(usual(), prefix=b"#!/bin/sh\n", base=10), "10 bytes in front of the first entry")
    emit("suffix.pt", build(usual()) + b"junk", "ok")
    emit("suffix-newline.pt", build(usual()) + b"\n", "ok")
    emit("suffix-comment.pt", build(usual(), comment=b"a comment") + bytes(300), "ok")
    emit("suffix-longest.pt", build(usual()) + bytes(65535), "ok")
    emit("suffix-too-long.pt", build(usual()) + bytes(65536), "no end of central directory")
    emit("suffix-end.pt", build(usual()) + end(0, 0, 0)[:-2] + b"\1\0x", "does not end at")
    emit("comment-cut.pt", build(usual(), comment=b"a comment")[:-1], "a comment of 9 bytes")


def ends():
    one, other = build(usual()), build([Entry("archive/data.pkl", PICKLE, 0)])
    cd = other[other.index(b"PK\1\2"):other.index(b"PK\5\6")]
    emit("end-in-comment.pt", build(usual(), comment=b"x" + end(0, 0, 0)), "two ends of central directory")
    inner = cd + end(1, len(cd), len(one))
    emit("zip-in-comment.pt", one[:-2] + struct.pack("<H", len(inner)) + inner, "two ends of central directory")
    emit("two-ends.pt", one + end(3, 0, 0), "does not end at")
    emit("end-disk.pt", one[:-22] + end(3, 0, 0, disk=1), "several disks")
    emit("end-count-low.pt", build(usual(), count=2), "more than its 2 entries")
    emit("end-count-high.pt", build(usual(), count=4), "4 entries can't be in")
    emit("end-count-huge.pt", build(usual(), count=65535), "65535 entries can't be in")
    emit("end-size.pt", build(usual(), size=10), "does not end at")
    emit("end-offset.pt", build(usual(), offset=10**6), "does not end at")
    emit("end-offset-ones.pt", build(usual(), offset=U32), "does not end at")
    body, at = one[:one.index(b"PK\1\2")], one.index(b"PK\1\2")
    cd = one[at:one.index(b"PK\5\6")]
    n = len(cd)

    def zip64(expect, name, c=3, s=n, o=at, narrow=(U16, U32, U32), **lie):
        emit("zip64-end-" + name + ".pt", body + cd + end64(c, s, o, at + n, **lie) + end(*narrow), expect)
    zip64("ok", "ones", narrow=(U16, U32, U32))
    zip64("ok", "repeats", narrow=(3, n, at))
    zip64("disagree", "lies", narrow=(2, n, at))
    zip64("can't be in a central directory", "count", c=1 << 40)
    zip64("can't be in a central directory", "count-max", c=(1 << 64) - 1)
    zip64("does not end at", "size", s=1 << 40)
    zip64("does not end at", "size-max", s=(1 << 64) - 1)
    zip64("does not end at", "offset", o=1 << 62)
    zip64("does not end at", "offset-max", o=(1 << 64) - 1)
    zip64("not in front of its locator", "where", where=1 << 40)
    zip64("not in front of its locator", "where-max", where=(1 << 64) - 1)
    zip64("where its locator says", "where-wrong", where=4)
    zip64("where its locator says", "rest", rest=1 << 63)
    zip64("several disks", "disks", disks=2)
    # 600,000 records of 54 bytes are more than we read; none of them is looked at.
    many = Entry("a/data.pkl", b"").central(0) * 600000
    b = Entry("a/data.pkl", b"").local()
    emit("entries-too-many.pt", b + many + end64(600000, len(many), len(b), len(b) + len(many))
         + end(U16, U32, U32), "600000 entries; at most 131072 are read")
    # As many as we read, of names that are too long for so many.
    many = Entry("a" * 60 + "/data.pkl", b"").central(0) * 131072
    b = Entry("a" * 60 + "/data.pkl", b"").local()
    emit("entries-too-long.pt", b + many + end64(131072, len(many), len(b), len(b) + len(many))
         + end(U16, U32, U32), "a central directory of")


def main():
    os.makedirs(OUT, exist_ok=True)
    parts = (good, many, no_zips, names, fields, bombs, geometry, ends)
    for part in (*parts, unrecorded):
        if part.__name__ in sys.argv[2:] or not sys.argv[2:] and part in parts:
            part()
    with open(os.path.join(OUT, "expect.tsv"), "w") as f:
        f.writelines("\t".join(line) + "\n" for line in EXPECT)


main()
