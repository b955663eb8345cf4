#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What a filesystem owes to the programs that use it: numbers that are true, reads that are slices, tools that work.

load ../lib/helpers

@test "reads at odd offsets and lengths, and shared mappings, equal slices of the whole file" {
	need_torch
	mount_store "$(dtypes_store)"
	local step=$MNT/base/d1/000001
	oracle check_slices "$step"/model/{view.bfloat16_t,view.strided,large.matrix_t,shape.odd,nan.bfloat16,shape.empty,view.expanded}.npy \
		"$step"/model.raw/{shape.odd,large.matrix_t,dtype.bool,view.transposed,shape.scalar} \
		"$step"/model.{safetensors,tsv,pt} "$step"/optim/rank0.{json,safetensors,tsv,pt} "$step/meta.json"
}

@test "the same on cuda, where bfloat16 is read as stored" {
	need_torch
	mount_store "$(dtypes_store)" -o device=cuda
	local step=$MNT/base/d1/000001
	oracle check_slices "$step"/model/{view.bfloat16_t,shape.odd,nan.bfloat16}.npy "$step/model.safetensors"
}

@test "numpy.load with mmap_mode='r' works on every tensor" {
	need_torch
	mount_store "$(dtypes_store)"
	find "$MNT/base/d1/000001" -name '*.npy' -size +0 ! -name '*.empty*' -print0 | xargs -0 "$PYTHON" "$ORACLE/numpy_mmap.py"
}

@test "st_size is what a read gives, and st_blocks covers it, for every file" {
	need_torch
	mount_store "$(nanochat_store)"
	find "$MNT" -type f -printf '%s %b %p\n' | while read -r size blocks path; do
		[[ $(wc -c <"$path") -eq $size && $(dd if="$path" bs=1M status=none | wc -c) -eq $size ]] || { echo "$path: $size"; return 1; }
		((blocks * 512 >= size && blocks * 512 < size + 4096)) || { echo "$path: $size bytes in $blocks blocks"; return 1; }
	done
}

@test "du and du --apparent-size are true" {
	need_torch
	mount_store "$(nanochat_store)"
	local step=$MNT/base/d12/001000 sum=0 size files=0 used
	while read -r size; do
		((sum += size, ++files))
	done < <(find "$step/model" -type f -printf '%s\n')
	used=$(du -s -B1 "$step/model" | cut -f1)
	((used >= sum && used <= sum + (files + 1) * 4096)) || { echo "du says $used for $sum bytes"; return 1; }
	used=$(du -s --apparent-size -B1 "$step/model" | cut -f1)
	((used >= sum && used <= sum + 65536)) || { echo "du --apparent-size says $used for $sum bytes"; return 1; }
}

@test "df shows the store's filesystem" {
	small_pt "$BATS_TEST_TMPDIR/s/base_checkpoints/d12/model_000001.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(df --output=size -B1 "$MNT" | tail -n 1) == $(df --output=size -B1 "$BATS_TEST_TMPDIR/s" | tail -n 1) ]]
	[[ $(df --output=itotal "$MNT" | tail -n 1) == $(df --output=itotal "$BATS_TEST_TMPDIR/s" | tail -n 1) ]]
	[[ $(stat -f -c %l "$MNT") -ge 255 ]]
}

@test "mtime, owner and read bits are the stored file's" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12 step path mode
	small_pt "$tag/model_000001.pt" "$tag/optim_000001_rank0.pt"
	chmod 640 "$tag/model_000001.pt"
	chmod 604 "$tag/optim_000001_rank0.pt"
	touch -d '2025-03-04 05:06:07.123456789' "$tag/model_000001.pt"
	touch -d '2025-03-04 05:06:08' "$tag/meta_000001.json"
	touch -d '2025-03-04 05:06:09' "$tag/optim_000001_rank0.pt"
	[[ $EUID -ne 0 ]] || chown 1234:4321 "$tag/model_000001.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	step=$MNT/base/d12/000001
	for path in model.pt model.safetensors model.tsv model/lm_head.weight.npy model.raw/lm_head.weight; do
		[[ $(stat -c '%y %u %g' "$step/$path") == $(stat -c '%y %u %g' "$tag/model_000001.pt") ]] || { stat "$step/$path"; return 1; }
		mode=$(stat -c %a "$step/$path")
		[[ $mode == 440 || $mode == 640 && $path == model.pt ]] || { echo "$path: $mode"; return 1; }
	done
	[[ $(stat -c %Y "$step/meta.json") == $(stat -c %Y "$tag/meta_000001.json") ]]
	[[ $(stat -c '%Y %a' "$step/optim/rank0.json") == "$(stat -c %Y "$tag/optim_000001_rank0.pt") 404" ]]
	for path in model model.raw; do
		[[ $(stat -c '%Y %u %g' "$step/$path") == $(stat -c '%Y %u %g' "$tag/model_000001.pt") ]]
		# Writable, so that refusing a change of a published step is the mount's word (EPERM), and a copy of it can be removed.
		[[ $(stat -c %A "$step/$path") == drwxr-x--- ]] || { stat "$step/$path"; return 1; }
	done
	mount_store "$BATS_TEST_TMPDIR/s" -o ro
	[[ $(stat -c %A "$MNT/base/d12/000001/model") == dr-xr-x--- ]]
	[[ $(stat -c %A "$MNT/base/d12/model_000001.pt") == -r--r----- ]]
}

@test "link counts: 2 and one for each subdirectory, 1 for files" {
	need_torch
	mount_store "$(nanochat_store)"
	# 1 says that it isn't known until the files of the step are opened (hf.bats, ranks.bats).
	find "$MNT" -type d >/dev/null
	sleep 0.6
	find "$MNT" -type d -printf '%n %p\n' | while read -r links path; do
		[[ $links -eq $((2 + $(find "$path" -mindepth 1 -maxdepth 1 -type d | wc -l))) ]] || { echo "$path: $links"; return 1; }
	done
	[[ -z $(find "$MNT" ! -type d ! -links 1) ]]
}

@test "types and inode numbers in a listing are those of stat" {
	need_torch
	mount_store "$(nanochat_store)"
	"$PYTHON" - "$MNT" <<-'END'
		import os, stat, sys
		for directory, _, _ in os.walk(sys.argv[1]):
		    for e in os.scandir(directory):
		        s = os.lstat(e.path)
		        kinds = (e.is_dir(follow_symlinks=False), e.is_file(follow_symlinks=False), e.is_symlink(), e.inode())
		        assert kinds == (stat.S_ISDIR(s.st_mode), stat.S_ISREG(s.st_mode), stat.S_ISLNK(s.st_mode), s.st_ino), (e.path, kinds, s)
	END
	[[ $(find "$MNT/base/d12/000500/model/.." -maxdepth 0 -printf %i) == $(stat -c %i "$MNT/base/d12/000500") ]]
	[[ $(find "$MNT/base/d12/000500/model/." -maxdepth 0 -printf %i) == $(stat -c %i "$MNT/base/d12/000500/model") ]]
}

@test "inode numbers are unique, the same after a remount, and others after a replacement" {
	own_store
	mount_store "$STORE"
	find "$MNT" -printf '%i %P\n' | sort -k2 >"$BATS_TEST_TMPDIR/first"
	[[ -z $(cut -d' ' -f1 "$BATS_TEST_TMPDIR/first" | sort | uniq -d) ]]
	unmount 0
	mount_store "$STORE"
	find "$MNT" -printf '%i %P\n' | sort -k2 | cmp - "$BATS_TEST_TMPDIR/first"
	unmount 1
	cp "$STORE/base_checkpoints/d12/model_000500.pt" "$STORE/x"
	mv "$STORE/x" "$STORE/base_checkpoints/d12/model_000500.pt"
	mount_store "$STORE"
	find "$MNT" -printf '%i %P\n' | sort -k2 >"$BATS_TEST_TMPDIR/second"
	# What is made of the model's file too, and the directories around it.
	local besides='base(/d12(/(history\.tsv|000500(/(model|hf\.error|optim/all).*)?))?)?$'
	local replaced='base/d12/000500/model(\.(pt|safetensors|tsv)|(\.raw)?/.*)$'
	[[ -z $(comm -12 <(grep -E " $replaced" "$BATS_TEST_TMPDIR/first" | sort) <(sort "$BATS_TEST_TMPDIR/second")) ]]
	cmp <(grep -vE " $besides" "$BATS_TEST_TMPDIR/first") <(grep -vE " $besides" "$BATS_TEST_TMPDIR/second")
}

@test "ls -lR and find walk everything without an error" {
	need_torch
	mount_store "$(nanochat_store)"
	ls -lR "$MNT" >"$BATS_TEST_TMPDIR/ls" 2>"$BATS_TEST_TMPDIR/errors"
	find "$MNT" -newer / -print >/dev/null 2>>"$BATS_TEST_TMPDIR/errors"
	[[ ! -s $BATS_TEST_TMPDIR/errors ]]
	[[ $(find "$MNT/base/d12/000500" -name '*.npy' | wc -l) -eq 41 ]]
}

@test "cp -r copies in the checkpoint's key order" {
	need_torch
	mount_store "$(nanochat_store)"
	cp -rv "$MNT/base/d12/000500/model" "$BATS_TEST_TMPDIR/copy" | sed -n "s/.*\/\([^/]*\.npy\)'\$/\1/p" >"$BATS_TEST_TMPDIR/copied"
	in_order "$MNT/base/d12/000500/model" | cmp - "$BATS_TEST_TMPDIR/copied"
	diff -r "$MNT/base/d12/000500/model" "$BATS_TEST_TMPDIR/copy"
}

@test "rsync -a, cp -a and tar take a step out, with its times" {
	need_torch
	mount_store "$(nanochat_store)"
	local out=$BATS_TEST_TMPDIR/out
	mkdir -p "$out"/{rsync,tar}
	rsync -a "$MNT/base/" "$out/rsync/"
	cp -a "$MNT/base" "$out/cp"
	tar -C "$MNT/base" -cf - . | tar -C "$out/tar" -xf -
	local copy
	for copy in rsync cp tar; do
		diff -r --no-dereference "$MNT/base" "$out/$copy"
	done
	[[ $(stat -c %y "$out/rsync/d12/000500/model.pt") == $(stat -c %y "$MNT/base/d12/000500/model.pt") ]]
	[[ -z $(rsync -ani "$MNT/base/" "$out/rsync/") ]]
	chmod -R u+w "$out"
}

@test "getfattr lists the xattrs and names that nobody set are ENODATA" {
	need_torch
	mount_store "$(nanochat_store)"
	local npy=$MNT/base/d12/000500/model/transformer.wte.weight.npy
	[[ $(getfattr -d --absolute-names "$npy" | sed -n 's/=.*//p' | grep user | sort | tr '\n' ' ') == \
		"user.ckptfs.dtype user.ckptfs.key user.ckptfs.shape user.ckptfs.stored_dtype " ]]
	[[ $(getfattr --only-values -n user.ckptfs.key "$npy") == transformer.wte.weight ]]
	[[ $(getfattr --only-values -n user.ckptfs.dtype "$npy") == float32 ]]
	[[ $(getfattr --only-values -n user.ckptfs.stored_dtype "$npy") == bfloat16 ]]
	[[ $(getfattr --only-values -n user.ckptfs.shape "$npy") == "[256,64]" ]]
	[[ $(getfattr --only-values -n user.ckptfs.pickle "$MNT/base/d12/000500/model.pt") == safe ]]
	refuses "No such attribute" getfattr -n user.nothing "$npy"
	refuses "No such attribute" getfattr -n user.ckptfs.key "$MNT/base/d12/000500/meta.json"
	[[ -z $(getfattr -d "$MNT/base/d12/000500/model" 2>&1) ]]
}

@test "a getxattr buffer that is too small is ERANGE" {
	need_torch
	mount_store "$(nanochat_store)"
	"$PYTHON" - "$MNT/base/d12/000500/model/transformer.wte.weight.npy" <<-'END'
		import ctypes, errno, os, sys
		libc, path = ctypes.CDLL(None, use_errno=True), os.fsencode(sys.argv[1])
		buf = ctypes.create_string_buffer(64)
		n = libc.getxattr(path, b"user.ckptfs.key", None, 0)
		assert n == len("transformer.wte.weight"), n
		assert libc.getxattr(path, b"user.ckptfs.key", buf, n - 1) == -1 and ctypes.get_errno() == errno.ERANGE
		assert libc.getxattr(path, b"user.ckptfs.key", buf, n) == n and buf.raw[:n] == b"transformer.wte.weight"
		size = libc.listxattr(path, None, 0)
		assert size > 0 and libc.listxattr(path, buf, size - 1) == -1 and ctypes.get_errno() == errno.ERANGE
	END
}

@test "nothing can be written, created, renamed or removed in a read-only mount" {
	own_store
	mount_store "$STORE" -o ro
	local step=$MNT/base/d12/000500 refusal='Read-only file system' command
	find "$STORE" -type f -exec sha256sum {} + | sort >"$BATS_TEST_TMPDIR/before"
	for command in "touch $step/model/new.npy" "touch $MNT/new" "mkdir $MNT/base/d99" "mkdir $step/x" "rm -f $step/model.pt" "rm -rf $step/model" \
		"rmdir $step" "mv $step $MNT/base/d12/000501" "ln $step/model.pt $step/hard" "ln -s x $step/soft" "chmod 777 $step/model.pt" \
		"chown 1 $step/model.pt" "truncate -s 0 $step/model.pt" "dd if=/dev/zero of=$step/meta.json conv=notrunc count=1" \
		"setfattr -n user.x -v 1 $step/model.pt" "mkfifo $step/fifo" "tee $step/model/lm_head.weight.npy" "touch $step/model.pt" \
		"cp /etc/hostname $MNT/base/d12/model_000999.pt" "setfattr -x user.ckptfs.key $step/model/lm_head.weight.npy"; do
		run $command </dev/null
		[[ $status -ne 0 && $output =~ $refusal ]] || { echo "$command: $status $output"; return 1; }
	done
	find "$STORE" -type f -exec sha256sum {} + | sort | cmp - "$BATS_TEST_TMPDIR/before"
}

# holding FILE ENDING COMMAND... - a reader of FILE (in a step) has it open while COMMAND changes the store: it must end as ENDING says.
# The reference comes through a mount of its own, so that the page cache of the one under test is cold.
holding() {
	local file=base/d12/000500/$1 reference=$BATS_TEST_TMPDIR/reference pid word
	mount_store "$STORE"
	cp -f "$MNT/$file" "$reference"
	mount_store "$STORE"
	coproc HOLD { oracle hold "$MNT/$file" "$reference" "$2" 2>&1 3>&-; }
	pid=$HOLD_PID
	read -r word <&"${HOLD[0]}"
	[[ $word == open ]] || { echo "$file: $word"; return 1; }
	"${@:3}"
	echo go >&"${HOLD[1]}"
	read -r word <&"${HOLD[0]}" || true
	wait "$pid" || { echo "$file: $word"; return 1; }
}

replace_model() {
	cp "$STORE/base_checkpoints/d20/model_000700.pt" "$STORE/new.pt"
	mv "$STORE/new.pt" "$STORE/base_checkpoints/d12/model_000500.pt"
}

rewrite_model() { cat "$STORE/base_checkpoints/d20/model_000700.pt" >"$STORE/base_checkpoints/d12/model_000500.pt"; }

@test "a stored file replaced under an open file: the old bytes to the end" {
	need_torch
	own_store
	holding model.pt old replace_model
	holding model.safetensors old replace_model
}

@test "a stored file replaced under an open converted tensor: the old bytes to the end" {
	need_torch
	own_store
	holding model/transformer.wte.weight.npy old replace_model
}

@test "a stored file renamed away or removed under an open file: the old bytes to the end" {
	need_torch
	own_store
	holding model.safetensors old mv "$STORE/base_checkpoints/d12/model_000500.pt" "$STORE/gone"
	mv "$STORE/gone" "$STORE/base_checkpoints/d12/model_000500.pt"
	holding model.pt old rm "$STORE/base_checkpoints/d12/model_000500.pt"
}

@test "a stored file rewritten in place under an open file: EIO, never mixed bytes" {
	need_torch
	own_store
	holding model.pt eio rewrite_model
}

@test "a stored file rewritten in place under an open view: EIO, never mixed bytes" {
	need_torch
	own_store
	holding model.safetensors eio rewrite_model
}

@test "a stored file cut short under an open file: EIO, never mixed bytes" {
	need_torch
	own_store
	holding model.pt eio truncate -s 10000 "$STORE/base_checkpoints/d12/model_000500.pt"
}

@test "a file that was rewritten in place reads as the new one when it is opened again" {
	need_torch
	own_store
	mount_store "$STORE"
	cksum "$MNT/base/d12/000500/model.pt" "$MNT/base/d12/000500/model.safetensors" >/dev/null
	rewrite_model
	sleep 1
	cmp "$MNT/base/d12/000500/model.pt" "$STORE/base_checkpoints/d20/model_000700.pt"
	cmp "$MNT/base/d12/000500/model.raw/lm_head.weight" "$MNT/base/d20/000700/model.raw/lm_head.weight"
}

# Runs COMMAND as nobody.
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

@test "other users: kept out without allow_other, and by the stored file's mode with it" {
	[[ $EUID -eq 0 ]] || skip "needs root, to be somebody else"
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	chmod o+x "$BATS_RUN_TMPDIR"
	small_pt "$tag"/model_00000{1,2}.pt
	chmod 600 "$tag/model_000002.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	refuses "Permission denied" as_nobody ls "$MNT"
	mount_store "$BATS_TEST_TMPDIR/s" -o allow_other
	as_nobody cmp "$MNT/base/d12/000001/model.pt" "$tag/model_000001.pt"
	as_nobody cat "$MNT/base/d12/000001/model/lm_head.weight.npy" >/dev/null
	refuses "Permission denied" as_nobody cat "$MNT/base/d12/000002/model.pt"
	refuses "Permission denied" as_nobody cat "$MNT/base/d12/000002/model/lm_head.weight.npy"
}
