#!/usr/bin/python3
"""Compares a mount with what else there is, and prints one table. `make bench`, or tests/bench/bench.sh [OPTION...].

Each row's two sides are taken in turns, A B A B, and their medians compared. A stored file's pages are in the kernel's
cache all the time; a 'first' read is one of which the mount's own pages were dropped before. What the daemon answers is
thus compared with a warm cache, never with a disk.
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import far  # noqa: F401
import network  # noqa: F401
import report
import rows


class Bench:
    """What the rows share: the options, the stores (made when first asked for), and one table."""

    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.program = os.path.abspath(os.environ.get("CKPTFS", "ckptfs"))
        self.results, self.made = [], {}
        self.cleanup = contextlib.ExitStack()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def make(self, name, function, *args):
        """The directory NAME, made by FUNCTION when it isn't there yet."""
        if name not in self.made:
            print("making %s ..." % name, file=sys.stderr)
            self.made[name] = self.path(name)
            function(self.made[name], *args)
        return self.made[name]

    def turns(self, ours, reference, runs=None):
        """Both sides' values in turns; a side that is None has none."""
        values = ([], [])
        for _ in range(runs or self.options.runs):
            for side, function in zip(values, (ours, reference)):
                if function:
                    side.append(function())
        return values

    def add(self, name, unit, ours, reference, against="cat", memory=None):
        """A row of the table. UNIT 'GB/s', 'MB/s' or 'k/s': more is better, 's' or 'ms': less is."""
        a, b = (statistics.median(v) if v else None for v in (ours, reference))
        ratio = None if not a or not b else b / a if unit in ("s", "ms") else a / b
        rss, peak = memory or (None, None)
        self.results.append({"what": name, "unit": unit, "ckptfs": a, "reference": b, "against": against if b else "-",
                             "ratio": ratio, "rss": rss, "peak": peak,
                             "runs": {"ckptfs": ours, "reference": reference}})
        report.line(self.results[-1])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--size", default="800M", help="bytes of the model as float32 (800M)")
    parser.add_argument("--runs", type=int, default=5, help="of each side of a row (5)")
    parser.add_argument("--quick", action="store_true", help="100 MB, three runs, nothing that takes long")
    parser.add_argument("--only", metavar="GROUPS", help="some of, by comma: " + " ".join(rows.GROUPS))
    parser.add_argument("--json", metavar="FILE", help="the table, with each run, for a program")
    parser.add_argument("--plot", metavar="FILE.png", help="the table as a picture; needs gnuplot")
    parser.add_argument("--dir", default=os.environ.get("TMPDIR") or "/var/tmp",
                        help="where the stores are made: a disk with room for three times the size")
    options = parser.parse_args()
    if options.quick:
        options.size, options.runs = "100M", 3
    options.bytes = int(float(options.size.rstrip("kMG")) * {"k": 1e3, "M": 1e6, "G": 1e9}.get(options.size[-1], 1))
    options.groups = options.only.split(",") if options.only else list(rows.GROUPS)
    unknown = set(options.groups) - set(rows.GROUPS)
    if unknown:
        parser.error("--only: no group '%s'" % "', '".join(sorted(unknown)))
    return options


def terminated(_number, _frame):
    raise KeyboardInterrupt


def measure(bench):
    report.head(bench.options)
    for name in bench.options.groups:
        try:
            rows.GROUPS[name](bench)
        except (rows.Skip, OSError, RuntimeError, subprocess.CalledProcessError) as why:
            # One row that fails must not cost the others.
            report.skipped(name, why)


def main():
    options = arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, terminated)
    directory = tempfile.mkdtemp(prefix="ckptfs-bench.", dir=options.dir)
    bench = Bench(options, directory)
    try:
        with bench.cleanup:
            measure(bench)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if options.json:
            report.write_json(options.json, bench)
    if options.plot:
        report.plot(options.plot, bench.results)


if __name__ == "__main__":
    main()
