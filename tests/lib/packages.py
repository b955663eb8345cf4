#!/usr/bin/env python3
"""What the sources include, what the tests call and import, and which Debian package has it: all must come with tests/deps.sh.

packages.py headers|programs|modules build|test|network PACKAGE...   prints what the PACKAGEs lack, and fails if that is anything

A fresh machine has the required packages, apt, make and git; what a package depends on comes with it, what it recommends doesn't. The machine that
runs this may have more, which is why it asks dpkg whose each file is. Needs `make deps` there.
"""
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys

BASE = ["apt", "make", "git"]
# Benchmarks compare with whatever is there.
FOLDERS = ["core", "fs", "examples", "tests"]
LEFT_OUT = ["tests/bench", "tests/fuzz/corpus", "tests/fixtures"]
# Needed by make lint and make fresh-roots, which ask deps.sh for more, or used where it is there.
OPTIONAL = {"clang-tidy", "cppcheck", "shellcheck", "debootstrap", "sudo", "safetensors", "nanochat", "parallel"}
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Words of awk and Python that begin a line, and that some package has a program for.
NO_PROGRAMS = {"print", "import", "from", "next", "exit", "open", "file"}
# The next word is a command too.
PREFIXES = {"run", "refuses", "within", "timeout", "exec", "env", "nice", "setsid", "sudo", "xargs", "then", "do", "else", "if", "while", "until", "command",
            "no_mount", "unshare", "setpriv", "chroot", "runuser", "strace", "type", "echo"}


def files(kind, endings):
    """The files with these endings that `make demo` (build), `make test` or `make test-network` has a use for."""
    for top in FOLDERS:
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(f for f in folders if os.path.join(folder, f) not in LEFT_OUT)
            for path in (os.path.join(folder, n) for n in sorted(names) if n.endswith(endings)):
                if kind == "network" or kind == "test" and not path.startswith("tests/network/") or path.startswith(("core/", "fs/", "examples/demo.sh", "examples/read_numpy.py")):
                    yield path


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


# ---- packages ----

@functools.lru_cache(None)
def installed():
    """name: (is required, what it depends on: lists of alternatives), of what is installed; and who provides a name."""
    form = "${db:Status-Abbrev}\t${Package}\t${Essential}\t${Priority}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
    packages, providers = {}, {}
    for line in subprocess.run(["dpkg-query", "-W", "-f", form], check=True, capture_output=True, text=True).stdout.splitlines():
        status, name, essential, priority, depends, provides = line.split("\t")
        if not status.startswith("ii"):
            continue
        clean = [[re.match(r"[^\s:(]*", a.strip()).group() for a in clause.split("|")] for clause in depends.split(",") if clause.strip()]
        packages[name] = essential == "yes" or priority == "required", clean
        for other in provides.split(","):
            providers.setdefault(other.split("(")[0].strip(), []).append(name)
    return packages, providers


def all_that_come(wanted):
    """WANTED, and what a fresh machine has, each with what it depends on."""
    packages, providers = installed()
    come, todo = set(), [n for n, (required, _) in packages.items() if required] + BASE + list(wanted)
    while todo:
        name = todo.pop()
        if name in come:
            continue
        if name not in packages:
            todo += providers.get(name, [])[:1]
            continue
        come.add(name)
        for clause in packages[name][1]:
            todo += [a for a in clause if a in packages or a in providers][:1]
    return come


def owners(paths):
    """path: the packages that have it, under any of its names."""
    names = {}
    for path in paths:
        for p in {path, os.path.realpath(path)}:
            for q in {p, re.sub("^/usr(?=/)", "", p)}:
                names.setdefault(q, set()).add(path)
    found = {}
    done = subprocess.run(["dpkg", "-S", *names], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        of, _, path = line.rpartition(": ")
        if path in names and not of.startswith("diversion"):
            for asked in names[path]:
                found.setdefault(asked, set()).update(o.split(":")[0].strip() for o in of.split(","))
    return found


# ---- what is needed: (name, the file here that it is, who needs it) ----

def headers(kind):
    where = {}
    for path in files(kind, (".c", ".h")):
        for name in re.findall(r"^\s*#\s*include\s*<([^>]+)>", text(path), re.MULTILINE):
            where.setdefault(name, path)
    have = [p for p in ("fuse3", "libzip", "jansson", "zlib", "libdeflate", "libseccomp") if subprocess.run(["pkg-config", "--exists", p], check=False).returncode == 0]
    flags = subprocess.run(["pkg-config", "--cflags", *have], check=True, capture_output=True, text=True).stdout.split()
    for name, path in sorted(where.items()):
        done = subprocess.run(["cc", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-DFUSE_USE_VERSION=314", *flags, "-M", "-x", "c", "-"],
                              input=f"#include <{name}>\n", capture_output=True, text=True, check=False)
        yield name, next((w for w in done.stdout.split() if w.endswith("/" + name)), None), path


def commands(script):
    """The words of a shell script that may be commands. It takes more for commands than are."""
    script = re.sub(r"<<-?\s*(['\"]?)(\w+)\1(.*)\n(?:.*\n)*?\s*\2\n", r"\3\n", script)
    script = re.sub(r"(^|\s)#.*", r"\1", script, flags=re.MULTILINE)
    for line in re.split(r"\n|\|\|?|&&?|;|\$\(|[({!`'\"]", script):
        words = line.split()
        while words:
            word = words.pop(0)
            if re.fullmatch(r"-.*|[\d.]+|\w+\+?=.*", word):
                continue
            yield word
            if word not in PREFIXES:
                break


def programs(kind):
    where, own = {}, set(NO_PROGRAMS)
    for path in files(kind, (".bats", ".bash", ".sh")):
        script = text(path)
        own.update(re.findall(r"^\s*(\w+)\(\) ?[{(]", script, re.MULTILINE))
        for word in commands(script):
            where.setdefault(word, path)
    for path in files(kind, ".py"):
        for word in re.findall(r"""(?:run|Popen|call|check_output|which)\(\[?\s*["']([\w.+-]+)["']""", text(path)):
            where.setdefault(word, path)
    for word, path in sorted(where.items()):
        program = shutil.which(word, path=PATH) if re.fullmatch(r"[\w.+-]+", word) and word not in own | OPTIONAL else None
        # What isn't there at all fails where it is called.
        if program:
            yield word, program, path


def modules(kind):
    where, own = {}, {os.path.basename(p)[:-3] for p in files("test", ".py")}
    for path in files(kind, (".py", ".bats", ".bash", ".sh")):
        for names in re.findall(r"""(?:^|[;'"])\s*(?:import\s+([\w., ]+)|from\s+([\w.]+)\s+import\b)""", text(path), re.MULTILINE):
            for name in (names[0] or names[1]).split(","):
                where.setdefault(name.split()[0].split(".")[0] if name.split() else "", path)
    for name, path in sorted(where.items()):
        if name and name not in own | OPTIONAL and name not in sys.stdlib_module_names:
            spec = importlib.util.find_spec(name)
            yield name, spec and spec.origin, path


def main():
    what, kind, *wanted = sys.argv[1:]
    needed = list({"headers": headers, "programs": programs, "modules": modules}[what](kind))
    assert needed, "nothing found that is needed"
    come, of = all_that_come(wanted), owners(f for _, f, _ in needed if f)
    lacking = 0
    for name, file, path in needed:
        if not of.get(file, set()) & come:
            lacking += 1
            print(f"{path}: {name}: is {'of ' + ' '.join(sorted(of[file])) if file in of else 'of no package here'}, which tests/deps.sh {kind} doesn't install")
    print(f"{what} for {kind}: {len(needed)} needed, {lacking} lacking")
    sys.exit(lacking > 0)


main()
