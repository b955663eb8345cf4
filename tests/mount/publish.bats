#!/usr/bin/env bats
# shellcheck disable=SC2153,SC2154
# What is written is what is read. CKPTFS_EXAMPLES: so many random examples of each property (default 100), other ones each time; CKPTFS_SEED:
# those of an earlier run.

load ../lib/helpers

teardown_file() {
	local dir mnt
	dir=$(cat "$BATS_FILE_TMPDIR/dir" 2>/dev/null) || return 0
	for mnt in "$dir"/p/*/mnt; do fusermount3 -uqz "$mnt" || true; done
	rm -rf --one-file-system "$dir"
}

@test "random tensors, trees and metadata, by every door: what torch, NumPy and json read is what was written" {
	local count=${CKPTFS_EXAMPLES:-100} seed=${CKPTFS_SEED:-0} dir
	[[ -n ${CKPTFS_SEED:-} || -z ${CKPTFS_EXAMPLES:-} ]] || seed=$RANDOM
	need_torch
	# Each step is synced many times over, which is for other tests to look at.
	dir=$(mktemp -d /dev/shm/ckptfs-publish.XXXXXX) || dir=$BATS_TEST_TMPDIR
	echo "$dir" >"$BATS_FILE_TMPDIR/dir"
	export CKPTFS HYPOTHESIS_STORAGE_DIRECTORY=$dir/hypothesis
	reports
	run oracle publish_property "$dir/p" "$count" "$seed"
	if [[ $status -ne 0 ]]; then
		echo "$output"
		tail -n 20 "$dir"/p/*/mnt.log
		echo "again: CKPTFS_EXAMPLES=$count CKPTFS_SEED=$seed bats tests/mount/publish.bats"
		return 1
	fi
	printf '# %s\n' "${lines[-1]}" >&3
}
