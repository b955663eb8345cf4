#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Readers while everything changes underneath: right bytes or the errno that is due, no more memory, nobody stuck; and a mount that ends under
# them. CKPTFS_STORM_SECONDS says how long (default 10).

load ../lib/helpers

setup() {
	STORE=$BATS_TEST_TMPDIR/s
	oracle storm make "$STORE"
	# Of what is open when the mount goes the kernel sends no release, nor all of them of what was closed just before: no leak that a daemon
	# could help.
	[[ $BATS_TEST_DESCRIPTION != SIGTERM* && $BATS_TEST_DESCRIPTION != lazy* ]] || export LSAN_OPTIONS=detect_leaks=0
	mount_store "$STORE"
}

# holding COUNT [gone] - readers in the background that have files open; release lets them go and fails if one of them did.
holding() {
	mkfifo "$BATS_TEST_TMPDIR/go"
	oracle storm_parts hold "$MNT" "$@" <"$BATS_TEST_TMPDIR/go" >"$BATS_TEST_TMPDIR/hold" 2>&1 3>&- &
	HOLDER=$!
	exec 4>"$BATS_TEST_TMPDIR/go"
	within 20000 grep -q open "$BATS_TEST_TMPDIR/hold"
}

release() {
	exec 4>&-
	wait "$HOLDER" || { cat "$BATS_TEST_TMPDIR/hold"; return 1; }
}

ended() { ! kill -0 "$DAEMON"; }

@test "a storm: 64 readers while steps are published, replaced, deleted, cut and overwritten" {
	local slack=1 out
	! sanitized && ! grep -q __tsan_init "$CKPTFS" || slack=5
	out=$(oracle storm run "$STORE" "$MNT" "$DAEMON" "${CKPTFS_STORM_SECONDS:-10}" 64 "$slack")
	echo "# $out" >&3
}

@test "a file that is open keeps its size and bytes when it is replaced, however much else is read" {
	oracle storm_parts size "$MNT" 150 "$STORE/base_checkpoints/d12"
}

@test "what is seen of a file that is just being changed is not kept" {
	oracle storm_parts young "$MNT" "$STORE/base_checkpoints/d12"
}

@test "unmount under load: busy, and nobody notices" {
	holding 16
	run fusermount3 -u "$MNT"
	[[ $status -ne 0 && ${output,,} == *busy* ]]
	cmp "$MNT/base/d12/000002/model.pt" "$STORE/base_checkpoints/d12/model_000002.pt"
	release
}

@test "lazy unmount under load: who has a file open reads on, then the daemon ends" {
	holding 16
	fusermount3 -uz "$MNT"
	[[ ! -e $MNT/base ]]
	sleep 0.5
	kill -0 "$DAEMON"
	release
	within 10000 ended
	wait "$DAEMON"
}

@test "SIGTERM under load: the mount goes, nobody is stuck, the daemon's status is 0" {
	holding 16 gone
	kill -TERM "$DAEMON"
	within 10000 ended
	wait "$DAEMON"
	release
	[[ ! -e $MNT/base ]]
}
