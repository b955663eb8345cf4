#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154
# What the other tests rely on to tell one fault from another.

load ../lib/helpers

setup() { small_pt "$BATS_TEST_TMPDIR/s/base_checkpoints/d12/model_000001.pt"; }

@test "a mount that another mount namespace holds is named as such, and no daemon is blamed" {
	[[ $EUID -eq 0 ]] || skip "unshare -m needs root"
	local holder
	mount_store "$BATS_TEST_TMPDIR/s"
	unshare -m --propagation private sleep 600 3>&- &
	holder=$!
	within 5000 eval '[[ $(readlink /proc/'"$holder"'/ns/mnt) != $(readlink /proc/self/ns/mnt) ]]'
	# As unmount waits for a daemon: it need not wait long here.
	fusermount3 -u "$MNT"
	[[ $(pinned_by "$MNT") == "$holder" ]]
	run outlived "$MNT" "$DAEMON"
	kill "$holder"
	[[ $status -eq 0 && $output == *"another mount namespace"*"process $holder"* ]] || { echo "$output"; return 1; }
}

@test "a daemon that outlives its mount is a failure" {
	[[ -z $(pinned_by "$BATS_TEST_TMPDIR/nowhere") ]]
	sleep 600 3>&- &
	run outlived "$BATS_TEST_TMPDIR/nowhere" $!
	[[ $status -eq 1 && $output == "the daemon outlived its mount" ]]
	! kill -0 $! 2>/dev/null || wait $! || [[ $? -eq 137 ]]
}

@test "a command that takes long is within its time, one that begins too late is not" {
	run within 200 eval 'sleep 0.5; [[ -e $BATS_TEST_TMPDIR/seen ]] || ! touch "$BATS_TEST_TMPDIR/seen"'
	[[ $status -eq 0 ]]
	run within 100 false
	[[ $status -eq 1 && $output == "not within 100 ms: false" ]]
}

@test "a daemon's processor time is counted" {
	local before
	mount_store "$BATS_TEST_TMPDIR/s"
	before=$(cpu_ms "$DAEMON")
	while (($(cpu_ms "$DAEMON") < before + 20)); do find "$MNT" >/dev/null; done
	[[ $(cpu_ms $$) -ge 0 ]]
}
