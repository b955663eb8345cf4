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

# have_read - the bytes that the daemon has read so far: of the store, and FUSE's requests, which are small.
have_read() { awk '/^rchar/ { print $2 }' "/proc/$DAEMON/io"; }

MAPPED='import hashlib, mmap, sys; f = open(sys.argv[1], "rb"); print(hashlib.md5(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)).hexdigest())'

# eight FILE - the checksums that as many programs find who read FILE at the same time, each in one of three ways.
eight() {
	local i readers=()
	for i in {1..8}; do
		case $((i % 3)) in
		0) md5sum <"$1" ;;
		1) dd if="$1" bs=1M status=none | md5sum ;;
		2) "$PYTHON" -c "$MAPPED" "$1" ;;
		esac >"$BATS_TEST_TMPDIR/sum$i" 3>&- &
		readers+=($!)
	done
	for i in "${readers[@]}"; do
		wait "$i"
	done
	cut -c 1-32 "$BATS_TEST_TMPDIR"/sum?
}

@test "8 ranks that load one model at once read the store once" {
	local before bytes file found size store=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	oracle make_big blocks "$store"
	sleep 2.1 # what the kernel has of a file just written doesn't stay
	mount_store "$BATS_TEST_TMPDIR/s"
	for file in model.pt model.safetensors; do
		size=$(stat -c %s "$MNT/base/d12/000001/$file") before=$(have_read)
		found=$(eight "$MNT/base/d12/000001/$file")
		bytes=$(($(have_read) - before))
		echo "# $file: $((bytes * 100 / size)) % of its bytes read from the store, for 8 readers" >&3
		[[ $(wc -l <<<"$found") -eq 8 && $(sort -u <<<"$found") == "$(md5sum <"$MNT/base/d12/000001/$file" | cut -c 1-32)" ]]
		((bytes >= size && bytes < size * 6 / 5))
	done
	cmp "$MNT/base/d12/000001/model.pt" "$store/model_000001.pt"
}

@test "who reads past the page cache gets the same bytes, and takes no page away from the others" {
	local before file store=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	oracle make_big blocks "$store"
	sleep 2.1
	mount_store "$BATS_TEST_TMPDIR/s"
	for file in model.pt model.safetensors model.raw/w2; do
		file=$MNT/base/d12/000001/$file
		md5sum <"$file" >"$BATS_TEST_TMPDIR/sum"
		dd if="$file" iflag=direct bs=1M status=none | md5sum | cmp - "$BATS_TEST_TMPDIR/sum"
		before=$(have_read)
		md5sum <"$file" | cmp - "$BATS_TEST_TMPDIR/sum"
		(($(have_read) - before < $(stat -c %s "$file") / 10))
	done
}
