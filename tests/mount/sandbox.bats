#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What the daemon gives up once the mount is up, that it still works then, and where links lead.

load ../lib/helpers

setup() {
	S=$BATS_TEST_TMPDIR/s
	CONFINED=$BUILD/tools/confined
	small_pt "$S"/base_checkpoints/d12/model_00000{1,2}.pt
}

# status_of FIELD - the field's values in all threads of the daemon and, once, in /proc/PID/status.
status_of() { sed -n "s/^$1:\\s*//p" /proc/"$DAEMON"/task/*/status | sort -u; }

# unmounters - the processes that wait to unmount for the daemon.
unmounters() { pgrep -P "$DAEMON" -x ckptfs-umount; }

# can_confine - skips where the kernel or the build lacks a layer. CI has them all.
can_confine() {
	mkdir -p "$BATS_TEST_TMPDIR/probe"
	"$CONFINED" "$S" "$BATS_TEST_TMPDIR/probe" >/dev/null || skip "a layer of the sandbox is missing here"
}

reads() {
	cmp "$MNT/base/d12/000001/model.pt" "$S/base_checkpoints/d12/model_000001.pt"
	[[ $(names "$MNT/base/d12/000001/model") == $'lm_head.weight.npy\ntransformer.wte.weight.npy' ]]
	"$PYTHON" -c 'import numpy, sys; assert numpy.load(sys.argv[1])[1, 1] == 4' "$MNT/base/d12/000001/model/transformer.wte.weight.npy"
}

@test "every thread has no new privileges, a filter, no core dumps and, as root, few capabilities" {
	can_confine
	mount_store "$S"
	reads
	[[ $(status_of NoNewPrivs) == 1 && $(status_of Seccomp) == 2 ]]
	[[ $(status_of Threads) -gt 1 ]]
	# CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID at most.
	(((0x$(status_of CapEff) | 0x$(status_of CapPrm)) & ~0x1f)) && return 1
	grep -Eq 'Max core file size +0 +0' "/proc/$DAEMON/limits"
	[[ ! -s $LOG ]]
}

@test "sandbox=require mounts where all is there" {
	can_confine
	mount_store "$S" -o sandbox=require
	reads
	[[ $(status_of Seccomp) == 2 ]]
}

@test "sandbox=off gives up nothing" {
	mount_store "$S" -o sandbox=off
	reads
	[[ $(status_of NoNewPrivs) == "$(sed -n 's/^NoNewPrivs:\s*//p' /proc/self/status)" ]]
	[[ $(status_of Seccomp) == "$(sed -n 's/^Seccomp:\s*//p' /proc/self/status)" ]]
	run ! unmounters
}

@test "a bad value of sandbox is refused" {
	mkdir "$BATS_TEST_TMPDIR/m"
	no_mount "on, off, require" "$CKPTFS" -o sandbox=perhaps "$S" "$BATS_TEST_TMPDIR/m"
}

# A kernel without Landlock, as far as the daemon can tell.
without_landlock() {
	[[ $EUID -eq 0 ]] || skip "needs root: under strace fusermount3 has no rights"
	RUNNER=(strace -f -qq -o /dev/null -e trace=landlock_create_ruleset -e 'inject=landlock_create_ruleset:error=EOPNOTSUPP')
}

@test "a kernel without Landlock: one line, and the other layers" {
	! sanitized || skip "strace and LeakSanitizer exclude each other"
	without_landlock
	mount_store "$S"
	DAEMON=$(pgrep -P "$DAEMON" -x ckptfs)
	reads
	[[ $(status_of Seccomp) == 2 ]]
	[[ $(cat "$LOG") == "ckptfs: sandbox: this system lacks Landlock (Operation not supported)" ]]
}

@test "a kernel without Landlock: sandbox=require mounts nothing" {
	! sanitized || skip "strace and LeakSanitizer exclude each other"
	mkdir "$BATS_TEST_TMPDIR/m"
	without_landlock
	no_mount "lacks Landlock" "${RUNNER[@]}" "$CKPTFS" -o sandbox=require "$S" "$BATS_TEST_TMPDIR/m"
	no_mount "lacks Landlock" "${RUNNER[@]}" "$CKPTFS" -f -o sandbox=require "$S" "$BATS_TEST_TMPDIR/m"
	run ! mountpoint -q "$BATS_TEST_TMPDIR/m"
}

@test "deflated entries find their temporary directory" {
	local mode
	oracle make_case deflated "$S/base_checkpoints/d12/model_000001.pt"
	mkdir "$BATS_TEST_TMPDIR/tmp"
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	for mode in sandbox=on allow_other ro,allow_other; do
		mount_store "$S" -o "$mode"
		reads
	done
}

@test "SIGTERM and SIGHUP unmount, and nothing is left" {
	local signal mode helper
	for mode in on off; do
		for signal in TERM HUP; do
			# A process group of its own, as a shell with job control gives it: a signal from the keyboard reaches all of it.
			# And not one that ignores HUP, as under nohup.
			RUNNER=(env --default-signal=HUP setsid)
			mount_store "$S" -o "sandbox=$mode"
			DAEMON=$(pgrep -f -- "^$CKPTFS -f .*$MNT\$" | tail -n 1)
			helper=$(unmounters || true)
			reads
			kill -"$signal" -- "-$DAEMON"
			within 5000 test ! -e "/proc/$DAEMON/fd/0"
			run ! mountpoint -q "$MNT"
			[[ -z $helper || ! -e /proc/$helper/fd/0 ]]
		done
	done
}

@test "SIGTERM while a file is open unmounts too" {
	! sanitized || skip "what is open when a signal ends the daemon is left to the system"
	mount_store "$S"
	exec 7<"$MNT/base/d12/000001/model.pt"
	kill -TERM "$DAEMON"
	within 5000 eval '! mountpoint -q "$MNT"'
	exec 7<&-
}

@test "in the background: SIGTERM unmounts" {
	MNT=$BATS_TEST_TMPDIR/m
	mkdir "$MNT"
	"$CKPTFS" "$S" "$MNT" 3>&-
	adopt "$MNT"
	reads
	kill -TERM "$DAEMON"
	within 5000 eval '! mountpoint -q "$MNT"'
	within 5000 eval '! pgrep -P "$DAEMON"'
}

@test "the user's unmount is not followed by another" {
	mount_store "$S"
	reads
	# Something else is below: it must stay.
	[[ $EUID -ne 0 ]] || { fusermount3 -u "$MNT" && mount -t tmpfs none "$MNT"; }
	[[ $EUID -eq 0 ]] || fusermount3 -u "$MNT"
	within 5000 test ! -e "/proc/$DAEMON/fd/0"
	[[ $EUID -ne 0 ]] || umount "$MNT"
}

@test "a killed daemon leaves a dead mount that is no hang, and no process" {
	mount_store "$S"
	local helper
	helper=$(unmounters || true)
	kill -KILL "$DAEMON"
	within 5000 test ! -e "/proc/${helper:-0}/fd/0"
	refuses "Transport endpoint is not connected" timeout 10 ls "$MNT"
	fusermount3 -u "$MNT"
	wait "$DAEMON" || true
	PIDS[0]=
}

@test "an unprivileged user's daemon unmounts on SIGTERM" {
	[[ $EUID -eq 0 ]] || skip "the other tests do that"
	local d=$BATS_TEST_TMPDIR
	chmod o+x "$BATS_RUN_TMPDIR"
	mkdir "$d/m"
	cp "$CKPTFS" "$d/ckptfs"
	chown 65534:65534 "$d/m"
	mknod "$d/fuse" c 10 229
	chmod 666 "$d/fuse"
	# In a mount namespace of its own, where /dev/fuse has the mode that distributions give it.
	timeout 60 unshare -m bash -euc '
		mount --bind "$1/fuse" /dev/fuse
		exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ bash -euc "
			cd /
			\"$1/ckptfs\" -f -o sandbox=$2 \"$1/s\" \"$1/m\" &
			trap \"fusermount3 -uqz $1/m || true\" EXIT
			for ((i = 0; i < 100; i++)); do mountpoint -q \"$1/m\" && break; sleep 0.1; done
			cmp \"$1/m/base/d12/000001/model.pt\" \"$1/s/base_checkpoints/d12/model_000001.pt\"
			grep -q \"^NoNewPrivs:.1\" /proc/\$!/status
			kill -TERM \$!
			wait \$!
			! mountpoint -q \"$1/m\"
		"' _ "$d" "$(can_confine >&2; echo require)" 3>&-
}

@test "the log reaches syslog" {
	[[ $EUID -eq 0 ]] || skip "needs root, for a /dev/log of its own"
	: >"$S/base_checkpoints/d12/model_000002.pt"
	mkdir "$BATS_TEST_TMPDIR/m"
	timeout 60 unshare -m bash -euc '
		mount -t tmpfs none /dev
		mknod -m 666 /dev/null c 1 3
		mknod -m 666 /dev/fuse c 10 229
		"$3" -c "
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(\"/dev/log\")
print(\"bound\", flush=True)
s.settimeout(20)
print(s.recv(4096).decode(), flush=True)
" >"$1/syslog" &
		until grep -q bound "$1/syslog"; do sleep 0.05; done
		"$2" "$1/s" "$1/m"
		cat "$1/m/base/d12/000002/model.error" >"$1/error"
		wait $!
		fusermount3 -u "$1/m"
	' _ "$BATS_TEST_TMPDIR" "$CKPTFS" "$PYTHON" 3>&-
	grep -qF "$(cat "$BATS_TEST_TMPDIR/error")" "$BATS_TEST_TMPDIR/syslog"
}

# attempts [WORD...] - what a daemon that was taken over can do: the lines of tools/confined for a store and a directory outside.
attempts() {
	local d=$BATS_TEST_TMPDIR/attempts
	rm -rf "$d"
	mkdir -p "$d"/{store/dir,store/base_checkpoints,outside,tmp,tag,other}
	touch "$d"/store/{file,move} "$d"/outside/{file,other} "$d/tag/model_000001.pt"
	ln -s "$d/outside/file" "$d/store/out"
	ln -s "$d/tag" "$d/store/base_checkpoints/d12"
	ln -s "$d/other" "$d/store/base_checkpoints/d13"
	TMPDIR=$d/tmp "$CONFINED" "$d/store" "$d/outside" "$@" >"$BATS_TEST_TMPDIR/got"
}

# may NAME... and may_not NAME... - of the last attempts.
may() {
	local name
	for name; do grep -qx "$name ok" "$BATS_TEST_TMPDIR/got" || { grep "^$name " "$BATS_TEST_TMPDIR/got"; return 1; }; done
}
may_not() {
	local name
	for name; do grep -qxE "$name (EACCES|EPERM|EXDEV)" "$BATS_TEST_TMPDIR/got" || { grep "^$name " "$BATS_TEST_TMPDIR/got"; return 1; }; done
}

WRITES_OUTSIDE=({write,append,create,mkdir,unlink,rename,link}-outside write-through-link create-in-linked-other)

@test "a daemon taken over: files" {
	can_confine
	attempts
	may {read,list,create-in,rename-in,chmod-in}-store temporary-file thread {read,list}-outside create-in-linked-tag
	may_not "${WRITES_OUTSIDE[@]}" {symlink,fifo}-in-store
	[[ -z $(ls -A "$BATS_TEST_TMPDIR/attempts/other") && ! -s $BATS_TEST_TMPDIR/attempts/outside/file ]]
}

@test "a daemon taken over: files, with allow_other" {
	can_confine
	attempts contain
	may {read,list,create-in,rename-in,chmod-in}-store temporary-file thread
	may_not {read,list}-outside create-in-linked-tag "${WRITES_OUTSIDE[@]}" {symlink,fifo}-in-store
}

@test "a daemon taken over: files, with native, where programs make links in the store" {
	can_confine
	attempts links
	may {read,list,create-in,rename-in,chmod-in,symlink-in}-store
	may_not "${WRITES_OUTSIDE[@]}" fifo-in-store
	attempts links ro
	may_not {create-in,rename-in,chmod-in,symlink-in,fifo-in}-store
}

@test "a daemon taken over: files, with ro" {
	can_confine
	attempts contain ro
	may {read,list}-store temporary-file thread
	may_not {create-in,rename-in,chmod-in}-store {read,list}-outside create-in-linked-tag "${WRITES_OUTSIDE[@]}" {symlink,fifo}-in-store
}

@test "a daemon taken over: programs, code, sockets, processes, the kernel" {
	can_confine
	attempts
	may_not execve socket-{unix,inet} kill read-memory umount mount unshare setns bpf userfaultfd io_uring keyctl setuid
	grep -qx 'core-limit 0' "$BATS_TEST_TMPDIR/got"
	# LeakSanitizer needs these itself.
	sanitized && return
	may_not fork ptrace tgkill new-code data-as-code
	grep -qx 'dumpable 0' "$BATS_TEST_TMPDIR/got"
}

@test "without the sandbox the same attempts succeed" {
	attempts off
	may {read,list,write,append,create,mkdir,unlink,rename,link}-outside write-through-link create-in-linked-{tag,other} {symlink,fifo}-in-store
	may fork socket-{unix,inet} ptrace read-memory kill new-code data-as-code
	run ! grep -E '^(execve|core-limit 0)' "$BATS_TEST_TMPDIR/got"
}

@test "another directory in the store's place: EACCES, and the log says what to do" {
	can_confine
	# The store must not lie in the temporary directory, which is in bounds.
	mkdir "$BATS_TEST_TMPDIR/tmp"
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	mount_store "$S"
	mkdir "$MNT/base/d12/000005.partial"
	mv "$S" "$S.away"
	cp -a "$S.away" "$S"
	refuses "Permission denied" mkdir "$MNT/base/d12/000006.partial"
	refuses "Permission denied" cp "$S/base_checkpoints/d12/model_000001.pt" "$MNT/base/d12/model_000007.pt"
	[[ $(grep -c "^ckptfs: mkdir: .*Permission denied; the store's directory was replaced since the mount: unmount it and mount it again$" "$LOG") -eq 1 ]]
	reads
	# The old one is in bounds.
	rm -r "$S"
	mv "$S.away" "$S"
	mkdir "$MNT/base/d12/000006.partial"
}

# A checkpoint, a tag and a source that lie elsewhere, and links that stay inside.
link_out() {
	OUT=$BATS_TEST_TMPDIR/bigger-disk
	small_pt "$OUT/d20/model_000001.pt" "$OUT/sft/d4/model_000001.pt" "$OUT/model.pt" "$OUT/optim.pt"
	echo '{"step": 3, "secret": 1}' >"$OUT/meta.json"
	ln -s "$OUT/model.pt" "$S/base_checkpoints/d12/model_000003.pt"
	ln -s "$OUT/meta.json" "$S/base_checkpoints/d12/meta_000003.json"
	ln -s "$OUT/optim.pt" "$S/base_checkpoints/d12/optim_000001_rank0.pt"
	ln -s "$OUT/d20" "$S/base_checkpoints/d20"
	ln -s "$OUT/sft" "$S/chatsft_checkpoints"
	mkdir "$S/base_checkpoints/d8"
	ln -s "$S/base_checkpoints/d12/model_000001.pt" "$S/base_checkpoints/d8/model_000001.pt"
	ln -s ../d12/model_000002.pt "$S/base_checkpoints/d8/model_000002.pt"
	ln -s d12 "$S/base_checkpoints/d6"
}

inside_is_followed() {
	local step
	for step in d8/000001 d8/000002 d6/000001; do
		cmp "$MNT/base/$step/model.pt" "$S/base_checkpoints/d12/model_000001.pt"
		[[ -f $MNT/base/$step/model/lm_head.weight.npy ]]
	done
}

everything_is_followed() {
	reads
	inside_is_followed
	cmp "$MNT/base/d12/000003/model.pt" "$OUT/model.pt"
	cmp "$MNT/base/d20/000001/model.pt" "$OUT/d20/model_000001.pt"
	cmp "$MNT/sft/d4/000001/model.raw/lm_head.weight" "$MNT/base/d20/000001/model.raw/lm_head.weight"
	grep -q secret "$MNT/base/d12/000003/meta.json"
	[[ -f $MNT/base/d12/000001/optim/rank0/lm_head.weight.npy ]]
	[[ $(readlink "$MNT/base/largest") == d20 && $(readlink "$MNT/base/d12/latest") == 000003 ]]
}

@test "links out of the store are followed" {
	link_out
	mount_store "$S"
	everything_is_followed
}

@test "links out of the store are followed with allow_other,follow" {
	link_out
	mount_store "$S" -o allow_other,follow
	everything_is_followed
}

# With the sandbox and without: the rule is core's, and Landlock's besides.
nothing_outside() {
	local step=$MNT/base/d12/000003 name
	reads
	inside_is_followed
	is_error "$step/model.error" 'model_000003\.pt' 'leads out of the store' '-o follow' 'permission denied'
	for name in model/lm_head.weight.npy model.raw model.safetensors model.pt meta.json ../model_000003.pt ../meta_000003.json; do
		refuses "Permission denied" cat "$step/$name"
	done
	refuses "Permission denied" cat "$MNT/base/d12/000001/optim/rank0.pt"
	refuses "Permission denied" ls "$MNT/base/d20"
	refuses "Permission denied" cat "$MNT/base/d20/000001/model.pt"
	refuses "Permission denied" ls "$MNT/base/d20/model_000001.pt"
	refuses "Permission denied" ls "$MNT/sft"
	refuses "Permission denied" ls "$MNT/sft/d4"
	refuses "Permission denied" readlink -v "$MNT/sft/largest"
	# Not even its size and time.
	[[ $(stat -c %s "$step/model.pt") -eq $(stat -c %s "$S/base_checkpoints/d12/model_000003.pt") ]]
	[[ $(readlink "$MNT/base/largest") == d12 && $(readlink "$MNT/base/d12/latest") == 000002 ]]
	within 2000 grep -q 'leads out of the store' "$LOG"
	run ! grep -rq secret "$MNT/base/d12" --include='*.json' --include='*.error'
}

@test "links out of the store are refused with allow_other" {
	link_out
	mount_store "$S" -o allow_other
	nothing_outside
}

@test "links out of the store are refused with allow_other, also without a sandbox" {
	link_out
	mount_store "$S" -o allow_other,sandbox=off
	nothing_outside
}

@test "a link that is turned around while it is read never shows what lies outside" {
	local tag=$S/base_checkpoints/d12 turner i stop=$BATS_TEST_TMPDIR/stop
	OUT=$BATS_TEST_TMPDIR/outside
	mkdir "$OUT"
	printf 'secret' >"$OUT/meta_000001.json"
	echo '{"step": 1}' >"$tag/inside.json"
	mount_store "$S" -o allow_other,sandbox=off
	(
		while [[ ! -e $stop ]] && kill -0 $$; do
			ln -sfn "$OUT/meta_000001.json" "$tag/link.new" && mv -T "$tag/link.new" "$tag/meta_000001.json"
			ln -sfn inside.json "$tag/link.new" && mv -T "$tag/link.new" "$tag/meta_000001.json"
		done
	) 3>&- &
	turner=$!
	for ((i = 0; i < 200; i++)); do
		cat "$MNT/base/d12/meta_000001.json" "$MNT/base/d12/000001/meta.json" 2>/dev/null || true
	done >"$BATS_TEST_TMPDIR/read"
	touch "$stop"
	wait "$turner"
	grep -q step "$BATS_TEST_TMPDIR/read"
	run ! grep -q secret "$BATS_TEST_TMPDIR/read"
}
