# What is asked of each engine: one function a case, which is given the engine's name. After helpers.bash and network.bash.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154

# At so many moments of each way of writing a step the daemon is killed, or the network cut.
MOMENTS=${CKPTFS_MOMENTS:-4}

# right STEP - every view of d12's STEP and of its shards, beside what torch reads of the store's files; and these are the original's.
right() {
	local original stored=$REMOTE/base_checkpoints/d12 shard rank
	original=$(nanochat_store)/base_checkpoints/d12
	cmp "$stored/model_$1.pt" "$original/model_$1.pt"
	oracle check_model "$MNT/base/d12/$1" "$stored/model_$1.pt" "$stored/meta_$1.json" cpu
	for shard in "$original"/optim_"$1"_rank*.pt; do
		rank=${shard##*_rank}
		cmp "$stored/${shard##*/}" "$shard"
		oracle check_optim "$MNT/base/d12/$1" "$stored/${shard##*/}" "${rank%.pt}"
	done
}

every_view_is_right() {
	need_torch
	serve "$1" "$(nanochat_store)" "${2:-0}"
	client
	mount_store "$REMOTE"
	right 001000
}

# new_step_shows ENGINE - within the time for which the client keeps names, latest moves to a step that another machine wrote.
new_step_shows() {
	serve "$1" "$BATS_TEST_TMPDIR/served"
	small_pt "$BEHIND/base_checkpoints/d12/model_000001.pt"
	client
	mount_store "$REMOTE"
	within $(((KEPT + 2) * 1000)) test -d "$MNT/base/d12/000001/model"
	ls -lR "$MNT" >/dev/null
	small_pt "$BATS_TEST_TMPDIR/model_000003.pt"
	cp "$BATS_TEST_TMPDIR"/m*_000003.* "$BEHIND/base_checkpoints/d12/"
	within $(((KEPT + 2) * 1000)) points_to "$MNT/base/d12/latest" 000003
	within $(((KEPT + 2) * 1000)) cmp "$MNT/base/d12/000003/model.pt" "$BATS_TEST_TMPDIR/model_000003.pt"
}
# loaded_once ENGINE - the kernel forgets what isn't open, and with it FUSE file systems forget inode numbers: a reader goes on, and the model that is
# in memory is the one that is found again.
loaded_once() {
	local i number file step
	[[ -w /proc/sys/vm/drop_caches ]] || skip "only root has the kernel drop its caches"
	serve "$1" "$BATS_TEST_TMPDIR/served"
	small_pt "$BEHIND/base_checkpoints/d12/model_000001.pt"
	touch -d "1 hour ago" "$BEHIND"/base_checkpoints/d12/*
	client
	mount_store "$REMOTE"
	step=$MNT/base/d12/000001
	file=$(printf '%s\n' "$step"/model/*.npy | head -n 1)
	exec 5<"$file"
	number=$(stat -c %i "$step/model" "$file" "$step/model.safetensors")
	[[ $("$CKPTFS" --status --json "$MNT" | jq .checkpoints.loaded) == 1 ]]
	for i in 1 2 3; do
		echo 2 >/proc/sys/vm/drop_caches
		sleep $((KEPT + 1))
		ls -lR "$MNT" >/dev/null
		[[ $(stat -c %i "$step/model" "$file" "$step/model.safetensors") == "$number" ]]
	done
	cmp "$file" <(cat <&5)
	exec 5<&-
	[[ $("$CKPTFS" --status --json "$MNT" | jq .checkpoints.loaded) == 1 ]]
}

points_to() { [[ $(readlink "$1") == "$2" ]]; }

# remote CASE ARG... - tests/oracle/remote.py's case, on a store that has nothing yet.
remote() {
	local case=$1 status=0
	shift
	export CKPTFS
	reports
	oracle remote "$case" "$REMOTE" "$BEHIND" "$BATS_TEST_TMPDIR/local" "$@" >"$NET/remote.out" 2>&1 || status=$?
	if [[ $status -eq 0 ]]; then sed 's/^/# /' "$NET/remote.out" >&3; else cat "$NET/remote.out"; fi
	fusermount3 -uqz "$BATS_TEST_TMPDIR"/local/{mnt,other,seedmnt} 2>/dev/null || true
	return "$status"
}

# empty_store ENGINE [MS] - a served, mounted, empty directory.
empty_store() {
	need_torch
	serve "$1" "$BATS_TEST_TMPDIR/served" "${2:-0}"
	client
}

every_door_publishes() {
	empty_store "$1"
	remote doors "${@:2}"
}

# files_come_slowly ENGINE - more than a second lies between the files of a draft. The shim asks for their attributes while they are read, which without
# it happens where that takes longer than the client keeps them.
files_come_slowly() {
	shim faults
	empty_store "$1"
	remote slow ByModel ByRename BySync
}

# killed ENGINE MOMENTS [NAME...]
killed() {
	shim faults
	empty_store "$1"
	remote killed "${@:2}"
}

two_publish_at_once() {
	local first
	empty_store "$1"
	first=$REMOTE
	client
	local other=$REMOTE
	REMOTE=$first
	remote two "$other"
}

# two_mounts_publish_at_once ENGINE - the same of two mounts on one client.
two_mounts_publish_at_once() {
	empty_store "$1"
	remote two "$REMOTE"
}

# no_mixed_bytes ENGINE [late] - late: an open file of the engine follows the one that takes its name, and until its attributes are old it tells nobody.
no_mixed_bytes() {
	empty_store "$1"
	remote replaced "$KEPT" "${@:2}"
}

# steered COMMAND... - what the command asks for by its descriptor 5, "sever stop" or "mend", is done here; it is answered on 6.
steered() {
	local pid words status=0
	mkfifo "$NET/ask" "$NET/answer"
	"$@" 5>"$NET/ask" 6<"$NET/answer" &
	pid=$!
	# In the order in which the command opens them; it asks until it ends.
	exec 7<"$NET/ask" 8>"$NET/answer"
	while read -r -u 7 -a words; do
		if "${words[@]}"; then echo "done" >&8; else echo "fail" >&8; fi
	done
	exec 7<&- 8>&-
	wait "$pid" || status=$?
	return "$status"
}

# severed ENGINE stop|kill MOMENTS [NAME...] - by default for some of the ways of writing: a cut takes seconds.
severed() {
	shim faults
	empty_store "$1"
	[[ $# -gt 3 ]] || set -- "$@" ByMeta ByRename Shard Native Retire
	steered remote severed "${@:2}"
}

# storm ENGINE [OPTION...] - a storm as tests/oracle/storm.py has it, its writers on the other side. How old a name or attribute may be is the engine's.
storm() {
	local out seconds=${CKPTFS_STORM_SECONDS:-120}
	serve "$1" "$BATS_TEST_TMPDIR/served"
	oracle storm make "$BATS_TEST_TMPDIR/first"
	cp -r "$BATS_TEST_TMPDIR/first/." "$BEHIND/"
	client "${@:2}"
	mount_store "$REMOTE"
	# A client may never answer again: rclone does so.
	out=$(timeout -k 10 $((seconds + 400)) "$PYTHON" "$ORACLE/storm.py" run "$BEHIND" "$MNT" "$DAEMON" "$seconds" "${READERS:-32}" "$((KEPT * 3))" "$REMOTE") ||
		{ echo "$out"; tail -n 5 "$BEHIND/../storm.log"; return 1; }
	printf '# %s: %s\n' "$1" "${out//$'\n'/$'\n'# }" >&3
}

# is_read_only ENGINE - where nothing can be published nothing is begun.
is_read_only() {
	serve "$1" "$BATS_TEST_TMPDIR/served"
	small_pt "$BEHIND/base_checkpoints/d12/model_000001.pt"
	client
	mount_store "$REMOTE"
	within $(((KEPT + 2) * 1000)) test -d "$MNT/base/d12/000001/model"
	refuses 'Read-only file system' mkdir "$MNT/base/d12/000600"
	refuses 'Read-only file system' cp "$MNT/base/d12/000001/model.pt" "$MNT/base/d12/model_000002.pt"
	[[ $(grep -c 'read-only' "$LOG") -eq 1 ]]
	[[ $("$CKPTFS" --status "$MNT") == *$'\nread only      this store can\'t be written to: '* ]]
}

# says_one_machine ENGINE COUNT - so often the log says that only one machine should write to the store; --status says it, too, or doesn't.
says_one_machine() {
	serve "$1" "$BATS_TEST_TMPDIR/served"
	small_pt "$BEHIND/base_checkpoints/d12/model_000001.pt"
	small_pt "$BEHIND/base_checkpoints/d13/model_000001.pt"
	client
	mount_store "$REMOTE"
	within $(((KEPT + 2) * 1000)) test -d "$MNT/base/d13/000001/model"
	[[ $(grep -c 'from one machine alone' "$LOG") -eq 0 ]]
	mkdir "$MNT/base/d12/000600" "$MNT/base/d13/000600"
	[[ $(grep -c 'from one machine alone' "$LOG") -eq $2 ]]
	[[ $("$CKPTFS" --status "$MNT" | grep -c '^one machine    write to this store from one machine alone: ') -eq $2 ]]
}

# mv_n_replaces_nothing ENGINE - renameat2's RENAME_NOREPLACE on the mount, of a draft's files and of ordinary ones, whatever the store has.
mv_n_replaces_nothing() {
	serve "$1" "$BATS_TEST_TMPDIR/served"
	small_pt "$BEHIND/base_checkpoints/d12/model_000001.pt"
	client
	mount_store "$REMOTE"
	mkdir "$MNT/base/d12/000600"
	local at
	for at in "$MNT/base/d12/000600/model.pt" "$MNT/base/d12/notes.txt"; do
		echo one >"$at.one"
		echo two >"$at.two"
		renamed_new "$at.one" "$at"
		[[ ! -e $at.one && $(<"$at") == one ]]
		run renamed_new "$at.two" "$at"
		[[ $status -eq 17 && $(<"$at") == one && $(<"$at.two") == two ]]
	done
}

# renamed_new FROM TO - its status is the errno.
renamed_new() {
	"$PYTHON" -c 'import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(libc.renameat2(-100, os.fsencode(sys.argv[1]), -100, os.fsencode(sys.argv[2]), 1) and ctypes.get_errno())' "$@"
}
