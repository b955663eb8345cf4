#!/bin/bash
# One of the tests' engines for a program: engine.sh ENGINE STORE serves the directory STORE, and says "ready"; or "skip WHY", where this machine lacks it.
# Then it obeys its stdin: "mount [OPTION...]" mounts a new client, of which nothing is in memory, and says where; "unmount" takes it away, and
# says "ok". At the end of its stdin it ends what it started.
set -u
BATS_TEST_DIRNAME=$(cd "$(dirname "$0")" && cd ../network && pwd)
BATS_TEST_TMPDIR=$(mktemp -d "${TMPDIR:-/var/tmp}/ckptfs-engine.XXXXXX")
BATS_RUN_TMPDIR=$BATS_TEST_TMPDIR
trap 'rm -rf "$BATS_TEST_TMPDIR"' EXIT
bats_require_minimum_version() { :; }
skip() { echo "skip $*"; exit 0; }
# Its descriptor 3 is where bats prints; the servers don't keep it.
exec 3>&2
# shellcheck source=tests/lib/helpers.bash
. "$BATS_TEST_DIRNAME/../lib/helpers.bash"
# shellcheck source=tests/lib/network.bash
. "$BATS_TEST_DIRNAME/../lib/network.bash"
# shellcheck source=tests/network/engines.bash
. "$BATS_TEST_DIRNAME/engines.bash"

unmount_client() {
	local n=$((${#CLIENTS[@]} - 1))
	fusermount3 -u "${CLIENTS[n]}" || fusermount3 -uz "${CLIENTS[n]}"
	within 20000 ended "${CLIENT_PIDS[n]}"
}

serve "$1" "$2" >&2 || { echo "skip $1 did not start"; teardown >&2; exit 1; }
echo ready
while read -r -a words; do
	case ${words[0]} in
	mount) client "${words[@]:1}" >&2 && echo "$REMOTE" || echo "failed" ;;
	unmount) unmount_client >&2 && echo ok || echo "failed" ;;
	esac
done
teardown >&2
