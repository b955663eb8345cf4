#!/usr/bin/python3
"""ckptfs --check against damage that is planted, and against what a mount shows.

check_store.py damage CKPTFS STORE DIRECTORY    each kind of damage in a copy of the nanochat STORE: its findings, all of them, and the exit status
check_store.py property CKPTFS STORE MOUNT      what is called sound is what the mount shows, and the other way round
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import zipfile

from ckpt import check, finish, read

D12 = "base_checkpoints/d12/"
MODEL, META, OPTIM0, OPTIM1 = (D12 + n for n in ("model_001000.pt", "meta_001000.json", "optim_001000_rank0.pt", "optim_001000_rank1.pt"))


def run(ckptfs, *args, **kwargs):
    """Exit status, findings as (path below the store, severity, text), and the counts."""
    done = subprocess.run([ckptfs, "--check", "--json", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **kwargs)
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    store = [a for a in args if not a.startswith("-")][-1]
    found = [(os.path.relpath(line["path"], store), line["severity"], line.get("text", "")) for line in lines[:-1]]
    return done.returncode, found, lines[-1] if lines else done.stderr.decode()


def old(store):
    """Makes everything an hour old: what is younger may be being written."""
    then = time.time() - 3600
    for top, dirs, files in os.walk(store):
        for name in files + dirs:
            os.utime(os.path.join(top, name), (then, then), follow_symlinks=False)


# ---- damage ----

def change(path, f):
    data = f(bytearray(read(path)))
    with open(path, "wb") as out:
        out.write(data)


def cut(name, part):
    return lambda s: os.truncate(s + "/" + name, int(os.path.getsize(s + "/" + name) * part))


def remove(*names):
    return lambda s: [os.remove(s + "/" + n) for n in names]


def write(name, data):
    def plant(s):
        os.makedirs(os.path.dirname(s + "/" + name), exist_ok=True)
        with open(s + "/" + name, "wb") as f:
            f.write(data)
    return plant


def meta(f, name=META):
    def plant(s):
        with open(s + "/" + name, encoding="utf-8") as file:
            m = json.load(file)
        f(m)
        with open(s + "/" + name, "w", encoding="utf-8") as file:
            json.dump(m, file, indent=2)
    return plant


def config(**values):
    return meta(lambda m: m["model_config"].update(values))


def torch_edit(name, f):
    def plant(s):
        import torch
        data = torch.load(s + "/" + name, map_location="cpu")
        f(data)
        torch.save(data, s + "/" + name)
    return plant


def foreign(name):
    """A pickle that would print something."""
    def plant(s):
        import torch

        class Evil:
            def __reduce__(self):
                return print, ("was here",)
        torch.save({"a": torch.ones(2), "b": Evil()}, s + "/" + name)
    return plant


def damage_entry(name, entry, at=0):
    """Flips a byte of an entry's data."""
    def plant(s):
        with zipfile.ZipFile(s + "/" + name) as z:
            info = next(i for i in z.infolist() if i.filename.endswith("/" + entry))
        def flip(data):
            n, m = struct.unpack("<HH", data[info.header_offset + 26:info.header_offset + 30])
            data[info.header_offset + 30 + n + m + at] ^= 0x10
            return data
        change(s + "/" + name, flip)
    return plant


def copy(a, b):
    return lambda s: shutil.copytree(s + "/" + a, s + "/" + b) if os.path.isdir(s + "/" + a) else shutil.copy(s + "/" + a, s + "/" + b)


def rename(a, b):
    return lambda s: os.rename(s + "/" + a, s + "/" + b)


NOT_LATEST = (D12[:-1], "warning", r"find_last_step names 001000, which can't be loaded; latest is 000500: retire 001000")
FOUND = {
    "nothing": (lambda s: None, 0, []),
    "an empty model": (cut(MODEL, 0), 4, [(MODEL, "error", "the file is empty"), NOT_LATEST]),
    "a torn model": (cut(MODEL, 0.5), 4, [(MODEL, "error", "no end of central directory.*restore it or resume"), NOT_LATEST]),
    "a model that is text": (write(MODEL, b"<html>404</html>"), 4, [(MODEL, "error", "zip"), NOT_LATEST]),
    "a model that is a directory": (lambda s: (os.remove(s + "/" + MODEL), os.mkdir(s + "/" + MODEL)), 4, [(MODEL, "error", "regular file"), NOT_LATEST]),
    "a flipped bit in the pickle": (damage_entry(MODEL, "data.pkl", 40), 4, [(MODEL, "error", "data.pkl"), NOT_LATEST]),
    "a foreign global": (foreign(MODEL), 4, [(MODEL, "error", "print"), NOT_LATEST]),
    "a torn shard": (cut(OPTIM1, 0.7), 4, [(OPTIM1, "error", "no end of central directory")]),
    "an empty shard": (cut(OPTIM0, 0), 4, [(OPTIM0, "error", "the file is empty")]),
    "a foreign global in a shard": (foreign(OPTIM0), 4, [(OPTIM0, "error", "print")]),
    "no metadata": (remove(META), 4, [(META, "error", "missing"), NOT_LATEST]),
    "cut metadata": (cut(META, 0.4), 4, [(META, "error", "byte"), NOT_LATEST]),
    "empty metadata": (cut(META, 0), 4, [(META, "error", "expected"), NOT_LATEST]),
    "metadata that are a list": (write(META, b"[1]"), 4, [(META, "error", "expected a JSON object"), NOT_LATEST]),
    "metadata of another step": (meta(lambda m: m.update(step=999)), 0, [(META, "warning", "`step` is 999")]),
    "another n_embd": (config(n_embd=128), 4, [(MODEL, "error", r"expected \[256,128\] by model_config in meta_001000.json, found \[256,64\]")]),
    "another vocabulary": (config(vocab_size=50304), 4, [(MODEL, "error", r"wte.*expected \[50304,64\]")]),
    "a padded vocabulary": (config(vocab_size=250), 0, []),
    "fewer heads of keys": (config(n_kv_head=1), 4, [(MODEL, "error", r"c_k.*found \[64,64\]")]),
    "more layers": (config(n_layer=6), 4, [(MODEL, "error", "12 of the 38 tensors.*transformer.h.4.attn.c_q.weight first")]),
    "fewer layers": (config(n_layer=2), 4, [(MODEL, "error", "has layer 2, but n_layer in meta_001000.json is 2")]),
    "no lm_head": (torch_edit(MODEL, lambda m: m.pop("lm_head.weight")), 4, [(MODEL, "error", "1 of the 26 tensors.*lm_head.weight first")]),
    "a matrix missing": (torch_edit(MODEL, lambda m: m.pop("transformer.h.2.mlp.c_fc.weight")), 4, [(MODEL, "error", "h.2.mlp.c_fc.weight first")]),
    "the first rank missing": (remove(OPTIM0), 4, [(OPTIM0, "error", "missing, of 2 ranks")]),
    "the last rank missing": (remove(OPTIM1), 4, [(OPTIM1, "error", "missing, of 2 ranks")]),
    "a rank of another step": (torch_edit(OPTIM1, lambda o: o["state"][0].update(step=900)), 4, [(OPTIM1, "error", "state.0.step: expected what optim_001000_rank0.pt has")]),
    "a rank with another learning rate": (torch_edit(OPTIM1, lambda o: o["param_groups"][0].update(lr=9)), 4, [(OPTIM1, "error", "param_groups")]),
    "a rank of a run on more ranks": (torch_edit(OPTIM1, lambda o: o["state"][1].update(exp_avg=o["state"][1]["exp_avg"][:64].clone())), 4, [(OPTIM1, "error", "state.1.exp_avg")]),
    "another name of rank 0": (copy(OPTIM0, D12 + "optim_001000.pt"), 0, [(D12 + "optim_001000.pt", "note", "leftover")]),
    "a name with fewer digits": (copy(MODEL, D12 + "model_2000.pt"), 0, [(D12 + "model_2000.pt", "warning", "nanochat opens model_002000.pt")]),
    "a name without a number": (copy(MODEL, D12 + "model_best.pt"), 0, [(D12 + "model_best.pt", "warning", "find_last_step takes it")]),
    "a shard without a number": (copy(OPTIM0, D12 + "optim_1000_rank0.pt"), 0, [(D12 + "optim_1000_rank0.pt", "warning", "looks like one: rename")]),
    "a step's directory": (lambda s: os.mkdir(s + "/" + D12 + "000700"), 0, [(D12 + "000700", "warning", "copy it into a mount")]),
    "metadata and shards without a model": (remove(MODEL), 0, [(n, "note", "leftover: its step has no model") for n in (META, OPTIM0, OPTIM1)]),
    "a saver's temporary file": (write(D12 + "model_002000.pt.tmp.47", b"x" * 99), 0, [(D12 + "model_002000.pt.tmp.47", "note", "99 bytes")]),
    "what was rejected": (write(D12 + "model_002000.pt.rejected", b"x" * 99), 0, [(D12 + "model_002000.pt.rejected", "note", "99 bytes")]),
    "a draft": (write(D12 + ".ckptfs/002000/files/meta.json", b"{}"), 0, [(D12 + ".ckptfs/002000", "note", "a draft, 2 bytes")]),
    "a retired step": (write(D12 + ".ckptfs/trash/000200/model_000200.pt", b"x"), 0, [(D12 + ".ckptfs/trash/000200", "note", "retired, 1 bytes: .trash/000200")]),
    "no step that loads": (cut("base_checkpoints/d20/model_000700.pt", 0.5), 4,
                           [("base_checkpoints/d20/model_000700.pt", "error", "half-written"), ("base_checkpoints/d20", "warning", "nor can another step")]),
    "a tag that is a link to nowhere": (lambda s: os.symlink("/nonexistent", s + "/base_checkpoints/d99"), 0, []),
    "a model that is a link to nowhere": (lambda s: (os.remove(s + "/" + MODEL), os.symlink("/nonexistent", s + "/" + MODEL)), 0, None),
    "a model that was written just now": (lambda s: (old(s), cut(MODEL, 0.5)(s), "young"), 0, [(MODEL, "note", "being written")]),
    "metadata that may still come": (lambda s: (old(s), remove(META)(s), os.utime(s + "/" + MODEL), "young"), 0, [(META, "note", "not there yet")]),
    "a rank that may still come": (lambda s: (old(s), remove(OPTIM1)(s), os.utime(s + "/" + OPTIM0), "young"), 0, [(OPTIM1, "note", "not there yet")]),
}


def deflate(name):
    """The file as a re-zipper leaves it."""
    def plant(s):
        with zipfile.ZipFile(s + "/" + name) as z:
            entries = [(i.filename, z.read(i)) for i in z.infolist()]
        with zipfile.ZipFile(s + "/" + name, "w", zipfile.ZIP_DEFLATED) as z:
            for entry, data in entries:
                z.writestr(entry, data)
    return plant


def both(*plants):
    return lambda s: [p(s) for p in plants]


def poison(key, *values):
    """The first elements of a tensor become VALUES."""
    def f(data):
        for i, v in enumerate(values):
            data[key].view(-1)[i] = v
    return f


def without_crcs(name):
    """torch.serialization.set_crc32_options(False) writes 0 everywhere."""
    def plant(s):
        with zipfile.ZipFile(s + "/" + name) as z:
            infos = z.infolist()
            start = z.start_dir

        def zero(data):
            at = start
            for info in infos:
                data[at + 16:at + 20] = bytes(4)
                at += 46 + sum(struct.unpack("<HHH", data[at + 28:at + 34]))
                data[info.header_offset + 14:info.header_offset + 18] = bytes(4)
                n, m = struct.unpack("<HH", data[info.header_offset + 26:info.header_offset + 30])
                after = info.header_offset + 30 + n + m + info.compress_size
                if data[info.header_offset + 6] & 8:
                    data[after + 4:after + 8] = bytes(4)
            return data
        change(s + "/" + name, zero)
    return plant


CRC = "expected the CRC [0-9a-f]{8}, found [0-9a-f]{8}: its bytes have changed"
WTE = "transformer.wte.weight"
INFINITE = float("inf")
DEEP = {
    ("a flipped bit in a tensor", ""): (damage_entry(MODEL, "data/3", 100), 0, []),
    ("a flipped bit in a tensor", "--read-data"): (damage_entry(MODEL, "data/3", 100), 4, [(MODEL, "error", "weight: " + CRC)]),
    ("a flipped bit in the last byte of a shard's tensor", "--read-data"): (damage_entry(OPTIM1, "data/0", -1 + 128 * 64 * 2), 4, [(OPTIM1, "error", "state.0.exp_avg: " + CRC)]),
    ("a flipped bit in a record that is no tensor", "--read-data"): (damage_entry(MODEL, "version"), 4, [(MODEL, "error", "version"), NOT_LATEST]),
    ("a flipped bit in a deflated tensor", "--read-data"): (both(deflate(MODEL), damage_entry(MODEL, "data/3", 1000)), 4, [(MODEL, "error", "data/3")]),
    ("a deflated file", "--read-data --finite"): (deflate(MODEL), 0, []),
    ("no CRCs", "--read-data"): (without_crcs(MODEL), 0, [(MODEL, "note", "no CRCs recorded")]),
    ("a NaN", ""): (torch_edit(MODEL, poison(WTE, float("nan"))), 0, []),
    ("a NaN", "--read-data"): (torch_edit(MODEL, poison(WTE, float("nan"))), 0, []),
    ("a NaN in bfloat16", "--finite"): (torch_edit(MODEL, poison(WTE, float("nan"))), 4, [(MODEL, "error", WTE + ": 1 NaN and 0 infinite of 16384 elements: resume from an earlier step")]),
    ("infinities in float32", "--finite"): (torch_edit(MODEL, poison("lm_head.weight", INFINITE, -INFINITE, float("nan"))), 4, [(MODEL, "error", "lm_head.weight: 1 NaN and 2 infinite")]),
    ("both", "--read-data --finite"): (both(torch_edit(MODEL, poison(WTE, float("nan"))), damage_entry(OPTIM0, "data/1", 5)), 4,
                                      [(MODEL, "error", "NaN"), (OPTIM0, "error", CRC)]),
    ("NaN in a shard", "--finite"): (torch_edit(OPTIM0, lambda o: o["state"][5]["momentum_buffer"][0].fill_(float("nan"))), 4,
                                     [(OPTIM0, "error", "state.5.momentum_buffer: 4096 NaN")]),
}


def damage(ckptfs, store, directory):
    cases = [(name, [], *case) for name, case in FOUND.items()] + [(name, flags.split(), *case) for (name, flags), case in DEEP.items()]
    for name, flags, plant, status, wanted in cases:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(store, directory, symlinks=True)
        done = plant(directory)
        if not (isinstance(done, tuple) and done[-1] == "young"):
            old(directory)
        got, found, counts = run(ckptfs, *flags, directory)
        name = " ".join([name, *flags])
        if wanted is None:
            check(got != 8 and got < 16, "%s: status %d, %r" % (name, got, found))
            continue
        check(got == status, "%s: exit status %d, expected %d: %r" % (name, got, status, found))
        check([f[:2] for f in sorted(found)] == [w[:2] for w in sorted(wanted)], "%s: found %r, expected %r" % (name, found, wanted))
        for f, w in zip(sorted(found), sorted(wanted)):
            check(re.search(w[2], f[2]), "%s: the text is '%s', expected '%s'" % (name, f[2], w[2]))
        check(counts["errors"] == sum(f[1] == "error" for f in found), "%s: counts %r" % (name, counts))
    finish("%d kinds of damage" % len(cases))


# ---- what the mount shows ----

def read_raw(directory):
    """The errno of reading each tensor of DIRECTORY, but of those that are larger than anybody can read."""
    for name in os.listdir(os.fsencode(directory)):
        path = os.path.join(os.fsencode(directory), name)
        try:
            if os.path.getsize(path) < 64 << 20:
                read(path)
        except OSError as e:
            return e.errno
    return 0


def reads(ckptfs, store, mount):
    """With --read-data: what is sound can be read to the end in the mount; what can't be read has a finding."""
    _, found, _ = run(ckptfs, "--read-data", store)
    bad = {path for path, severity, text in found if severity == "error" and "expected the CRC" not in text}
    for top, _, names in os.walk(os.path.join(store, "base_checkpoints")):
        for name in names:
            m = re.fullmatch(r"model_(\d{6,})\.pt", name)
            raw = m and os.path.join(mount, "base", os.path.basename(top), m[1], "model.raw")
            if not m or not os.path.isdir(raw):
                continue
            path = os.path.relpath(os.path.join(top, name), store)
            error = read_raw(raw)
            check(error == 0 or path in bad, "%s: called sound, but reading it in the mount is errno %d" % (path, error))


def property_(ckptfs, store, mount):
    """Of each stored file: an error in the findings is an .error in the mount. Other findings are about files that are shown all the same."""
    others = re.compile("missing|model_config|n_layer|tensors that|different runs")
    _, found, counts = run(ckptfs, store)
    bad = {path for path, severity, text in found if severity == "error" and not others.search(text)}
    files = 0
    for top, _, names in os.walk(store):
        if ".ckptfs" in top:
            continue
        for name in sorted(names):
            m = re.fullmatch(r"(model|meta|optim)_(\d{6,})(?:_(rank\d+))?\.(pt|json)", name)
            if not m or not os.path.exists(os.path.join(top, "model_%s.pt" % m[2])):
                continue
            path = os.path.relpath(os.path.join(top, name), store)
            step = os.path.join(mount, re.sub(r"(base|chatsft|chatrl)_checkpoints", lambda c: c[1].replace("chat", ""), os.path.dirname(path)), m[2])
            error = {"model": "model.error", "meta": "meta.error", "optim": "optim/%s.error" % (m[3] or "rank0")}[m[1]]
            whole = {"model": "model", "meta": "meta.json", "optim": "optim/%s.json" % (m[3] or "rank0")}[m[1]]
            sound = os.path.exists(os.path.join(step, whole)) and not os.path.exists(os.path.join(step, error))
            check(sound == (path not in bad), "%s: %s by --check, %s in the mount" % (path, "bad" if path in bad else "sound", "shown" if sound else "not shown"))
            if not sound and path in bad:
                line = read(os.path.join(step, error)).decode().strip()
                text = next(t for p, s, t in found if p == path and s == "error")
                check(text.split(": restore")[0] in line, "%s: --check says '%s', the mount '%s'" % (path, text, line))
            files += 1
    reads(ckptfs, store, mount)
    check(files > 0 and counts["failed"] == 0, "nothing was compared: %r" % counts)
    finish("%d files, %d of them bad" % (files, len(bad)))


if __name__ == "__main__":
    {"damage": damage, "property": property_}[sys.argv[1]](*sys.argv[2:])
