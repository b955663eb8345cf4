"""Rows of the table for stores behind a network: a group of rows.py."""
import concurrent.futures
import contextlib
import os
import shutil
import subprocess
import sys

import mounts
import report
import rows
import stores

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
ENGINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "engine.sh")
ENGINES = (("GlusterFS, 2 replicas", "glusterfs"), ("sshfs by sshd", "sshd"), ("rclone, WebDAV", "rclone-webdav"),
           ("rclone, WebDAV, cache full", "rclone-webdav-full"), ("rclone, sftp", "rclone-sftp"), ("rclone, sftp, cache full", "rclone-sftp-full"))
PIECE = 1 << 20


def fastest(path):
    """MB/s of 16 or of 64 threads that read PATH: of the faster."""
    rates = []
    for readers in (16, 64):
        mounts.forget(path)
        rates.append(side_by_side(path, readers))
    return max(rates)


def side_by_side(path, readers):
    """MB/s of READERS threads that read PATH, a MiB each in turn."""
    size = os.path.getsize(path)
    offsets = iter(range(0, size, PIECE))
    fd = os.open(path, os.O_RDONLY)
    try:
        with concurrent.futures.ThreadPoolExecutor(readers) as pool:
            return size / mounts.timed(lambda: list(pool.map(lambda o: len(os.pread(fd, PIECE, o)), offsets))) / 1e6
    finally:
        os.close(fd)


class Sshfs(mounts.Mount):
    """The directory STORE through sshfs, without an sshd: the server's bytes go through a delay line, MS to and fro."""

    def __init__(self, bench, store, ms):
        line = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "delay.py")
        script = bench.path("ssh")
        with open(script, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexec %s %s %s run %s\n" % (sys.executable, os.path.abspath(line), ms / 2, SFTP_SERVER))
        os.chmod(script, 0o755)
        super().__init__(["sshfs", "-f", "-o", "ssh_command=" + script, "x:" + store], bench.path("remote"))


class Rclone(mounts.Mount):
    def __init__(self, bench, store):
        super().__init__(["rclone", "mount", ":local:" + store], bench.path("remote"))


class Engine:
    """STORE on the server of one of the tests' engines, on this machine; each `with` of client() is a new mount of it."""

    def __init__(self, bench, name, store):
        self.name = name
        self.process = subprocess.Popen([ENGINE, name, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, env=dict(os.environ, TMPDIR=bench.directory))

    def answer(self):
        line = self.process.stdout.readline().strip()
        if line in ("", "failed") or line.startswith("skip "):
            raise rows.Skip(line.removeprefix("skip ") or self.name + " ended")
        return line

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self):
        try:
            self.answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        self.process.wait()

    @contextlib.contextmanager
    def client(self):
        directory = self.ask("mount")
        try:
            yield Client(directory)
        finally:
            self.ask("unmount")


class Client:
    def __init__(self, directory):
        self.directory = directory

    def path(self, *names):
        return os.path.join(self.directory, *names)


def through(bench, engine, name, memory):
    """MB/s of cat of NAME on a mount of a store that ENGINE has just mounted: nothing of it is in memory."""
    with engine() as remote, rows.ckptfs(bench, remote.directory) as m:
        path = m.path(*rows.MODEL, name)
        value = mounts.rate(path) * 1e3
        memory[:] = m.memory()
        return value


def beside(engine, pt, read):
    with engine() as remote:
        return read(remote.path(pt))


@rows.group
def network(bench):
    """Streams through stores with a delay, each from a mount of its own, against 16 or 64 preads of 1 MiB side by side on the store itself, or cat."""
    if not shutil.which("sshfs") or not os.path.exists(SFTP_SERVER):
        raise rows.Skip("no sshfs, or no " + SFTP_SERVER)
    root = bench.make("remote.store", lambda d: stores.model(os.path.join(d, "base_checkpoints", "d12"), 100_000_000))
    pt = os.path.relpath(rows.stored(root, "d12"), root)
    engines = [("sshfs, %d ms" % ms, lambda ms=ms: Sshfs(bench, root, ms), "16 or 64 preads", fastest) for ms in (20, 100)]
    if shutil.which("rclone"):
        engines.append(("rclone", lambda: Rclone(bench, root), "cat", lambda path: mounts.rate(path) * 1e3))
    for what, engine, against, read in engines:
        streams(bench, what, engine, pt, against, read)


def streams(bench, what, engine, pt, against, read):
    """The rows of the store that ENGINE mounts, against READ of its stored file PT."""
    for name in ("model.pt", "model.safetensors", "model"):
        memory = []
        ours, theirs = bench.turns(lambda n=name: through(bench, engine, n, memory), lambda: beside(engine, pt, read))
        bench.add("%s: %s, first" % (what, name + "/*.npy" * (name == "model")), "MB/s", ours, theirs, against, memory)


@rows.group
def engines(bench):
    """The same without a delay through each engine of `make test-network`, its server on this machine, against cat of the stored file."""
    root = bench.make("engines.store", lambda d: stores.model(os.path.join(d, "base_checkpoints", "d12"), 400_000_000))
    pt = os.path.relpath(rows.stored(root, "d12"), root)
    for what, name in ENGINES:
        try:
            with Engine(bench, name, root) as engine:
                streams(bench, what, engine.client, pt, "cat", lambda path: mounts.rate(path) * 1e3)
        except rows.Skip as why:
            report.skipped("engines", why)
