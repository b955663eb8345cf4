#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A store that fails while it is read: the reader gets the errno, the log a line and no flood, the mount stays and is right again when the store is.

load ../lib/helpers
load ../lib/shims

# mount_faulty STORE [OPTION...] - a mount whose daemon fails as set_fault says.
mount_faulty() {
	FAULTS=$BATS_TEST_TMPDIR/faults
	truncate -s 4096 "$FAULTS"
	preload "CKPTFS_FAULTS=$FAULTS"
	mount_store "$@"
}

# set_fault OPS NTH COUNT ERRNO; none without arguments.
set_fault() { printf '%s\0' "$*" | dd of="$FAULTS" conv=notrunc status=none; }

# The page cache would answer in the store's stead.
forget_pages() { [[ $EUID -ne 0 ]] || echo 3 >/proc/sys/vm/drop_caches; }

big_store() {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	mkdir -p "$tag"
	"$PYTHON" - "$tag/model_000001.pt" <<-'END'
		import sys, torch
		torch.save({"a": torch.arange(1 << 20, dtype=torch.float32), "b": torch.ones(1 << 19, dtype=torch.bfloat16)}, sys.argv[1])
	END
	echo '{"step": 1}' >"$tag/meta_000001.json"
}

@test "each read of the daemon fails by EIO in turn: EIO or the right bytes, and right again afterwards" {
	need_torch
	shim faults
	run oracle readfaults "$(nanochat_store)" "$BATS_TEST_TMPDIR/r" "${CKPTFS_STRIDE:-9}"
	[[ $status -eq 0 ]] || { echo "$output"; return 1; }
	printf '# %s\n' "${lines[-1]}" >&3
}

@test "a disk that dies in the middle of a read, for readers of every kind of view: EIO, few lines, and the mount stays" {
	need_torch
	shim faults
	big_store
	local step view i
	mount_faulty "$BATS_TEST_TMPDIR/s"
	step=$MNT/base/d12/000001
	(cd "$step" && find . -type f | sort | xargs sha256sum) >"$BATS_TEST_TMPDIR/sums"
	for view in model/a.npy model/b.npy model.raw/a model.safetensors model.pt; do
		forget_pages
		exec {reader}<"$step/$view"
		dd bs=64k count=2 status=none <&"$reader" >/dev/null
		set_fault read 1 1000000 5
		refuses "Input/output error" dd bs=64k of=/dev/null skip=8 status=none <&"$reader"
		for i in {1..20}; do
			refuses "Input/output error" cat "$step/$view"
		done
		set_fault
		exec {reader}<&-
	done
	echo "$(wc -l <"$LOG") lines in the log"
	[[ $(wc -l <"$LOG") -ge 1 && $(wc -l <"$LOG") -le 30 ]]
	(cd "$step" && sha256sum --quiet -c "$BATS_TEST_TMPDIR/sums")
}

@test "who waits for a slow store holds up nobody else" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12 readers i
	need_torch
	big_store
	"$PYTHON" -c 'import sys, torch; torch.save({"long": torch.zeros(6 << 20)}, sys.argv[1])' "$tag/model_000002.pt"
	shim slow
	preload SLOW_MS=4000 SLOW_LEN=65536 SLOW_UNDER=/nowhere
	mount_store "$BATS_TEST_TMPDIR/s"
	# Six at a time, of one open file, as of one stream; each says when it has got its bytes.
	"$PYTHON" - "$MNT/base/d12/000002/model.raw/long" "$BATS_TEST_TMPDIR/done" 3>&- <<-'END' &
		import concurrent.futures, os, sys
		fd, done = os.open(sys.argv[1], os.O_RDONLY), open(sys.argv[2], "ab", 0)
		def read(i):
		    assert os.pread(fd, 1 << 18, i << 22) == bytes(1 << 18)
		    done.write(b".")
		with concurrent.futures.ThreadPoolExecutor(6) as pool:
		    list(pool.map(read, range(6)))
	END
	readers=$!
	within 10000 test -e "$BATS_TEST_TMPDIR/done"
	sleep 0.5
	for i in {1..40}; do
		[[ ! -e $MNT/base/d12/nothing$i ]]
	done
	[[ ! -s $BATS_TEST_TMPDIR/done ]]
	wait "$readers"
	[[ $(stat -c %s "$BATS_TEST_TMPDIR/done") -eq 6 ]]
}

@test "a lookup that a rename overtakes: the file keeps its new name, and another of the old name is another" {
	local store=$BATS_TEST_TMPDIR/s draft looker
	small_pt "$store/base_checkpoints/d12/model_000500.pt"
	shim late
	preload LATE_NAME=first "LATE_ONCE=$store/once" LATE_MS=1000
	mount_store "$store"
	draft=$MNT/base/d12/000600
	mkdir "$draft"
	echo one >"$draft/first"
	# The kernel asks again for a name that it has known for a while.
	sleep 0.7
	touch "$store/once"
	stat "$draft/first" >"$BATS_TEST_TMPDIR/seen" 2>&1 3>&- &
	looker=$!
	within 500 test ! -e "$store/once"
	mv "$draft/first" "$draft/second"
	wait "$looker" || true
	[[ $(<"$draft/second") == one ]]
	echo another >"$draft/first"
	echo two >>"$draft/second"
	[[ $(<"$store/base_checkpoints/d12/.ckptfs/000600/files/first") == another ]]
	[[ $(<"$store/base_checkpoints/d12/.ckptfs/000600/files/second") == $'one\ntwo' ]]
}

@test "a store that goes away and comes back" {
	local store=$BATS_TEST_TMPDIR/s step sum
	small_pt "$store"/base_checkpoints/d12/model_00000{1,2}.pt
	mount_store "$store"
	step=$MNT/base/d12/000001
	sum=$(find "$MNT" -type f -print0 | sort -z | xargs -0 cat | sha256sum)
	exec {open}<"$step/model.pt"
	mv "$store" "$store.away"
	within 3000 eval '! cat "$step/model.pt" >/dev/null 2>&1'
	# Who has it open reads on.
	[[ $(sha256sum <&"$open") == "$(sha256sum <"$store.away/base_checkpoints/d12/model_000001.pt")" ]]
	exec {open}<&-
	run ! ls "$MNT/base/d12"
	run ! mkdir "$MNT/base/d12/000003"
	mountpoint -q "$MNT"
	[[ ! -e $store ]]
	mv "$store.away" "$store"
	within 3000 cat "$step/model.pt" >/dev/null
	within 3000 eval '[[ $(find "$MNT" -type f -print0 | sort -z | xargs -0 cat | sha256sum) == "$sum" ]]'
	mkdir "$MNT/base/d12/000003"
	rmdir "$MNT/base/d12/000003"
	[[ $(wc -l <"$LOG") -le 20 ]]
}

@test "a tag that is deleted under a reader and a writer" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	small_pt "$tag/model_000001.pt" "$BATS_TEST_TMPDIR/s/base_checkpoints/d13/model_000001.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	mkdir -p "$MNT/base/d12/000002/model"
	cp "$MNT/base/d12/000001/model/lm_head.weight.npy" "$MNT/base/d12/000002/model/"
	rm -rf "$tag"
	within 3000 eval '! ls "$MNT/base/d12" >/dev/null 2>&1'
	run ! cp "$MNT/base/d13/000001/meta.json" "$MNT/base/d12/000002/"
	run ! sync "$MNT/base/d12/000002"
	[[ ! -e $tag ]]
	cat "$MNT/base/d13/000001/model.pt" >/dev/null
}

@test "a store on a read-only file system: all is read, every write is EROFS" {
	[[ $EUID -eq 0 ]] || skip "a read-only mount needs root"
	local store=$BATS_TEST_TMPDIR/ro/s
	small_fs "$BATS_TEST_TMPDIR/ro" 2m
	small_pt "$store/base_checkpoints/d12/model_000001.pt"
	# What a crash left can't be cleared here, and does not keep the mount from coming up.
	mkdir -p "$store/base_checkpoints/d12/.ckptfs/000002/files" "$store/base_checkpoints/d12/.ckptfs/staged/x"
	mount -o remount,ro "$BATS_TEST_TMPDIR/ro"
	mount_store "$store" -o delete
	cmp "$MNT/base/d12/000001/model.pt" "$store/base_checkpoints/d12/model_000001.pt"
	refuses "Read-only file system" mkdir "$MNT/base/d12/000003"
	refuses "Read-only file system" mkdir "$MNT/base/d13"
	refuses "Read-only file system" cp "$store/base_checkpoints/d12/model_000001.pt" "$MNT/base/d12/model_000004.pt"
	refuses "Read-only file system" rm "$MNT/base/d12/model_000001.pt"
	[[ $(wc -l <"$LOG") -le 4 ]]
}

@test "a store on a full file system is read" {
	local store=$BATS_TEST_TMPDIR/full/s
	small_fs "$BATS_TEST_TMPDIR/full" 1m
	small_pt "$store"/base_checkpoints/d12/model_00000{1,2}.pt
	dd if=/dev/zero of="$store/filler" bs=4k status=none 2>/dev/null || true
	[[ $(stat -f -c %a "$store") -eq 0 ]]
	mount_store "$store"
	find "$MNT" -type f -print0 | xargs -0 cat >/dev/null
	cmp "$MNT/base/d12/000002/model.pt" "$store/base_checkpoints/d12/model_000002.pt"
	[[ $(readlink "$MNT/base/d12/latest") == 000002 ]]
	refuses "No space left" cp "$MNT/base/d12/000001/model.pt" "$MNT/base/d12/model_000003.pt"
	lists "$MNT/base/d12" "000001 000002 history.tsv latest"
}

@test "permissions that are taken away and given back, to a daemon that obeys them" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12 i
	small_pt "$tag"/model_00000{1,2}.pt
	[[ $EUID -ne 0 ]] || RUNNER=(setpriv '--bounding-set=-dac_override,-dac_read_search')
	mount_store "$BATS_TEST_TMPDIR/s"
	chmod 0 "$tag/model_000001.pt"
	# To a user the step's directory is as closed as its model.
	if [[ $EUID -eq 0 ]]; then
		within 3000 is_error "$MNT/base/d12/000001/model.error" 'permission denied'
	else
		within 3000 refuses "Permission denied" ls "$MNT/base/d12/000001"
	fi
	for i in {1..20}; do
		refuses "Permission denied" cat "$MNT/base/d12/000001/model.pt"
	done
	[[ $(wc -l <"$LOG") -le 3 ]]
	chmod 644 "$tag/model_000001.pt"
	within 3000 cmp "$MNT/base/d12/000001/model.pt" "$tag/model_000001.pt"
	within 3000 cat "$MNT/base/d12/000001/model/lm_head.weight.npy" >/dev/null
}
