#!/bin/bash
# Proves the Debian packages in fresh Debian 12 and 13: `make deb` as a user in one root, then lintian; in another root installed, used as the manual
# says, tested by autopkgtest, and removed, which leaves nothing (packaging/deb-use.sh).
# Usage: packaging/deb-roots.sh [SUITE...]. Environment: DEB_OUT a directory that keeps the packages of each suite, and that of tests/fresh-root.sh.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/lib/tally.bash
. tests/lib/tally.bash

[[ $# -gt 0 ]] || set -- bookworm trixie
work=$(mktemp -d "${TMPDIR:-/var/tmp}/deb-roots.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
export FRESH_TARS=${FRESH_TARS:-$work}

for suite; do
	export FRESH_SHARE=${DEB_OUT:-$work}/$suite
	mkdir -p "$FRESH_SHARE" && chmod 1777 "$FRESH_SHARE" || exit 1
	rm -f "$FRESH_SHARE"/*
	tally "Debian $suite: build and lintian" tests/fresh-root.sh -u "$suite" \
		'sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends build-essential lintian >/dev/null &&
			sudo apt-get build-dep -y -qq ./ >/dev/null' \
		'make deb' \
		'lintian --info --display-info --pedantic --fail-on error,warning build-deb/*.changes' \
		'cp build-deb/* /share'
	tally "Debian $suite: install, use, remove" tests/fresh-root.sh "$suite" 'packaging/deb-use.sh /share'
done
total
