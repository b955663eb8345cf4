#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# -o inplace: the store mounted over itself. The daemon holds it by a descriptor, and never asks itself.

load ../lib/helpers

# in_place DIRECTORY [OPTION,...] - mounts it over itself; sets MNT, DAEMON and LOG.
in_place() {
	local n=${#MOUNTS[@]}
	[[ ${2:-} != *allow_other* ]] || may_allow_other || skip "allow_other needs root, or user_allow_other in /etc/fuse.conf"
	MNT=$1 LOG=$BATS_TEST_TMPDIR/log$n
	reports
	"${RUNNER[@]}" timeout --kill-after=5 300 "$CKPTFS" -f -o "inplace${2:+,$2}" "$1" >"$LOG" 2>&1 3>&- &
	DAEMON=$!
	MOUNTS+=("$MNT") PIDS+=("$DAEMON") LOGS+=("$LOG")
	wait_mounted "$MNT" "$DAEMON"
}

# A daemon that asks itself hangs, and so would the test.
soon() { timeout --kill-after=2 60 "$@"; }

base_store() {
	own_store
	mkdir -p "$STORE"/{tokenizer,base_data}
	echo pickled >"$STORE/tokenizer/tokenizer.pkl"
	STORED=$STORE/base_checkpoints/d12
	cp -a "$STORE" "$BATS_TEST_TMPDIR/before"
}

publish() {
	soon mkdir "$1/000600"
	soon cp -r "$1/000500/model" "$1/000600/"
	soon cp "$1/000500/meta.json" "$1/000600/"
}

@test "a base directory in place: whoever uses the path goes through the mount, and afterwards it is an ordinary one" {
	base_store
	in_place "$STORE"
	soon ls "$MNT" >"$BATS_TEST_TMPDIR/names"
	[[ $(tr '\n' ' ' <"$BATS_TEST_TMPDIR/names") == "base base_checkpoints base_data chatrl_checkpoints chatsft_checkpoints rl sft tokenizer " ]]
	soon cmp "$STORE/base_checkpoints/d12/model_000500.pt" "$BATS_TEST_TMPDIR/before/base_checkpoints/d12/model_000500.pt"
	soon cat "$STORE"/base/d12/latest/model/*.npy >/dev/null
	publish "$STORE/base/d12"
	soon cp "$BATS_TEST_TMPDIR/before/base_checkpoints/d12/model_000500.pt" "$STORE/base_checkpoints/d12/model_000700.pt"
	echo new >"$STORE/tokenizer/more"
	soon mkdir "$STORE/report"
	soon "$PYTHON" "$ORACLE/posix_written.py" "$STORE/report" ordinary
	# What it says of a path is the path in the store.
	run ! grep -q '/proc/self' "$LOG"
	unmount 0
	[[ -f $STORED/model_000600.pt && -f $STORED/meta_000600.json && ! -L $STORE/base_checkpoints && ! -e $STORE/base && $(<"$STORE/tokenizer/more") == new ]]
	cmp "$STORED/model_000700.pt" "$STORED/model_000500.pt"
	"$PYTHON" -c 'import sys, torch; a, b = (torch.load(p) for p in sys.argv[1:]); assert {k.removeprefix("_orig_mod.") for k in a} <= set(b)' "$STORED/model_000500.pt" "$STORED/model_000600.pt"
}

@test "a checkpoints directory and a tag in place, and the same directory given twice" {
	base_store
	in_place "$STORE/base_checkpoints"
	publish "$MNT/d12"
	[[ -d $MNT/d12/000600/model && -f $MNT/d12/model_000600.pt ]]
	unmount 0
	in_place "$STORED"
	[[ -d $MNT/000600/model && -f $MNT/model_000600.pt && $(readlink "$MNT/latest") == 001000 ]]
	unmount 1
	soon "$CKPTFS" -o inplace "$STORE" "$STORE/../store/" 3>&-
	adopt "$STORE"
	[[ -d $STORE/base/d12/000600 ]]
}

@test "two of the three checkpoints directories in place, while the third is not" {
	base_store
	mkdir -p "$STORE/chatrl_checkpoints" "$STORE/chatsft_checkpoints"
	in_place "$STORE/base_checkpoints"
	in_place "$STORE/chatsft_checkpoints"
	publish "$STORE/base_checkpoints/d12"
	soon cp -r "$BATS_TEST_TMPDIR/before/base_checkpoints/d12" "$STORE/chatrl_checkpoints/"
	soon mkdir -p "$STORE/chatsft_checkpoints/d1"
	soon cp "$STORE/base_checkpoints/d12/model_000500.pt" "$STORE/chatsft_checkpoints/d1/"
	[[ -d $STORE/chatsft_checkpoints/d1/000500/model && ! -e $STORE/chatrl_checkpoints/d12/000500 ]]
	no_mount "a ckptfs is mounted at" "$CKPTFS" -o inplace "$STORE"
}

@test "links to absolute paths inside the store: a hundred readers, writers, and no request of the daemon to itself" {
	base_store
	mv "$STORED" "$STORE/base_checkpoints/d40"
	ln -s "$STORE/base_checkpoints/d40" "$STORED"
	ln -s "$STORE/base_checkpoints/d12" "$STORE/base_checkpoints/d5"        # a link to a link
	ln -s "$STORE/../store/base_checkpoints" "$STORE/chatsft_checkpoints.new"
	rm -rf "$STORE/chatsft_checkpoints" && mv "$STORE/chatsft_checkpoints.new" "$STORE/chatsft_checkpoints"
	mv "$STORE/base_checkpoints/d40/model_000500.pt" "$STORE/base_data/m.pt"
	ln -s "$STORE/base_data/m.pt" "$STORE/base_checkpoints/d40/model_000500.pt"
	ln -s "$STORE/tokenizer/tokenizer.pkl" "$STORE/link"
	in_place "$STORE" sandbox=require
	cat >"$BATS_TEST_TMPDIR/readers.py" <<-'END'
		import concurrent.futures, os, sys
		top = sys.argv[1]
		def walk(n):
		    seen = 0
		    for source in ("base", "sft", "base_checkpoints", "chatsft_checkpoints")[n % 4:]:
		        for tag in ("d12", "d40", "d5"):
		            for step in ("000500", "latest"):
		                for name in os.listdir(os.path.join(top, source, tag, step, "model")):
		                    with open(os.path.join(top, source, tag, step, "model", name), "rb") as f:
		                        seen += len(f.read())
		            with open(os.path.join(top, source, tag, "model_000500.pt"), "rb") as f:
		                seen += len(f.read())
		    return seen
		with concurrent.futures.ThreadPoolExecutor(100) as pool:
		    assert all(pool.map(walk, range(100)))
	END
	timeout --kill-after=2 200 "$PYTHON" "$BATS_TEST_TMPDIR/readers.py" "$STORE"
	[[ $(soon cat "$STORE/link") == pickled ]]
	publish "$STORE/base/d12"
	publish "$STORE/sft/d5" 2>/dev/null || true     # it is there already
	soon mkdir "$STORE/sft/d7"
	[[ $(soon readlink "$STORE/base/largest") == d40 ]]
	unmount 0
	[[ -f $STORE/base_checkpoints/d40/model_000600.pt && -d $STORE/base_checkpoints/d7 ]]
}

@test "with allow_other links out of the store are refused, those inside it by their absolute path are not" {
	base_store
	mkdir "$BATS_TEST_TMPDIR/out"
	cp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/out/"
	cp -r "$STORED" "$BATS_TEST_TMPDIR/out/d13"
	ln -s "$BATS_TEST_TMPDIR/out/d13" "$STORE/base_checkpoints/d13"
	ln -s "$STORE/base_checkpoints/d12" "$STORE/base_checkpoints/d14"
	ln -s "$BATS_TEST_TMPDIR/out/model_000500.pt" "$STORED/model_000900.pt"
	ln -s ../../../out/model_000500.pt "$STORED/model_000901.pt"
	in_place "$STORE" allow_other
	refuses "Permission denied" soon ls "$STORE/base/d13/000500/model"
	refuses "Permission denied" soon cat "$STORE/base/d12/model_000900.pt"
	refuses "Permission denied" soon cat "$STORE/base/d12/model_000901.pt"
	soon cmp "$STORE/base/d14/model_000500.pt" "$BATS_TEST_TMPDIR/out/model_000500.pt"
	soon cat "$STORE"/base/d14/000500/model/*.npy >/dev/null
}

@test "links out of the store lead out, relative ones from where the store is" {
	base_store
	cp -r "$STORED" "$BATS_TEST_TMPDIR/d13"
	ln -s ../../d13 "$STORE/base_checkpoints/d13"
	ln -s "$BATS_TEST_TMPDIR/d13" "$STORE/base_checkpoints/d15"
	ln -s ../before/base_data "$STORE/task_data"
	echo x >"$BATS_TEST_TMPDIR/before/base_data/x"
	in_place "$STORE" sandbox=require
	soon cmp "$STORE/base/d13/model_000500.pt" "$STORE/base/d15/model_000500.pt"
	[[ $(soon cat "$STORE/task_data/x") == x ]]
	publish "$STORE/base/d13"
	[[ -f $BATS_TEST_TMPDIR/d13/model_000600.pt ]]
}

@test "after a kill it is an ordinary directory; what was being written is there at the next mount" {
	base_store
	in_place "$STORE"
	soon mkdir "$STORE/base/d12/000600"
	echo '{"step": 600}' >"$STORE/base/d12/000600/meta.json"
	exec {half}>"$STORE/base/d12/model_000700.pt"
	head -c 1000 "$BATS_TEST_TMPDIR/before/base_checkpoints/d12/model_000500.pt" >&"$half"
	kill -KILL "$(pgrep -P "$DAEMON" -x ckptfs)"
	PIDS[0]=
	exec {half}>&- || true
	refuses "Transport endpoint" ls "$STORE"
	no_mount "a dead mount is still there" "$CKPTFS" -o inplace "$STORE"
	fusermount3 -u "$STORE" || fusermount3 -uz "$STORE"
	lists "$STORE" "base_checkpoints base_data chatsft_checkpoints tokenizer" || [[ -d $STORE/base_checkpoints ]]
	diff -r -x .ckptfs "$STORE" "$BATS_TEST_TMPDIR/before"
	in_place "$STORE"
	[[ $(soon cat "$STORE/base/d12/000600/meta.json") == '{"step": 600}' && ! -e $STORE/base/d12/model_000700.pt ]]
	unmount 1
	[[ ! -e $STORED/.ckptfs/staged || -z $(ls -A "$STORED/.ckptfs/staged") ]]
}

@test "refused: without the option, with two directories, on such a mount, with TMPDIR in it" {
	base_store
	mkdir "$BATS_TEST_TMPDIR/m" "$STORE/tmp"
	no_mount "-o inplace" "$CKPTFS" "$STORE" "$STORE"
	NANOCHAT_BASE_DIR=$STORE no_mount "-o inplace" "$CKPTFS" "$STORE"
	no_mount "over itself, not over another" "$CKPTFS" -o inplace "$STORE" "$BATS_TEST_TMPDIR/m"
	TMPDIR=$STORE/tmp no_mount "set TMPDIR" "$CKPTFS" -o inplace "$STORE"
	in_place "$STORE"
	no_mount "a ckptfs is mounted at" "$CKPTFS" -o inplace "$STORE"
	no_mount "a ckptfs is mounted at" "$CKPTFS" -o inplace "$STORE/base"
	unmount 0
	mkdir "$STORE/m"
	mount_store "$BATS_TEST_TMPDIR/before"
	no_mount "a ckptfs is mounted at" "$CKPTFS" -o inplace "$MNT/base"
	no_mount "a ckptfs is mounted at" "$CKPTFS" -o inplace "$BATS_TEST_TMPDIR"
}

@test "it says who can't enter the directory any more, and how to get it back" {
	base_store
	in_place "$STORE"
	[[ $(head -n 1 "$LOG") == *"in place"*"can enter it"*"allow_other"*"fusermount3 -u"* ]]
	unmount 0
	run --separate-stderr soon "$CKPTFS" -o inplace "$STORE" 3>&-
	adopt "$STORE"
	[[ $status -eq 0 && ${#stderr_lines[@]} -eq 1 && $stderr == *"in place"* ]]
}

@test "it is read-only with ro, and no system call of the daemon has the store's own path" {
	base_store
	in_place "$STORE" ro
	refuses "Read-only file system" soon touch "$STORE/x"
	soon cat "$STORE"/base/d12/000500/model/*.npy >/dev/null
	unmount 0
	# LeakSanitizer does not work under strace, nor does a user's fusermount3.
	[[ $EUID -eq 0 ]] && ! sanitized || return 0
	ln -s "$STORE/base_checkpoints/d12" "$STORE/base_checkpoints/d5"
	RUNNER=(strace -f -qq -e trace=%file -o "$BATS_TEST_TMPDIR/calls")
	in_place "$STORE" sandbox=off
	publish "$STORE/base/d5"
	soon cat "$STORE"/base/d5/000500/model/*.npy "$STORE/tokenizer/tokenizer.pkl" >/dev/null
	soon mv "$STORE/base_data" "$STORE/task_data"
	unmount 1
	# From the mount to the unmount.
	sed -n '/ mount(/,/umount2(/p' "$BATS_TEST_TMPDIR/calls" | grep -v 'umount2(\| mount(\|readlink\|execve' >"$BATS_TEST_TMPDIR/after"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/after") -gt 100 ]]
	grep -F "\"$STORE" "$BATS_TEST_TMPDIR/after" | grep -v 'statx(' >"$BATS_TEST_TMPDIR/own" || true
	[[ ! -s $BATS_TEST_TMPDIR/own ]] || { cat "$BATS_TEST_TMPDIR/own"; return 1; }
}

@test "training as nanochat does, in place, killed inside its saves: one process, and four" {
	need_torch
	local n=0 processes
	for processes in 1 4; do
		mkdir "$BATS_TEST_TMPDIR/plain$n" "$BATS_TEST_TMPDIR/s$n"
		in_place "$BATS_TEST_TMPDIR/s$n"
		run oracle train "$MNT" "$BATS_TEST_TMPDIR/plain$n" "$processes"
		[[ $status -eq 0 ]] || { echo "$output"; return 1; }
		printf '# %s\n' "${lines[-1]}" >&3
		unmount "$n"
		diff -r -x .ckptfs "$BATS_TEST_TMPDIR/plain$n" "$BATS_TEST_TMPDIR/s$n"
		((++n))
	done
	# With NANOCHAT=DIR, a copy of nanochat: its own code, too, without any setting.
	[[ -n ${NANOCHAT:-} ]] || return 0
	mkdir -p "$BATS_TEST_TMPDIR/.cache/nanochat"
	in_place "$BATS_TEST_TMPDIR/.cache/nanochat"
	HOME=$BATS_TEST_TMPDIR oracle nanochat_own "$NANOCHAT"
}
