#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A tag's lock: who may take it, who waits for it and how long, and that it costs no descriptor while it isn't needed.

load ../lib/helpers

setup() {
	S=$BATS_TEST_TMPDIR/s STORED=$BATS_TEST_TMPDIR/s/base_checkpoints/d12 HOLDERS=()
	umask 022
	small_pt "$STORED/model_000001.pt"
	chmod 755 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" 2>/dev/null || true
}

eval "helpers_$(declare -f teardown)"
teardown() {
	[[ ${#HOLDERS[@]} -eq 0 ]] || kill "${HOLDERS[@]}" 2>/dev/null || true
	helpers_teardown
}

# stranger DIR - nobody holds every lock below DIR that nobody can get; $LOCKED says how many.
stranger() {
	local out
	out=$(mktemp -d "$BATS_TEST_TMPDIR/out.XXX")
	chmod 777 "$out"
	# A copy: the repository may lie where a stranger can't go, in root's home for one.
	install -m 644 "$ORACLE/stranger.py" "$out/"
	setpriv --reuid=65534 --regid=65534 --clear-groups "$PYTHON" "$out/stranger.py" "$1" "$out/locked" 3>&- &
	HOLDERS+=($!)
	within 10000 test -e "$out/locked"
	LOCKED=$(<"$out/locked")
}

# hold BYTE COMMAND... - runs it while somebody who may write to the tag has that byte of the tag's lock.
hold() {
	local holder ready=$BATS_TEST_TMPDIR/ready.$RANDOM rc=0
	"$PYTHON" -c '
import fcntl, signal, sys
f = open(sys.argv[1], "r+b")
fcntl.lockf(f, fcntl.LOCK_EX, 1, int(sys.argv[2]))
open(sys.argv[3], "w").close()
signal.pause()' "$STORED/.ckptfs/writers" "$1" "$ready" 3>&- &
	holder=$!
	HOLDERS+=("$holder")
	within 10000 test -e "$ready"
	"${@:2}" || rc=$?
	kill "$holder"
	return "$rc"
}

# step N - publishes step N through MNT, by each way that takes a lock.
publish_step() {
	timeout 60 mkdir "$MNT/base/d12/$1"
	timeout 60 cp "$STORED/model_000001.pt" "$MNT/base/d12/$1/model.pt"
	timeout 60 cp "$STORED/meta_000001.json" "$MNT/base/d12/$1/meta.json"
	cmp "$STORED/model_000001.pt" "$STORED/model_$1.pt"
}

@test "somebody who can only read the store holds up no mount and no writer" {
	[[ $EUID -eq 0 ]] || skip "a second user needs root"
	mount_store "$S" -o allow_other,sandbox=off
	mkdir "$MNT/base/d12/000600" "$MNT/base/d12/000700.partial"
	cp "$STORED/model_000001.pt" "$MNT/base/d12/000600/model.pt"
	unmount 0
	stranger "$S"
	((LOCKED > 5))
	mount_store "$S" -o allow_other
	timeout 60 cp "$STORED/meta_000001.json" "$MNT/base/d12/000600/meta.json"
	cmp "$STORED/model_000001.pt" "$STORED/model_000600.pt"
	kill "${HOLDERS[@]}"
	wait "${HOLDERS[@]}" || true
	stranger "$S"
	publish_step 000601
	timeout 60 cp "$STORED/model_000001.pt" "$MNT/base/d12/model_000800.pt"
	timeout 60 rmdir "$MNT/base/d12/000700.partial"
	run ! grep -q waiting "$LOG"
}

@test "the lock that version 0.1.0 left, held by a stranger: nobody waits for it, and it goes" {
	[[ $EUID -eq 0 ]] || skip "a second user needs root"
	mkdir "$STORED/.ckptfs"
	touch "$STORED/.ckptfs/lock"
	stranger "$STORED/.ckptfs"
	((LOCKED >= 2))
	mount_store "$S"
	[[ ! -e $STORED/.ckptfs/lock ]]
	publish_step 000600
	run ! grep -q waiting "$LOG"
}

@test "the lock lets in who may write to the tag, also when that changes" {
	local mode want
	mount_store "$S" -o sandbox=off
	while read -r mode want; do
		chmod "$mode" "$STORED"
		mkdir "$MNT/base/d12/000600"
		cp "$STORED/meta_000001.json" "$MNT/base/d12/000600/meta.json"
		[[ $(stat -c %a "$STORED/.ckptfs/writers") == "$want" ]] || { ls -la "$STORED/.ckptfs"; echo "$mode"; return 1; }
		rm -r "$MNT/base/d12/000600"
	done <<-'END'
		755 600
		700 600
		775 660
		777 666
		750 600
	END
	unmount 0
	rm -r "$STORED/.ckptfs"
	chmod 2775 "$STORED"
	mount_store "$S"
	mkdir "$MNT/base/d12/000600"
	[[ $(stat -c %a "$STORED/.ckptfs") == 2775 && $(stat -c %a "$STORED/.ckptfs/writers") == 660 ]]
}

@test "a wait for another mount ends, is logged, and loses nothing" {
	mount_store "$S"
	local tag=$MNT/base/d12
	mkdir "$tag/000600"
	unmount 0
	mount_store "$S"
	tag=$MNT/base/d12
	# Another mount clears leftovers.
	hold 0 refuses "busy" timeout 60 mkdir "$tag/000601"
	grep -q "d12: waiting up to 10 seconds for another mount that clears leftovers" "$LOG"
	mkdir "$tag/000601"
	# Another mount publishes the same step.
	cp "$STORED/model_000001.pt" "$tag/000600/model.pt"
	touch "$tag/000600/meta.json"
	cp "$STORED/meta_000001.json" "$tag/000600/.new"
	mv "$tag/000600/.new" "$tag/000600/x.json"
	hold $((1 + 2 * 600)) cp "$STORED/meta_000001.json" "$tag/000600/meta.json"
	grep -q "d12: waiting up to 10 seconds for another mount that publishes the same step" "$LOG"
	[[ ! -e $STORED/model_000600.pt && -s $tag/000600/meta.json ]]
	rm "$tag/000600/x.json"
	sync "$tag/000600"
	cmp "$STORED/model_000001.pt" "$STORED/model_000600.pt"
}

@test "1,100 tags that were written to are mounted, cleared and written to with 1,024 descriptors" {
	local i fds
	for ((i = 0; i < 1100; i++)); do
		mkdir -p "$S/base_checkpoints/t$i/.ckptfs/staged"
		touch "$S/base_checkpoints/t$i/.ckptfs/staged/@left"
	done
	RUNNER=(bash -c 'ulimit -n 1024; exec "$@"' _)
	mount_store "$S"
	[[ -z $(find "$S" -name '@left') ]]
	fds() { find "/proc/$DAEMON/fd" -mindepth 1 | wc -l; }
	(($(fds) < 100)) || { fds; return 1; }
	run ! grep -q "Too many" "$LOG"
	for ((i = 0; i < 1100; i++)); do
		echo "$MNT/base/t$i/000600"
	done | xargs mkdir
	fds=$(fds)
	echo "# descriptors: $fds" >&3
	((fds < 300))
	run ! grep -q "Too many" "$LOG"
}

@test "what is under way in one mount is no leftover for another, once the first has written to many tags" {
	local i
	for ((i = 0; i < 100; i++)); do
		small_pt "$S/base_checkpoints/t$i/model_000001.pt"
	done
	mount_store "$S"
	local first=$MNT
	exec 7>"$first/base/d12/model_000500.pt"
	head -c 100 "$STORED/model_000001.pt" >&7
	for ((i = 0; i < 100; i++)); do
		mkdir "$first/base/t$i/000600"
	done
	mount_store "$S" 7>&-
	[[ -n $(find "$STORED/.ckptfs/staged" -type f -size +0) ]]
	tail -c +101 "$STORED/model_000001.pt" >&7
	exec 7>&-
	cmp "$STORED/model_000001.pt" "$STORED/model_000500.pt"
}

@test "two mounts whose daemons have the same process number save the same file at once" {
	[[ $EUID -eq 0 ]] || skip "a process namespace needs root"
	RUNNER=(unshare --pid --fork --kill-child)
	mount_store "$S" -o sandbox=off
	local first=$MNT
	mount_store "$S" -o sandbox=off
	exec 7>"$first/base/d12/model_000500.pt" 8>"$MNT/base/d12/model_000500.pt"
	cat "$STORED/model_000001.pt" >&7
	cat "$STORED/model_000001.pt" >&8
	exec 7>&- 8>&-
	cmp "$STORED/model_000001.pt" "$STORED/model_000500.pt"
	[[ -z $(find "$STORED/.ckptfs" -name '@*') ]]
}
