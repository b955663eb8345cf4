#!/usr/bin/python3
"""trips.py LOG [-v]: what a client asked of OpenSSH's sftp-server, by its log of level DEBUG3: a line of counts, `lstat=1 open=2 read=3 ... all=6`.

Calls that are one round trip are counted once: sshfs asks for a file's attributes with its open, reads a directory in requests that it sends
together, and cuts a read into pieces of 32 KiB that follow each other. close isn't waited for, and doesn't count. -v: each call in a line before."""
import collections
import re
import sys

REQUEST = re.compile(r"debug\d: request (\d+): (\w+)(.*)")
NAME = re.compile(r'(?:lstat|stat|fstat|readlink|statvfs) name "(.*)"|(?:open|opendir) "(.*?)"')
READ = re.compile(r' "(.*)" \(handle (\d+)\) off (\d+) len (\d+)')


def calls(lines):
    """Yields (kind, path)."""
    listed, opened, ends = set(), set(), {}
    for i, line in enumerate(lines):
        found = REQUEST.match(line)
        if not found or found.group(2) in ("sent", "close"):
            continue
        kind, rest = found.group(2), found.group(3)
        name = next((m for m in map(NAME.match, lines[i + 1:i + 4]) if m), None)
        path = name and (name.group(1) or name.group(2)) or rest
        if kind == "opendir":
            listed.discard(path)
        elif kind == "readdir":
            path = rest.split('"')[1]
            if path in listed:
                continue
            listed.add(path)
        elif kind == "open":
            opened.add(path)
        elif kind == "lstat" and path in opened:
            opened.discard(path)
            continue
        elif kind == "read":
            path, handle, offset, length = READ.match(rest).groups()
            place = int(offset)
            known = ends.setdefault((path, handle), set())
            joins = place in known
            known.add(place + int(length))
            if joins:
                continue
        yield kind, path


def main(log, *options):
    with open(log, errors="replace", encoding="utf-8") as f:
        found = list(calls(f.read().split("\n")))
    if options:
        print("".join("%s %s\n" % call for call in found), end="")
    counts = collections.Counter(kind for kind, _ in found)
    print(" ".join("%s=%d" % pair for pair in sorted(counts.items())), "all=%d" % len(found))


main(*sys.argv[1:])
