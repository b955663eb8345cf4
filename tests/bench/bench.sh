#!/bin/sh
# bench.sh [OPTION...] - what `make bench` runs; `bench.sh --help` lists the options.
# Environment: CKPTFS the program (default ./ckptfs), PYTHON an interpreter with NumPy.
set -eu
cd "$(dirname "$0")/../.."
export PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
exec "${PYTHON:-/usr/bin/python3}" tests/bench/bench.py "$@"
