#!/usr/bin/env python3
"""
Fails on an include or a call that points up the list of core's folders, and on a circle of files: of their includes, or of the
calls from one .c to another, which a header with the functions of several files would hide. Usage: layers.py [DIR]; `make
check-layers`.
"""
import os
import re
import sys

FOLDERS = ["core/base", "core/file", "core/zip", "core/tensor", "core/pickle", "core/format", "core/pt", "core/tree", "core/check", "core/draft", "fs"]
# Headers of structs for the files of one folder. The structs are made of what the public header beside them declares, and
# the file of that header needs the structs: such a header's own includes make no circle.
STRUCTS = ["core/check/private.h", "core/zip/impl.h", "core/pt/impl.h", "core/pt/private.h"]
# A part of a tensor is a tensor, so the two kinds of tensors call each other.
RECURSION = ("core/pt/rebuild_odd.c", "core/pt/rebuild.c")


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
    """A header and its .c are one file of the house. A header without a .c, which several files implement, is one of its own."""
    return path.rsplit(".", 1)[0]


def code(path):
    """The source without its comments, its strings and the names of structs."""
    with open(path) as f:
        return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\bstruct \w+', " ", f.read(), flags=re.DOTALL)


def defined(text, static):
    """The functions that a source defines, as the house writes them: the name in the line that begins the definition."""
    names = re.findall(r"^(?!typedef|struct \w+ \{)[a-z][\w \t*]*?\b(\w+)\([^;{}]*\)\s*\{", text, re.MULTILINE)
    hidden = set(re.findall(r"^static [\w \t*]*?\b(\w+)\(", text, re.MULTILINE))
    return {n for n in names if (n in hidden) == static}


def calls(paths):
    """For each .c the others of whose functions it names one."""
    text = {p: code(p) for p in paths if p.endswith(".c")}
    home = {name: p for p in text for name in defined(text[p], False)}
    graph = {}
    for p, t in text.items():
        words = set(re.findall(r"\b[a-z_]\w+(?=\s*\()|\b[a-z]\w+(?=[,;) ])", t)) - defined(t, True)
        graph[p] = {home[w] for w in words if home.get(w, p) != p and (p, home[w]) != RECURSION}
    return graph


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
    faults, graph, paths = [], {}, list(sources())
    for path in paths:
        for name in includes(path):
            if os.path.dirname(name) not in FOLDERS:
                faults.append(f"{path}: includes {name}, which is in no folder of the list")
                continue
            if level(name) > level(path):
                faults.append(f"{path}: includes {name}, which stands above it")
            if unit(name) != unit(path) and path not in STRUCTS:
                graph.setdefault(unit(path), set()).add(unit(name))
    called = calls(paths)
    for path in called:
        for name in called[path]:
            if level(name) > level(path):
                faults.append(f"{path}: calls a function of {name}, which stands above it")
    for what, found in (("a circle", circle(graph)), ("a circle of calls", circle(called))):
        if found:
            faults.append(f"{what}: " + " -> ".join(found))
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
