"""How results are shown: lines of a table, JSON, a picture."""
import json
import os
import platform
import shutil
import subprocess
import time

LINE = "%-52s %9s %9s %-5s %6s  %-12s %s"


def number(value):
    return "-" if value is None else "%.2f" % value if value < 100 else "%.0f" % value


def megabytes(value):
    return "-" if value is None else "%.1f" % (value / 1e6)


def head(options):
    print("ckptfs on Linux %s, %d processors, model of %s; medians of %d; %s" %
          (platform.release(), os.cpu_count(), options.size, options.runs, time.strftime("%Y-%m-%d")))
    print("The stored files are in the kernel's cache. first: the mount's pages of the file were dropped before;")
    print("second: they were not. Pairs are taken in turns.")
    print("ratio: how many times as fast as the reference. memory: the daemon's, in MB, then and at most.\n")
    print(LINE % ("what", "ckptfs", "reference", "unit", "ratio", "against", "memory"))


def line(r):
    memory = "-" if r["rss"] is None else "%s (%s)" % (megabytes(r["rss"]), megabytes(r["peak"]))
    print(LINE % (r["what"], number(r["ckptfs"]), number(r["reference"]), r["unit"], number(r["ratio"]), r["against"],
                  memory), flush=True)


def skipped(name, why):
    print(LINE % (name, "-", "-", "", "-", "-", str(why)), flush=True)


def write_json(path, bench):
    data = {"kernel": platform.release(), "machine": platform.machine(), "processors": os.cpu_count(),
            "size": bench.options.bytes, "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "rows": bench.results}
    with open(path, "w", encoding="utf-8") as f:
        json.dump(data, f, indent=1)
        f.write("\n")


SCRIPT = """set terminal pngcairo size 1040,%(height)d font 'sans,11'
set output '%(path)s'
set style fill solid 0.85 noborder
set xlabel 'GB/s'
set title 'ckptfs against its references'
set yrange [%(rows)f:-1]
set xrange [0:*]
set grid x
set key bottom right
set lmargin at screen 0.48
set ytics noenhanced (%(tics)s)
plot $data using (0):1:(0):2:($1-0.35):($1) with boxxyerror title 'ckptfs' lc rgb '#2a6f97', \\
     $data using (0):1:(0):3:($1):($1+0.35) with boxxyerror title 'reference' lc rgb '#b8b8b8'
"""


def plot(path, results):
    """Bars of the rows that are rates."""
    if not shutil.which("gnuplot"):
        print("no gnuplot: no %s" % path)
        return
    bars = [r for r in results if r["unit"] == "GB/s" and r["ckptfs"] and r["reference"]]
    lines = ["%d %f %f" % (i, r["ckptfs"], r["reference"]) for i, r in enumerate(bars)]
    data = "$data << END\n%s\nEND\n" % "\n".join(lines)
    tics = ", ".join("\"%s\" %d" % ("%s (%s)" % (r["what"], r["against"]), i) for i, r in enumerate(bars))
    script = SCRIPT % {"path": path, "rows": len(bars), "tics": tics, "height": 120 + 34 * len(bars)}
    subprocess.run(["gnuplot"], input=data + script, text=True, check=True)
