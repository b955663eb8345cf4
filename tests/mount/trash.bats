#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Steps that are retired by mv into .trash, brought back, and deleted there. Kills, faults and power loss: crash.bats, full.bats, power.bats.

load ../lib/helpers
load ../lib/steps

# sums - of every stored file of the tag, by its name alone, in whatever place.
sums() { find "$STORED" -name '*_*.*' -type f -exec md5sum {} + | sed -E 's|/[^ ]*/||' | sort; }

# Nothing but the lock is left of what was under way.
nothing_left() { lists "$STORED/.ckptfs" "writers"; }

@test "mv into .trash and back: the step as it was, the store's files in one place, and nanochat sees none that is retired" {
	writable
	local before model
	before=$(sums) model=$(md5sum <"$TAG/001000/model.pt")
	[[ -d $TAG/.trash ]]
	lists "$TAG" "000500 001000 best history.tsv latest"
	[[ -z $(names "$TAG/.trash") ]]
	cp -r "$TAG/001000" "$BATS_TEST_TMPDIR/was"

	mv "$TAG/001000" "$TAG/.trash/"
	lists "$TAG" ".trash 000500 best history.tsv latest"
	lists "$TAG/.trash" "001000"
	[[ $(readlink "$TAG/latest") == 000500 ]]
	diff -r -x all.error "$BATS_TEST_TMPDIR/was" "$TAG/.trash/001000"
	[[ $(stat -c %h "$TAG") -eq 4 && $(stat -c %h "$TAG/.trash") -eq 3 ]]
	lists "$STORED/.ckptfs/trash/001000" "meta_001000.json model_001000.pt optim_001000_rank0.pt optim_001000_rank1.pt"
	run ! compgen -G "$STORED/*_001000*"
	[[ $(sums) == "$before" ]]

	mv "$TAG/.trash/001000" "$TAG/"
	lists "$TAG" "000500 001000 best history.tsv latest"
	[[ $(readlink "$TAG/latest") == 001000 ]]
	diff -r "$BATS_TEST_TMPDIR/was" "$TAG/001000"
	[[ $(sums) == "$before" && $(md5sum <"$STORED/model_001000.pt") == "$model" ]]
	nothing_left
}

@test "the optimizer alone, and back; beside it the step itself" {
	writable
	local before
	before=$(sums)
	cp -r "$TAG/001000" "$BATS_TEST_TMPDIR/was"
	mv "$TAG/001000/optim" "$TAG/.trash/001000.optim"
	lists "$TAG/001000" "hf.error meta.json model model.pt model.raw model.safetensors model.tsv"
	lists "$TAG/.trash" "001000.optim"
	diff -r -x all.error "$BATS_TEST_TMPDIR/was/optim" "$TAG/.trash/001000.optim"
	[[ $(readlink "$TAG/latest") == 001000 ]]
	# The same step, too, and each comes back by itself.
	mv "$TAG/001000" "$TAG/.trash/001000"
	lists "$TAG/.trash" "001000 001000.optim"
	refuses 'Operation not permitted' mv "$TAG/.trash/001000.optim" "$TAG/000500/optim.new"
	mv "$TAG/.trash/001000" "$TAG/001000"
	mv "$TAG/.trash/001000.optim" "$TAG/001000/optim"
	diff -r "$BATS_TEST_TMPDIR/was" "$TAG/001000"
	[[ $(sums) == "$before" ]]
	nothing_left
}

@test "rm -r in .trash deletes, without a question; before the last rmdir nothing is gone" {
	writable
	local before
	before=$(sums)
	mv "$TAG/000500" "$TAG/.trash/"
	mv "$TAG/001000/optim" "$TAG/.trash/001000.optim"
	[[ -z $(find "$TAG/.trash/000500" ! -perm -200) ]]
	refuses 'Directory not empty' rmdir "$TAG/.trash/000500"
	refuses 'Directory not empty' rmdir "$TAG/.trash/000500/model"
	refuses 'Directory not empty' rmdir "$TAG/.trash"
	refuses 'Operation not permitted' dd if=/dev/zero of="$TAG/.trash/000500/model.pt" bs=1 count=1 conv=notrunc status=none
	refuses 'Operation not permitted' touch "$TAG/.trash/000500/new"
	refuses 'Operation not permitted' mkdir "$TAG/.trash/000700"
	# All but the directory itself: the names are away, the store has all, and so has the next mount.
	rm -r "$TAG/.trash/000500/model" "$TAG/.trash/000500/optim/rank0.pt" "$TAG/.trash/000500/model.tsv"
	lists "$TAG/.trash/000500" "hf.error meta.json model.pt model.raw model.safetensors optim"
	[[ ! -e $TAG/.trash/000500/model && ! -e $TAG/.trash/000500/optim/rank0.pt && -e $TAG/.trash/000500/optim/rank0.json ]]
	[[ $(sums) == "$before" ]]
	# Brought back, it is whole again, and retired again it is, too.
	mv "$TAG/.trash/000500" "$TAG/"
	[[ -e $TAG/000500/model && -e $TAG/000500/model.tsv ]]
	mv "$TAG/000500" "$TAG/.trash/"
	[[ -e $TAG/.trash/000500/model.tsv ]]
	rm "$TAG/.trash/000500/model.tsv"
	unmount 0
	mount_store "$STORE"
	TAG=$MNT/base/d12
	[[ -e $TAG/.trash/000500/model.tsv ]]
	# With a terminal, rm asks for what is write-protected.
	run script -qec "rm -r '$TAG/.trash/000500'" /dev/null </dev/null
	[[ $status -eq 0 && -z $output ]]
	lists "$TAG/.trash" "001000.optim"
	lists "$STORED/.ckptfs/trash" "001000.optim"
	rm -r "$TAG/.trash"
	lists "$TAG" "001000 best history.tsv latest"
	lists "$STORED" ".ckptfs meta_001000.json model_001000.pt"
	nothing_left
}

@test "what isn't a step's way in or out is refused, and nothing is replaced" {
	writable
	local before
	mkdir "$TAG/000900" "$TAG/000900/model"
	cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/000500/optim" "$BATS_TEST_TMPDIR/"
	before=$(sums)
	refuses 'Operation not permitted' mv "$TAG/000500" "$TAG/.trash/000501"
	refuses 'Operation not permitted' mv "$TAG/000500" "$MNT/base/d20/.trash/"
	refuses 'Operation not permitted' mv "$TAG/000500/optim" "$TAG/.trash/optim"
	refuses 'Operation not permitted' mv "$TAG/000500/optim" "$TAG/.trash/001000.optim"
	refuses 'Operation not permitted' mv "$TAG/000500/model" "$TAG/.trash/"
	refuses 'Operation not permitted' mv "$TAG/000900" "$TAG/.trash/"
	refuses 'Operation not permitted' mv "$TAG/latest" "$TAG/.trash/"
	refuses 'Operation not permitted' mv "$TAG/.trash" "$TAG/other"
	refuses 'Operation not permitted' rmdir "$TAG/000500"
	refuses 'Operation not permitted' rm -r "$TAG/000500/meta.json"
	refuses 'File exists' mkdir "$TAG/.trash"
	mv "$TAG/000500" "$TAG/.trash/"
	refuses 'Operation not permitted' mv "$TAG/.trash/000500" "$TAG/000501"
	refuses 'Operation not permitted' mv "$TAG/.trash/000500/model" "$TAG/000900/"
	refuses 'Operation not permitted' mv "$TAG/.trash/000500/meta.json" "$TAG/.trash/000500/other"
	[[ $(sums) == "$before" ]]
	# A step of the same number is written: neither place takes the other's.
	mkdir "$TAG/000500"
	refuses 'File exists' mv -T "$TAG/.trash/000500" "$TAG/000500"
	cp -r "$BATS_TEST_TMPDIR/model" "$BATS_TEST_TMPDIR/meta.json" "$TAG/000500/"
	refuses 'File exists' mv -T "$TAG/.trash/000500" "$TAG/000500"
	refuses 'File exists' mv "$TAG/000500" "$TAG/.trash/"
	# Its shards are taken back by itself.
	mv "$TAG/001000/optim" "$TAG/.trash/001000.optim"
	cp "$BATS_TEST_TMPDIR/optim/rank0.pt" "$STORED/optim_001000_rank0.pt"
	refuses 'File exists' mv -T "$TAG/.trash/001000.optim" "$TAG/001000/optim"
	lists "$STORED/.ckptfs/trash/001000.optim" "optim_001000_rank0.pt optim_001000_rank1.pt"
	cmp "$STORED/optim_001000_rank0.pt" "$BATS_TEST_TMPDIR/optim/rank0.pt"
	# A link would lead elsewhere from there.
	ln -s model_001000.pt "$STORED/model_002000.pt"
	refuses 'Operation not permitted' mv "$TAG/002000" "$TAG/.trash/"
}

@test "open readers keep their bytes, here and on another mount, while the step is retired, comes back, is deleted" {
	writable
	local first=$TAG sum other at readers=()
	mount_store "$STORE"
	other=$MNT/base/d12
	sum=$(md5sum <"$STORED/model_000500.pt")
	for at in "$first" "$other"; do
		"$PYTHON" - "$at/000500" 3>&- <<'P' &
import mmap, numpy, os, sys, time
at = sys.argv[1]
names = sorted(os.listdir(at + "/model"))
f = [open(at + "/model/" + n, "rb") for n in names] + [open(at + "/model.pt", "rb")]
want = [open(x.name, "rb").read() for x in f]
m = mmap.mmap(f[0].fileno(), 0, prot=mmap.PROT_READ)
open(at.replace("/base/d12/000500", ".ready"), "w").close()
while not os.path.exists(at.replace("/base/d12/000500", ".done")):
    for x, w in zip(f, want):
        assert os.pread(x.fileno(), len(w) + 1, 0) == w, x.name
        assert os.fstat(x.fileno()).st_size == len(w)
    assert m[:] == want[0]
for x, w in zip(f, want):
    assert os.pread(x.fileno(), len(w) + 1, 0) == w, x.name
P
		readers+=($!)
	done
	within 20000 test -e "${first%/base/d12}.ready"
	within 20000 test -e "${other%/base/d12}.ready"
	mv "$first/000500" "$first/.trash/"
	within 1100 test -d "$other/.trash/000500"
	within 1100 test ! -e "$other/000500"
	[[ $(md5sum <"$other/.trash/000500/model.pt") == "$sum" ]]
	mv "$other/.trash/000500" "$other/"
	within 1100 test -d "$first/000500"
	[[ $(md5sum <"$first/000500/model.pt") == "$sum" ]]
	within 1100 test ! -e "$first/.trash/000500"
	mv "$first/000500" "$first/.trash/"
	within 1100 test -d "$other/.trash/000500"
	rm -r "$other/.trash/000500"
	[[ -z $(find "$STORED" -name '*_000500*') ]]
	touch "${first%/base/d12}.done" "${other%/base/d12}.done"
	wait "${readers[0]}"
	wait "${readers[1]}"
	within 1100 test ! -e "$first/.trash/000500"
	nothing_left
}

@test "EBUSY while a shard of the step is open for writing; what is written goes where the step is" {
	writable
	cp "$TAG/000500/optim/rank0.pt" "$BATS_TEST_TMPDIR/shard.pt"
	exec 5>"$TAG/000500/optim/rank7.pt"
	head -c 1000 "$BATS_TEST_TMPDIR/shard.pt" >&5
	refuses 'Device or resource busy' mv "$TAG/000500" "$TAG/.trash/"
	refuses 'Device or resource busy' mv "$TAG/000500/optim" "$TAG/.trash/000500.optim"
	tail -c +1001 "$BATS_TEST_TMPDIR/shard.pt" >&5
	exec 5>&-
	cmp "$TAG/000500/optim/rank7.pt" "$BATS_TEST_TMPDIR/shard.pt"
	mv "$TAG/000500" "$TAG/.trash/"
	cmp "$TAG/.trash/000500/optim/rank7.pt" "$BATS_TEST_TMPDIR/shard.pt"
	rm -r "$TAG/.trash/000500"
	nothing_left
}

@test "a mount with ro shows what is retired and moves nothing; a store that can't be written to says so" {
	writable
	mv "$TAG/000500" "$TAG/.trash/"
	local before
	before=$(sums)
	unmount 0
	mount_store "$STORE" -o ro
	TAG=$MNT/base/d12
	lists "$TAG/.trash" "000500"
	cmp "$TAG/.trash/000500/model.pt" "$STORED/.ckptfs/trash/000500/model_000500.pt"
	[[ -z $(find "$TAG/.trash/000500" -type f -perm -200) ]]
	refuses 'Read-only file system' mv "$TAG/.trash/000500" "$TAG/"
	refuses 'Read-only file system' mv "$TAG/001000" "$TAG/.trash/"
	refuses 'Read-only file system' rm -rf "$TAG/.trash/000500"
	[[ $(sums) == "$before" ]]
}

@test "many at once, by two mounts: each step moves once, and is whole in one place" {
	writable
	local before i other first=$TAG
	for ((i = 1; i <= 40; i++)); do
		small_pt "$STORED/$(printf 'model_%06d.pt' "$i")"
	done
	before=$(sums)
	mount_store "$STORE"
	other=$MNT/base/d12
	moves() { for ((i = 1; i <= 40; i++)); do printf '%06d\n' "$i"; done | xargs -P 4 -I @STEP@ mv -n "$1/@STEP@" "$2/" 2>>"$BATS_TEST_TMPDIR/said"; }
	moves "$first" "$first/.trash" 3>&- &
	moves "$other" "$other/.trash" || true
	wait "$!" || true
	run ! grep -vE 'No such file or directory|cannot (stat|move)|File exists' "$BATS_TEST_TMPDIR/said"
	[[ $(sums) == "$before" ]]
	[[ $(find "$STORED/.ckptfs/trash" -name 'model_0000*' | wc -l) -eq 40 && $(find "$STORED/.ckptfs/trash" -name 'meta_0000*' | wc -l) -eq 40 ]]
	within 1100 lists "$first" ".trash 000500 001000 best history.tsv latest"
	moves "$first/.trash" "$first" 3>&- &
	moves "$other/.trash" "$other" || true
	wait "$!" || true
	[[ $(sums) == "$before" && $(find "$STORED" -maxdepth 1 -name 'model_0000*' | wc -l) -eq 40 ]]
	nothing_left
}

@test "a link where .trash or a retired step lies in the store: nothing outside is moved, made or removed" {
	writable
	local before outside=$BATS_TEST_TMPDIR/outside
	mkdir -p "$outside/000500" "$STORED/.ckptfs"
	cp "$STORED"/*_000500* "$outside/000500/"
	cp "$STORED/model_000500.pt" "$outside/000500/retire"
	before=$(sums; cd "$outside" && find . -type f -exec md5sum {} + | sort)
	ln -s "$outside" "$STORED/.ckptfs/trash"
	refuses 'Too many levels of symbolic links' mv "$TAG/001000" "$TAG/.trash/"
	rm -rf "$TAG/.trash/000500" || true
	mv "$TAG/.trash/000500" "$TAG/000500" || true
	rm "$STORED/.ckptfs/trash"
	mkdir "$STORED/.ckptfs/trash"
	ln -s "$outside/000500" "$STORED/.ckptfs/trash/000500"
	refuses 'Too many levels of symbolic links' mv "$TAG/000500" "$TAG/.trash/"
	rm -rf "$TAG/.trash/000500" || true
	unmount 0
	mount_store "$STORE"
	[[ $(sums; cd "$outside" && find . -type f -exec md5sum {} + | sort) == "$before" ]]
}

# stored_bytes - of nanochat's files in the tag.
stored_bytes() { find "$STORED" -maxdepth 1 -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }'; }

@test "prune.sh: says what it would delete and how much comes back, and with --delete that goes, never the step that latest names" {
	local store=$BATS_TEST_TMPDIR/s i said before prune=$REPO/examples/prune.sh
	STORED=$store/base_checkpoints/d12
	for ((i = 100; i <= 1000; i += 100)); do
		small_pt "$STORED/$(printf 'model_%06d.pt' "$i")"
		cp "$STORED/model_000100.pt" "$STORED/$(printf 'optim_%06d_rank0.pt' "$i")"
		echo '{"step": '"$i"', "model_config": {}, "val_bpb": '"$((i == 300 ? 1 : 2))"'}' >"$STORED/$(printf 'meta_%06d.json' "$i")"
	done
	echo torn >"$STORED/model_001100.pt"
	mount_store "$store"
	TAG=$MNT/base/d12
	mkdir "$TAG/000150"
	[[ $(readlink "$TAG/latest") == 001000 && $(readlink "$TAG/best") == 000300 ]]

	before=$(stored_bytes)
	run -0 "$prune" "$TAG" --keep-last 3 --keep-every 500 --keep-best --optim-last 1
	echo "$output"
	[[ $output == *"001000: keep (latest last every)"*"000900: keep (last), would delete its optimizer, "*"000700: would delete, "* ]]
	[[ $output == *"000500: keep (every), would delete its optimizer"*"000300: keep (best), would delete its optimizer"* ]]
	[[ $output != *0011* && $output != *000150* && $(stored_bytes) -eq $before ]]
	said=$(grep -o '^[0-9]* bytes would' <<<"$output")
	said=${said%% *}
	run -0 "$prune" --delete --optim-last 1 --keep-best --keep-every 500 --keep-last 3 "$TAG/"
	[[ ${lines[-1]} == "$said bytes came back" && $((before - $(stored_bytes))) -eq $said ]]
	lists "$STORED" ".ckptfs meta_000300.json meta_000500.json meta_000800.json meta_000900.json meta_001000.json model_000300.pt model_000500.pt model_000800.pt model_000900.pt model_001000.pt model_001100.pt optim_001000_rank0.pt"
	lists "$STORED/.ckptfs" "000150 writers"
	# Once more there is nothing to do; and latest stays, whatever is asked for.
	run -0 "$prune" "$TAG" --keep-last 3 --keep-every 500 --keep-best --optim-last 1 --delete
	[[ ${lines[-1]} == "0 bytes came back" ]]
	run -0 "$prune" "$TAG" --keep-every 300 --optim-last 0 --delete
	lists "$STORED" ".ckptfs meta_000300.json meta_000900.json meta_001000.json model_000300.pt model_000900.pt model_001000.pt model_001100.pt optim_001000_rank0.pt"
	run -2 "$prune" "$TAG"
	run -2 "$prune" "$TAG" --keep-last
	run -2 "$prune" "$TAG" --keep-last -1
	run -2 "$prune" "$TAG" --keep-everything
	run -2 "$prune" "$STORED" --keep-last 1
	[[ $output == *"expected a tag's directory in a mount"* ]]
}
