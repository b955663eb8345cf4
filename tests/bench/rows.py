"""The rows of the table, in groups that --only names. Each group is a function of the Bench."""
import concurrent.futures
import mmap
import os
import random
import shutil
import subprocess
import sys
import time

import mounts
import report
import stores
from mounts import cat, forget, rate, run, timed

GROUPS = {}
MODEL = ("base", "d12", "000500")
BF16 = ("base", "d12_bf16", "000500")


class Skip(Exception):
    """A group, or the rest of it, can't be measured here; says why."""


def group(function):
    GROUPS[function.__name__] = function
    return function


def make_models(root, size):
    stores.model(os.path.join(root, "base_checkpoints", "d12"), size)
    stores.model(os.path.join(root, "base_checkpoints", "d12_bf16"), size, bfloat16=True)


def models(bench):
    return bench.make("models", make_models, bench.options.bytes)


def stored(root, tag):
    """A model's .pt, its pages in the kernel's cache."""
    path = stores.paths(os.path.join(root, "base_checkpoints", tag))[0]
    cat(path)
    return path


def ckptfs(bench, store, *options, env=None):
    return mounts.Mount([bench.program, "-f", *options, store], bench.path("mount"), env)


def first(path):
    forget(path)
    return rate(path)


def once(path):
    """GB/s of a reader that wants no pages kept."""
    forget(path)
    took = timed(run, "dd", "if=" + path, "of=/dev/null", "bs=1M", "iflag=direct", "status=none")
    return os.path.getsize(path) / took / 1e9


@group
def sequential(bench):
    """Whole files through cat, first and second read."""
    store = models(bench)
    pt = stored(store, "d12")
    with ckptfs(bench, store) as m:
        single = bench.path("one.npy")
        shutil.copyfile(m.path(*MODEL, "model", "lm_head.weight.npy"), single)
        for what, name, reference in (("one float32 tensor, .npy", "model/lm_head.weight.npy", single),
                                      ("whole float32 model, model/*.npy", "model", pt),
                                      ("whole float32 model, model.raw/*", "model.raw", pt),
                                      ("whole float32 model, .safetensors", "model.safetensors", pt),
                                      ("whole float32 model, model.pt", "model.pt", pt)):
            path = m.path(*MODEL, name)
            ours, theirs = bench.turns(lambda p=path: first(p), lambda p=reference: rate(p))
            bench.add(what + ", first", "GB/s", ours, theirs, "cat", m.memory())
        ours, theirs = bench.turns(lambda: rate(m.path(*MODEL, "model.safetensors")), lambda: rate(pt))
        bench.add("whole float32 model, .safetensors, second", "GB/s", ours[1:] or ours, theirs, "cat", m.memory())
        # As root the daemon raises it; what others have is the kernel's own.
        if mounts.set_readahead(m.directory, 128):
            ours, theirs = bench.turns(lambda: first(m.path(*MODEL, "model.safetensors")), lambda: rate(pt))
            bench.add("the same, first, as a user (128 KiB readahead)", "GB/s", ours, theirs, "cat", m.memory())
        ours, theirs = bench.turns(lambda: once(m.path(*MODEL, "model.safetensors")), lambda: rate(pt))
        bench.add("the same, first, by dd iflag=direct bs=1M", "GB/s", ours, theirs, "cat", m.memory())


@group
def converted(bench):
    """bfloat16 shown as float32: bytes of output."""
    store = models(bench)
    pt = stored(store, "d12")
    stored(store, "d12_bf16")
    with ckptfs(bench, store) as m:
        wide, same = m.path(*BF16, "model.safetensors"), m.path(*MODEL, "model.safetensors")
        ours, theirs = bench.turns(lambda: first(wide), lambda: rate(pt))
        bench.add("bfloat16 model as float32 .safetensors, first", "GB/s", ours, theirs, "cat", m.memory())
        ours, theirs = bench.turns(lambda: first(wide), lambda: first(same))
        bench.add("bfloat16 as float32 against float32 as it is, first", "GB/s", ours, theirs, "float32", m.memory())
        ours, theirs = bench.turns(lambda: rate(wide), lambda: rate(pt))
        bench.add("bfloat16 model as float32 .safetensors, second", "GB/s", ours[1:] or ours, theirs, "cat", m.memory())


def random_reads(path, block, count, mapped):
    """Thousands of reads of BLOCK bytes per second, at places that are the same for each call."""
    places = random.Random(block)
    size = os.path.getsize(path)
    offsets = [places.randrange(size // block) * block for _ in range(count)]
    with open(path, "rb", buffering=0) as f:
        if mapped:
            with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as view:
                return count / timed(lambda: [view[o:o + block] for o in offsets]) / 1e3
        return count / timed(lambda: [os.pread(f.fileno(), block, o) for o in offsets]) / 1e3


@group
def scattered(bench):
    """Random reads of the safetensors file, by pread and by mmap."""
    store = models(bench)
    pt = stored(store, "d12")
    with ckptfs(bench, store) as m:
        path = m.path(*MODEL, "model.safetensors")

        def ours(block, count, mapped):
            forget(path)
            return random_reads(path, block, count, mapped)
        for block, count in ((4096, 2000), (65536, 500)):
            for mapped in (False, True):
                a, b = bench.turns(lambda: ours(block, count, mapped), lambda: random_reads(pt, block, count, mapped))
                name = "random %d KiB by %s, first" % (block >> 10, "mmap" if mapped else "pread")
                bench.add(name, "k/s", a, b, "the .pt", m.memory())


def parallel(path, readers=4):
    """GB/s of READERS readers, each of its own part of PATH."""
    size = os.path.getsize(path)
    part = size // readers

    def read(i):
        run("dd", "if=" + path, "of=/dev/null", "bs=128K", "iflag=skip_bytes,count_bytes", "skip=%d" % (i * part),
            "count=%d" % part, "status=none")
    with concurrent.futures.ThreadPoolExecutor(readers) as pool:
        return part * readers / timed(lambda: list(pool.map(read, range(readers)))) / 1e9


@group
def readers(bench):
    """Four at once."""
    store = models(bench)
    pt = stored(store, "d12")
    with ckptfs(bench, store) as m:
        for what, base in (("float32", MODEL), ("bfloat16 as float32", BF16)):
            path = m.path(*base, "model.safetensors")
            a, b = bench.turns(lambda: (forget(path), parallel(path))[1], lambda: parallel(pt))
            bench.add("4 readers, %s .safetensors, first" % what, "GB/s", a, b, "4 dd", m.memory())


def together(path, readers=8):
    """GB/s of READERS readers who each read all of PATH."""
    with concurrent.futures.ThreadPoolExecutor(readers) as pool:
        took = timed(lambda: list(pool.map(lambda _: run("dd", "if=" + path, "of=/dev/null", "bs=1M", "status=none"),
                                           range(readers))))
    return readers * os.path.getsize(path) / took / 1e9


@group
def loading(bench):
    """8 ranks that load one model at once."""
    store = models(bench)
    pt = stored(store, "d12")
    with ckptfs(bench, store) as m:
        for name in ("model.pt", "model.safetensors"):
            path, read = m.path(*MODEL, name), []

            def ours_once():
                forget(path)
                before = m.has_read()
                result = together(path)
                read.append((m.has_read() - before) / os.path.getsize(path))
                return result
            ours, theirs = bench.turns(ours_once, lambda: together(pt))
            bench.add("8 load %s, first (store read %.2f times)" % (name, max(read)), "GB/s", ours, theirs, "8 dd",
                      m.memory())


def first_bytes(bench, store, name, memory, env=None, options=()):
    """Milliseconds from the start of the program to the first 4 KiB of NAME. MEMORY becomes the daemon's."""
    begin = time.perf_counter()
    with ckptfs(bench, store, *options, env=env) as m:
        with open(m.path(name), "rb", buffering=0) as f:
            if len(f.read(4096)) != 4096:
                raise RuntimeError("%s is short" % name)
        end = time.perf_counter()
        memory[:] = m.memory()
    return (end - begin) * 1e3


@group
def start(bench):
    """From nothing to the first bytes of a tensor."""
    for what, name, make, tensor in (("100 MB", "small", lambda d: stores.model(d, 100_000_000), "lm_head.weight"),
                                     ("sparse 100 GB", "sparse", stores.sparse, "layer.24.weight")):
        store, memory = bench.make(name, make), []
        ours, _ = bench.turns(lambda: first_bytes(bench, store, "000500/model.raw/" + tensor, memory), None)
        bench.add("start, mount, 4 KiB of a tensor, %s" % what, "ms", ours, [], memory=memory)


@group
def ranks(bench):
    """The optimizer of 8 ranks, sparse: as stored, and cut for 4."""
    store, memory = bench.make("ranks", stores.ranks), []
    name = "000500/optim/rank0.pt"
    cut, plain = bench.turns(lambda: first_bytes(bench, store, name, memory, options=("-o", "ro,ranks=4")),
                             lambda: first_bytes(bench, store, name, [], options=("-o", "ro")))
    bench.add("start, mount, 4 KiB of a shard of 8 ranks cut for 4", "ms", cut, plain, "a stored shard", memory)
    with ckptfs(bench, store, "-o", "ro,ranks=4") as m:
        path, reference = m.path(name), os.path.join(store, "optim_000500_rank0.pt")
        ours, theirs = bench.turns(lambda: first(path), lambda: rate(reference))
        bench.add("a shard of 8 ranks cut for 4, first", "GB/s", ours, theirs, "cat", m.memory())


def milliseconds(*command, env=None):
    return timed(run, *command, env=env) * 1e3


def fresh(bench, store, memory, command, name="", options=()):
    """Milliseconds of COMMAND on NAME, then OPTIONS, in a new mount. MEMORY becomes the daemon's."""
    with ckptfs(bench, store) as m:
        result = milliseconds(*command, m.path(name), *options)
        memory[:] = m.memory()
    return result


@group
def listing(bench):
    """ls -l of many tensors, against as many empty files of the store's filesystem."""
    for count in (300,) if bench.options.quick else (300, 100_000):
        store = bench.make("many%d" % count, stores.many, count)
        plain = bench.make("plain%d" % count, stores.plain, count)
        memory = []
        ours, theirs = bench.turns(lambda: fresh(bench, store, memory, ("ls", "-l"), "000500/model"),
                                   lambda: milliseconds("ls", "-l", plain))
        bench.add("ls -l of %d tensors, the first in a fresh mount" % count, "ms", ours, theirs, "plain files", memory)
        with ckptfs(bench, store) as m:
            ours, theirs = bench.turns(lambda: milliseconds("ls", "-l", m.path("000500", "model")),
                                       lambda: milliseconds("ls", "-l", plain))
            bench.add("ls -l of %d tensors, again" % count, "ms", ours[1:] or ours, theirs, "plain files", m.memory())


@group
def find(bench):
    """A store of many steps."""
    tags = steps = 10 if bench.options.quick else 100
    store, memory = bench.make("forest", stores.forest, tags, steps), []
    what = "%d tags of %d steps" % (tags, steps)
    for name, options, runs in (("find -maxdepth 3 over " + what, ("-maxdepth", "3"), None),
                                ("find of everything in " + what, (), 1)):
        ours, theirs = bench.turns(lambda o=options: fresh(bench, store, memory, ("find",), options=o),
                                   lambda: milliseconds("find", store), runs)
        bench.add(name, "ms", ours, theirs, "the store", memory)


METAS = "import json, os, sys\nfor n in os.listdir(sys.argv[1]):\n if n[:5] == 'meta_': json.load(open(os.path.join(sys.argv[1], n)))"


@group
def metadata(bench):
    """The table of a tag of 10,000 steps, against Python reading as many metadata files."""
    count, memory = 1000 if bench.options.quick else 10_000, []
    store = bench.make("steps", stores.steps, count)
    table = os.path.join("base", "d1", "history.tsv")

    def theirs_once():
        return milliseconds(sys.executable, "-c", METAS, os.path.join(store, "base_checkpoints", "d1"))

    ours, theirs = bench.turns(lambda: fresh(bench, store, memory, ("cat",), table), theirs_once)
    bench.add("history.tsv of %d steps, the first in a fresh mount" % count, "ms", ours, theirs, "json.load", memory)
    with ckptfs(bench, store) as m:
        ours, theirs = bench.turns(lambda: (time.sleep(0.6), milliseconds("cat", m.path(table)))[1], theirs_once)
        bench.add("history.tsv of %d steps, again" % count, "ms", ours[1:] or ours, theirs, "json.load", m.memory())


FINITE = """
import sys, torch, zlib, zipfile
for path in sys.argv[1:]:
    zipped = zipfile.ZipFile(path)
    assert zipped.testzip() is None
    bad = sum(int((~torch.isfinite(t)).sum()) for t in torch.load(path).values() if t.is_floating_point())
    assert bad == 0
"""


@group
def checking(bench):
    """--check of a tag whose files are in the kernel's cache, against what else reads or checks them."""
    directory = os.path.join(models(bench), "base_checkpoints", "d12")
    pt = stored(models(bench), "d12")
    size = os.path.getsize(pt)

    def check(*options):
        return size / timed(run, bench.program, "--check", *options, directory) / 1e9

    def other(*command):
        return lambda: size / timed(run, *command) / 1e9

    ours = bench.turns(lambda: milliseconds(bench.program, "--check", directory), None)[0]
    bench.add("--check of a tag", "ms", ours, [])
    for options in (("--read-data",), ("--finite",), ("--read-data", "--finite")):
        ours, theirs = bench.turns(lambda o=options: check(*o), lambda: rate(pt))
        bench.add("--check " + " ".join(options), "GB/s", ours, theirs)
    if shutil.which("unzip"):
        ours, theirs = bench.turns(lambda: check("--read-data"), other("unzip", "-tqq", pt))
        bench.add("--check --read-data", "GB/s", ours, theirs, "unzip -t")
    if not subprocess.run([sys.executable, "-c", IMPORT], stderr=subprocess.DEVNULL, check=False).returncode:
        ours, theirs = bench.turns(lambda: check("--read-data", "--finite"), other(sys.executable, "-c", FINITE, pt))
        bench.add("--check --read-data --finite", "GB/s", ours, theirs, "torch, zipfile")


def publish(parent, source, step, fsync):
    """Copies the tensors and then the metadata of SOURCE into a new directory; fsyncs what FSYNC names."""
    directory = os.path.join(parent, "%06d" % step)
    os.mkdir(directory)
    run("cp", "-r", os.path.join(source, "model"), directory)
    run("cp", os.path.join(source, "meta.json"), directory)
    run("sync", *fsync(directory))


def tree(directory):
    return [os.path.join(at, name) for at, _, names in os.walk(directory) for name in names]


@group
def publishing(bench):
    """A new step, from .npy files."""
    store = bench.make("publish", lambda d: stores.model(d, bench.options.bytes))
    source, plain, steps = bench.path("source"), bench.path("plain"), iter(range(1000, 2000))
    os.makedirs(plain)
    with ckptfs(bench, store, "-o", "delete") as m:
        shutil.copytree(m.path("000500", "model"), os.path.join(source, "model"))
        shutil.copyfile(m.path("000500", "meta.json"), os.path.join(source, "meta.json"))
        name = "publishing a step of %d MB" % (mounts.size_of(os.path.join(source, "model")) // 10**6)
        try:
            os.mkdir(m.path("000999"))
            os.rmdir(m.path("000999"))
        except OSError as why:
            raise Skip("the mount takes no new steps: " + why.strerror) from why

        def ours_once():
            step = next(steps)
            took = timed(publish, m.directory, source, step, lambda directory: [directory])
            os.unlink(m.path("model_%06d.pt" % step))  # and all that is the step's
            return took

        def theirs_once():
            step = next(steps)
            took = timed(publish, plain, source, step, tree)
            shutil.rmtree(os.path.join(plain, "%06d" % step))
            return took

        ours, theirs = bench.turns(ours_once, theirs_once)
        bench.add(name, "s", ours, theirs, "cp + sync", m.memory())


def zip_mount(bench, *command):
    return mounts.Mount(list(command), bench.path("other"))


@group
def others(bench):
    """Those that mount a zip; the .pt is one. The slow ones read a small model."""
    for program, options, small in (("mount-zip", ["-f"], False), ("fuse-zip", ["-f", "-r"], False),
                                    ("archivemount", ["-f", "-o", "ro"], True)):
        command = shutil.which(program)
        if not command:
            report.skipped("first read against " + program, "not installed")
            continue
        if small:
            store = bench.make("small", lambda d: stores.model(d, 100_000_000))
            pt = stores.paths(store)[0]
        else:
            store = os.path.join(models(bench), "base_checkpoints", "d12")
            pt = stored(models(bench), "d12")
        with ckptfs(bench, store) as m, zip_mount(bench, command, *options, pt) as other:
            path = m.path("000500", "model.raw", "lm_head.weight")
            same = next(p for p in tree(other.directory) if os.path.getsize(p) == os.path.getsize(path))
            ours, theirs = bench.turns(lambda: first(path), lambda: first(same), 1 if small else None)
            name = "one float32 tensor%s, raw, first" % (" (100 MB model)" if small else "")
            bench.add(name, "GB/s", ours, theirs, program, m.memory())


PASSTHROUGH = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c"


@group
def passthrough(bench):
    """The example that comes with libfuse, which hands the file on as it is: what the kernel and the library allow."""
    if not os.path.exists(PASSTHROUGH):
        raise Skip("no " + PASSTHROUGH)
    program = bench.path("passthrough_ll")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], stdout=subprocess.PIPE, text=True, check=True)
    run(os.environ.get("CC", "cc"), "-O2", "-o", program, PASSTHROUGH, *flags.stdout.split())
    store = models(bench)
    pt = stored(store, "d12")
    with ckptfs(bench, store) as m, zip_mount(bench, program, "-f", "-o", "cache=always,source=" + store) as other:
        mounts.set_readahead(other.directory, 1024)  # as ours has it, where it may
        path = m.path(*MODEL, "model.pt")
        same = other.path(os.path.relpath(pt, store))
        for what, read in (("first", first), ("second", rate)):
            ours, theirs = bench.turns(lambda r=read: r(path), lambda r=read: r(same))
            name = "whole float32 model, model.pt, %s" % what
            bench.add(name, "GB/s", ours, theirs, "passthrough_ll", m.memory())


NUMPY = "import numpy, os, sys\nfor n in os.listdir(sys.argv[1]): numpy.load(os.path.join(sys.argv[1], n))"
TORCH = "import torch, sys\nfor k, v in torch.load(sys.argv[1]).items(): v.float()"
IMPORT = "import torch"


@group
def python(bench):
    """A whole bfloat16 model as float32 in the memory of Python."""
    if subprocess.run([sys.executable, "-c", IMPORT], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("no torch for " + sys.executable)
    store = models(bench)
    pt = stored(store, "d12_bf16")
    with ckptfs(bench, store) as m:
        path = m.path(*BF16, "model")
        ours, theirs = bench.turns(lambda: (forget(path), timed(run, sys.executable, "-c", NUMPY, path))[1],
                                   lambda: timed(run, sys.executable, "-c", TORCH, pt), 3)
        bench.add("bfloat16 model as float32 in Python: numpy.load, first", "s", ours, theirs, "torch.load", m.memory())


LOAD = """import sys, time, torch
start = time.perf_counter()
torch.load(sys.argv[1])
print(time.perf_counter() - start)"""


def load(path):
    """Seconds of torch.load alone."""
    return float(subprocess.run([sys.executable, "-c", LOAD, path], stdout=subprocess.PIPE, text=True, check=True).stdout)


@group
def training(bench):
    """What nanochat reads on a mount with native, against the plain directory: tokens from base_data, and its own checkpoints."""
    store = models(bench)
    pt = stored(store, "d12")
    shard = os.path.join(store, "base_data", "shard_00000.parquet")
    if not os.path.exists(shard):
        os.makedirs(os.path.dirname(shard), exist_ok=True)
        shutil.copyfile(pt, shard)
    # The pages of a file that has just changed are not kept from open to open.
    time.sleep(max(0, 3 - (time.time() - max(os.stat(shard).st_ctime, os.stat(pt).st_ctime))))
    with ckptfs(bench, store, "-o", "native") as m:
        for what, path, plain in (("base_data", "base_data/shard_00000.parquet", shard),
                                  ("model_000500.pt", "base_checkpoints/d12/model_000500.pt", pt)):
            path = m.path(path)
            ours, theirs = bench.turns(lambda p=path: first(p), lambda p=plain: rate(p))
            bench.add("nanochat's %s, first" % what, "GB/s", ours, theirs, "cat", m.memory())
            ours, theirs = bench.turns(lambda p=path: rate(p), lambda p=plain: rate(p))
            bench.add("nanochat's %s, second" % what, "GB/s", ours[1:] or ours, theirs, "cat", m.memory())
        if subprocess.run([sys.executable, "-c", IMPORT], stderr=subprocess.DEVNULL, check=False).returncode:
            raise Skip("no torch for " + sys.executable)
        ours, theirs = bench.turns(lambda: (forget(path), load(path))[1], lambda: load(pt), 3)
        bench.add("torch.load of model_000500.pt, first", "s", ours, theirs, "torch.load", m.memory())
        ours, theirs = bench.turns(lambda: load(path), lambda: load(pt), 3)
        bench.add("torch.load of model_000500.pt, second", "s", ours[1:] or ours, theirs, "torch.load", m.memory())


@group
def slow(bench):
    """A store whose every open, stat and read takes 20 ms."""
    shim, ms = bench.path("slow.so"), 20
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "shims", "slow.c")
    run(os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl")
    store, log, memory = bench.make("few", lambda d: stores.model(d, 40_000_000)), bench.path("slow.log"), []
    env = {"LD_PRELOAD": shim, "SLOW_MS": str(ms), "SLOW_UNDER": bench.directory}
    tensor = "000500/model.raw/transformer.h.0.mlp.c_fc.weight"
    pt = stores.paths(store)[0]
    with ckptfs(bench, store, env=env) as m:
        plain = bench.path("slow.raw")
        shutil.copyfile(m.path(tensor), plain)
        ours, theirs = bench.turns(lambda: first(m.path(tensor)) * 1e3, lambda: rate(plain, env) * 1e3, 3)
        bench.add("%d ms store: one tensor, first" % ms, "MB/s", ours, theirs, "cat", m.memory())
    ours, theirs = bench.turns(lambda: first_bytes(bench, store, tensor, memory, dict(env, SLOW_LOG=log)),
                               lambda: milliseconds("head", "-c", "4096", pt, env=env), 3)
    calls = os.path.getsize(log) // len(ours) if os.path.exists(log) else 0
    bench.add("%d ms store: start, mount, 4 KiB (%d calls)" % (ms, calls), "ms", ours, theirs, "head", memory)
