#!/usr/bin/python3
"""picture.py: README's pictures, drawn from real runs: examples/picture.py terminal >examples/terminal.svg, and check >examples/check.svg

Runs the commands below in one shell, in a new home directory with examples/store in it, and draws what they print as a terminal. Environment:
CKPTFS the program (default ./ckptfs). Needs NumPy. The test in tests/mount/pages.bats draws it again.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from xml.sax.saxutils import escape

MOUNT = [
    "ckptfs ~/.cache/nanochat mnt",
    "cd mnt/base/d2; ls; ls latest",
    "ls latest/model | tail -n 3",
    """python3 -c '
import numpy as np
w = np.load("latest/model/lm_head.weight.npy", mmap_mode="r")
print(w.dtype, w.shape, w.std().round(4))'""",
    "cat 001500/model.error",
    "mkdir 002000; cp -r latest/model 002000/    # a new step: published when meta.json is closed",
    "sed s/1000/2000/ latest/meta.json > 002000/meta.json",
    "readlink latest; ls ~/.cache/nanochat/base_checkpoints/d2",
    "cd; fusermount3 -u mnt",
]
CHECK = [
    "cd ~/.cache/nanochat/base_checkpoints",
    """python3 -c '
f = open("d2/model_001000.pt", "r+b"); f.seek(30000); f.write(b"?")    # one byte of a matrix'""",
    "touch -d yesterday d2/model_001000.pt",
    "ckptfs --check . || echo exit status $?",
    "ckptfs --check --read-data . || echo exit status $?",
]
PICTURES = {
    "terminal": (MOUNT, "A terminal: a store is mounted, looked at, read with NumPy, and a step is published"),
    "check": (CHECK, "A terminal: one byte of a step is changed, and a check of the store says which tensor it was"),
}

COLUMNS, CHAR, LINE, PAD = 94, 8.4, 19, 16
STYLE = """
  .back { fill: #ffffff; stroke: #d0d7de; } text { fill: #1f2328; font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
  .prompt { fill: #1a7f37; font-weight: bold; } .command { fill: #0550ae; } .bad { fill: #cf222e; }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117; stroke: #30363d; } text { fill: #e6edf3; }
    .prompt { fill: #3fb950; } .command { fill: #79c0ff; } .bad { fill: #ff7b72; }
  }"""


def home(directory):
    """A new home: a store whose step 1500 was cut off while it was saved, ckptfs and this Python in PATH."""
    here = pathlib.Path(__file__).resolve().parent
    store = directory / ".cache/nanochat"
    shutil.copytree(here / "store", store)
    tag = store / "base_checkpoints/d2"
    (tag / "model_001500.pt").write_bytes((tag / "model_001000.pt").read_bytes()[:20000])
    (tag / "meta_001500.json").write_text((tag / "meta_001000.json").read_text().replace("1000", "1500", 1))
    for path in tag.iterdir():
        os.utime(path, (1.7e9, 1.7e9))      # what was just written might still be being written
    (directory / "mnt").mkdir()
    (directory / "bin").mkdir()
    os.symlink(pathlib.Path(os.environ.get("CKPTFS", here.parent / "ckptfs")).resolve(), directory / "bin/ckptfs")
    os.symlink(sys.executable, directory / "bin/python3")


def run(directory, commands):
    """[(command, what it printed)], all of one shell."""
    mark = "=== next ==="
    # ls makes columns for a terminal: where its output is not in a pipe.
    script = "set -e; ls() { [[ /dev/fd/1 -ef /dev/fd/2 ]] && set -- -C -T 0 -w %d \"$@\"; command ls \"$@\"; }\n" % COLUMNS
    script += "".join("%s\necho; echo '%s'\n" % (c, mark) for c in commands)
    env = dict(os.environ, HOME=str(directory), PATH="%s/bin:%s" % (directory, os.environ["PATH"]), LC_ALL="C.UTF-8")
    done = subprocess.run(["bash", "-c", script], cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    parts = done.stdout.replace(str(directory), "~").split("\n%s\n" % mark)
    if done.returncode or len(parts) != len(commands) + 1:
        sys.exit("picture.py: the run failed: " + done.stdout)
    return list(zip(commands, parts))


def wrapped(line):
    return [line[i:i + COLUMNS] for i in range(0, len(line), COLUMNS)] or [""]


def draw(shown, title):
    rows = []
    for command, output in shown:
        for i, line in enumerate(command.split("\n")):
            rows.append('<tspan class="prompt">%s</tspan> <tspan class="command">%s</tspan>' % (escape(">" if i else "$"), escape(line)))
        for line in output.rstrip("\n").split("\n") if output.strip() else []:
            kind = "bad" if "model.error" in command or ": error:" in line else ""
            rows += ['<tspan class="%s">%s</tspan>' % (kind, escape(w)) if kind else escape(w) for w in wrapped(line.rstrip())]
    width, height = COLUMNS * CHAR + 2 * PAD, len(rows) * LINE + 2 * PAD
    print('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">' % (width, height, width, height))
    print("<title>%s</title>" % title)
    print("<style>%s\n</style>" % STYLE)
    print('<rect class="back" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>' % (width - 1, height - 1))
    for i, row in enumerate(rows):
        print('<text x="%d" y="%d" xml:space="preserve">%s</text>' % (PAD, PAD + 14 + i * LINE, row))
    print("</svg>")


def main():
    commands, title = PICTURES[sys.argv[1]]
    directory = pathlib.Path(tempfile.mkdtemp())
    try:
        home(directory)
        draw(run(directory, commands), title)
    finally:
        if os.path.ismount(directory / "mnt"):
            subprocess.run(["fusermount3", "-u", directory / "mnt"], check=False)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
