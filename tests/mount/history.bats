#!/usr/bin/env bats
# shellcheck disable=SC2012,SC2016,SC2054,SC2034,SC2153,SC2154
# TAG/history.tsv and TAG/best: what they say, by Python's json and csv modules; how fresh they are; what they read.

load ../lib/helpers
load ../lib/shims

# tag_of COUNT - a store whose tag d12 has COUNT steps, 50 apart, of nanochat's metadata; $STORE, $TAG in the store.
tag_of() {
	small_pt "$BATS_TEST_TMPDIR/one/x.pt"
	STORE=$BATS_TEST_TMPDIR/store TAG=$BATS_TEST_TMPDIR/store/base_checkpoints/d12
	oracle history many "$TAG" "$1" "$BATS_TEST_TMPDIR/one/x.pt"
	find "$TAG" -exec touch -h -d 2024-01-01 {} +
	stat -c %s "$BATS_TEST_TMPDIR/one/x.pt" >"$STORE/good"
}

# meta STEP JSON - the step's metadata, put in place as a new file, long ago.
meta() {
	printf '%s' "$2" >"$TAG/.new"
	touch -d 2024-01-01 "$TAG/.new"
	mv "$TAG/.new" "$TAG/meta_$1.json"
}

# cell STEP COLUMN - of the table in the mount.
cell() { awk -F'\t' -v s="$1" -v c="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == c) k = i } $1 == s { print $k }' "$MNT/base/d12/history.tsv"; }
says() { [[ $(cell "$1" "$2") == "$3" ]]; }
points() { [[ $(readlink "$MNT/base/d12/best") == "$1" ]]; }

@test "table and best agree with Python over random metadata, torn, missing, and of other kinds, at the first look and the next" {
	local seed
	small_pt "$BATS_TEST_TMPDIR/one/x.pt"
	for seed in 1 2 3; do
		oracle history make "$BATS_TEST_TMPDIR/s$seed" "$seed" "$BATS_TEST_TMPDIR/one/x.pt"
		mount_store "$BATS_TEST_TMPDIR/s$seed" -o ro
		oracle history check "$BATS_TEST_TMPDIR/s$seed" "$MNT"
		sleep 0.6
		oracle history check "$BATS_TEST_TMPDIR/s$seed" "$MNT"
	done
}

@test "what nanochat's own scripts wrote" {
	need_torch
	mount_store "$(nanochat_store)"
	[[ $(readlink "$MNT/base/d12/best") == 000500 && $(readlink "$MNT/sft/d12/best") == 000300 ]]
	refuses "No such file" readlink -v "$MNT/rl/d12/best"
	lists "$MNT/rl/d12" "000060 history.tsv latest"
	[[ $(cut -f 1-9 "$MNT/base/d12/history.tsv" | sed -n 2p) == $'500\t1.0372819481\t\tinf\t3.141592653589793\t0.30000000000000004\t524288\t262144000\t1' ]]
	[[ $(cut -f 1-9,14 "$MNT/rl/d12/history.tsv" | sed -n 2p) == $'60\t\t\t\t\t\t\t\t\tok' ]]
	cmp "$MNT/base/d12/best/model.pt" "$(nanochat_store)/base_checkpoints/d12/model_000500.pt"
}

@test "best: ties, NaN, val_loss, and what doesn't load" {
	tag_of 5
	mount_store "$STORE" -o ro
	points 000250
	meta 000100 '{"val_bpb": 0.25, "model_config": {}}'
	meta 000200 '{"val_bpb": 0.25, "model_config": {}}'
	within 1150 points 000100
	meta 000100 '{"val_bpb": 0.25}'                                 # no model_config: nanochat can't load it
	within 1150 points 000200
	meta 000200 '{"val_bpb": NaN, "model_config": {}}'
	within 1150 points 000250
	meta 000150 '{"val_bpb": 0.1, "model_config": {}'              # torn
	meta 000050 '{"val_loss": 0.1, "model_config": {}}'
	within 1150 says 50 val_loss 0.1
	points 000250
	: >"$TAG/empty"
	mv "$TAG/empty" "$TAG/model_000250.pt"
	within 1150 points 000050                                      # the only one that loads has a val_loss alone
	within 1150 says 250 state empty
	says 150 state no-meta
	for step in 000050 000100 000150 000200; do meta "$step" '{"val_bpb": 2, "step": 1}'; done
	within 1150 says 200 val_bpb 2
	points 000050                                                  # none has a model_config, as for latest
	rm "$TAG"/meta_*
	within 1150 eval '! readlink "$MNT/base/d12/best"'
	lists "$MNT/base/d12" "000050 000100 000150 000200 000250 history.tsv latest"
	rm "$TAG"/model_*
	within 1150 eval '! ls "$MNT/base/d12/history.tsv"'
	[[ -z $(ls "$MNT/base/d12") ]]
}

@test "a diverged run's listing has best, and its look at it reads a few files" {
	tag_of 20
	mount_store "$STORE" -o ro
	for step in 000900 000950 001000; do meta "$step" '{"val_bpb": NaN, "model_config": {}}'; done
	within 1150 eval '[[ $(ls "$MNT/base/d12") == *best* ]]'
	points 000850
}

@test "a new step, a replaced file and a removed one show within a second" {
	tag_of 3
	mount_store "$STORE" -o ro
	says 100 val_bpb 1.0
	meta 000100 '{"val_bpb": 7.5, "model_config": {}, "mmlu_acc": 0.25}'
	within 1150 says 100 val_bpb 7.5
	says 100 mmlu_acc 0.25
	says 150 mmlu_acc ""
	ln "$TAG/model_000050.pt" "$TAG/model_1000000.pt"
	within 1150 says 1000000 state no-meta
	cp "$TAG/meta_000050.json" "$TAG/meta_1000000.json"
	within 1150 says 1000000 state ok
	echo 123456789 >"$TAG/optim_1000000_rank0.pt"
	echo 123456789 >"$TAG/optim_1000000_rank1.pt"
	within 1150 says 1000000 optim_bytes 20
	says 1000000 ranks 2
	rm "$TAG/model_000100.pt"
	within 1150 says 100 state ""
	printf '{"val_bpb": 0.125, "model_config": {"n_layer": 2}}' >"$TAG/meta_000050.json"  # in place
	within 1150 says 50 val_bpb 0.125
	oracle history check "$STORE" "$MNT"
}

@test "who has the table open reads the old one to its end, mapped or not; the new one is another file" {
	tag_of 500
	mount_store "$STORE" -o ro
	"$PYTHON" - "$MNT/base/d12/history.tsv" "$TAG" <<-'END'
		import mmap, os, sys, time
		name, tag = sys.argv[1:]
		f = open(name, "rb", buffering=0)
		mapped = mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
		old = f.read(5000)
		before = os.fstat(f.fileno())
		with open(name, "rb") as g:
		    whole = g.read()
		for n in range(50, 25001, 100):
		    new = os.path.join(tag, ".new")
		    with open(new, "w") as g:
		        g.write('{"val_bpb": 0.5, "added": 1}')
		    os.rename(new, os.path.join(tag, "meta_%06d.json" % n))
		until = time.monotonic() + 10
		while b"added" not in open(name, "rb").read(400):
		    assert time.monotonic() < until
		now = os.stat(name)
		assert now.st_ino != before.st_ino and now.st_size != before.st_size, (before, now)
		time.sleep(0.7)
		assert os.fstat(f.fileno()).st_size == before.st_size == len(whole)
		assert old + f.read() == whole and mapped[:] == whole
		assert os.pread(f.fileno(), 10, len(whole)) == b""
		assert b"\tadded" in open(name, "rb").read()
	END
}

@test "size, mode, times, and numbers in the order of the tree, the same after a remount" {
	tag_of 12
	local first again
	chmod 640 "$TAG/meta_000300.json"
	mount_store "$STORE" -o ro
	[[ $(stat -c '%a %h %F' "$MNT/base/d12/history.tsv") == "440 1 regular file" ]]
	[[ $(stat -c %s "$MNT/base/d12/history.tsv") == $(wc -c <"$MNT/base/d12/history.tsv") ]]
	[[ $(stat -c %y "$MNT/base/d12/history.tsv") == 2024-01-01* ]]
	[[ $(stat -c '%A %s' "$MNT/base/d12/best") == "lrwxrwxrwx 6" ]]
	first=$(stat -c '%i %n' "$MNT"/base/d12/{latest,best,history.tsv} | sed 's/ .*//')
	[[ $first == "$(sort -n <<<"$first")" ]]
	[[ $(ls -i "$MNT/base/d12" | awk '$2 == "history.tsv" { print $1 }') == "$(tail -n 1 <<<"$first")" ]]
	unmount 0
	mount_store "$STORE" -o ro
	again=$(stat -c '%i %n' "$MNT"/base/d12/{latest,best,history.tsv} | sed 's/ .*//')
	[[ $first == "$again" ]]
	chmod 600 "$TAG/meta_000300.json"
	within 1150 eval '[[ $(stat -c %a "$MNT/base/d12/history.tsv") == 400 ]]'
}

@test "the names are the mount's: not made, written, removed or given away, and in nobody's way" {
	tag_of 3
	mount_store "$STORE"
	local d=$MNT/base/d12 name
	refuses "File exists" mkdir "$d/best"
	refuses "File exists" mkdir "$d/history.tsv"
	for name in best history.tsv; do
		refuses "Operation not permitted" rm -f "$d/$name"
		refuses "Operation not permitted" mv "$d/$name" "$d/x"
		[[ ! -e $TAG/$name ]]
	done
	refuses "Operation not permitted" cp /etc/hostname "$d/history.tsv"
	refuses "Operation not permitted" truncate -s 0 "$d/history.tsv"
	refuses "Operation not permitted" touch "$d/history.tsv"
	# A copy has what the tag has; a new tag is empty, and goes again.
	cp -r "$d" "$BATS_TEST_TMPDIR/copy"
	cmp "$d/history.tsv" "$BATS_TEST_TMPDIR/copy/history.tsv"
	[[ $(readlink "$BATS_TEST_TMPDIR/copy/best") == 000150 ]]
	rsync -a "$d/" "$BATS_TEST_TMPDIR/synced/"
	cmp "$d/history.tsv" "$BATS_TEST_TMPDIR/synced/history.tsv"
	diff -r "$d" "$BATS_TEST_TMPDIR/copy"
	mkdir "$MNT/base/d14" "$MNT/base/d14/000100"
	[[ $(ls "$MNT/base/d14") == 000100 ]]
	refuses "No such file" cat "$MNT/base/d14/history.tsv"
	rm -r "$MNT/base/d14"
	# A store's own file of that name stays as it is.
	echo mine >"$TAG/history.tsv"
	within 1150 says 50 state ok
	[[ $(<"$TAG/history.tsv") == mine ]]
}

@test "a published step stands in the table" {
	tag_of 2
	mount_store "$STORE"
	local d=$MNT/base/d12
	cp -r "$d/000100" "$d/000600.partial"
	sed -i 's/"val_bpb": [0-9.]*/"val_bpb": 0.0625/' "$d/000600.partial/meta.json"
	run ! says 600 state ok
	mv "$d/000600.partial" "$d/000600"
	within 1150 says 600 val_bpb 0.0625
	points 000600
}

@test "a retired step is in neither, and is again when it comes back" {
	tag_of 3
	mount_store "$STORE"
	local d=$MNT/base/d12
	points 000150
	mv "$d/000150" "$d/.trash/"
	within 1150 says 150 state ""
	points 000100
	[[ ! -e $d/.trash/history.tsv && ! -L $d/.trash/best ]]
	mv "$d/.trash/000150" "$d/"
	within 1150 says 150 state ok
	points 000150
}

# opened NAME - how many opens of such a file the daemon made since the last call.
opened() {
	sync "$BATS_TEST_TMPDIR/calls"
	local all
	all=$(grep -c "$1" "$BATS_TEST_TMPDIR/calls") || true
	OPENED=$((all - ${COUNTED[$1]:-0}))
	COUNTED[$1]=$all
}
declare -gA COUNTED

@test "listing reads the metadata of the latest step alone; the first look reads each file once, the next none" {
	[[ $EUID -eq 0 ]] || skip "needs root: under strace fusermount3 has no rights"
	! sanitized || skip "strace and LeakSanitizer exclude each other"
	tag_of 100
	RUNNER=(strace -f -qq -e trace=open,openat,openat2 -o "$BATS_TEST_TMPDIR/calls")
	mount_store "$STORE" -o ro
	[[ $(ls "$MNT/base/d12" | wc -l) -eq 103 ]]
	opened meta_
	[[ $OPENED -le 2 ]] || { echo "$OPENED"; return 1; }
	says 50 state ok
	opened meta_
	[[ $OPENED -eq 100 ]] || { echo "$OPENED"; return 1; }
	opened model_
	sleep 0.6
	says 5000 state ok
	oracle history check "$STORE" "$MNT"
	opened meta_
	[[ $OPENED -eq 0 ]] || { echo "$OPENED"; return 1; }
	opened model_
	[[ $OPENED -le 2 ]] || { echo "$OPENED models"; return 1; }
	meta 000100 '{"val_bpb": 3}'
	within 1150 says 100 val_bpb 3.0 || says 100 val_bpb 3
	opened meta_
	[[ $OPENED -eq 1 ]] || { echo "$OPENED"; return 1; }
}

@test "who waits for a slow store's metadata can give up, and holds up nobody" {
	tag_of 40
	shim gate
	local gate=$BATS_TEST_TMPDIR/gate
	touch "$gate"
	preload "GATE_SHUT=$gate" "GATE_INODE=$(stat -c %i "$TAG/meta_000500.json")"
	mount_store "$STORE" -o ro
	run timeout 1 cat "$MNT/base/d12/history.tsv"
	[[ $status -eq 124 && -s $gate.waits ]]
	run timeout 1 readlink "$MNT/base/d12/best"
	[[ $status -eq 124 ]]
	timeout 20 cat "$MNT/base/d12/latest/meta.json" >/dev/null
	timeout 20 ls "$MNT/base/d12" >/dev/null
	rm "$gate"
	oracle history check "$STORE" "$MNT"
}

memory() { awk "/^$1:/ { print \$2 }" "/proc/$DAEMON/status"; }

@test "metadata that asks for much: columns, digits, names and memory are bounded" {
	tag_of 4
	local before
	"$PYTHON" - "$TAG" <<-'END'
		import json, sys
		def put(step, meta):
		    open("%s/meta_%06d.json" % (sys.argv[1], step), "w").write(meta)
		put(50, json.dumps({"k%d" % i: i for i in range(50000)}))
		put(100, json.dumps({"x" * 1000: 1, "y" * 200: 2, "val_bpb": 0.5, "model_config": {}}))
		put(150, '{"val_bpb": %s, "long": %s, "val_loss": 1e999}' % ("1" * 4300, "1" * 4301))
		put(200, "[" * 300 + "1" + "]" * 300)
	END
	mount_store "$STORE" -o ro
	before=$(memory VmRSS)
	says 100 val_bpb 0.5
	[[ $(head -n 1 "$MNT/base/d12/history.tsv" | tr '\t' '\n' | wc -l) -le $((14 + 256)) ]]
	says 150 val_bpb "$(printf '1%.0s' {1..4300})"
	says 150 val_loss inf
	says 200 state no-meta
	[[ $(($(memory VmRSS) - before)) -lt 60000 ]]
}

@test "shapes of tags: 10,000 steps are read, with memory in proportion" {
	tag_of 10000
	mount_store "$STORE" -o ro
	local before
	ls "$MNT/base/d12" >/dev/null
	before=$(memory VmRSS)
	[[ $(wc -l <"$MNT/base/d12/history.tsv") -eq 10001 ]]
	points 500000
	! sanitized || return 0
	echo "# memory of 10000 steps: $(($(memory VmRSS) - before)) KiB" >&3
	[[ $(($(memory VmRSS) - before)) -lt 40000 ]]
}

# ---- examples/ ----

# series NAME - the points of the pictures that a gnuplot in the place of the real one was asked for, of the line with that title.
series() { cat "$(sed -nE "s/.*'([^']*)' using 1:2 with linespoints [^']*\"$1\".*/\1/p" "$BATS_TEST_TMPDIR/asked" | tail -n 1 | sed "s,^.*/,$BATS_TEST_TMPDIR/points/,")"; }

@test "plot_history.sh: a picture for each source, of the finite numbers of each tag, the best step marked" {
	local store=$BATS_TEST_TMPDIR/s to=$BATS_TEST_TMPDIR/plots
	small_pt "$BATS_TEST_TMPDIR/one/x.pt"
	oracle history runs "$store" "$BATS_TEST_TMPDIR/one/x.pt"
	mount_store "$store" -o ro
	run "$REPO/examples/plot_history.sh" "$MNT" "$to"
	[[ $status -eq 0 && $output == "$to/base.png"$'\n'"$to/sft.png" ]]
	"$PYTHON" - "$to"/*.png <<-'END'
		import struct, sys, zlib
		for name in sys.argv[1:]:
		    data = open(name, "rb").read()
		    assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", data[16:24]) == (960, 540), name
	END
	mkdir "$BATS_TEST_TMPDIR"/{bin,t}
	printf '#!/bin/sh\ncat >"%s/asked"\ncp -r "$TMPDIR"/* "%s/points"\n' "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/bin/gnuplot"
	chmod +x "$BATS_TEST_TMPDIR/bin/gnuplot"
	TMPDIR=$BATS_TEST_TMPDIR/t PATH=$BATS_TEST_TMPDIR/bin:$PATH "$REPO/examples/plot_history.sh" "$MNT/base" "$to"
	[[ -z $(ls "$BATS_TEST_TMPDIR/t") ]]
	[[ $(series d12 | wc -l) -eq 32 && $(series d4 | wc -l) -eq 32 && $(series d8 | wc -l) -eq 28 ]]
	[[ $(series d8 | head -n 1) == "$((250 * 8 * 131072)) "*" 250" ]]
	[[ $(cut -d ' ' -f 3 "$BATS_TEST_TMPDIR"/points/*.best | sort | tr '\n' ' ') == "5500 7750 8000 " ]]
	refuses "no directory" "$REPO/examples/plot_history.sh" "$MNT/nowhere"
	refuses usage "$REPO/examples/plot_history.sh"
}

@test "diff_steps.py is NumPy's arithmetic on the whole tensors, and reads only those whose CRC differs" {
	local device a b
	for device in cpu cuda; do
		mount_store "$REPO/examples/store" -o "ro,device=$device"
		a=$MNT/base/d2/000500 b=$MNT/base/d2/001000
		run -1 "$PYTHON" "$REPO/examples/diff_steps.py" "$a" "$b"
		echo "$output"
		"$PYTHON" - "$a" "$b" "$output" <<-'END'
			import sys, numpy as np
			a, b, text = sys.argv[1:]
			lines = text.splitlines()
			def array(step, key):
			    x = np.load("%s/model/%s.npy" % (step, key))
			    if x.dtype.str == "|V2":
			        x = (x.view("<u2").astype("<u4") << 16).view("<f4")
			    return x.astype("f8").ravel()
			rows = []
			for key in ("lm_head.weight", "transformer.h.1.mlp.c_fc.weight"):
			    x, y = array(a, key), array(b, key)
			    n = np.linalg.norm
			    rows.append((n(y - x) / n(x), abs(y - x).max(), x @ y / n(x) / n(y), key))
			rows.sort(reverse=True)
			want = ["%10.4g %10.4g %12.8f  %s" % r for r in rows]
			assert lines[1:3] == want, want
			assert lines[-2].endswith("transformer.h.1") and lines[-1] == "2 differ, 15 are the same", lines
		END
		run -0 "$PYTHON" "$REPO/examples/diff_steps.py" "$a" "$a"
		[[ $output == "0 differ, 17 are the same" ]]
	done
	strace -f -qq -e trace=openat -o "$BATS_TEST_TMPDIR/opened" "$PYTHON" "$REPO/examples/diff_steps.py" "$a" "$b" >"$BATS_TEST_TMPDIR/out" || true
	# The lambdas are the mount's own and have no CRC.
	[[ $(sed -nE 's,.*/model/(.*)\.npy".*,\1,p' "$BATS_TEST_TMPDIR/opened" | sort -u | tr '\n' ' ') == "lm_head.weight resid_lambdas transformer.h.1.mlp.c_fc.weight x0_lambdas " ]]
	run -2 "$PYTHON" "$REPO/examples/diff_steps.py" "$a" "$MNT/base/d2/nowhere"
	[[ $output == "diff_steps.py: "* ]]
}

@test "diff_steps.py: other shapes, tensors that only one has, and what is not a number" {
	"$PYTHON" - "$BATS_TEST_TMPDIR/s" <<-'END'
		import os, sys
		import numpy as np
		import handmade
		tag = sys.argv[1] + "/d12"
		os.makedirs(tag)
		def save(step, arrays):
		    value = {k: handmade.tensor(i, x.shape) for i, (k, x) in enumerate(arrays.items())}
		    handmade.write("%s/model_%06d.pt" % (tag, step), value, {str(i): x.astype("<f4").tobytes() for i, x in enumerate(arrays.values())})
		one = np.ones((2, 3))
		save(1, {"a": one, "nan": one, "shape": one, "gone": one})
		save(2, {"a": 2 * one, "nan": one * np.nan, "shape": np.ones((3, 3)), "new": one})
	END
	mount_store "$BATS_TEST_TMPDIR/s" -o ro
	run -1 "$PYTHON" "$REPO/examples/diff_steps.py" "$MNT/d12/000001" "$MNT/d12/000002"
	echo "$output"
	[[ ${lines[1]} == *nan*" nan" && ${lines[2]} == "         1          1   1.00000000  a" ]]
	[[ $output == *"float32 [2,3], then float32 [3,3]: shape"* && $output == *"only in $MNT/d12/000001: gone"* ]]
	[[ ${lines[-2]} == "only in $MNT/d12/000002: new" && ${lines[-1]} == "5 differ, 0 are the same" ]]
}
