"""What the tests of crashes and faults share: a daemon with tests/lib/shims/faults.c loaded, checkpoints to write, and what
must be true of a store afterwards.

Environment: CKPTFS the program, CKPTFS_SHIM the shared object, CKPTFS_OPTIONS more options for the mount (as "-o
sandbox=off").
"""
import collections
import io
import json
import mmap
import os
import struct
import subprocess
import time

import numpy as np
import torch

CKPTFS = os.environ.get("CKPTFS", "./ckptfs")
SHIM = os.environ.get("CKPTFS_SHIM", "")
OPTIONS = os.environ.get("CKPTFS_OPTIONS", "").split()
COUNT_AT = 2048
PAUSED_AT = 2056


class Daemon:
    """A mount of STORE; with the shim, its faults are set by arm() and the calls since then counted."""

    def __init__(self, store, mnt, options=(), record=None, arm=None):
        self.mnt = mnt
        os.makedirs(mnt, exist_ok=True)
        env = dict(os.environ)
        self.control = None
        if SHIM:
            path = mnt + ".faults"
            with open(path, "wb") as f:
                f.write(bytes(4096))
            with open(path, "r+b") as f:
                self.control = mmap.mmap(f.fileno(), 4096)
            if arm:
                self.arm(*arm)
            env.update(LD_PRELOAD=SHIM, CKPTFS_FAULTS=path)
            # For a sanitized daemon, whose runtime would come first.
            env["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=0"
            if record:
                env["CKPTFS_RECORD"] = record
        self.log = mnt + ".log"
        with open(self.log, "ab") as f:
            self.process = subprocess.Popen([CKPTFS, "-f", *OPTIONS, *options, store, mnt], env=env, stdout=f, stderr=f)
        self.await_mount()

    def await_mount(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if os.path.ismount(self.mnt):
                return
            if self.process.poll() is not None:
                if self.process.returncode < 0:
                    return          # killed, as it was asked to be
                break
            time.sleep(0.002)
        raise SystemExit("not mounted: " + open(self.log, errors="replace").read()[-2000:])

    def arm(self, ops="all", nth=1, count=1, action=0):
        """From now on the NTH to NTH + COUNT - 1 of OPS fail by ACTION: "before", "after", "pause" or an errno. NTH 0: only count."""
        text = ("%s %d %d %s" % (ops, nth or 1 << 60, count, action)).encode() + b"\0"
        self.control[COUNT_AT:COUNT_AT + 8] = bytes(8)
        self.control[:len(text)] = text

    def disarm(self):
        self.control[0:1] = b"\0"

    def count(self):
        return struct.unpack_from("<Q", self.control, COUNT_AT)[0]

    def died(self):
        return self.process.poll() is not None

    def await_kill(self, nth, seconds=10):
        """Whether the kill that was armed for the NTH call came. It doesn't where fewer calls were needed than when they
        were counted, which depends on what came at the same time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            check(self.count() < nth, "not killed at call", nth, "of", self.count())
            return False
        return True

    def await_pause(self, nth, writer):
        """The NTH call waits, as it was armed to, until go_on(); or WRITER, a thread, ended before there were so many."""
        while not self.control[PAUSED_AT] and writer.is_alive():
            time.sleep(0.002)
        check(self.control[PAUSED_AT] or self.count() < nth, "not paused at call", nth, "of", self.count())

    def go_on(self):
        self.disarm()
        self.control[PAUSED_AT] = 0

    def kill(self):
        """SIGKILL, and what a user does then."""
        self.process.kill()
        self.process.wait()
        subprocess.run(["fusermount3", "-uz", self.mnt], stderr=subprocess.DEVNULL, check=False)

    def unmount(self):
        """In order; a daemon that then ends badly fails the test."""
        for _ in range(100):
            if subprocess.run(["fusermount3", "-u", self.mnt], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                break
            time.sleep(0.02)
        else:
            raise SystemExit(self.mnt + " stayed busy")
        if self.process.wait(10) != 0:
            raise SystemExit("the daemon ended with %d" % self.process.returncode)


# ---- what is written ----

def npy(t):
    """The tensor as a .npy file: numpy.save's bytes; bfloat16 as '<V2'."""
    out = io.BytesIO()
    if t.dtype == torch.bfloat16:
        np.lib.format.write_array_header_1_0(out, {"descr": "<V2", "fortran_order": False, "shape": tuple(t.shape)})
        out.write(t.view(torch.int16).numpy().tobytes())
    else:
        np.save(out, t.numpy())
    return out.getvalue()


def safetensors(tensors):
    """A file of float32 and int64 tensors after the format's specification."""
    header, data = {}, b""
    for key, t in tensors.items():
        raw = t.numpy().tobytes()
        header[key] = {"dtype": {torch.float32: "F32", torch.int64: "I64"}[t.dtype], "shape": list(t.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def pt(value):
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def model(seed, floats=True):
    """Its keys are not in the order of their names."""
    g = torch.Generator().manual_seed(seed)
    sd = collections.OrderedDict()
    sd["transformer.wte.weight"] = torch.randn(33, 7, generator=g)
    sd["lm_head.weight"] = torch.randn(65, 5, generator=g)
    if floats:
        sd["head.bf16"] = torch.randn(9, generator=g).to(torch.bfloat16)
    sd["counts"] = torch.randint(1 << 40, (3,), generator=g)
    return sd


def optimizer(seed):
    g = torch.Generator().manual_seed(seed)
    return {"state": {0: {"step": seed, "exp_avg": torch.randn(4, 5, generator=g)}, 7: {"momentum_buffer": torch.randn(6, generator=g)}},
            "param_groups": [{"lr": 0.1, "betas": (0.9, 0.95), "fused": None, "params": [0, 7]}]}


def rank_json(opt, mount):
    """rankN.json and its tensors as the mount itself shows them for OPT, which it is given in a store of its own."""
    tag = os.path.join(mount + ".seed", "d1")
    os.makedirs(tag, exist_ok=True)
    torch.save({"w": torch.zeros(1)}, os.path.join(tag, "model_000001.pt"))
    torch.save(opt, os.path.join(tag, "optim_000001_rank0.pt"))
    d = Daemon(tag, mount + ".seedmnt")
    with open(os.path.join(d.mnt, "000001/optim/rank0.json"), "rb") as f:
        text = f.read()
    d.unmount()
    return text


def same(a, b):
    """Equal in types, values, order of keys, dtypes and bits."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and \
            a.contiguous().view(-1).view(torch.uint8).equal(b.contiguous().view(-1).view(torch.uint8))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


# ---- what must be true of a tag's directory ----

# A client of a network may give a deleted file such a name, as long as somebody has it open: sshfs, rclone, NFS.
OPEN = (".fuse_hidden", ".nfs")


def load(path):
    return torch.load(path, map_location="cpu")


def trash_leftovers(trash):
    """What is in it but retired steps, of nanochat's files."""
    bad = [] if os.listdir(trash) else ["trash"]
    for name in os.listdir(trash):
        step, _, kind = name.partition(".")
        there = os.listdir(os.path.join(trash, name))
        if not (step.isdigit() and kind in ("", "optim") and there) or len(there) != len(files_of(os.path.join(trash, name), int(step))):
            bad.append(os.path.join("trash", name))
    return bad


def leftovers(tag, may_stay=()):
    """What is in TAG/.ckptfs but the lock and whole drafts. MAY_STAY: beginnings of names that the next mount may leave for later."""
    home, bad = os.path.join(tag, ".ckptfs"), []
    if not os.path.isdir(home):
        return bad
    for name in os.listdir(home):
        path = os.path.join(home, name)
        step, _, kind = name.partition(".")
        if name == "trash":
            bad += trash_leftovers(path)
            continue
        if name.startswith(tuple(may_stay)):
            continue
        if name == "writers" or (name == "staged" and not os.listdir(path)):
            continue
        # Of a mount that was killed as it made it: the next that wants it waits for some seconds.
        if name.startswith("lease-") and os.path.getsize(path) == 0:
            continue
        if not (step.isdigit() and kind in ("", "partial", "optim") and os.path.isdir(os.path.join(path, "files"))):
            bad.append(name)
        else:
            bad += [os.path.join(name, n) for n in os.listdir(path) if n not in ("files", "order")]
    return bad


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(map(str, what)))


def is_whole(tag, step, sd, meta, shards):
    """The step is in the store with all that was written."""
    check(same(sd, load(os.path.join(tag, "model_%06d.pt" % step))), "model of", step)
    with open(os.path.join(tag, "meta_%06d.json" % step), "rb") as f:
        check(f.read() == meta, "meta of", step)
    for rank, opt in shards.items():
        check(same(opt, load(os.path.join(tag, "optim_%06d_rank%d.pt" % (step, rank)))), "shard", rank, "of", step)


def files_of(tag, step):
    return sorted(n for n in os.listdir(tag) if n.split(".")[0].split("_rank")[0].endswith("_%06d" % step))
