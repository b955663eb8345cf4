#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Writing on a store that is full, over quota or faulty: the writer is told, nothing half-made is visible, and the same draft is published later.

load ../lib/helpers
load ../lib/shims

# faulty HOW DIRECTORY [STRIDE]
faulty() {
	run oracle full "$@"
	[[ $status -eq 0 ]] || { echo "$output"; return 1; }
	printf '# %s\n' "${lines[-1]}" >&3
}

@test "ENOSPC at every amount of free space, by each way of writing" {
	need_torch
	shim faults
	small_fs "$BATS_TEST_TMPDIR/full" 10m
	faulty space "$BATS_TEST_TMPDIR/full"
}

@test "ENOSPC at every number of free inodes, by each way of writing" {
	need_torch
	shim faults
	small_fs "$BATS_TEST_TMPDIR/full" 10m,nr_inodes=300
	faulty inodes "$BATS_TEST_TMPDIR/full"
}

@test "EIO or EDQUOT from each call, once or for good, by each way of writing" {
	need_torch
	shim faults
	faulty shim "$BATS_TEST_TMPDIR/faults" "${CKPTFS_STRIDE:-2}"
}

@test "cp and sync say that the disk is full; with room again the same draft is published" {
	need_torch
	local store=$BATS_TEST_TMPDIR/full/s draft
	small_fs "$BATS_TEST_TMPDIR/full" 2m
	mkdir -p "$store/base_checkpoints/d1"
	"$PYTHON" -c 'import torch; torch.save({"w": torch.zeros(100000)}, "'"$store"'/base_checkpoints/d1/model_000001.pt")'
	echo '{"step": 1}' >"$store/base_checkpoints/d1/meta_000001.json"
	mount_store "$store"
	draft=$MNT/base/d1/000002
	mkdir "$draft"
	cp -r "$MNT/base/d1/000001/model" "$draft/"
	# The draft has its 400 KB; the step that is made of it has no room.
	dd if=/dev/zero of="$store/filler" bs=4k status=none 2>/dev/null || true
	truncate -s -64k "$store/filler"
	refuses 'No space left' cp "$MNT/base/d1/000001/meta.json" "$draft/"
	refuses 'No space left' sync "$draft"
	# The room is asked for before the copy begins, and how much is missing is said as of now.
	is_error "$draft/DRAFT.error" "1 tensor and meta.json: publishing needs 400[0-9]{3} bytes of disk space, [0-9]+ are free: 3[0-9]{5} bytes are missing"
	grep -q 'publishing needs .* bytes are missing' "$LOG"
	lists "$store/base_checkpoints/d1" ".ckptfs meta_000001.json model_000001.pt"
	[[ $(readlink "$MNT/base/d1/latest") == 000001 ]]
	cmp "$MNT/base/d1/000001/model/w.npy" "$draft/model/w.npy"
	rm "$store/filler"
	is_error "$draft/DRAFT.error" "1 tensor and meta.json: sync this directory to publish"
	sync "$draft"
	diff -r "$MNT/base/d1/000001/model" "$MNT/base/d1/000002/model"
	lists "$store/base_checkpoints/d1/.ckptfs" "writers"
}
