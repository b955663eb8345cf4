#!/usr/bin/python3
"""make_layout.py COUNT FILE [lie|gaps]: a model of COUNT tensors (of 16 KiB; of 64 bytes where there are more than 300), each in a record of its
own, as torch lays them out. lie: the local header of
tensor 5 has another CRC than the directory. gaps: behind each tensor's bytes lie 64 that belong to nothing. Prints where each tensor's bytes
begin, as the local headers have it: a key and a number in each line."""
import struct
import sys

import handmade


class Writer(handmade.Writer):
    def __init__(self, f, gap):
        super().__init__(f)
        self.gap, self.begins = gap, []

    def storage(self, name, data):
        self.entry(name, data, align=True)
        self.begins.append(self.f.tell() - len(data))
        self.f.write(b"\0" * self.gap)


def main(count, path, how=""):
    keys = ["layer.%05d.weight" % i for i in range(int(count))]
    numel = 4096 if len(keys) <= 300 else 16
    value = {key: handmade.tensor(i, (numel,)) for i, key in enumerate(keys)}
    with open(path, "w+b") as f:
        w = Writer(f, 64 if how == "gaps" else 0)
        w.entry("data.pkl", handmade.dumps(value))
        for i in range(len(keys)):
            w.storage("data/%d" % i, struct.pack("<f", i) * numel)
        w.entry("version", b"3\n")
        if how == "lie":
            header = w.central[6][5]
            f.seek(header + 14)
            f.write(b"\1\2\3\4")
            f.seek(0, 2)
        w.finish()
    print("".join("%s\t%d\n" % pair for pair in zip(keys, w.begins)), end="")


main(*sys.argv[1:])
