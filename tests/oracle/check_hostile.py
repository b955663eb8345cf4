#!/usr/bin/env python3
"""check_hostile.py - what make_hostile.py wrote, in a store and through a mount.

check_hostile.py store DIR STORE        STORE, a base directory with a step for each file, and healthy steps between them
check_hostile.py check DIR MOUNT PID    judges each step: its error line or its files, the processor time and the memory of daemon PID that it took
HOSTILE_NO_LIMITS=1 leaves time and memory out (sanitizers).
"""
import errno
import json
import os
import pickletools
import struct
import sys
import zipfile
import zlib

HEALTHY_EVERY = 20
# A second here; a machine that is busy, or gives memory slowly, takes up to twice that.
SECONDS, BYTES, BYTES_ALL = 2, 144 << 20, 176 << 20
FLOATS = struct.pack("<6f", *range(6))
WALKED = 1 << 20
FILES_READ, BYTES_READ = 100, 32 << 20
FILE_READ = 64 << 20  # an expanded tensor is a file that is larger than anybody can read
CODE = ("call", "name", "like", "extension", "refused")  # the cases of hostile_code.py that are refused for a name
LIMITS = not os.environ.get("HOSTILE_NO_LIMITS")


def cases(directory):
    """Step, file, what is expected, words: steps count up, and each that HEALTHY_EVERY divides is left for a healthy one."""
    with open(os.path.join(directory, "expect.tsv"), encoding="utf-8") as f:
        lines = [line.rstrip("\n").split("\t") for line in f]
    steps = (n for n in range(1, 10 ** 6) if n % HEALTHY_EVERY)
    return [(step, name, expected, words) for step, (name, expected, *words) in zip(steps, lines)]


def tag_of(base):
    return os.path.join(base, "base_checkpoints", "d1")


def store(directory, base):
    healthy = os.path.join(directory, "expanded-one.pt")
    tag = tag_of(base)
    os.makedirs(tag)
    all_cases = cases(directory)
    for step, name, _, _ in all_cases:
        model, rest = os.path.join(tag, "model_%06d.pt" % step), os.path.join(directory, name)
        if name.endswith(".optim.pt"):
            os.link(rest, os.path.join(tag, "optim_%06d_rank0.pt" % step))
            os.link(healthy, model)
        elif name.endswith(".meta.json"):
            os.link(rest, os.path.join(tag, "meta_%06d.json" % step))
            os.link(healthy, model)
        else:
            os.link(rest, model)
    for step in range(0, len(all_cases) * 2, HEALTHY_EVERY):
        os.link(healthy, os.path.join(tag, "model_%06d.pt" % step))


def read(path):
    with open(path, "rb") as f:
        return f.read()


def check_healthy(tag, step):
    step = os.path.join(tag, "%06d" % step)
    if read(step + "/model.raw/a") != FLOATS[:4] * 1000 or sorted(os.listdir(step + "/model")) != ["a.npy"]:
        return "the healthy step %s is not" % step
    return None


def wrong_line(path, words, stored):
    line = read(path).decode("utf-8", "replace")
    if line.count("\n") != 1 or line[-1] != "\n" or any(ord(c) < 32 or ord(c) == 127 for c in line[:-1]) or len(line) > 640:
        return "not one clean line: %r" % line
    missing = [w for w in [stored, *words] if w.lower() not in line.lower()]
    return "lacks %r: %s" % (missing, line) if missing else None


def sizes(directory):
    """Asks each file for its size, which may be what costs. A file that would be too large has none."""
    for entry in os.scandir(directory):
        try:
            entry.stat(follow_symlinks=False)
        except OSError as e:
            if e.errno != errno.EFBIG:
                return "%s: %s" % (entry.path, e)
    return None


def shown(step, stem, name):
    """Reads what there is to a file that is shown, but of many tensors only some."""
    for directory in stem, stem + ".raw":
        total = 0
        with os.scandir(os.path.join(step, directory)) as entries:
            for i, entry in enumerate(entries):
                if i == FILES_READ or total > BYTES_READ:
                    break
                if entry.stat().st_size > FILE_READ:
                    continue
                data = read(entry.path)
                total += len(data)
                if len(data) != entry.stat().st_size:
                    return "%s has another size than its bytes" % entry.path
                if name.startswith("key-") and directory == stem + ".raw" and data != FLOATS:
                    return "%s holds %r" % (entry.path, data)
    why = sizes(os.path.dirname(os.path.join(step, stem)))
    if why:
        return why
    read(os.path.join(step, stem + ".tsv"))
    if stem != "model":
        json.loads(read(os.path.join(step, stem + ".json")))
    return None


def verdicts(path, name):
    """What user.ckptfs.pickle may begin with. Only what a whole pickle holds is refused: a file that isn't whole is damaged."""
    try:
        with zipfile.ZipFile(path) as z:
            info = next(i for i in z.infolist() if i.filename.endswith("/data.pkl"))
            if info.file_size > BYTES_READ:
                return ("damaged: ",)
            if info.file_size > WALKED:         # pickletools would walk for minutes
                return ("refused: ", "damaged: ")
            data = z.read(info)
            list(pickletools.genops(data))
    except (zipfile.BadZipFile, zlib.error, OSError, StopIteration, NotImplementedError, RuntimeError, EOFError):
        return ("damaged: ",)
    except ValueError as e:
        # pickletools stops where the bytes end, at opcodes that it doesn't know and at arguments that make no sense;
        # of a second PROTO the first fault is that it is there.
        return ("damaged: ",) if "exhausted" in str(e) and name != "op-proto-cut.pt" else ("refused: ", "damaged: ")
    # A whole pickle may name a storage that isn't there, and the zip may lie elsewhere.
    return ("refused: ",) if name.split("-")[0] in CODE else ("refused: ", "damaged: ")


def pickle_xattr(path, stored, name, refused):
    value = os.getxattr(path, "user.ckptfs.pickle").decode("utf-8", "replace")
    if value.startswith(verdicts(stored, name) if refused else "safe"):
        return None
    return "user.ckptfs.pickle is %r" % value


def judge(made, tag, step, name, expected, words):
    directory = os.path.join(tag, "%06d" % step)
    if name.endswith(".meta.json"):
        stem, stored = "meta", "meta_%06d.json" % step
    elif name.endswith(".optim.pt"):
        stem, stored = "optim/rank0", "optim_%06d_rank0.pt" % step
    else:
        stem, stored = "model", "model_%06d.pt" % step
    error = os.path.join(directory, stem + ".error")
    refused = os.path.exists(error)
    if expected in ("ok", "error") and refused != (expected == "error"):
        return read(error).decode() if refused else "not refused"
    if stem != "meta":
        why = pickle_xattr(os.path.join(directory, stem + ".pt"), os.path.join(made, name), name, refused)
        if why:
            return why
    if refused:
        return wrong_line(error, words, stored)
    if stem == "meta":
        return None if read(os.path.join(directory, "meta.json"))[:1] == b"{" else "meta.json is no object"
    return shown(directory, stem, name)


def status(pid, field):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith(field + ":"))


def cpu(pid):
    """Seconds of the processor that PID has taken, with its threads."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def begin(pid):
    """Processor time and memory so far. Only root can let VmHWM start anew: for a user it is what all cases before took, too."""
    try:
        with open("/proc/%d/clear_refs" % pid, "w") as f:
            f.write("5")
        return cpu(pid), status(pid, "VmRSS")
    except PermissionError:
        return cpu(pid), status(pid, "VmHWM")


def limits(pid, start, before):
    took, peak = cpu(pid) - start, status(pid, "VmHWM")
    if LIMITS and (took > SECONDS or peak - before > BYTES or peak > BYTES_ALL):
        return "%.2f s, %d KiB more, %d KiB" % (took, (peak - before) >> 10, peak >> 10)
    return None


def check(directory, mount, pid):
    pid, tag, failures, worst = int(pid), os.path.join(mount, "base", "d1"), 0, (0, 0, "")
    all_cases = cases(directory)
    for step, name, expected, words in all_cases:
        start, before = begin(pid)
        try:
            why = judge(directory, tag, step, name, expected, words) or limits(pid, start, before)
            worst = max(worst, (status(pid, "VmHWM") - before, cpu(pid) - start, name))
            why = why or check_healthy(tag, step // HEALTHY_EVERY * HEALTHY_EVERY)
        except OSError as e:
            why = str(e)
        if why:
            failures += 1
            print("FAIL %06d %s: %s" % (step, name, why))
    print("%d hostile files, %d failures; most memory: %d KiB in %.2f s by %s" %
          (len(all_cases), failures, worst[0] >> 10, worst[1], worst[2]))
    return 1 if failures or not all_cases else 0


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))
