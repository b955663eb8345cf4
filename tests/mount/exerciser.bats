#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A draft behaves as a plain directory does. CKPTFS_EXERCISE_SECONDS: other random programs, for so long.

load ../lib/helpers

@test "random programs of file calls in a draft, with remounts and kills in between, as in a plain directory" {
	export CKPTFS
	run oracle exerciser "$BATS_TEST_TMPDIR/e" ${CKPTFS_EXERCISE_SECONDS:+"$CKPTFS_EXERCISE_SECONDS"}
	fusermount3 -uqz "$BATS_TEST_TMPDIR/e/mnt" || true
	[[ $status -eq 0 ]] || { echo "$output"; return 1; }
	printf '# %s\n' "${lines[-1]}" >&3
}

# draft_store - an empty tag, mounted, with a draft; $DRAFT.
draft_store() {
	mkdir -p "$BATS_TEST_TMPDIR/s/base_checkpoints/d1"
	mount_store "$BATS_TEST_TMPDIR/s"
	DRAFT=$MNT/base/d1/000600
	mkdir -p "$DRAFT/model"
}

@test "fio with verify: random writes, read back, by four jobs at once" {
	draft_store
	fio --directory="$DRAFT/model" --name=v --rw=randwrite --bsrange=1k-64k --bs_unaligned=1 --size=2m --numjobs=4 --ioengine=psync \
		--verify=crc32c --verify_fatal=1 --randseed=7 --fallocate=none --verify_state_save=0 --output="$BATS_TEST_TMPDIR/fio" || { cat "$BATS_TEST_TMPDIR/fio"; return 1; }
}

@test "fio with verify through shared mappings" {
	draft_store
	fio --directory="$DRAFT/model" --name=m --rw=randwrite --bs=4k --size=1m --numjobs=2 --ioengine=mmap --verify=crc32c --verify_fatal=1 \
		--randseed=7 --fallocate=none --verify_state_save=0 --output="$BATS_TEST_TMPDIR/fio" || { cat "$BATS_TEST_TMPDIR/fio"; return 1; }
}
