#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Many readers at once: no error, and the same bytes for everyone. CKPTFS_LOAD_SECONDS says how long (default 5).

load ../lib/helpers

# reader MOUNT UNTIL OUT - the checksums of all views in a random order, again and again until UNTIL; the sorted sums go to OUT.
reader() {
	local passes=0
	: >"$3"
	while (($(now_ms) < $2 || passes == 0)); do
		find "$1" -type f -print0 | shuf -z | xargs -0 md5sum | sort | md5sum >>"$3" || return 1
		((++passes))
	done
}

@test "8 readers side by side over all views: no error and identical checksums" {
	need_torch
	local until readers=() i out=$BATS_TEST_TMPDIR/out
	mount_store "$(nanochat_store)"
	until=$(($(now_ms) + ${CKPTFS_LOAD_SECONDS:-5} * 1000))
	for i in {1..8}; do
		(set -o pipefail && reader "$MNT" "$until" "$out$i") 3>&- &
		readers+=($!)
	done
	for i in "${readers[@]}"; do
		wait "$i"
	done
	[[ $(cat "$out"? | sort -u | wc -l) -eq 1 ]]
	echo "# $(cat "$out"? | wc -l) passes over $(find "$MNT" -type f | wc -l) files" >&3
}

@test "8 readers side by side while steps come, go and are replaced: no wrong bytes" {
	local tag i readers=() until
	tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	small_pt "$tag"/model_00000{1,2}.pt
	mount_store "$BATS_TEST_TMPDIR/s"
	oracle make_case good "$BATS_TEST_TMPDIR/good.pt"
	until=$(($(now_ms) + ${CKPTFS_LOAD_SECONDS:-5} * 1000 / 2))
	cp "$MNT/base/d12/000001/model.raw/lm_head.weight" "$BATS_TEST_TMPDIR/reference"
	for i in {1..8}; do
		(
			while (($(now_ms) < until)); do
				cmp "$MNT/base/d12/000001/model.raw/lm_head.weight" "$BATS_TEST_TMPDIR/reference" || exit 1
				ls -lR "$MNT/base/d12" >/dev/null 2>&1 || true
				# The file may be gone, but never have other bytes.
				cmp "$MNT/base/d12/000003/model.raw/lm_head.weight" "$BATS_TEST_TMPDIR/reference" >"$BATS_TEST_TMPDIR/cmp$i" 2>&1 ||
					! grep -q differ "$BATS_TEST_TMPDIR/cmp$i" || exit 1
			done
		) 3>&- &
		readers+=($!)
	done
	while (($(now_ms) < until)); do
		cp "$BATS_TEST_TMPDIR/good.pt" "$BATS_TEST_TMPDIR/new.pt"
		mv "$BATS_TEST_TMPDIR/new.pt" "$tag/model_000003.pt"
		sleep 0.03
		rm "$tag/model_000003.pt"
	done
	for i in "${readers[@]}"; do
		wait "$i"
	done
}
