#!/usr/bin/env python3
"""check_zips.py ZIPLS DIR - runs ZIPLS on what make_zips.py wrote into DIR and compares with its expect.tsv.

Each file must be judged in a second of the processor and less than 64 MB. ZIPS_NO_LIMITS=1 leaves these two out (for
sanitizers and valgrind, whose exit status still counts). ZIPLS may have arguments: "valgrind -q tests/tools/zipls".
"""
import os
import subprocess
import sys
import tempfile

ZIPLS, DIR = sys.argv[1].split(), sys.argv[2]
LIMITS = not os.environ.get("ZIPS_NO_LIMITS")


def run(path):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        p = subprocess.Popen(ZIPLS + [path], stdout=out, stderr=err)
        _, status, usage = os.wait4(p.pid, 0)
        took = usage.ru_utime + usage.ru_stime
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return p.returncode, out.read().decode(), err.read().decode(), took, usage.ru_maxrss


def judge(name, expect):
    path = os.path.join(DIR, name)
    status, out, err, took, rss = run(path)
    if expect == "ok":
        with open(path + ".list") as f:
            if status != 0 or out != f.read():
                return "status %d, or another listing than Python's: %s" % (status, err)
    elif status != 1 or err.count("\n") != 1 or not err.startswith(path + ": ") or expect not in err:
        return "status %d, expected %r: %s" % (status, expect, err)
    if LIMITS and (took > 1 or rss > 64 << 10):
        return "%.2f s, %d KiB" % (took, rss)
    return None


def main():
    failures = 0
    with open(os.path.join(DIR, "expect.tsv")) as f:
        cases = [line.rstrip("\n").split("\t")[:2] for line in f]
    for name, expect in cases:
        why = judge(name, expect)
        if why:
            failures += 1
            print("FAIL %s: %s" % (name, why))
    print("%d zips, %d failures" % (len(cases), failures))
    return 1 if failures or not cases else 0


sys.exit(main())
