#!/bin/bash
# Proves the README's two commands on fresh machines: Debian 12 and 13, as root and as a user with sudo. `make test` takes long: one of the two
# runs all of it, by turns; in the other everything is built, and the user runs a part.
# Environment: FRESH_WHOLE the suite of the whole run (default: as the commit's id decides), CKPTFS_JOBS as for tests/run.sh, and that of
# tests/fresh-root.sh.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/lib/tally.bash
. tests/lib/tally.bash

suites=(bookworm trixie)
commit=$(git -c safe.directory='*' rev-parse HEAD) || exit 1
whole=${FRESH_WHOLE:-${suites[$((0x${commit: -1} % 2))]}}

# What runs files of tests side by side is no part of what a newcomer needs, and comes after that.
jobs=${CKPTFS_JOBS:+make deps && tests/deps.sh fresh && CKPTFS_JOBS=$CKPTFS_JOBS }

# One debootstrap a suite; its tar is unpacked for each root.
FRESH_TARS=$(mktemp -d "${TMPDIR:-/var/tmp}/fresh-roots.XXXXXX") || exit 1
export FRESH_TARS
trap 'rm -rf "$FRESH_TARS"' EXIT

for suite in "${suites[@]}"; do
	# shellcheck disable=SC2016 # the words of the inner shell
	build='make deps && make -j"$(nproc)" WERROR=-Werror tests'
	if [[ $suite == "$whole" ]]; then
		as_root=('make demo' "${jobs}make test") as_user=('make demo')
	else
		as_root=('make demo' "$build") as_user=('make demo' "$build && bats tests/mount/{command,tree,examples}.bats")
	fi
	tally "Debian $suite, as root" tests/fresh-root.sh "$suite" "${as_root[@]}"
	tally "Debian $suite, as a user with sudo" tests/fresh-root.sh -u "$suite" "${as_user[@]}"
	rm -f "$FRESH_TARS/$suite.tar"
done
total
