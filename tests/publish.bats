#!/usr/bin/env bats
# shellcheck disable=SC2153,SC2154
# What is written is what is read. CKPTFS_EXAMPLES: so many random examples of each property (default 100), other ones each time; CKPTFS_SEED:
# those of an earlier run.

load helpers

teardown_file() { rm -rf /dev/shm/ckptfs-publish.??????; }

@test "random tensors, trees and metadata, by every door: what torch, NumPy and json read is what was written" {
	local count=${CKPTFS_EXAMPLES:-100} seed=${CKPTFS_SEED:-0} dir
	[[ -n ${CKPTFS_SEED:-} || -z ${CKPTFS_EXAMPLES:-} ]] || seed=$RANDOM
	need_torch
	# Each step is synced many times over, which is for other tests to look at.
	dir=$(mktemp -d /dev/shm/ckptfs-publish.XXXXXX) || dir=$BATS_TEST_TMPDIR
	export CKPTFS HYPOTHESIS_STORAGE_DIRECTORY=$dir/hypothesis
	reports
	run oracle publish_property "$dir/p" "$count" "$seed"
	fusermount3 -uqz "$dir/p/cpu/mnt" || true
	fusermount3 -uqz "$dir/p/cuda/mnt" || true
	if [[ $status -ne 0 ]]; then
		echo "$output"
		tail -n 20 "$dir"/p/*/mnt.log
		echo "again: CKPTFS_EXAMPLES=$count CKPTFS_SEED=$seed bats tests/publish.bats"
		return 1
	fi
	printf '# %s\n' "${lines[-1]}" >&3
}
