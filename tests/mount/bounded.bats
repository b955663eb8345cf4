#!/usr/bin/env bats
# shellcheck disable=SC2044,SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What a mount takes is bounded for the whole of it: descriptors, temporary space, threads, memory; and given back when idle.

load ../lib/helpers
load ../lib/shims

# fds [WORD] - how many descriptors of the daemon are open, or lead to a name with WORD in it.
fds() { find "/proc/$DAEMON/fd" -type l -lname "*${1:-}*" | wc -l; }

# limited SOFT HARD - mounts from here on run with this limit on descriptors.
limited() { RUNNER=(prlimit "--nofile=$1:$2"); }

# scratch - a directory of its own as $TMPDIR for the mounts from here on; its file has no name: KiB that it takes.
scratch() { export TMPDIR=$BATS_TEST_TMPDIR/scratch; mkdir -p "$TMPDIR"; }
scratch_kib() {
	local fd sum=0
	for fd in $(find "/proc/$DAEMON/fd" -type l -lname "$TMPDIR/*"); do
		sum=$((sum + $(stat -L -c %b "$fd") / 2))
	done
	echo "$sum"
}
gives_back() { [[ $(scratch_kib) -eq 0 ]]; }

# ---- descriptors ----

@test "a re-zipped checkpoint of 1,500 tensors is read whole with 1,024 descriptors, and others beside it" {
	oracle make_big rezipped "$BATS_TEST_TMPDIR/s"
	limited 1024 1024
	mount_store "$BATS_TEST_TMPDIR/s"
	cat "$MNT"/000001/model.raw/* >"$BATS_TEST_TMPDIR/all"
	cmp "$BATS_TEST_TMPDIR/all" <("$PYTHON" -c 'import struct, sys; sys.stdout.buffer.write(struct.pack("<1500Q", *range(1500)))')
	[[ $(fds) -lt 32 ]]
	[[ $(cat "$MNT/latest/meta.json") == *'"step": 1'* ]]
}

@test "the soft limit on descriptors is raised to the hard one" {
	limited 64 4096
	mount_store "$(nanochat_store)"
	[[ $(awk '/^Max open files/ { print $4 }' "/proc/$DAEMON/limits") -eq 4096 ]]
}

@test "with 256 descriptors: who holds 300 files open gets EMFILE, and nobody else notices" {
	local i
	for i in {001..300}; do
		small_pt "$BATS_TEST_TMPDIR/s/base_checkpoints/d1/model_000$i.pt"
	done
	limited 256 256
	mount_store "$BATS_TEST_TMPDIR/s"
	"$PYTHON" - "$MNT/base/d1" <<-'END'
		import errno, os, subprocess, sys
		tag, held = sys.argv[1], []
		for step in range(1, 301):
		    try:
		        held.append(os.open("%s/000%03d/model.pt" % (tag, step), os.O_RDONLY))
		    except OSError as e:
		        assert e.errno == errno.EMFILE, e
		        break
		assert 100 < len(held) < 256, len(held)
		assert len(os.listdir(tag)) >= 300
		assert open(tag + "/000001/model.pt", "rb").read(2) == b"PK"
		assert len(os.read(held[-1], 100)) == 100
		for fd in held:
		    os.close(fd)
		for step in range(1, 301):
		    assert open("%s/000%03d/model.raw/lm_head.weight" % (tag, step), "rb").read(4)
	END
}

@test "300 programs that have one stored file open take one descriptor of the daemon" {
	small_pt "$BATS_TEST_TMPDIR/s/base_checkpoints/d1/model_000001.pt"
	limited 256 256
	mount_store "$BATS_TEST_TMPDIR/s"
	local before
	before=$(fds)
	"$PYTHON" - "$MNT/base/d1" "$DAEMON" "$before" <<-'END'
		import os, sys
		names = ["000001/model.pt", "model_000001.pt"]
		held = [os.open(os.path.join(sys.argv[1], names[i % 2]), os.O_RDONLY) for i in range(300)]
		assert all(os.pread(fd, 2, 0) == b"PK" for fd in held)
		assert len(os.listdir("/proc/%s/fd" % sys.argv[2])) <= int(sys.argv[3]) + 3
	END
}

@test "descriptors and memory of checkpoints that nobody has used for a while are given back" {
	local i
	for i in {001..040}; do
		small_pt "$BATS_TEST_TMPDIR/s/base_checkpoints/d1/model_000$i.pt"
	done
	mount_store "$BATS_TEST_TMPDIR/s"
	cat "$MNT"/base/d1/0*/model.raw/lm_head.weight >/dev/null
	[[ $(fds model_) -eq 40 ]]
	none_open() { [[ $(fds model_) -eq 0 ]]; }
	within 40000 none_open
	cat "$MNT"/base/d1/0*/model.raw/lm_head.weight >/dev/null
}

@test "what a large checkpoint held isn't kept while it is loaded again, nor while another is loaded" {
	local one=$BATS_TEST_TMPDIR/s/base_checkpoints/d1/model_000001.pt once
	oracle make_big each "${one%/*}"
	cp "$one" "${one%1.pt}2.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	most() { awk '/^VmHWM/ { print $2 }' "/proc/$DAEMON/status"; }
	no_larger() { sanitized || (($(most) < once * 5 / 4)) || { echo "$once KiB, then $(most)"; return 1; }; }
	stat "$MNT/base/d1/000001/model/layer.00000.weight.npy" >/dev/null
	once=$(most)
	[[ $once -gt 20000 ]]
	stat "$MNT/base/d1/000002/model/layer.00000.weight.npy" >/dev/null
	no_larger
	# What is read of a file just written is read again once it is older.
	touch "$one"
	stat "$MNT/base/d1/000001/model/layer.00001.weight.npy" >/dev/null
	no_larger
	sleep 2.1
	stat "$MNT/base/d1/000001/model/layer.00002.weight.npy" >/dev/null
	no_larger
}

# every_step DIRECTORY - the checksum of what a program sees who reads all steps in an order of its own.
every_step() (
	set -o pipefail
	find "$1"/0* \( -name model.pt -o -name model.safetensors -o -name meta.json \) -print0 | shuf -z | xargs -0 md5sum | sort | md5sum
)

@test "32 programs that read 100 steps of a store that waits: all get them, with the descriptors and the memory of a few" {
	local i readers=() tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d1
	for i in {001..100}; do
		small_pt "$tag/model_000$i.pt"
	done
	shim slow
	preload SLOW_MS=1 "SLOW_UNDER=$tag"
	RUNNER=(prlimit --nofile=256:256 "${RUNNER[@]}")
	mount_store "$BATS_TEST_TMPDIR/s"
	for i in {1..32}; do
		every_step "$MNT/base/d1" >"$BATS_TEST_TMPDIR/view$i" 3>&- &
		readers+=($!)
	done
	for i in "${readers[@]}"; do
		wait "$i"
	done
	[[ $(sort -u "$BATS_TEST_TMPDIR"/view* | wc -l) -eq 1 && $(cat "$BATS_TEST_TMPDIR"/view* | wc -l) -eq 32 ]]
	[[ $(fds model_) -le 100 ]]
	echo "# at most $(awk '/^VmHWM/ { print $2 }' "/proc/$DAEMON/status") KiB of memory" >&3
	sanitized || [[ $(awk '/^VmHWM/ { print $2 }' "/proc/$DAEMON/status") -lt 65536 ]]
}

# ---- temporary space ----

@test "temporary space is one budget: what passes it is ENOSPC for that file alone, and read space makes room" {
	local i
	oracle make_big swollen "$BATS_TEST_TMPDIR/s"
	small_pt "$BATS_TEST_TMPDIR/s/model_000002.pt"
	scratch
	mount_store "$BATS_TEST_TMPDIR/s" -o tmp_max_size=150m
	# Each is 64 MiB: at most two of them are there at a time.
	for i in 0 1 2 3; do
		[[ $(tr -d "\\$i" <"$MNT/000001/model.raw/w$i" | wc -c) -eq 0 ]]
		[[ $(scratch_kib) -le $((150 << 10)) ]]
	done
	unmount 0
	mount_store "$BATS_TEST_TMPDIR/s" -o tmp_max_size=50M
	refuses "No space left on device" cat "$MNT/000001/model.raw/w1"
	grep -q "model_000001.pt.*tmp_max_size" "$LOG"
	[[ $(cat "$MNT/000001/meta.json") == *'"step": 1'* ]]
	[[ $(wc -c <"$MNT/000002/model.raw/lm_head.weight") -gt 0 ]]
	cat "$MNT/000001/model.pt" >/dev/null
	[[ $(scratch_kib) -eq 0 ]]
}

@test "a model that unpacks to more than the budget is read in one go" {
	oracle make_big swollen "$BATS_TEST_TMPDIR/s"
	scratch
	mount_store "$BATS_TEST_TMPDIR/s" -o tmp_max_size=130m
	[[ $(tail -c $((256 << 20)) "$MNT/000001/model.safetensors" | md5sum) == "$(for i in 0 1 2 3; do head -c $((64 << 20)) /dev/zero | tr '\0' "\\$i"; done | md5sum)" ]]
	[[ $(scratch_kib) -le $((130 << 10)) ]]
}

@test "temporary space is given back when nobody reads it, though the file stays open" {
	oracle make_big swollen "$BATS_TEST_TMPDIR/s"
	scratch
	mount_store "$BATS_TEST_TMPDIR/s"
	exec 8<"$MNT/000001/model.raw/w3"
	head -c 1000 <&8 >/dev/null
	[[ $(scratch_kib) -ge 65536 ]]
	within 20000 gives_back
	[[ $(head -c 200000000 <&8 | tr -d '\3' | wc -c) -eq 0 ]]
	exec 8<&-
}

@test "by default no more than half of what is free in TMPDIR is taken" {
	oracle make_big swollen "$BATS_TEST_TMPDIR/s"
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	small_fs "$TMPDIR" 120m
	mount_store "$BATS_TEST_TMPDIR/s"
	refuses "No space left on device" cat "$MNT/000001/model.raw/w1"
	mount -o remount,size=160m "$TMPDIR"
	[[ $(tr -d '\1' <"$MNT/000001/model.raw/w1" | wc -c) -eq 0 ]]
	[[ $(df --output=used -B1M "$TMPDIR" | tail -n 1) -le 80 ]]
}

@test "tmp_max_size takes what tmpfs takes for a size" {
	mkdir "$BATS_TEST_TMPDIR/m"
	local bad
	for bad in 0 -1 x 5q 5mm 1e3 99999999999999999999 9999999999t ''; do
		no_mount "tmp_max_size" "$CKPTFS" -f -o "tmp_max_size=$bad" "$(nanochat_store)" "$BATS_TEST_TMPDIR/m"
	done
	mount_store "$(nanochat_store)" -o tmp_max_size=4096
	mount_store "$(nanochat_store)" -o tmp_max_size=2G
}

# ---- requests that wait ----

# gated INODE - mounts from here on wait in fsync, and in reads of that file, while $GATE is there.
gated() {
	shim gate
	GATE=$BATS_TEST_TMPDIR/gate
	preload "GATE_SHUT=$GATE" "GATE_INODE=$1"
}
waits() { [[ $(stat -c %s "$GATE.waits") -gt 0 ]]; }

# Whatever failed, nothing waits any more: processes that wait in the kernel can't be killed.
eval "gateless_$(declare -f teardown)"
teardown() {
	rm -f "$BATS_TEST_TMPDIR/gate"
	gateless_teardown
}

# new_draft DIRECTORY - the files of a step, but for meta.json.
new_draft() {
	mkdir -p "$1/model"
	"$PYTHON" -c 'import numpy, sys; numpy.save(sys.argv[1], numpy.arange(3, dtype="f4"))' "$1/model/w.npy"
}

# crowd N COMMAND... - N processes of it in the background; their pids in CROWD.
crowd() {
	local i
	CROWD=()
	for ((i = 0; i < $1; i++)); do
		"${@:2}" >/dev/null 2>&1 3>&- &
		CROWD+=($!)
	done
}

# threads - of the daemon.
threads() { find "/proc/$DAEMON/task" -mindepth 1 -maxdepth 1 | wc -l; }

# all_wait PROGRAM - each of the crowd has become it, and sleeps.
all_wait() {
	local pid state
	for pid in "${CROWD[@]}"; do
		read -r _ state < <(sed "s/.*(\(.*\)) \(.\).*/\1 \2/" "/proc/$pid/stat")
		[[ $(<"/proc/$pid/comm") == "$1" && $state == [SD] ]] || return 1
	done
}

@test "300 programs that wait for one draft being published hold up nobody else; a signal ends each" {
	local i start
	own_store
	gated 0
	mount_store "$STORE"
	new_draft "$MNT/base/d12/009000"
	ls "$MNT"/base/d12/*/model >/dev/null
	touch "$GATE"
	sync "$MNT/base/d12/009000" 3>&- &
	local publisher=$!
	echo '{"step": 9000}' >"$MNT/base/d12/009000/meta.json" 3>&- &
	local writer=$!
	within 10000 waits
	crowd 300 touch "$MNT/base/d12/009000/model/v.npy"
	within 20000 all_wait touch
	# These would wait forever if those could take all threads.
	for i in {1..20}; do
		timeout 10 cat "$MNT/base/d12/latest/meta.json" >/dev/null
		timeout 10 ls -l "$MNT/base/d12/latest/" >/dev/null
	done
	timeout 10 mkdir "$MNT/base/d12/009001"
	[[ $(threads) -le 66 ]]
	kill "${CROWD[@]}"
	for i in "${CROWD[@]}"; do
		gone() { ! kill -0 "$i"; }
		within 10000 gone
	done
	rm "$GATE"
	wait "$publisher" || true
	wait "$writer"
	[[ -e $STORE/base_checkpoints/d12/model_009000.pt ]]
}

@test "whoever waits for one file of a directory holds up no look-up of its other names, nor a listing above it" {
	small_pt "$BATS_TEST_TMPDIR/s/base_checkpoints/d12/model_00000"{1,2}.pt
	gated "$(stat -c %i "$BATS_TEST_TMPDIR/s/base_checkpoints/d12/model_000001.pt")"
	mount_store "$BATS_TEST_TMPDIR/s"
	touch "$GATE"
	stat "$MNT/base/d12/000001/model" >/dev/null 3>&- &
	local first=$!
	within 10000 waits
	# Each of these names is looked up for the first time, in a directory in which one look-up waits.
	timeout 10 stat "$MNT/base/d12/000001/model.pt" >/dev/null
	timeout 10 cat "$MNT/base/d12/000001/meta.json" >/dev/null
	timeout 10 ls -l "$MNT/base/d12/" >/dev/null
	# Whatever a file holds that isn't delivered, it has a link count: 1, since only the file could tell whether it has hf/.
	[[ $(timeout 10 stat -c %h "$MNT/base/d12/000001") -eq 1 ]]
	rm "$GATE"
	wait "$first"
}

@test "300 programs that read one file that the store doesn't deliver hold up nobody else; they get it in the end" {
	local i
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	need_torch
	mkdir -p "$tag"
	# So large that the kernel reads ahead.
	"$PYTHON" -c 'import torch, sys; [torch.save({"w": torch.rand(1000000)}, f) for f in sys.argv[1:]]' "$tag/model_00000"{1,2}.pt
	gated "$(stat -c %i "$tag/model_000001.pt")"
	mount_store "$BATS_TEST_TMPDIR/s"
	ls -l "$MNT/base/d12" "$MNT/base/d12/000001" "$MNT/base/d12/000002" >/dev/null
	touch "$GATE"
	crowd 300 dd if="$MNT/base/d12/000001/model.pt" of=/dev/null iflag=direct bs=4096 count=1
	within 20000 all_wait dd
	for i in {1..20}; do
		timeout 10 ls -l "$MNT/base/d12/" "$MNT/base/d12/000002" >/dev/null
	done
	timeout 10 cat "$MNT/base/d12/000002/model.pt" | cmp - "$tag/model_000002.pt"
	[[ $(threads) -le 66 ]]
	rm "$GATE"
	for i in "${CROWD[@]}"; do
		wait "$i"
	done
	cmp "$MNT/base/d12/000001/model.pt" "$tag/model_000001.pt"
}

@test "300 programs that wait for one checkpoint to be opened hold up nobody else; a signal ends each" {
	local i
	small_pt "$BATS_TEST_TMPDIR/s/base_checkpoints/d12/model_00000"{1,2}.pt
	gated "$(stat -c %i "$BATS_TEST_TMPDIR/s/base_checkpoints/d12/model_000001.pt")"
	mount_store "$BATS_TEST_TMPDIR/s"
	# The kernel asks once for a name that it never saw, and for each program again where it must look whether the name still stands.
	ls "$MNT/base/d12/000001/model" "$MNT/base/d12/000002/model" >/dev/null
	touch "$GATE" "$BATS_TEST_TMPDIR/s/base_checkpoints/d12/model_000001.pt"
	sleep 0.6
	ls "$MNT/base/d12/000001/model" >/dev/null 3>&- &
	local first=$!
	within 10000 waits
	crowd 300 cat "$MNT/base/d12/000001/model.safetensors"
	within 20000 all_wait cat
	for i in {1..20}; do
		timeout 10 cat "$MNT/base/d12/000002/model.raw/lm_head.weight" >/dev/null
	done
	kill "${CROWD[@]}"
	for i in "${CROWD[@]}"; do
		gone() { ! kill -0 "$i"; }
		within 30000 gone
	done
	rm "$GATE"
	wait "$first"
	cat "$MNT/base/d12/000001/model.safetensors" >/dev/null
}
