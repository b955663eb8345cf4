#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# nanochat's own names, written as on a plain directory: each file appears whole when it is closed, and never in part.

load ../lib/helpers
load ../lib/steps

# Nothing staged is left in a tag's directory of the store.
nothing_staged() { [[ -z $(find "$1/.ckptfs" -type f ! -name writers 2>/dev/null) ]] || { find "$1/.ckptfs"; return 1; }; }

@test "nanochat's save_checkpoint by four ranks at once, into a new tag" {
	writable
	local rank pids=()
	for rank in 0 1 2 3; do
		oracle save_written "$MNT/base/d14" 100 $rank 3>&- &
		pids+=($!)
	done
	for rank in "${pids[@]}"; do wait "$rank"; done
	oracle save_written check "$STORE/base_checkpoints/d14" 100 4
	oracle save_written check "$MNT/base/d14" 100 4
	lists "$MNT/base/d14/000100/optim" "all.error $(echo rank{0,1,2,3}{,.json,.pt,.raw,.safetensors,.tsv})"
	[[ $(readlink "$MNT/base/d14/latest") == 000100 ]]
	nothing_staged "$STORE/base_checkpoints/d14"
}

@test "a source that isn't there yet: its directory is made with the first tag" {
	need_torch
	mkdir "$BATS_TEST_TMPDIR/empty"
	mount_store "$BATS_TEST_TMPDIR/empty"
	oracle save_written "$MNT/rl/d12" 1 0
	oracle save_written check "$BATS_TEST_TMPDIR/empty/chatrl_checkpoints/d12" 1 1
	[[ $(readlink "$MNT/rl/largest") == d12 ]]
}

@test "a file can't be seen until it is closed" {
	writable -o native
	exec 6>"$TAG/model_000600.pt"
	head -c 5000 "$STORED/model_000500.pt" >&6
	[[ ! -e $TAG/model_000600.pt && ! -e $TAG/000600 && ! -e $STORED/model_000600.pt ]]
	run ! grep 600 <(names "$TAG")
	[[ $(readlink "$TAG/latest") == 001000 ]]
	tail -c +5001 "$STORED/model_000500.pt" >&6
	[[ ! -e $STORED/model_000600.pt ]]
	exec 6>&-
	cmp "$STORED/model_000600.pt" "$STORED/model_000500.pt"
	cmp "$TAG/model_000600.pt" "$STORED/model_000500.pt"
	names "$TAG" | grep -q model_000600.pt
	diff -r "$TAG/000500/model" "$TAG/000600/model" | grep -v 'Only in.*lambdas' | grep . && return 1
	nothing_staged "$STORED"
}

@test "a writer killed in the middle of torch.save: its half is beside the name, the old file in its place" {
	writable
	local word pid
	coproc SLOW { exec "$PYTHON" "$GEN/save_written.py" slow "$TAG/model_000600.pt" 2>&1 3>&-; }
	pid=$SLOW_PID
	read -r word <&"${SLOW[0]}"
	[[ $word == half ]] || { echo "$word"; return 1; }
	[[ -n $(find "$STORED/.ckptfs/staged" -type f) ]]
	kill -KILL "$pid"
	wait "$pid" || true
	within 2000 nothing_staged "$STORED"
	[[ ! -e $TAG/model_000600.pt && ! -e $STORED/model_000600.pt && $(readlink "$TAG/latest") == 001000 ]]
	[[ -s $STORED/model_000600.pt.rejected && -s $TAG/model_000600.pt.rejected ]]
	rm "$TAG/model_000600.pt.rejected"
	# Killed while it replaces one: the old one stays.
	cp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/before"
	coproc SLOW { exec "$PYTHON" "$GEN/save_written.py" slow "$TAG/model_000500.pt" 2>&1 3>&-; }
	pid=$SLOW_PID
	read -r word <&"${SLOW[0]}"
	kill -KILL "$pid"
	wait "$pid" || true
	within 2000 nothing_staged "$STORED"
	cmp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/before"
	cmp "$TAG/model_000500.pt" "$BATS_TEST_TMPDIR/before"
}

@test "a file is replaced at once: a reader that holds the old one open reads the old one" {
	writable
	local word pid
	coproc HOLD { oracle save_written hold "$TAG/model_000500.pt" 2>&1 3>&-; }
	pid=$HOLD_PID
	read -r word <&"${HOLD[0]}"
	[[ $word == open ]] || { echo "$word"; return 1; }
	oracle save_written "$TAG" 500 0
	echo go >&"${HOLD[1]}"
	wait "$pid" || { cat <&"${HOLD[0]}"; return 1; }
	oracle save_written check "$STORED" 500 1
	oracle save_written check "$TAG" 500 1
}

@test "while a file is being replaced, everybody else reads the old one, also mapped" {
	writable
	cp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/before"
	"$PYTHON" - "$TAG/model_000500.pt" "$STORED/model_001000.pt" <<-'END'
		import mmap, sys
		path, new = sys.argv[1], open(sys.argv[2], "rb").read()
		reader = open(path, "rb")
		old = reader.read()
		mapped = mmap.mmap(reader.fileno(), 0, access=mmap.ACCESS_READ)
		writer = open(path, "wb", buffering=0)
		def check():
		    reader.seek(0)
		    assert reader.read() == old and mapped[:] == old and open(path, "rb").read() == old
		check()
		for at in range(0, len(new), 100000):
		    writer.write(new[at:at + 100000])
		    check()
		writer.close()
		reader.seek(0)
		assert reader.read() == old and mapped[:] == old
		assert open(path, "rb").read() == new
	END
	cmp "$STORED/model_000500.pt" "$STORED/model_001000.pt"
}

@test "a stored file opened for update: the bytes that nobody writes stay" {
	writable
	"$PYTHON" - "$TAG/meta_000500.json" <<-'END'
		import sys
		with open(sys.argv[1], "r+b") as f:
		    old = f.read()
		    at = old.index(b'"step": 500')
		    f.seek(at)
		    f.write(b'"step": 501')
		    assert open(sys.argv[1], "rb").read() == old
		assert open(sys.argv[1], "rb").read() == old.replace(b'"step": 500', b'"step": 501')
		with open(sys.argv[1], "ab") as f:
		    f.write(b"\n\n")
		assert open(sys.argv[1], "rb").read() == old.replace(b'"step": 500', b'"step": 501') + b"\n\n"
		with open(sys.argv[1], "r+b") as f:
		    f.truncate(len(old) + 1)
		assert open(sys.argv[1], "rb").read() == old.replace(b'"step": 500', b'"step": 501') + b"\n"
		open(sys.argv[1], "r+b").close()
	END
	grep -q '"step": 501' "$STORED/meta_000500.json"
	within 1100 grep -q '"step": 501' "$TAG/000500/meta.json"
}

@test "owner, mode and times: those of the writer, and of what is replaced" {
	writable
	chmod 640 "$STORED/model_000500.pt"
	(umask 027; cp "$STORED/model_001000.pt" "$TAG/model_000600.pt")
	[[ $(stat -c %a "$STORED/model_000600.pt") == 640 ]]
	within 1100 test "$(stat -c %a "$TAG/model_000500.pt")" = 640
	cp "$STORED/model_001000.pt" "$TAG/model_000500.pt"
	[[ $(stat -c %a "$STORED/model_000500.pt") == 640 ]]
	touch -d '2025-01-02 03:04:05' "$STORED/model_001000.pt" "$BATS_TEST_TMPDIR/time"
	cp -p "$STORED/model_001000.pt" "$TAG/model_000600.pt"
	[[ $(stat -c %Y "$STORED/model_000600.pt") == $(stat -c %Y "$BATS_TEST_TMPDIR/time") ]]
	touch -d '2025-01-02 03:04:06' "$TAG/model_000600.pt"
	[[ $(stat -c %Y "$STORED/model_000600.pt") == $(($(stat -c %Y "$BATS_TEST_TMPDIR/time") + 1)) ]]
	chmod 600 "$TAG/meta_000500.json"
	[[ $(stat -c %a "$STORED/meta_000500.json") == 600 ]]
}

@test "with delete native names can be removed; what a step shows goes with them, and with a model all that is the step's" {
	writable -o native,delete
	rm "$TAG/optim_001000_rank1.pt"
	[[ ! -e $STORED/optim_001000_rank1.pt ]]
	within 1100 test ! -e "$TAG/001000/optim/rank1.json"
	cp "$STORED/optim_001000_rank0.pt" "$STORED/optim_001000_rank7.pt"
	mkdir "$TAG/001000/optim/rank9"
	rm "$TAG/model_001000.pt"
	[[ -z $(find "$STORED" -name '*001000*') ]]
	within 1100 lists "$TAG" "000500 best history.tsv latest meta_000500.json model_000500.pt optim_000500_rank0.pt"
	[[ $(readlink "$TAG/latest") == 000500 ]]
}

@test "rsync of native files into a tag, whose temporary names aren't nanochat's" {
	writable -o native
	mkdir "$MNT/base/d16"
	rsync -a --exclude .ckptfs "$STORED/" "$MNT/base/d16/"
	diff -r --exclude .ckptfs "$STORED" "$STORE/base_checkpoints/d16"
	[[ -z $(rsync -ani --exclude .ckptfs "$STORED/" "$STORE/base_checkpoints/d16/") ]]
	nothing_staged "$STORE/base_checkpoints/d16"
	[[ $(readlink "$MNT/base/d16/latest") == 001000 ]]
	rsync -a --inplace "$STORED/model_001000.pt" "$MNT/base/d16/model_001001.pt"
	cmp "$STORED/model_001000.pt" "$STORE/base_checkpoints/d16/model_001001.pt"
}

@test "a file renamed into place by who still has it open: what was checked stays" {
	writable
	exec 6>"$TAG/.meta.tmp"
	echo '{"step": 2}' >&6
	mv "$TAG/.meta.tmp" "$TAG/meta_000500.json"
	run bash -c 'echo garbage >&6'
	[[ $status -ne 0 && $output == *"Stale file handle"* ]]
	exec 6>&-
	[[ $(<"$STORED/meta_000500.json") == '{"step": 2}' ]]
	exec 6>"$TAG/.meta.tmp"
	echo '{"step":' >&6
	refuses "Invalid argument" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$TAG/.meta.tmp" "$TAG/meta_000500.json"
	echo '3}' >&6
	exec 6>&-
	mv "$TAG/.meta.tmp" "$TAG/meta_000500.json"
	[[ $(<"$STORED/meta_000500.json") == $'{"step":\n3}' ]]
}

@test "what is not what its name says: EINVAL at close, nothing visible, a line in the log" {
	writable
	head -c 100000 "$STORED/model_000500.pt" >"$BATS_TEST_TMPDIR/bad.pt"
	refuses "Invalid argument" cp "$BATS_TEST_TMPDIR/bad.pt" "$TAG/model_000600.pt"
	refuses "Invalid argument" cp "$BATS_TEST_TMPDIR/bad.pt" "$TAG/optim_000500_rank3.pt"
	refuses "Invalid argument" cp "$BATS_TEST_TMPDIR/bad.pt" "$TAG/model_000500.pt"
	refuses "Invalid argument" cp "$BATS_TEST_TMPDIR/bad.pt" "$TAG/meta_000600.json"
	refuses "Invalid argument" cp /dev/null "$TAG/model_000600.pt"
	refuses "Invalid argument" touch "$TAG/model_000600.pt"
	echo '[]' >"$BATS_TEST_TMPDIR/array"
	refuses "Invalid argument" cp "$BATS_TEST_TMPDIR/array" "$TAG/meta_000600.json"
	cp "$BATS_TEST_TMPDIR/bad.pt" "$TAG/.bad.tmp"
	refuses "Invalid argument" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$TAG/.bad.tmp" "$TAG/model_000600.pt"
	rm "$TAG/.bad.tmp"
	[[ ! -e $TAG/model_000600.pt && -z $(find "$STORED" -name '*600.pt' -o -name '*600.json') ]]
	cmp "$STORED/model_000500.pt" "$(nanochat_store)/base_checkpoints/d12/model_000500.pt"
	grep -q 'model_000600\.pt' "$LOG"
	nothing_staged "$STORED"
}

@test "names of the mount's own, and of stored files: none of them is made, or given away" {
	writable
	local name
	for name in 600 000600.partial latest best history.tsv .trash .ckptfs; do
		[[ $name == @(latest|best) ]] || refuses "Operation not permitted" touch "$TAG/$name"
		echo mine >"$TAG/x"
		run ! mv -T "$TAG/x" "$TAG/$name"
		[[ $(<"$TAG/x") == mine ]]
	done
	rm "$TAG/x"
	refuses "Operation not permitted" touch "$MNT/mid"
	refuses "Operation not permitted" mv "$TAG/model_000500.pt" "$TAG/model_000700.pt"
	refuses "Operation not permitted" ln "$TAG/model_000500.pt" "$TAG/model_000700.pt"
	refuses "Operation not permitted" truncate -s 10 "$TAG/000500/model.pt"
}

@test "a shell's redirection to a native name, also in pieces" {
	writable
	cat "$STORED/model_001000.pt" >"$TAG/model_000600.pt"
	cmp "$STORED/model_001000.pt" "$STORED/model_000600.pt"
	{ head -c 1000 "$STORED/model_001000.pt"; tail -c +1001 "$STORED/model_001000.pt"; } >"$TAG/model_000601.pt"
	cmp "$STORED/model_001000.pt" "$STORED/model_000601.pt"
	{ cat "$STORED/meta_001000.json"; echo; } >"$TAG/meta_000600.json"
	cmp <(cat "$STORED/meta_001000.json"; echo) "$STORED/meta_000600.json"
}

@test "a store that is one tag, and one that is a checkpoints directory, take saves too" {
	need_torch
	own_store
	mount_store "$STORE/base_checkpoints/d12"
	oracle save_written "$MNT" 600 0
	oracle save_written check "$STORE/base_checkpoints/d12" 600 1
	mkdir "$MNT/000601"
	cp -r "$MNT/000600/model" "$MNT/000600/meta.json" "$MNT/000601/"
	oracle check_saved model "$STORE/base_checkpoints/d12/model_000601.pt" "$STORE/base_checkpoints/d12/model_000600.pt" "$MNT/000600/meta.json" cpu
	mount_store "$STORE/base_checkpoints"
	oracle save_written "$MNT/d9" 600 0
	oracle save_written check "$STORE/base_checkpoints/d9" 600 1
}

@test "a read-only mount refuses all of it with EROFS" {
	writable -o ro
	local refusal='Read-only file system' command
	for command in 'mkdir "$MNT/base/d14"' 'mkdir "$TAG/000600"' 'cp "$STORED/model_000500.pt" "$TAG/model_000600.pt"' 'touch "$TAG/model_000500.pt"' \
		'rm -f "$TAG/model_000500.pt"' 'mv "$TAG/000500" "$TAG/000501"' 'rmdir "$TAG/000500"' 'chmod 600 "$TAG/model_000500.pt"' 'ln -s x "$TAG/y"' \
		'mkdir "$TAG/000500/optim/rank9"' 'truncate -s 0 "$TAG/model_000500.pt"' 'mkfifo "$TAG/x"'; do
		refuses "$refusal" bash -c "MNT=$MNT TAG=$TAG STORED=$STORED; $command" || { echo "$command"; return 1; }
	done
	[[ ! -e $STORED/.ckptfs ]]
}
