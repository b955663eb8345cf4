#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# The daemon killed at any moment of a publication or of a native save: a step is whole or absent, drafts are kept, nothing is left over.

load ../lib/helpers
load ../lib/shims

@test "killed at every call by which a step is written and published, by each door, and natively: whole or absent, the draft intact" {
	need_torch
	shim faults
	local stride=${CKPTFS_STRIDE:-1}
	! sanitized || stride=5
	run oracle crash "$BATS_TEST_TMPDIR/crash" "$stride"
	[[ $status -eq 0 ]] || { echo "$output"; return 1; }
	printf '# %s\n' "${lines[@]}" >&3
	[[ ${lines[-1]% kills} -ge $((250 / stride)) ]]
}

@test "killed, or met by faults, once more while the next mount clears up: the same holds" {
	need_torch
	shim faults
	run oracle full recovery "$BATS_TEST_TMPDIR/again" "${CKPTFS_STRIDE:-3}"
	[[ $status -eq 0 ]] || { echo "$output"; return 1; }
	printf '# %s\n' "${lines[-1]}" >&3
}

@test "a draft outlives kill -9 and the mount, and is published by the next" {
	need_torch
	own_store
	mount_store "$STORE"
	local draft=$MNT/base/d12/007000
	mkdir "$draft"
	cp -r "$MNT/base/d12/001000/model" "$draft/"
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null || true
	PIDS[0]=
	fusermount3 -uz "$MNT"
	mount_store "$STORE"
	draft=$MNT/base/d12/007000
	diff -r "$MNT/base/d12/001000/model" "$draft/model"
	[[ $(readlink "$MNT/base/d12/latest") != 007000 ]]
	cp "$MNT/base/d12/001000/meta.json" "$draft/"
	[[ -e $STORE/base_checkpoints/d12/model_007000.pt && -e $STORE/base_checkpoints/d12/meta_007000.json ]]
	diff -r "$MNT/base/d12/001000/model" "$MNT/base/d12/007000/model"
}

@test "a second mount of the store clears nothing that the first has under way" {
	local store=$BATS_TEST_TMPDIR/s tag first writer
	tag=$store/base_checkpoints/d12
	small_pt "$tag/model_000001.pt"
	mount_store "$store"
	first=$MNT
	mkdir "$first/base/d12/000002"
	{ printf 'half'; exec sleep 20; } >"$first/base/d12/model_000003.pt" 3>&- &
	writer=$!
	within 5000 eval '[[ -n $(find "$tag/.ckptfs/staged" -type f -size +0) ]]'
	mount_store "$store"
	[[ -d $first/base/d12/000002 && -d $MNT/base/d12/000002 ]]
	[[ -n $(ls "$tag/.ckptfs/staged") && ! -e $first/base/d12/model_000003.pt ]]
	kill "$writer"
	wait "$writer" || true
	within 2000 rmdir "$tag/.ckptfs/staged"         # it is empty
	rmdir "$first/base/d12/000002"
}
