#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Reading ahead of streams on a store behind a network: which reads reach the store, counted by a shim (tests/lib/shims/remote.c) or done by a real sshfs.

load ../lib/helpers
load ../lib/shims
load ../lib/network

# large_store [STEPS [TENSORS [MIB]]] - $STORE: models of random tensors.
large_store() {
	STORE=$BATS_TEST_TMPDIR/large
	"$PYTHON" - "$STORE" "${1:-1}" "${2:-8}" "${3:-4}" <<-'END'
		import os, random, sys
		import handmade
		store, steps, count, mib = sys.argv[1], *map(int, sys.argv[2:])
		tag = os.path.join(store, "base_checkpoints", "d1")
		os.makedirs(tag)
		for step in range(1, steps + 1):
		    data = random.Random(step).randbytes(count * mib << 20)
		    value = {"w.%d" % i: handmade.tensor(i, (mib << 8, 1024)) for i in range(count)}
		    part = {str(i): data[i * mib << 20:(i + 1) * mib << 20] for i in range(count)}
		    handmade.write(os.path.join(tag, "model_%06d.pt" % step), value, part)
		    with open(os.path.join(tag, "meta_%06d.json" % step), "w") as f:
		        f.write('{"step": %d}' % step)
	END
}

# remote KIND MS - mounts from here on see the store's large files as such ones; $READS is the log.
remote() {
	sanitized && skip "a sanitized daemon takes no shim"
	shim remote
	READS=$BATS_TEST_TMPDIR/reads
	preload "REMOTE_KIND=$1" "REMOTE_MS=$2" "REMOTE_LOG=$READS"
}

# ahead MEMBER - a number of the mount's status.
ahead() {
	getfattr --only-values -n user.ckptfs.status "$MNT" 2>/dev/null |
		"$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["ahead"][sys.argv[1]])' "$1"
}
is_ahead() { [[ $(ahead "$1") -eq $2 ]]; }

# Of the reads in the log: bytes; the most that were on their way; parts in a hundred of the large ones that went on where the last one of the file had ended.
bytes_read() { awk '{ n += $3 } END { print n + 0 }' "$READS"; }
most_flying() { awk '$4 > n { n = $4 } END { print n + 0 }' "$READS"; }
in_turn() { awk '$3 >= 1048576 { n++; k += $5 } END { print n ? int(100 * k / n) : 0 }' "$READS"; }

size_of() { stat -L -c %s "$@" | awk '{ n += $1 } END { print n }'; }

@test "a store that serves many reads side by side gets many, and each byte is read once" {
	large_store 1 12 8
	remote parallel 50
	mount_store "$STORE"
	: >"$READS"
	cmp "$MNT/base/d1/000001/model.pt" "$STORE/base_checkpoints/d1/model_000001.pt"
	[[ $(most_flying) -ge 2 && $(ahead side_by_side) -ge 2 ]]
	[[ $(bytes_read) -lt $(($(size_of "$STORE/base_checkpoints/d1/model_000001.pt") * 105 / 100)) ]]
}

@test "one .npy after the other is a stream too" {
	large_store 1 48 1
	remote parallel 50
	mount_store "$STORE"
	: >"$READS"
	cat "$MNT"/base/d1/000001/model.raw/w.{0..47} | cmp - <("$PYTHON" -c 'import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(48 << 20))')
	[[ $(most_flying) -ge 2 ]]
	[[ $(bytes_read) -lt $((52 << 20)) ]]
	# Headers between the tensors came with them.
	[[ $(wc -l <"$READS") -lt 100 ]]
}

@test "a store with one stream for each file gets large reads in order, one at a time" {
	large_store 1 12 8
	remote stream 10
	mount_store "$STORE"
	: >"$READS"
	cmp "$MNT/base/d1/000001/model.pt" "$STORE/base_checkpoints/d1/model_000001.pt"
	[[ $(ahead side_by_side) -eq 1 ]]
	[[ $(in_turn) -ge 85 ]]
	[[ $(bytes_read) -lt $(($(size_of "$STORE/base_checkpoints/d1/model_000001.pt") * 105 / 100)) ]]
}

@test "where the store answers from memory nothing is read ahead for long" {
	large_store 1 12 8
	remote memory 0
	mount_store "$STORE"
	: >"$READS"
	cmp "$MNT/base/d1/000001/model.pt" "$STORE/base_checkpoints/d1/model_000001.pt"
	# A busy machine makes any read look slow; such a stream ends after four reads from memory.
	[[ $(ahead read_bytes) -lt $((48 << 20)) ]]
	[[ $(bytes_read) -lt $(($(size_of "$STORE/base_checkpoints/d1/model_000001.pt") * 3 / 2)) ]]
}

@test "of a reader that goes to and fro nothing is read that it didn't ask for" {
	large_store
	remote parallel 5
	mount_store "$STORE"
	head -c 1 "$MNT/base/d1/000001/model.pt" >/dev/null
	: >"$READS"
	"$PYTHON" - "$MNT/base/d1/000001/model.pt" <<-'END'
		import os, random, sys
		fd = os.open(sys.argv[1], os.O_RDONLY)
		os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
		places = random.Random(1).sample(range(os.fstat(fd).st_size // 4096), 200)
		for place in places:
		    assert len(os.pread(fd, 4096, place * 4096)) == 4096
	END
	[[ $(bytes_read) -eq $((200 * 4096)) ]]
	[[ $(ahead read_bytes) -eq 0 && $(ahead threads) -eq 0 ]]
}

@test "32 readers of 32 steps have 64 MiB ahead of them together, and each gets its bytes" {
	local i pids=()
	large_store 32 2 6
	remote parallel 10
	mount_store "$STORE"
	for i in {01..32}; do
		cmp "$MNT/base/d1/0000$i/model.pt" "$STORE/base_checkpoints/d1/model_0000$i.pt" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i"
	done
	[[ $(ahead most_bytes) -le $((64 << 20)) && $(ahead most_bytes) -gt $((8 << 20)) ]]
	[[ $(ahead threads) -le 32 ]]
	# Little was read twice.
	echo "$(bytes_read) bytes of $(size_of "$STORE"/base_checkpoints/d1/model_*.pt)"
	[[ $(bytes_read) -lt $(($(size_of "$STORE"/base_checkpoints/d1/model_*.pt) * 3 / 2)) ]]
}

@test "a reader that stops leaves nothing: no buffer, no thread, no read" {
	large_store 1 12 8
	remote parallel 10
	mount_store "$STORE"
	exec 5<"$MNT/base/d1/000001/model.pt"
	head -c 20M <&5 >/dev/null
	[[ $(ahead bytes) -gt 0 && $(ahead streams) -eq 1 ]]
	within 20000 is_ahead streams 0
	within 20000 is_ahead bytes 0
	within 20000 is_ahead threads 0
	: >"$READS"
	sleep 0.5
	[[ ! -s $READS ]]
	# It goes on as before.
	cmp <(cat <&5) <(tail -c +$(((20 << 20) + 1)) "$STORE/base_checkpoints/d1/model_000001.pt")
	exec 5<&-
}

@test "a file that is rewritten under what was read ahead: an error, never the bytes of two versions" {
	large_store 1 12 8
	remote parallel 10
	mount_store "$STORE"
	exec 5<"$MNT/base/d1/000001/model.pt"
	head -c 8M <&5 | cmp - <(head -c 8M "$STORE/base_checkpoints/d1/model_000001.pt")
	[[ $(ahead bytes) -gt 0 ]]
	dd if=/dev/zero of="$STORE/base_checkpoints/d1/model_000001.pt" bs=1M seek=8 count=80 conv=notrunc status=none
	run eval 'cat <&5 >/dev/null'
	[[ $status -ne 0 && $output == *"Input/output error"* ]]
	exec 5<&-
}

@test "a store that breaks under what is read ahead: the reader hears of it where it reads" {
	large_store 1 12 8
	remote parallel 10
	mount_store "$STORE"
	exec 5<"$MNT/base/d1/000001/model.pt"
	head -c 8M <&5 | cmp - <(head -c 8M "$STORE/base_checkpoints/d1/model_000001.pt")
	truncate -s 9M "$STORE/base_checkpoints/d1/model_000001.pt"
	run eval 'cat <&5 >/dev/null'
	[[ $status -ne 0 && $output == *"Input/output error"* ]]
	exec 5<&-
	mount_store "$STORE"
	is_error "$MNT/base/d1/000001/model.error" truncated
}

# by_name - the bytes of large_store 1 24 4, its tensors in the order of their names.
by_name() { "$PYTHON" -c 'import random, sys
data = random.Random(1).randbytes(96 << 20)
for i in sorted(range(24), key=str):
    sys.stdout.buffer.write(data[i * 4 << 20:(i + 1) * 4 << 20])'; }

@test "through a real sshfs with a delay: every view is whole, and many reads are side by side" {
	large_store 1 24 4
	serve sshfs "$STORE" 25
	client
	mount_store "$REMOTE"
	cmp "$MNT/base/d1/000001/model.pt" "$STORE/base_checkpoints/d1/model_000001.pt"
	[[ $(ahead side_by_side) -ge 2 && $(ahead read_bytes) -gt $((80 << 20)) ]]
	tail -c $((96 << 20)) "$MNT/base/d1/000001/model.safetensors" | cmp - <(by_name)
	cat "$MNT"/base/d1/000001/model.raw/w.{0..23} | cmp - <("$PYTHON" -c 'import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(96 << 20))')
}

# seeks - how often rclone, which has one stream for each open file, had to begin elsewhere in one: in its log.
seeks() { grep -c "ReadFileHandle.seek" "$NET/client0.log"; }

@test "through a real rclone: it seeks to open the file, and where the reader's order is another than the file's; not between reads of a stream" {
	large_store 1 24 4
	serve rclone-webdav "$STORE"
	client -vv
	mount_store "$REMOTE"
	# Faster than cmp.
	cat "$MNT/base/d1/000001/model.pt" >"$BATS_TEST_TMPDIR/model.pt"
	cmp "$BATS_TEST_TMPDIR/model.pt" "$STORE/base_checkpoints/d1/model_000001.pt"
	# The directory of the zip and the pickle were read before.
	echo "$(seeks) seeks"
	[[ $(seeks) -le 6 ]]
	tail -c $((96 << 20)) "$MNT/base/d1/000001/model.safetensors" | cmp - <(by_name)
	echo "$(seeks) seeks"
	# 24 tensors in the order 0, 1, 10 to 19, 2, 20 to 23, 3.
	[[ $(seeks) -le 20 ]]
}

@test "through a real rclone: readers of one file at many places, large and small, each get its bytes" {
	local i pids=() pt=base_checkpoints/d1/model_000001.pt
	large_store 1 6 4
	serve rclone-webdav "$STORE"
	client
	mount_store "$REMOTE"
	for i in {0..7}; do
		cmp <(tail -c +$((i * 3000000 + 1)) "$MNT/base/d1/000001/model.pt") <(tail -c +$((i * 3000000 + 1)) "$STORE/$pt") &
		pids+=($!)
	done
	"$PYTHON" - "$MNT/base/d1/000001/model.pt" "$STORE/$pt" <<-'END'
		import os, random, sys
		ours, stored = (os.open(path, os.O_RDONLY) for path in sys.argv[1:])
		os.posix_fadvise(ours, 0, 0, os.POSIX_FADV_RANDOM)
		for place in random.Random(2).sample(range(os.fstat(stored).st_size // 4096), 100):
		    assert os.pread(ours, 4096, place * 4096) == os.pread(stored, 4096, place * 4096)
	END
	for i in "${pids[@]}"; do
		wait "$i"
	done
}

@test "reads ahead that never come back don't hold the daemon" {
	large_store 1 12 8
	remote parallel 10
	RUNNER+=("REMOTE_HANG=$((40 << 20))")
	mount_store "$STORE"
	cat "$MNT"/base/d1/000001/model.raw/w.{0..3} | cmp - <("$PYTHON" -c 'import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(96 << 20)[:32 << 20])')
	within 20000 hangs
	# Else the test's end says that the daemon outlived its mount.
	unmount 0
}
hangs() { awk -v from=$((40 << 20)) '$2 >= from { found = 1 } END { exit !found }' "$READS"; }
