"""The group `trips`: how often a store behind sshfs is asked, by the log of its server. Counts, no times."""
import os
import shutil
import subprocess
import sys

import mounts
import rows
import stores
from mounts import cat

SERVER = "/usr/lib/openssh/sftp-server"
COUNT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle", "trips.py")
COLUMNS = ("all", "read")


class Far:
    """STORE through sshfs with its own defaults. Nobody has asked for anything in it yet."""

    def __init__(self, bench, store):
        self.log = bench.path("asked")
        command = bench.path("ssh")
        with open(command, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\nexec %s -e -l DEBUG3 2>>'%s'\n" % (SERVER, self.log))
        os.chmod(command, 0o755)
        self.mount = mounts.Mount(["sshfs", "-f", "-o", "ssh_command=" + command, "far:" + os.path.dirname(store)], bench.path("far"))
        self.store = self.mount.path(os.path.basename(store))

    def __enter__(self):
        self.mount.__enter__()
        return self

    def __exit__(self, *exc):
        self.mount.close()

    def counts(self, function):
        """The calls that FUNCTION causes: {"all": 9, "read": 4, ...}."""
        with open(self.log, "w", encoding="utf-8"):
            pass
        function()
        line = subprocess.run([sys.executable, COUNT, self.log], stdout=subprocess.PIPE, text=True, check=True).stdout
        return {kind: int(n) for kind, n in (pair.split("=") for pair in line.split())}


def first_bytes(path):
    with open(path, "rb", buffering=0) as f:
        f.read(4096)


@rows.group
def trips(bench):
    """Calls that reach a store behind sshfs, of which each is a round trip; its pieces of one read are one."""
    if not shutil.which("sshfs") or not os.path.exists(SERVER):
        raise rows.Skip("no sshfs, or no sftp-server")
    store = bench.make("three_hundred", stores.each, 300)
    memory = []

    def add(what, counts):
        bench.add("%s (%d of them reads)" % (what, counts.get("read", 0)), "calls", [counts["all"]], [], memory=memory)

    with Far(bench, store) as far:
        started = []

        def start():
            started.append(rows.ckptfs(bench, far.store).__enter__())
            first_bytes(started[0].path("000500", "model", "layer.00150.weight.npy"))

        try:
            add("far store: start, mount, 4 KiB of a tensor", far.counts(start))
            memory[:] = started[0].memory()
            add("far store: model.tsv of 300 tensors", far.counts(lambda: cat(started[0].path("000500", "model.tsv"))))
            add("far store: ls of the step", far.counts(lambda: os.listdir(started[0].path("000500"))))
        finally:
            for m in started:
                m.close()
    with Far(bench, bench.make("thousand", stores.steps, 1000)) as far, rows.ckptfs(bench, far.store) as m:
        add("far store: ls of a tag of 1000 steps", far.counts(lambda: os.listdir(m.path("base", "d1"))))
