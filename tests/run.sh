#!/bin/bash
# Runs the mount tests and says how they ended in one line, "N passed, N failed, N skipped". Fails if a test failed or, in CI, was skipped.
# Usage: tests/run.sh [FILE.bats...] (files of tests/, by name or path). Environment: CKPTFS_JOBS (so many files side by
# side, which needs GNU parallel; default 1: some tests are about what a slow store does, and a busy disk is one), CI, and what tests/lib/helpers.bash names.
set -u -o pipefail

cd "$(dirname "$0")/.." || exit 1
[[ $# -gt 0 ]] || set -- tests/mount/*.bats tests/unit/*.bats
files=()
for file; do
	[[ $file == */* ]] || file=$(echo tests/*/"$file")
	files+=("$file")
done
tap=$(mktemp) || exit 1
trap 'rm -f "$tap"' EXIT

jobs=()
# Tests of one file may share what setup_file made, and stay in order.
[[ ${CKPTFS_JOBS:-1} -le 1 ]] || jobs=(--jobs "$CKPTFS_JOBS" --no-parallelize-within-files)
bats --tap --print-output-on-failure "${jobs[@]}" "${files[@]}" | tee "$tap"
status=${PIPESTATUS[0]}

planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$tap")
skipped=$(grep -cE '^ok .* # skip' "$tap")
passed=$(($(grep -cE '^ok ' "$tap") - skipped))
failed=$(grep -cE '^not ok ' "$tap")
# A test that never reported (the run was torn down) did not pass.
missing=$((${planned:-0} - passed - failed - skipped))
[[ $missing -le 0 ]] || failed=$((failed + missing))

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[[ $status -eq 0 && $failed -eq 0 && $passed -gt 0 ]] || exit 1
[[ ${CI:-} != true || $skipped -eq 0 ]]
