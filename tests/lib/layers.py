#!/usr/bin/env python3
"""Fails on an include that points up the list of core's folders, and on a circle of files. Usage: layers.py [DIR]; `make check-layers`."""
import os
import re
import sys

FOLDERS = ["core/base", "core/file", "core/zip", "core/tensor", "core/pickle", "core/format", "core/pt", "core/tree", "core/draft", "fs"]
PRIVATE = ["private.h", "plan_private.h", "impl.h"]


def sources():
    for folder in FOLDERS:
        for name in sorted(os.listdir(folder)):
            if name.endswith((".c", ".h")):
                yield f"{folder}/{name}"


def includes(path):
    with open(path) as f:
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', f.read(), re.MULTILINE):
            beside = os.path.join(os.path.dirname(path), name)
            yield name if os.path.exists(name) else beside


def level(path):
    return FOLDERS.index(os.path.dirname(path))


def unit(path):
    """A header and its .c are one file of the house; a private header holds structs alone, and is a file of its own."""
    return path if os.path.basename(path) in PRIVATE else path.rsplit(".", 1)[0]


def circle(graph):
    """A circle in GRAPH as a list of names, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for below in sorted(graph.get(node, ())):
            found = visit(below)
            if found:
                return found
        path.pop()
        done.add(node)
        return None

    for node in sorted(graph):
        found = visit(node)
        if found:
            return found
    return None


def main():
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else ".")
    faults, graph = [], {}
    for path in sources():
        for name in includes(path):
            if os.path.dirname(name) not in FOLDERS:
                faults.append(f"{path}: includes {name}, which is in no folder of the list")
                continue
            if level(name) > level(path):
                faults.append(f"{path}: includes {name}, which stands above it")
            # A private header's structs are made of what the public header beside it declares.
            if unit(name) != unit(path) and os.path.basename(path) not in PRIVATE:
                graph.setdefault(unit(path), set()).add(unit(name))
    found = circle(graph)
    if found:
        faults.append("a circle: " + " -> ".join(found))
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
