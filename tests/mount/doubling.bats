#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Publishing costs in proportion to what a draft holds, and reading to what the store holds.

load ../lib/helpers

@test "a draft that asks for twice as much costs the daemon's CPU about twice as much, whatever it asks for" {
	local store=$BATS_TEST_TMPDIR/s
	mkdir -p "$store/base_checkpoints/d12"
	mount_store "$store"
	run oracle doubling "$MNT" "$store" "$DAEMON"
	[[ $status -eq 0 ]] || { echo "$output"; return 1; }
	printf '# %s\n' "${lines[@]}" >&3
	[[ ${lines[-1]} -ge 13 ]]
}

@test "a store that holds four times as much costs the daemon's CPU about four times as much to read, whatever it holds" {
	local store=$BATS_TEST_TMPDIR/s
	mkdir -p "$store/base_checkpoints"
	mount_store "$store"
	run oracle doubling_read "$MNT" "$store" "$DAEMON"
	printf '# %s\n' "${lines[@]}" >&3
	[[ $status -eq 0 && ${lines[-1]} -eq 22 ]]
}
