#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Every name in a tag's or a checkpoints directory that is neither a step's nor the mount's own is an ordinary file or directory of the store.

load ../lib/helpers

writable() {
	own_store
	mount_store "$STORE" "$@"
	TAG=$MNT/base/d12 STORED=$STORE/base_checkpoints/d12
}

@test "a saver's temporary names, and a fork's own files: made, written, listed, read, removed, in the store itself" {
	writable
	local name
	for name in model_000600.pt.tmp.4711 .model_000600.pt.XyZ123 tmpab12cd model_000600.pt.incomplete model_000600.pt.new model_000600.pt.partial \
		sedAbC123 commit_000500.json notes.txt events.out.tfevents.1 000600.optim model_600.pt 'a name, with blanks' meta_000600.txt; do
		echo "$name" >"$TAG/$name"
		[[ $(<"$STORED/$name") == "$name" && $(<"$TAG/$name") == "$name" ]]
		names "$TAG" | grep -qxF -- "$name"
		rm "$TAG/$name"
		[[ ! -e $STORED/$name && ! -e $TAG/$name ]]
		echo "$name" >"$MNT/base/$name"
		[[ $(<"$STORE/base_checkpoints/$name") == "$name" ]]
		names "$MNT/base" | grep -qxF -- "$name"
		rm "$MNT/base/$name"
		[[ ! -e $STORE/base_checkpoints/$name ]]
	done
	lists "$TAG" "000500 001000 best history.tsv latest"
	echo theirs >"$STORED/fork.txt"
	within 1100 test -e "$TAG/fork.txt"
	[[ $(<"$TAG/fork.txt") == theirs ]]
	rm "$STORED/fork.txt"
	within 1100 test ! -e "$TAG/fork.txt"
}

@test "renamed to one of nanochat's names they are judged, and put in place, from each place" {
	writable
	mkdir "$TAG/sub"
	local from
	for from in "$TAG/model_000600.pt.tmp.4711" "$TAG/.model.XyZ" "$TAG/sub/x" "$MNT/base/model.new"; do
		cp "$STORED/model_000500.pt" "$from"
		mv "$from" "$TAG/model_000600.pt"
		cmp "$STORED/model_000600.pt" "$STORED/model_000500.pt"
		cmp "$TAG/000600/model.pt" "$STORED/model_000500.pt"
		[[ ! -e $from ]]
		rm "$STORED/model_000600.pt"
		head -c 1000 "$STORED/model_000500.pt" >"$from"
		refuses "Invalid argument" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$from" "$TAG/model_000600.pt"
		[[ $(stat -c %s "$from") == 1000 && ! -e $STORED/model_000600.pt ]]
		rm "$from"
	done
	sed -i 's/"step": 500/"step": 501/' "$TAG/meta_000500.json"
	grep -q '"step": 501' "$STORED/meta_000500.json"
	lists "$TAG" "000500 001000 best history.tsv latest sub"
}

@test "POSIX behaviour of ordinary directories, call by call: in a tag, in a checkpoints directory, deep in them" {
	writable -o native
	mkdir "$TAG/logs" "$MNT/base/.cache"
	"$PYTHON" "$ORACLE/posix_written.py" "$TAG/logs" ordinary
	mkdir "$TAG/logs/deep"
	"$PYTHON" "$ORACLE/posix_written.py" "$TAG/logs/deep" ordinary
	"$PYTHON" "$ORACLE/posix_written.py" "$MNT/base/.cache" ordinary
	rmdir "$TAG/logs/deep" "$TAG/logs" "$MNT/base/.cache"
	[[ ! -e $STORED/logs && ! -e $STORE/base_checkpoints/.cache ]]
}

@test "directories: made, filled, copied, moved, removed; modes, times, link counts, mmap" {
	writable
	mkdir "$TAG/eval"
	mkdir -m 700 "$TAG/eval/a"
	[[ $(stat -c %a "$STORED/eval/a") == 700 ]]
	cp -a "$REPO/tests/fixtures/field" "$TAG/eval/"
	diff -r "$REPO/tests/fixtures/field" "$TAG/eval/field"
	diff -r "$REPO/tests/fixtures/field" "$STORED/eval/field"
	rsync -a --checksum "$REPO/tests/fixtures/field/" "$TAG/eval/field2/"
	diff -r "$TAG/eval/field" "$TAG/eval/field2"
	mv "$TAG/eval/field2" "$MNT/base/.field"
	diff -r "$REPO/tests/fixtures/field" "$STORE/base_checkpoints/.field"
	rm -r "$MNT/base/.field"
	touch -d '2025-01-02 03:04:05' "$TAG/eval/a"
	[[ $(stat -c %y "$STORED/eval/a") == '2025-01-02 03:04:05'* ]]
	chmod 750 "$TAG/eval/a"
	[[ $(stat -c %a "$STORED/eval/a") == 750 && $(stat -c %a "$TAG/eval/a") == 750 ]]
	[[ $(stat -c %h "$TAG") -eq $((2 + $(find "$TAG" -mindepth 1 -maxdepth 1 -type d | wc -l))) ]]
	"$PYTHON" - "$TAG/eval/mapped" <<-'END'
		import mmap, os, sys
		with open(sys.argv[1], "w+b") as f:
		    f.truncate(100000)
		    with mmap.mmap(f.fileno(), 100000) as m:
		        m[50000:50005] = b"hello"
		        m.flush()
		    f.seek(50000)
		    assert f.read(5) == b"hello"
		with open(sys.argv[1], "rb") as f:
		    assert f.read() == bytes(50000) + b"hello" + bytes(49995)
	END
	sync "$TAG/eval"
	rm -r "$TAG/eval"
	[[ ! -e $STORED/eval ]]
	unmount 0
	[[ -z $(find "$STORED" -name 'eval*') ]]
}

@test "they outlive a remount, and are there read-only" {
	writable
	mkdir "$TAG/eval" && echo kept >"$TAG/eval/x" && echo kept >"$MNT/base/y"
	unmount 0
	mount_store "$STORE"
	[[ $(<"$MNT/base/d12/eval/x") == kept && $(<"$MNT/base/y") == kept ]]
	mount_store "$STORE" -o ro
	[[ $(<"$MNT/base/d12/eval/x") == kept && $(<"$MNT/base/y") == kept ]]
	refuses "Read-only file system" touch "$MNT/base/d12/eval/z"
	refuses "Read-only file system" rm "$MNT/base/y"
}

@test "an ordinary file in a checkpoints directory that isn't there yet" {
	mkdir "$BATS_TEST_TMPDIR/empty"
	mount_store "$BATS_TEST_TMPDIR/empty"
	lists "$MNT/rl" "" || [[ -z $(names "$MNT/rl") ]]
	echo x >"$MNT/rl/notes"
	[[ $(<"$BATS_TEST_TMPDIR/empty/chatrl_checkpoints/notes") == x ]]
}

@test "a step that was made in an ordinary directory, and moved to its name" {
	writable
	mkdir "$TAG/tmp.4711"
	cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/tmp.4711/"
	mv "$TAG/tmp.4711" "$TAG/000600"
	sync "$TAG/000600" || true
	[[ -f $STORED/model_000600.pt && ! -e $STORED/tmp.4711 ]]
}

@test "links of the store are shown, and followed by those who ask alone" {
	writable
	echo target >"$STORED/file"
	ln -s file "$STORED/link"
	ln -s /nowhere "$STORED/dangling"
	[[ $(readlink "$TAG/link") == file && $(<"$TAG/link") == target && $(readlink "$TAG/dangling") == /nowhere ]]
	refuses "No such file" cat "$TAG/dangling"
	rm "$TAG/link" "$TAG/dangling"
	[[ ! -L $STORED/link && -e $STORED/file ]]
}
