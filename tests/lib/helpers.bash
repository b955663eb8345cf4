# What every mount test needs: a store, a private mount that never outlives its test, and words for what is checked.
# Environment: CKPTFS the program (default ./ckptfs), CKPTFS_BUILD where the rest of the build is (default build), PYTHON an interpreter with NumPy and torch (default /usr/bin/python3).
# shellcheck shell=bash disable=SC2034,SC2154

bats_require_minimum_version 1.5.0
REPO=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
CKPTFS=${CKPTFS:-$REPO/ckptfs}
[[ $CKPTFS == /* ]] || CKPTFS=$REPO/$CKPTFS
PYTHON=${PYTHON:-/usr/bin/python3}
ORACLE=$REPO/tests/oracle
GEN=$REPO/tests/gen
FIXTURES=$REPO/tests/fixtures
# Where the build put its programs; an absolute path or one below the repository.
BUILD=${CKPTFS_BUILD:-build}
[[ $BUILD == /* ]] || BUILD=$REPO/$BUILD
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$GEN:$ORACLE LC_ALL=C.UTF-8 TZ=UTC
unset NANOCHAT_BASE_DIR

# What the code in a hostile pickle makes, should anything ever run it.
export CKPTFS_CANARY=$BATS_TEST_TMPDIR/was-here

MOUNTS=() PIDS=() LOGS=() ADOPTED=()

# need_torch - skips the test where there is no torch to ask; `make deps` installs it, and CI fails on a skip.
need_torch() {
	"$PYTHON" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' || skip "no torch for $PYTHON"
}

# oracle SCRIPT ARG... - runs one of tests/oracle or a maker of tests/gen.
oracle() {
	local script=$ORACLE/$1.py
	[[ -e $script ]] || script=$GEN/$1.py
	"$PYTHON" "$script" "${@:2}"
}

# shared NAME SCRIPT [OPTION] - the path of a store that is made once per run and that no test changes.
shared() {
	local dir=$BATS_RUN_TMPDIR/shared-$1
	(
		flock 9
		[[ -d $dir ]] || { oracle "${@:2}" "$dir.new" && mv "$dir.new" "$dir"; }
	) 9>"$dir.lock" >&2 || return
	printf '%s\n' "$dir"
}

nanochat_store() { shared nanochat make_store; }
dtypes_store() { shared dtypes make_store --dtypes; }

# own_store - a copy of the nanochat store that the test may change, with its mtimes; $STORE.
own_store() {
	STORE=$BATS_TEST_TMPDIR/store
	cp -a "$(nanochat_store)" "$STORE"
}

# small_pt FILE... - a small well-formed checkpoint made by hand, without torch; with its meta.json where FILE is a model's name.
small_pt() {
	local one=$BATS_TEST_TMPDIR/.small.pt file meta
	[[ -e $one ]] || oracle make_case good "$one"
	for file; do
		mkdir -p "${file%/*}"
		cp "$one" "$file"
		meta=${file/model_/meta_}
		[[ $meta == "$file" ]] || echo '{"step": 1}' >"${meta%.pt}.json"
	done
}

# reports - where the sanitizers of a `make asan` write, also those of a daemon in the background; teardown looks there.
reports() {
	local to=log_path=$BATS_TEST_TMPDIR/sanitizer
	export ASAN_OPTIONS=$to UBSAN_OPTIONS=$to:print_stacktrace=1 TSAN_OPTIONS=$to
}

# may_allow_other - whether -o allow_other is ours to say: a user's only if the machine allows it.
may_allow_other() { [[ $EUID -eq 0 ]] || grep -qs '^user_allow_other' /etc/fuse.conf; }

# mount_store STORE [OPTION...] - mounts STORE, waits until it is there, and sets MNT, DAEMON (its pid) and LOG.
mount_store() {
	local n=${#MOUNTS[@]}
	[[ " ${*:2}" != *[\ ,]allow_other* ]] || may_allow_other || skip "allow_other needs root, or user_allow_other in /etc/fuse.conf"
	MNT=$BATS_TEST_TMPDIR/mnt$n LOG=$BATS_TEST_TMPDIR/log$n
	mkdir -p "$MNT"
	reports
	"${RUNNER[@]}" "$CKPTFS" -f "${@:2}" "$1" "$MNT" >"$LOG" 2>&1 3>&- &
	DAEMON=$!
	MOUNTS+=("$MNT") PIDS+=("$DAEMON") LOGS+=("$LOG")
	wait_mounted "$MNT" "$DAEMON"
}

# adopt MOUNTPOINT - takes charge of a mount that went to the background by itself; sets MNT and DAEMON. A fusermount3 may be there
# as well, with subtype=ckptfs and the mountpoint in its arguments, and after a wrap of the pids with the lower pid.
adopt() {
	MNT=$1 LOG=/dev/null
	DAEMON=$(pgrep -f -- "(^|[ /])ckptfs .*$1" | head -n 1) || true
	ADOPTED[${#MOUNTS[@]}]=yes
	MOUNTS+=("$MNT") PIDS+=("${DAEMON:-0}") LOGS+=("$LOG")
}

# A wrapper for the daemon, such as setpriv; empty unless a test sets it.
RUNNER=()

wait_mounted() {
	local i
	for ((i = 0; i < 500; i++)); do
		mountpoint -q "$1" && return
		kill -0 "$2" 2>/dev/null || break
		sleep 0.02
	done
	echo "not mounted: $(cat "$LOG")" >&2
	return 1
}

# unmount N - ends mount N and its daemon; fails if the daemon ended badly or its log has a word that no daemon should say.
unmount() {
	local mnt=${MOUNTS[$1]} pid=${PIDS[$1]} log=${LOGS[$1]} i status=0
	[[ -n $pid ]] || return 0
	[[ $pid != 0 ]] || { fusermount3 -uz "$mnt"; return; }
	PIDS[$1]=
	for ((i = 0; i < 50; i++)); do
		mountpoint -q "$mnt" || break
		fusermount3 -u "$mnt" 2>/dev/null && break
		sleep 0.05
	done
	if ((i == 50)); then
		echo "$mnt stayed busy" >&2
		fusermount3 -uz "$mnt"
		status=1
	fi
	# A daemon may have gigabytes to give back to a disk that is busy.
	for ((i = 0; i < 3000; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	if kill -0 "$pid" 2>/dev/null; then
		outlived "$mnt" "$pid" || status=1
	fi
	[[ -n ${ADOPTED[$1]:-} ]] || wait "$pid" || { echo "the daemon ended with status $?" >&2; status=1; }
	if grep -qE 'Sanitizer|runtime error|[Aa]ssert|double free|stack smashing' "$log"; then
		echo "the daemon's log has a suspicious word" >&2
		status=1
	fi
	return "$status"
}

# pinned_by MOUNTPOINT - the processes, one of each other mount namespace, in which MOUNTPOINT is still mounted.
pinned_by() {
	local pid ns own
	local -A seen
	own=$(readlink /proc/self/ns/mnt)
	for pid in /proc/[0-9]*; do
		ns=$(readlink "$pid/ns/mnt" 2>/dev/null) || continue
		[[ $ns != "$own" && -z ${seen[$ns]:-} ]] || continue
		seen[$ns]=yes
		! grep -qF " $1 " "$pid/mountinfo" 2>/dev/null || echo "${pid#/proc/}"
	done
}

# outlived MOUNTPOINT PID - says why the daemon PID is still there, and ends it. A failure unless another mount namespace holds the mount.
outlived() {
	local pins
	pins=$(pinned_by "$1")
	if [[ -z $pins ]]; then
		echo "the daemon outlived its mount" >&2
		kill -KILL "$2"
		return 1
	fi
	echo "$1 is still mounted in another mount namespace (unshare -m), that of process ${pins//$'\n'/ }" >&2
	kill "$2"
}

# The end of every test: nothing stays mounted, whatever happened. bats shows the logs when the test failed.
teardown() {
	local i status=0
	cd "$REPO" || status=1
	for i in "${!MOUNTS[@]}"; do
		unmount "$i" || status=1
		echo "log of mount $i:"
		tail -n 60 "${LOGS[$i]}"
	done
	# What an oracle mounted, and had no time to take away when it failed.
	awk -v dir="$BATS_TEST_TMPDIR/" '/ - fuse\.ckptfs / && index($5, dir) == 1 { print $5 }' /proc/self/mountinfo |
		sort -r | xargs -r -n1 fusermount3 -uqz || true
	for i in "$BATS_TEST_TMPDIR"/sanitizer.*; do
		[[ -e $i ]] || continue
		head -n 60 "$i"
		status=1
	done
	find "$BATS_TEST_TMPDIR" -xdev -type f -size +8M -delete
	return "$status"
}

# The names in a directory, sorted; in the directory's own order; and whether they are NAMES (one string, one space between).
names() { ls -A1 "$1"; }
in_order() { find "$1" -mindepth 1 -maxdepth 1 -printf '%f\n'; }
lists() { [[ $(names "$1" | tr '\n' ' ') == "$2 " ]] || { names "$1"; return 1; }; }
lists_in_order() { [[ $(in_order "$1" | tr '\n' ' ') == "$2 " ]] || { in_order "$1"; return 1; }; }

# refuses ERRNO COMMAND... - the command fails, and says so with that errno's words. Where nothing may be changed the mode stops a user before us.
refuses() {
	run "${@:2}"
	[[ $EUID -eq 0 || $1 != "Operation not permitted" || $status -eq 0 || $output != *"Permission denied"* ]] || return 0
	[[ $status -ne 0 ]] || { echo "succeeded: ${*:2}" >&2; return 1; }
	[[ $output == *"$1"* ]] || { echo "wanted '$1': $output" >&2; return 1; }
}

# is_error FILE WORD... - FILE is one line that has each word.
is_error() {
	local word line
	[[ -f $1 ]] || { echo "no $1" >&2; ls -la "${1%/*}" >&2; return 1; }
	[[ $(wc -l <"$1") -eq 1 && $(tail -c 1 "$1" | od -An -tx1) == ' 0a' ]] || { echo "not one line: $(cat "$1")" >&2; return 1; }
	line=$(<"$1")
	for word in "${@:2}"; do
		[[ ${line,,} =~ ${word,,} ]] || { echo "$1 lacks '$word': $line" >&2; return 1; }
	done
}

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# within MILLISECONDS COMMAND... - polls until the command succeeds; a command that begins later than that must. However slow the machine is, that
# asks only what was promised: how long the command takes doesn't count.
within() {
	local began end=$(($(now_ms) + $1))
	while began=$(now_ms); ! "${@:2}" 2>/dev/null; do
		((began < end)) || { echo "not within $1 ms: ${*:2}" >&2; return 1; }
		sleep 0.05
	done
}

# cpu_ms PID - the processor time that it has taken, with its threads.
cpu_ms() { awk -v tick="$(getconf CLK_TCK)" '{ sub(/.*[)] /, ""); print int(($12 + $13) * 1000 / tick) }' "/proc/$1/stat"; }

# no_mount WORD COMMAND... - refused before the background: one line that has WORD on stderr, a non-zero status.
no_mount() {
	run --separate-stderr timeout 20 "${@:2}" 3>&-
	[[ $status -ne 0 && $status -ne 124 ]] || { echo "status $status"; return 1; }
	[[ -z $output && ${#stderr_lines[@]} -eq 1 ]] || { echo "out: $output; err: $stderr"; return 1; }
	[[ $stderr == *"$1"* ]] || { echo "lacks '$1': $stderr"; return 1; }
}

# A sanitized program is slower and larger: bounds on time and memory are for the real one.
sanitized() { grep -qE "__asan_init|__tsan_init" "$CKPTFS"; }
