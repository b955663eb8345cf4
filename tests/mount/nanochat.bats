#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# The mount as nanochat's base directory: its checkpoints directories under its own names, and everything else as it is in the store.

load ../lib/helpers
load ../lib/shims

# base_mount [OPTION...] - a store with what nanochat keeps beside its checkpoints, mounted.
base_mount() {
	own_store
	mkdir -p "$STORE"/{tokenizer,base_data,eval_bundle/core,report,.cache}
	echo pickled >"$STORE/tokenizer/tokenizer.pkl"
	echo bytes >"$STORE/tokenizer/token_bytes.pt"
	head -c 3000000 /dev/urandom >"$STORE/base_data/shard_00000.parquet"
	echo '{}' >"$STORE/identity_conversations.jsonl"
	: >"$STORE/eval_bundle.zip.lock"
	mount_store "$STORE" -o "native${1:+,$1}"
}

@test "nanochat's names of the checkpoints directories are links, and the rest of the base directory is there" {
	base_mount
	lists "$MNT" ".cache base base_checkpoints base_data chatrl_checkpoints chatsft_checkpoints eval_bundle eval_bundle.zip.lock identity_conversations.jsonl report rl sft tokenizer"
	[[ $(readlink "$MNT/base_checkpoints") == base && $(readlink "$MNT/chatsft_checkpoints") == sft && $(readlink "$MNT/chatrl_checkpoints") == rl ]]
	cmp "$MNT/base_data/shard_00000.parquet" "$STORE/base_data/shard_00000.parquet"
	[[ $(<"$MNT/base_checkpoints/d12/meta_000500.json") == "$(<"$STORE/base_checkpoints/d12/meta_000500.json")" ]]
	[[ $(stat -c %h "$MNT") -eq $((2 + $(find "$MNT" -mindepth 1 -maxdepth 1 -type d | wc -l))) ]]
	# Once each: by du, find and cp -r.
	[[ $(find "$MNT" -name model_000500.pt | sort -u | wc -l) -eq $(find "$STORE" -name model_000500.pt | wc -l) ]]
	[[ -z $(find "$MNT" -type d -printf '%i\n' | sort | uniq -d) ]]
}

@test "without native they are not listed, and resolve" {
	base_mount
	mount_store "$STORE"
	lists "$MNT" "base rl sft"
	[[ $(stat -c %h "$MNT") -eq 5 ]]
	[[ $(<"$MNT/tokenizer/tokenizer.pkl") == pickled && $(readlink "$MNT/base_checkpoints") == base && -f $MNT/base_checkpoints/d12/model_000500.pt ]]
}

@test "makedirs(exist_ok=True) of whatever nanochat makes, in an empty base directory, too" {
	mkdir "$BATS_TEST_TMPDIR/empty"
	mount_store "$BATS_TEST_TMPDIR/empty" -o native
	"$PYTHON" - "$MNT" <<-'END'
		import os, sys
		for round in range(2):
		    for name in ("tokenizer", "base_data", "base_data_climbmix", "task_data", "report", "base_eval", "eval_bundle", "base_checkpoints", "base_checkpoints/d4",
		                 "chatsft_checkpoints", "chatrl_checkpoints/d4", "mid_checkpoints/d4", "mid_checkpoints"):
		        os.makedirs(os.path.join(sys.argv[1], name), exist_ok=True)
		        assert os.path.isdir(os.path.join(sys.argv[1], name)), name
		assert os.readlink(os.path.join(sys.argv[1], "mid_checkpoints")) == "mid" and os.listdir(os.path.join(sys.argv[1], "mid")) == ["d4"]
	END
	[[ -d $BATS_TEST_TMPDIR/empty/mid_checkpoints/d4 && -d $BATS_TEST_TMPDIR/empty/tokenizer && -d $BATS_TEST_TMPDIR/empty/chatrl_checkpoints/d4 ]]
	lists "$BATS_TEST_TMPDIR/empty" "base_checkpoints base_data base_data_climbmix base_eval chatrl_checkpoints eval_bundle mid_checkpoints report task_data tokenizer"
}

@test "the links stay, and the mount's own names come first" {
	base_mount
	mkdir "$STORE/sft" && echo theirs >"$STORE/sft/x" && echo theirs >"$STORE/rl"
	local name
	for name in base_checkpoints chatsft_checkpoints chatrl_checkpoints; do
		refuses "Operation not permitted" rm "$MNT/$name"
		refuses "Operation not permitted" mv "$MNT/$name" "$MNT/other"
		refuses "Operation not permitted" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$MNT/identity_conversations.jsonl" "$MNT/$name"
	done
	refuses "Operation not permitted" mkdir "$MNT/mid"
	refuses "Operation not permitted" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$MNT/base" "$MNT/other"
	[[ -d $MNT/rl && ! -e $MNT/sft/x ]]
	[[ $(<"$STORE/rl") == theirs && $(<"$STORE/sft/x") == theirs && -f $MNT/identity_conversations.jsonl ]]
}

@test "POSIX behaviour, call by call: in the base directory's own directories" {
	base_mount
	mkdir "$MNT/task_data" "$MNT/report/deep"
	"$PYTHON" "$ORACLE/posix_written.py" "$MNT/task_data" ordinary
	"$PYTHON" "$ORACLE/posix_written.py" "$MNT/report/deep" ordinary
	# The cases themselves hold on a plain directory.
	mkdir "$BATS_TEST_TMPDIR/self"
	"$PYTHON" - "$ORACLE/posix_written.py" "$BATS_TEST_TMPDIR/self" <<-'END'
		import os, sys
		sys.argv = sys.argv[1:] + ["ordinary"]
		os.mkfifo_of = os.mkfifo
		def refuse(*args):
		    raise PermissionError(1, "as in the mount")
		os.mkfifo = refuse
		exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"))
	END
}

@test "random programs of file calls in the base directory, with remounts and kills in between, as in a plain directory" {
	export CKPTFS
	run oracle exerciser "$BATS_TEST_TMPDIR/e" "${CKPTFS_EXERCISE_SECONDS:-0}" task_data
	fusermount3 -uqz "$BATS_TEST_TMPDIR/e/mnt" || true
	[[ $status -eq 0 ]] || { echo "$output"; return 1; }
	printf '# %s\n' "${lines[-1]}" >&3
}

@test "fio with verify in the base directory: random writes, and shared mappings" {
	base_mount
	fio --directory="$MNT/base_data" --name=v --rw=randwrite --bsrange=1k-64k --bs_unaligned=1 --size=2m --numjobs=4 --ioengine=psync \
		--verify=crc32c --verify_fatal=1 --randseed=7 --fallocate=none --verify_state_save=0 --output="$BATS_TEST_TMPDIR/fio" || { cat "$BATS_TEST_TMPDIR/fio"; return 1; }
	fio --directory="$MNT/base_data" --name=m --rw=randwrite --bs=4k --size=1m --numjobs=2 --ioengine=mmap --verify=crc32c --verify_fatal=1 \
		--randseed=7 --fallocate=none --verify_state_save=0 --output="$BATS_TEST_TMPDIR/fio" || { cat "$BATS_TEST_TMPDIR/fio"; return 1; }
	cmp "$MNT/base_data/v.0.0" "$STORE/base_data/v.0.0"
}

@test "files of tokenizer/ are replaced, and neither removed nor moved away, but with -o delete" {
	base_mount
	local file
	for file in tokenizer.pkl token_bytes.pt; do
		refuses "Operation not permitted" rm "$MNT/tokenizer/$file"
		refuses "Operation not permitted" mv "$MNT/tokenizer/$file" "$MNT/tokenizer/other"
		refuses "Operation not permitted" mv "$MNT/tokenizer/$file" "$MNT/report/"
	done
	grep -q 'tokenizer.pkl: .*-o delete' "$LOG"
	refuses "Operation not permitted" mv "$MNT/tokenizer" "$MNT/report/"
	refuses "Operation not permitted" rm -r "$MNT/tokenizer"
	lists "$STORE/tokenizer" "token_bytes.pt tokenizer.pkl"
	echo written >"$MNT/tokenizer/tokenizer.pkl"
	[[ $(<"$STORE/tokenizer/tokenizer.pkl") == written ]]
	echo renamed >"$MNT/tokenizer/tokenizer.pkl.tmp" && mv "$MNT/tokenizer/tokenizer.pkl.tmp" "$MNT/tokenizer/tokenizer.pkl"
	[[ $(<"$STORE/tokenizer/tokenizer.pkl") == renamed ]]
	sed -i s/renamed/edited/ "$MNT/tokenizer/tokenizer.pkl"
	[[ $(<"$STORE/tokenizer/tokenizer.pkl") == edited ]]
	echo x >"$MNT/tokenizer/tmpab12cd" && rm "$MNT/tokenizer/tmpab12cd"
	lists "$STORE/tokenizer" "token_bytes.pt tokenizer.pkl"
	# Nothing else is guarded.
	rm -r "$MNT/base_data" "$MNT/eval_bundle" "$MNT/identity_conversations.jsonl"
	[[ ! -e $STORE/base_data && ! -e $STORE/eval_bundle && ! -e $STORE/identity_conversations.jsonl ]]
	unmount 0
	mount_store "$STORE" -o native,delete
	mv "$MNT/tokenizer/token_bytes.pt" "$MNT/tokenizer/other"
	rm -r "$MNT/tokenizer"
	[[ ! -e $STORE/tokenizer ]]
}

@test "what one program does another sees at once: bytes, sizes, mappings, names, locks" {
	base_mount
	"$PYTHON" "$ORACLE/together.py" "$MNT/report"
	# flock is the kernel's, and fcntl's locks, too.
	exec {lock}>"$MNT/eval_bundle.zip.lock"
	flock -n "$lock"
	run flock -n "$MNT/eval_bundle.zip.lock" true
	[[ $status -eq 1 ]]
	exec {lock}>&-
	flock -n "$MNT/eval_bundle.zip.lock" true
}

@test "what others change in the store shows within a second, and a file that they replaced is another" {
	base_mount
	[[ $(<"$MNT/tokenizer/tokenizer.pkl") == pickled ]]
	exec {old}<"$MNT/tokenizer/tokenizer.pkl"
	echo longer than it was >"$STORE/new" && mv "$STORE/new" "$STORE/tokenizer/tokenizer.pkl"
	within 1000 grep -q longer "$MNT/tokenizer/tokenizer.pkl"
	[[ $(stat -c %s "$MNT/tokenizer/tokenizer.pkl") -eq 19 && $(cat <&"$old") == pickled ]]
	exec {old}<&-
	echo other >>"$STORE/tokenizer/tokenizer.pkl"
	within 1000 grep -q other "$MNT/tokenizer/tokenizer.pkl"
	rm "$STORE/tokenizer/token_bytes.pt"
	within 1000 test ! -e "$MNT/tokenizer/token_bytes.pt"
	mv "$STORE/base_data" "$STORE/moved"
	within 1000 test -e "$MNT/moved/shard_00000.parquet"
	within 1000 test ! -e "$MNT/base_data"
}

@test "modes, owners, times, extended attributes, and copies of whole directories" {
	base_mount
	cp -a "$REPO/tests/fixtures/field" "$MNT/task_data"
	diff -r "$REPO/tests/fixtures/field" "$STORE/task_data"
	[[ $(cd "$REPO/tests/fixtures/field" && find . -printf '%P %m %T@\n' | sort) == "$(cd "$MNT/task_data" && find . -printf '%P %m %T@\n' | sort)" ]]
	rsync -a --delete "$REPO/tests/fixtures/field/" "$MNT/task_data/"
	"$PYTHON" - "$MNT/report" "$STORE/report" <<-'END'
		import errno, os, sys
		ours, theirs = sys.argv[1:]
		open(ours + "/x", "w").close()
		try:
		    os.setxattr(theirs + "/x", "user.a", b"1")
		except OSError as e:
		    assert e.errno == errno.EOPNOTSUPP     # a store without them
		    sys.exit()
		assert os.getxattr(ours + "/x", "user.a") == b"1"
		os.setxattr(ours + "/x", "user.b", b"two")
		os.setxattr(ours, "user.c", b"")
		assert os.getxattr(theirs + "/x", "user.b") == b"two" and os.listxattr(theirs) == ["user.c"] == os.listxattr(ours)
		assert sorted(os.listxattr(ours + "/x")) == ["user.a", "user.b"]
		for flags, code in (os.XATTR_CREATE, errno.EEXIST), (os.XATTR_REPLACE, errno.ENODATA):
		    try:
		        os.setxattr(ours + "/x", "user.a" if code == errno.EEXIST else "user.z", b"", flags)
		        raise AssertionError
		    except OSError as e:
		        assert e.errno == code, e
		os.removexattr(ours + "/x", "user.a")
		assert os.listxattr(theirs + "/x") == ["user.b"]
		os.setxattr(ours + "/x", "user.long", b"v" * 3000)
		assert os.getxattr(theirs + "/x", "user.long") == b"v" * 3000 == os.getxattr(ours + "/x", "user.long")
	END
	touch -d '2025-01-02 03:04:05' "$MNT"
	[[ $(stat -c %y "$STORE") == '2025-01-02 03:04:05'* ]]
}

@test "a directory on another file system: works, and renames across give EXDEV" {
	local big=$BATS_TEST_TMPDIR/s/base_data
	mkdir -p "$BATS_TEST_TMPDIR/s"
	small_fs "$big" 2m
	mount_store "$BATS_TEST_TMPDIR/s" -o native
	echo shard >"$MNT/base_data/a"
	[[ $(<"$big/a") == shard ]]
	refuses "Invalid cross-device link" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$MNT/base_data/a" "$MNT/a"
	mv "$MNT/base_data/a" "$MNT/a"
	[[ $(<"$BATS_TEST_TMPDIR/s/a") == shard && ! -e $big/a ]]
	# A full disk reaches the writer, and what was there stays.
	refuses "No space left" dd if=/dev/zero of="$MNT/base_data/b" bs=64k count=100 status=none
	[[ $(<"$MNT/a") == shard ]]
	rm "$MNT/base_data/b"
	mount -o remount,ro "$big"
	refuses "Read-only file system" touch "$MNT/base_data/c"
	refuses "Read-only file system" mkdir "$MNT/base_data/c"
}

@test "EIO of the store reaches the program, from each call, and the mount goes on" {
	shim faults
	FAULTS=$BATS_TEST_TMPDIR/faults
	truncate -s 4096 "$FAULTS"
	preload "CKPTFS_FAULTS=$FAULTS"
	base_mount sandbox=off
	fault() { printf '%s\0' "$*" | dd of="$FAULTS" conv=notrunc status=none; }
	fault write 1 1000000 5
	refuses "Input/output error" dd if=/dev/zero of="$MNT/report/x" bs=4k count=4 status=none
	fault fsync 1 1000000 5
	refuses "Input/output error" dd if=/dev/zero of="$MNT/report/x" bs=4k count=4 status=none conv=fsync
	fault read 1 1000000 5
	refuses "Input/output error" dd if="$MNT/base_data/shard_00000.parquet" of=/dev/null iflag=direct bs=64k status=none
	fault rename 1 1000000 5
	refuses "Input/output error" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$MNT/report/x" "$MNT/report/y"
	fault all 0 0 0
	mv "$MNT/report/x" "$MNT/report/y"
	cmp "$MNT/base_data/shard_00000.parquet" "$STORE/base_data/shard_00000.parquet"
}

@test "read-only: all is there, every change is EROFS" {
	base_mount ro
	[[ $(<"$MNT/tokenizer/tokenizer.pkl") == pickled ]]
	local call
	for call in "touch $MNT/x" "mkdir $MNT/mid_checkpoints" "rm $MNT/tokenizer/tokenizer.pkl" "ln -s a $MNT/l" "ln $MNT/identity_conversations.jsonl $MNT/l" \
		"mv $MNT/base_data $MNT/b" "chmod 700 $MNT/report" "rmdir $MNT/report" "truncate -s 0 $MNT/identity_conversations.jsonl"; do
		# shellcheck disable=SC2086
		refuses "Read-only file system" $call
	done
	[[ -f $MNT/base_data/shard_00000.parquet && -d $STORE/report ]]
}

@test "links are the reader's to follow: with allow_other nobody reaches by one what the daemon alone may read" {
	[[ $EUID -eq 0 ]] || skip "another user's rights need root"
	own_store
	mkdir "$BATS_TEST_TMPDIR/secret" && echo secret >"$BATS_TEST_TMPDIR/secret/file" && chmod 700 "$BATS_TEST_TMPDIR/secret"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$BATS_TEST_TMPDIR" "$STORE"
	ln -s "$BATS_TEST_TMPDIR/secret" "$STORE/task_data"
	ln -s "$BATS_TEST_TMPDIR/secret/file" "$STORE/link"
	mount_store "$STORE" -o native,allow_other
	refuses "Permission denied" setpriv --reuid=65534 --regid=65534 --clear-groups cat "$MNT/task_data/file"
	refuses "Permission denied" setpriv --reuid=65534 --regid=65534 --clear-groups cat "$MNT/link"
	[[ $(<"$MNT/link") == secret ]]
	mkdir -m 777 "$MNT/open"
	setpriv --reuid=65534 --regid=65534 --clear-groups touch "$MNT/open/x"
	setpriv --reuid=65534 --regid=65534 --clear-groups ln -s x "$MNT/open/l"
	[[ $(stat -c %u "$STORE/open/x") == 65534 && $(stat -c %u "$STORE/open/l") == 65534 ]]
	refuses "Permission denied" setpriv --reuid=65534 --regid=65534 --clear-groups touch "$MNT/x"
}

@test "a young base directory, with tokenizer/ and base_data/ only, is one: also as the default, at boot" {
	mkdir -p "$BATS_TEST_TMPDIR/young"/{tokenizer,base_data}
	mount_store "$BATS_TEST_TMPDIR/young" -o native
	lists "$MNT" "base base_checkpoints base_data chatrl_checkpoints chatsft_checkpoints rl sft tokenizer"
	mkdir -p "$MNT/base_checkpoints/d4"
	[[ -d $BATS_TEST_TMPDIR/young/base_checkpoints/d4 && -d $MNT/base/d4 ]]
}

# trains PROCESSES BASE [STORE] - a run with kills on BASE; $PLAIN is the same without, on a plain directory.
trains() {
	need_torch
	PLAIN=$BATS_TEST_TMPDIR/plain
	mkdir "$PLAIN"
	run oracle train "$2" "$PLAIN" "$1" "${@:3}"
	[[ $status -eq 0 ]] || { echo "$output"; return 1; }
	printf '# %s\n' "${lines[-1]}" >&3
}

# as_plain STORE - once it is unmounted, it is what the run without kills left.
as_plain() {
	unmount 0
	diff -r -x .ckptfs "$PLAIN" "$1"
}

@test "training as nanochat does, with NANOCHAT_BASE_DIR on the mount, killed inside its saves: one process" {
	mkdir "$BATS_TEST_TMPDIR/s"
	mount_store "$BATS_TEST_TMPDIR/s" -o native
	trains 1 "$MNT" "$BATS_TEST_TMPDIR/s"
	as_plain "$BATS_TEST_TMPDIR/s"
	# With NANOCHAT=DIR, a copy of nanochat: its own code, too.
	[[ -n ${NANOCHAT:-} ]] || return 0
	mount_store "$BATS_TEST_TMPDIR/s" -o native
	NANOCHAT_BASE_DIR=$MNT oracle nanochat_own "$NANOCHAT"
}

@test "the same with four processes, which share the optimizer" {
	mkdir "$BATS_TEST_TMPDIR/s"
	mount_store "$BATS_TEST_TMPDIR/s" -o native
	trains 4 "$MNT" "$BATS_TEST_TMPDIR/s"
	as_plain "$BATS_TEST_TMPDIR/s"
}
