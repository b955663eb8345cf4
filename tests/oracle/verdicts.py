#!/usr/bin/env python3
"""What torch.load(weights_only=True) of torch 2.6 opens, and what ckptfs opens, over everything at hand.

verdicts.py inputs DIR                      every input, made or copied: DIR/NAME.pt
verdicts.py record DIR JSON                 torch's verdicts and values, by the torch that runs this (2.6 or later)
verdicts.py check DIR PTCAT JSON LIST       each input as PTCAT shows it against JSON; LIST has the differences
verdicts.py compare JSON JSON LIST          whether two records say the same; the values of what LIST says that ckptfs refuses may differ

LIST: lines '# REASON: what that is', and lines of NAME, what ckptfs does (opens, refuses, values), REASON, tab-separated. A difference that isn't listed
fails, and so does a listed one that is gone.
"""
import collections
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TESTS, "gen"))
LARGE = 16 << 20    # bytes of a tensor that nobody hashes
SECONDS, MEMORY, VALUES = 30, 6 << 30, 1 << 18
FLOATS = b"".join(bytes.fromhex(x) for x in ("00000000", "0000803f", "00000040", "00004040", "00008040", "0000a040"))


# ---- the inputs ----

def copy_tree(directory, root, label):
    for base, _, files in sorted(os.walk(root)):
        for name in sorted(files):
            if name.endswith(".pt"):
                part = os.path.relpath(os.path.join(base, name), root)[:-3].replace("/", "-")
                shutil.copyfile(os.path.join(base, name), os.path.join(directory, label + "-" + part + ".pt"))


def make_cases(directory):
    import make_case
    for name, make in sorted(make_case.CASES.items()):
        if name != "legacy":
            make(os.path.join(directory, "case-" + name + ".pt"))


def make_others(directory, script, label, *parts):
    made = os.path.join(directory, ".made")
    subprocess.run([sys.executable, os.path.join(TESTS, "gen", script), made, *parts], check=True, stdout=subprocess.DEVNULL)
    for name in sorted(os.listdir(made)):
        if name.endswith(".pt"):
            os.rename(os.path.join(made, name), os.path.join(directory, label + "-" + name.replace(".optim.pt", "-optim.pt")))
    shutil.rmtree(made)


def copy_corpus(directory, target):
    import handmade
    corpus = os.path.join(TESTS, "fuzz", "corpus", target)
    for name in sorted(os.listdir(corpus)):
        path = os.path.join(directory, "corpus-%s-%s.pt" % (target, name))
        if target == "pickle":
            with open(os.path.join(corpus, name), "rb") as f:
                handmade.write(path, None, {"0": FLOATS, "1": FLOATS}, pickle=f.read())
        else:
            shutil.copyfile(os.path.join(corpus, name), path)


def inputs(directory):
    os.makedirs(directory)
    for label in "torch-1.13", "torch-2.6", "field":
        copy_tree(directory, os.path.join(TESTS, "fixtures", label), label)
    make_cases(directory)
    make_others(directory, "make_hostile.py", "hostile", "tensors", "opcodes", "targets", "disguised", "depth", "lengths", "names")
    make_others(directory, "make_zips.py", "zips")
    for target in "pt", "zip", "pickle":
        copy_corpus(directory, target)


def names_in(directory):
    return sorted(n[:-3] for n in os.listdir(directory) if n.endswith(".pt"))


# ---- torch ----

def describe(torch, t):
    """DTYPE SHAPE CRC-32; '-' for what is no array."""
    name = str(t.dtype).replace("torch.", "")
    if t.is_nested:
        return "%s - -" % name
    shape = "[%s]" % ",".join(map(str, t.shape))
    plain = t.layout == torch.strided and not t.is_quantized and t.device.type != "meta"
    if not plain or name in ("complex32",) or name.startswith("bits"):
        return "%s %s -" % (name, shape)
    size = t.numel() * t.element_size()
    if size > LARGE:
        return "%s %s %s" % (name, shape, "large" if size <= 1 << 61 else "-")
    t = t.detach().resolve_conj().resolve_neg().contiguous()
    data = t.reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""
    return "%s %s %08x" % (name, shape, zlib.crc32(data))


class Endless(Exception):
    """A value that holds itself, or so many references to the same that no end is near."""


def walk(torch, value, left, depth=0):
    """A line for each tensor in it, in order, as the outline of a shard has them; a bare storage is a 1-d tensor."""
    left[0] -= 1
    if depth > 150 or left[0] < 0:
        raise Endless
    if isinstance(value, torch.Tensor):
        yield describe(torch, value)
    elif isinstance(value, (torch.storage.TypedStorage, torch.UntypedStorage)):
        typed = isinstance(value, torch.storage.TypedStorage)
        dtype, untyped, count = value.dtype if typed else torch.uint8, value.untyped() if typed else value, len(value)
        if dtype in (torch.quint8, torch.qint8, torch.qint32):
            yield "%s [%d] -" % (str(dtype).replace("torch.", ""), count)
        else:
            yield describe(torch, torch.empty(0, dtype=dtype).set_(untyped, 0, (count,), (1,)))
    elif isinstance(value, dict):
        for v in value.values():
            yield from walk(torch, v, left, depth + 1)
        if isinstance(value, collections.OrderedDict):
            yield from walk(torch, vars(value), left, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for v in value:
            yield from walk(torch, v, left, depth + 1)


def tensors_of(torch, value):
    try:
        return short(list(walk(torch, value, [VALUES])))
    except Endless:
        return ["endless"]


def short(lines):
    """As it stands in the record: many lines as their number and their hash."""
    if len(lines) <= 12:
        return lines
    return ["%d tensors %s" % (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest())]


def load_one(torch, path, out):
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except BaseException as e:
        result = {"opens": False, "why": why(e, path)}
    else:
        result = {"opens": True, "tensors": tensors_of(torch, value)}
    os.write(out, json.dumps(result).encode())


def why(e, path):
    """What torch says of PATH in one line, without its advice; it is kept for those who read the list of differences."""
    text = str(e).replace(path, "FILE").split("WeightsUnpickler error: ")[-1].split("(Could this error message")[0]
    return ("%s: %s" % (type(e).__name__, " ".join(text.split("Please file")[0].split())))[:160]


def record(directory, to):
    import torch
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found = {}
    for name in names_in(directory):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            load_one(torch, os.path.join(directory, name + ".pt"), write_end)
            os._exit(0)
        os.close(write_end)
        with open(read_end, "rb") as f:
            data = f.read()
        os.waitpid(pid, 0)
        found[name] = json.loads(data) if data else {"opens": False, "why": "torch died of it"}
    with open(to, "w", encoding="utf-8") as f:
        json.dump(found, f, indent=0, sort_keys=True)
        f.write("\n")
    print("%d inputs, %d open in torch %s" % (len(found), sum(v["opens"] for v in found.values()), torch.__version__))


# ---- ckptfs ----

def ours(tool, directory, names):
    """What ptcat says of each file."""
    text = subprocess.run([os.path.abspath(tool)] + [n + ".pt" for n in names], cwd=directory, check=True, stdout=subprocess.PIPE).stdout
    found, lines = {}, None
    for line in text.decode("utf-8", "replace").splitlines():
        if not line.startswith("\t"):
            name, verdict, *why = line.split("\t", 2)
            lines = []
            found[name[:-3]] = {"opens": verdict == "ok", "why": verdict + ": " + "".join(why), "tensors": lines}
            continue
        lines.append(line[1:])
    for v in found.values():
        v["tensors"] = short(v["tensors"])
    return found


def difference(torch, here):
    if torch["opens"] != here["opens"]:
        return "opens" if here["opens"] else "refuses"
    return "values" if torch["opens"] and torch["tensors"] != here["tensors"] else None


def read_list(path):
    """{name: what}; every line's reason must be one that the list explains."""
    listed, reasons = {}, set()
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith("# "):
                reasons.add(line[2:].partition(":")[0])
                continue
            name, what, reason = line.rstrip("\n").split("\t")
            if reason not in reasons or name in listed:
                sys.exit("%s: %s: twice, or for a reason that isn't explained: %s" % (path, name, reason))
            listed[name] = what
    return listed


def read_record(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def finish(failures, summary):
    for line in failures[:40]:
        print("FAIL " + line[:400])
    print("%s, %d failures" % (summary, len(failures)))
    return 1 if failures else 0


def check(directory, tool, recorded, listed):
    torch, listed, failures = read_record(recorded), read_list(listed), []
    names, count = names_in(directory), len(listed)
    here = ours(tool, directory, names)
    if set(names) != set(torch):
        failures.append("the record is of other inputs, record again: %s" % sorted(set(names) ^ set(torch))[:10])
    for name in sorted(set(names) & set(torch)):
        differs, expected = difference(torch[name], here[name]), listed.pop(name, None)
        if differs != expected:
            failures.append("%s\t%s, listed: %s | ckptfs: %s | torch: %s" % (name, differs, expected, said(here[name]), said(torch[name])))
    failures += ["listed, and not there: %s" % name for name in listed]
    return finish(failures, "%d inputs, %d open in torch, %d listed differences" % (len(names), sum(v["opens"] for v in torch.values()), count))


def said(verdict):
    return verdict["tensors"] if verdict["opens"] else verdict["why"]


def compare(one, other, listed):
    a, b, listed = read_record(one), read_record(other), read_list(listed)
    failures = []
    for name in sorted(set(a) | set(b)):
        pair = [r.get(name, {"opens": None}) for r in (a, b)]
        # A storage whose record is too short is memory that nobody has written.
        values = listed.get(name) != "refuses"
        if pair[0]["opens"] != pair[1]["opens"] or (values and pair[0].get("tensors") != pair[1].get("tensors")):
            failures.append("%s: %s, %s" % (name, pair[0], pair[1]))
    return finish(failures, "%d inputs" % len(set(a) | set(b)))


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))
