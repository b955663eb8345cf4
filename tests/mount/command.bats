#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# The command line: help, refusals by name, readiness, mount(8) and fstab, the default store.

load ../lib/helpers

setup() {
	S=$BATS_TEST_TMPDIR/s
	reports
	small_pt "$S/base_checkpoints/d12/model_000001.pt"
	mkdir "$BATS_TEST_TMPDIR/m"
}

@test "--help fits a screen of 80x24 and names every option" {
	run --separate-stderr "$CKPTFS" --help
	[[ $status -eq 0 && -z $stderr ]]
	[[ $(wc -l <<<"$output") -le 24 ]]
	[[ $(wc -L <<<"$output") -le 80 ]]
	local word
	for word in STORE MOUNTPOINT device= ro native inplace level= -f -d -h -V cpu mps cuda base source tag NANOCHAT_BASE_DIR; do
		[[ $output == *"$word"* ]] || { echo "no $word in: $output"; return 1; }
	done
	local long=$output
	run "$CKPTFS" -h
	[[ $status -eq 0 && $output == "$long" ]]
}

@test "-V says the version, on stdout" {
	run --separate-stderr "$CKPTFS" -V
	[[ $status -eq 0 && -z $stderr ]]
	[[ ${lines[0]} =~ ^ckptfs\ [0-9]+\.[0-9] ]]
	run --separate-stderr "$CKPTFS" --version
	[[ $status -eq 0 && ${lines[0]} =~ ^ckptfs\  ]]
}

@test "an unknown option is refused by name" {
	no_mount frobnicate "$CKPTFS" -o frobnicate "$S" "$BATS_TEST_TMPDIR/m"
	no_mount frobnicate "$CKPTFS" -o ro,frobnicate=3,native "$S" "$BATS_TEST_TMPDIR/m"
	no_mount --frobnicate "$CKPTFS" --frobnicate "$S" "$BATS_TEST_TMPDIR/m"
	no_mount -z "$CKPTFS" -z "$S" "$BATS_TEST_TMPDIR/m"
	run ! mountpoint -q "$BATS_TEST_TMPDIR/m"
}

@test "a bad value is refused by name, with what would be right" {
	no_mount tpu "$CKPTFS" -o device=tpu "$S" "$BATS_TEST_TMPDIR/m"
	[[ $stderr == *cpu*mps*cuda* ]]
	no_mount planet "$CKPTFS" -o level=planet "$S" "$BATS_TEST_TMPDIR/m"
	[[ $stderr == *base*source*tag* ]]
	no_mount device "$CKPTFS" -o device= "$S" "$BATS_TEST_TMPDIR/m"
	no_mount device "$CKPTFS" -o device "$S" "$BATS_TEST_TMPDIR/m"
	[[ $stderr == *"a value is missing"* ]]
	no_mount CPU "$CKPTFS" -o device=CPU "$S" "$BATS_TEST_TMPDIR/m"
}

@test "no arguments and too many arguments are refused in one line" {
	no_mount MOUNTPOINT "$CKPTFS"
	no_mount one-too-many "$CKPTFS" "$S" "$BATS_TEST_TMPDIR/m" one-too-many
}

# background ARG... - ckptfs in the background; the last argument is the mountpoint.
background() {
	run --separate-stderr timeout 20 "$CKPTFS" "$@" 3>&-
	adopt "${*: -1}"
	[[ $status -eq 0 && -z $output && -z $stderr ]] || { echo "status $status: $output $stderr"; return 1; }
}

@test "it returns when the mount answers, and lets go of the terminal and the directory" {
	cd "$BATS_TEST_TMPDIR"
	background "$S" "$BATS_TEST_TMPDIR/m"
	lists "$MNT" "base rl sft"
	[[ $DAEMON -gt 0 ]]
	[[ $EUID -eq 0 ]] || skip "needs root, to look into a daemon that has confined itself"
	[[ $(readlink "/proc/$DAEMON/cwd") == / ]]
	local fd
	for fd in 0 1 2; do
		[[ $(readlink "/proc/$DAEMON/fd/$fd") == /dev/null ]]
	done
}

@test "relative paths hold after it went to the background" {
	cd "$BATS_TEST_TMPDIR"
	run --separate-stderr timeout 20 "$CKPTFS" s m 3>&-
	DAEMON=$(pgrep -n -f "ckptfs s m")
	MOUNTS=("$BATS_TEST_TMPDIR/m") PIDS=("$DAEMON") LOGS=(/dev/null) ADOPTED=(yes)
	[[ $status -eq 0 ]]
	cd /
	lists "$BATS_TEST_TMPDIR/m/base/d12" "000001 history.tsv latest"
	lists "$BATS_TEST_TMPDIR/m/base/d12/latest/model" "lm_head.weight.npy transformer.wte.weight.npy"
}

@test "the kernel knows it as fuse.ckptfs, with default_permissions" {
	mount_store "$S"
	[[ $(findmnt -n -o FSTYPE "$MNT") == fuse.ckptfs ]]
	local options
	options=,$(findmnt -n -o OPTIONS "$MNT" | tr '\n' ','),
	[[ $options == *,rw,* && $options == *,default_permissions,* && $options == *,nosuid,* ]] || { echo "$options"; return 1; }
	[[ $(findmnt -n -o SOURCE "$MNT") == *"$S"* || $(findmnt -n -o SOURCE "$MNT") == ckptfs ]]
	mount_store "$S" -o ro
	[[ ,$(findmnt -n -o OPTIONS "$MNT"), == *,ro,* ]]
}

@test "options come glued, apart, and twice" {
	mount_store "$S" -odevice=cuda
	mount_store "$S" -o device=cuda -o native,ro
	in_order "$MNT/base/d12" | grep -qx model_000001.pt
	mount_store "$S" -o native,device=mps,level=base,ro
	in_order "$MNT/base/d12" | grep -qx model_000001.pt
}

@test "what mount(8) and fstab(5) use for themselves is ignored, also when it arrives here" {
	mount_store "$S" -o x-systemd.automount,X-mount.mkdir,x-gvfs-show,comment=mine,owner,group
	lists "$MNT" "base rl sft"
	mount_store "$S" -o relatime,norelatime,strictatime,nostrictatime,lazytime,nolazytime,diratime,nodiratime
	lists "$MNT" "base rl sft"
}

@test "FUSE's own options are FUSE's" {
	mount_store "$S" -o noatime,fsname=mystore
	[[ $(findmnt -n -o SOURCE "$MNT") == mystore ]]
	cmp "$MNT/base/d12/000001/model.pt" "$S/base_checkpoints/d12/model_000001.pt"
	if [[ $EUID -eq 0 ]]; then
		mount_store "$S" -o allow_other,auto_unmount
		ls "$MNT/base" >/dev/null
	fi
}

@test "SIGTERM and SIGHUP unmount and end it well" {
	local signal
	RUNNER=(env --default-signal=HUP)       # which nohup, say, has it ignore
	for signal in TERM HUP; do
		mount_store "$S"
		ls "$MNT" >/dev/null
		kill -"$signal" "$DAEMON"
		within 10000 eval '! mountpoint -q "$MNT"'
		unmount $((${#MOUNTS[@]} - 1))
	done
}

@test "the default store is \$NANOCHAT_BASE_DIR, else ~/.cache/nanochat" {
	mkdir -p "$BATS_TEST_TMPDIR/home/.cache"
	cp -r "$S" "$BATS_TEST_TMPDIR/home/.cache/nanochat"
	mv "$BATS_TEST_TMPDIR/home/.cache/nanochat/base_checkpoints/"d{12,34}
	NANOCHAT_BASE_DIR=$S HOME=$BATS_TEST_TMPDIR/home background "$BATS_TEST_TMPDIR/m"
	lists "$MNT/base" "d12 largest"
	unmount 0
	HOME=$BATS_TEST_TMPDIR/home background "$BATS_TEST_TMPDIR/m"
	lists "$MNT/base" "d34 largest"
	unmount 1
	NANOCHAT_BASE_DIR=/nowhere/at/all no_mount /nowhere/at/all "$CKPTFS" "$BATS_TEST_TMPDIR/m"
	HOME=$BATS_TEST_TMPDIR/empty no_mount empty/.cache/nanochat "$CKPTFS" "$BATS_TEST_TMPDIR/m"
}

# mount8 COMMANDS - runs them as root in a mount namespace of its own, where mount(8) finds the program under test by its name in
# /usr/local/bin (mount clears PATH). $1 is the test's directory; the store is $1/s, the mountpoint $1/m.
mount8() {
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	[[ -e $BATS_TEST_TMPDIR/bin/ckptfs ]] || cp "$CKPTFS" "$BATS_TEST_TMPDIR/bin/ckptfs"
	run timeout 60 unshare -m bash -euc "
		mount --bind \"\$1/bin\" /usr/local/bin
		trap 'umount \$1/m 2>/dev/null || true' EXIT
		$1" _ "$BATS_TEST_TMPDIR" 3>&-
}

@test "TMPDIR may be relative; one that isn't there is refused by name" {
	cd "$BATS_TEST_TMPDIR"
	no_mount "TMPDIR 'nowhere'" env TMPDIR=nowhere "$CKPTFS" "$S" m
	no_mount "TMPDIR '$S/base_checkpoints/d12/model_000001.pt'" env TMPDIR="$S/base_checkpoints/d12/model_000001.pt" "$CKPTFS" "$S" m
	mkdir scratch
	"$PYTHON" -c '
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as old, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as new:
    for name in old.namelist():
        new.writestr(name, old.read(name))' "$S/base_checkpoints/d12/model_000001.pt" "$S/base_checkpoints/d12/model_000002.pt"
	TMPDIR=scratch background "$S" "$BATS_TEST_TMPDIR/m"
	cmp "$MNT"/base/d12/00000{1,2}/model.raw/lm_head.weight
}

@test "mount -t fuse.ckptfs, and umount" {
	[[ $EUID -eq 0 ]] || skip "needs root, as mount does"
	mount8 '
		mount -t fuse.ckptfs "$1/s" "$1/m" -o ro,device=cuda,native,allow_other
		ls "$1/m/base/d12"
		umount "$1/m"
		ls "$1/m"'
	[[ $status -eq 0 && ${lines[*]} == "000001 history.tsv latest meta_000001.json model_000001.pt" ]] || { echo "$output"; return 1; }
}

@test "in place: mount -t fuse.ckptfs, and a line of /etc/fstab" {
	[[ $EUID -eq 0 ]] || skip "needs root, as mount does"
	local how
	echo "$S $S fuse.ckptfs inplace,allow_other,nofail 0 0" >"$BATS_TEST_TMPDIR/fstab"
	for how in 'mount -t fuse.ckptfs -o inplace "$1/s" "$1/s"' 'mount -T "$1/fstab" "$1/s"'; do
		mount8 "$how"' && timeout 20 ls "$1/s/base/d12/latest/model" && umount "$1/s" && ! test -e "$1/s/base"'
		[[ $status -eq 0 && $output == *"lm_head.weight.npy"* ]] || { echo "$how: $output"; return 1; }
		[[ ! -e $S/base ]]
	done
}

@test "a line of /etc/fstab, with the options that fstab lines have" {
	[[ $EUID -eq 0 ]] || skip "needs root, as mount does"
	local options
	for options in defaults ro,noauto,nofail,_netdev,device=cpu rw,nodev,nosuid,noexec,noatime,native user,noauto,x-systemd.automount,allow_other; do
		echo "$BATS_TEST_TMPDIR/s $BATS_TEST_TMPDIR/m fuse.ckptfs $options 0 0" >"$BATS_TEST_TMPDIR/fstab"
		mount8 'mount -T "$1/fstab" "$1/m" && ls "$1/m/base/d12/latest/model"'
		[[ $status -eq 0 && ${lines[*]} == "lm_head.weight.npy transformer.wte.weight.npy" ]] || { echo "$options: $output"; return 1; }
	done
}

@test "mount(8) hears of a failure" {
	[[ $EUID -eq 0 ]] || skip "needs root, as mount does"
	mount8 'mount -t fuse.ckptfs "$1/nowhere" "$1/m"'
	[[ $status -ne 0 && $output == *"$BATS_TEST_TMPDIR/nowhere"* ]] || { echo "$output"; return 1; }
	mount8 'mount -t fuse.ckptfs "$1/s" "$1/m" -o frobnicate'
	[[ $status -ne 0 && $output == *frobnicate* ]] || { echo "$output"; return 1; }
}

@test "an unprivileged user mounts, reads and unmounts" {
	[[ $EUID -eq 0 ]] || { mount_store "$S"; lists "$MNT" "base rl sft"; return; }
	local d=$BATS_TEST_TMPDIR
	chmod o+x "$BATS_RUN_TMPDIR"
	cp "$CKPTFS" "$d/ckptfs"
	chown 65534:65534 "$d/m"
	mknod "$d/fuse" c 10 229
	chmod 666 "$d/fuse"
	# In a mount namespace of its own, where /dev/fuse has the mode that distributions give it.
	timeout 60 unshare -m bash -euc '
		mount --bind "$1/fuse" /dev/fuse
		exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ bash -euc "
			cd /
			\"$1/ckptfs\" \"$1/s\" \"$1/m\"
			trap \"fusermount3 -u $1/m\" EXIT
			cmp \"$1/m/base/d12/000001/model.pt\" \"$1/s/base_checkpoints/d12/model_000001.pt\"
			ls \"$1/m/base/d12/000001/model\"
		"' _ "$d" 3>&-
}

@test "without /etc/mtab, a user is told at the mount why the unmount would fail" {
	[[ $EUID -eq 0 ]] || skip "needs root, to take away /etc/mtab"
	local d=$BATS_TEST_TMPDIR
	chmod o+x "$BATS_RUN_TMPDIR"
	cp "$CKPTFS" "$d/ckptfs"
	chown 65534:65534 "$d/m"
	mknod "$d/fuse" c 10 229
	chmod 666 "$d/fuse"
	mkdir -m 755 "$d/etc"
	cp -a /etc/{passwd,group,ld.so.*,fuse.conf,localtime} "$d/etc/" || true
	run timeout 60 unshare -m bash -euc '
		mount --bind "$1/fuse" /dev/fuse
		mount --bind "$1/etc" /etc
		setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ "$1/ckptfs" "$1/s" "$1/m"
		setpriv --reuid=65534 --regid=65534 --clear-groups fusermount3 -u "$1/m" && exit 3
		ln -s ../proc/self/mounts /etc/mtab
		setpriv --reuid=65534 --regid=65534 --clear-groups fusermount3 -u "$1/m"
		setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ "$1/ckptfs" "$1/s" "$1/m" 2>&1 | tee "$1/again"
		fusermount3 -u "$1/m"' _ "$d" 3>&-
	[[ $status -eq 0 && $output == *"no /etc/mtab"*"ln -s ../proc/self/mounts /etc/mtab"* ]] || { echo "status $status: $output"; return 1; }
	[[ ! -s $d/again ]]
}

@test "a mountpoint inside the store, or a store inside the mountpoint, is refused" {
	local inside
	for inside in "$S/mnt" "$S/base_checkpoints/mnt" "$S/base_checkpoints/d12/mnt"; do
		mkdir "$inside"
		no_mount "$inside" "$CKPTFS" "$S" "$inside"
	done
	no_mount "$S" "$CKPTFS" "$S" "$S"
	no_mount "$BATS_TEST_TMPDIR" "$CKPTFS" "$S" "$BATS_TEST_TMPDIR"
	mkdir "$S-mnt"
	mount_store "$S"
}

# noted WORD ARG... - mounts in the background at m, with status 0 and one line on stderr that has WORD.
noted() {
	run --separate-stderr timeout 20 "$CKPTFS" "${@:2}" "$BATS_TEST_TMPDIR/m" 3>&-
	adopt "$BATS_TEST_TMPDIR/m"
	[[ $status -eq 0 && -z $output && ${#stderr_lines[@]} -eq 1 ]] || { echo "status $status: $output $stderr"; return 1; }
	[[ $stderr == *"$1"* ]] || { echo "lacks '$1': $stderr"; return 1; }
	TOP=$(names "$MNT" | tr '\n' ' ')
	unmount $((${#MOUNTS[@]} - 1))
}

# quiet ARG... - the same without a word.
quiet() {
	background "$@" "$BATS_TEST_TMPDIR/m"
	TOP=$(names "$MNT" | tr '\n' ' ')
	unmount $((${#MOUNTS[@]} - 1))
}

@test "a directory without anything of nanochat's is mounted as a base directory, and one line says what was looked for" {
	local d=$BATS_TEST_TMPDIR
	mkdir -p "$d"/{empty,src/{build,core,examples},names/d12}
	touch "$d/src/core/main.c" "$d/names/d12/"{model.pt,model_500.pt,pytorch_model.bin}
	for dir in empty src names; do
		noted model_NNNNNN.pt "$d/$dir"
		[[ $stderr == *"'$d/$dir'"*checkpoints* && $TOP == "base rl sft " ]]
	done
	noted model_NNNNNN.pt /etc
	[[ $TOP == "base rl sft " ]]
}

@test "a young base directory is one, before its first checkpoint and after it" {
	mkdir -p "$BATS_TEST_TMPDIR"/young/{tokenizer,base_data_climbmix}
	quiet "$BATS_TEST_TMPDIR/young"
	[[ $TOP == "base rl sft " ]]
	background "$BATS_TEST_TMPDIR/young" "$BATS_TEST_TMPDIR/m"
	small_pt "$BATS_TEST_TMPDIR/young/base_checkpoints/d4/model_000001.pt"
	within 1150 test -e "$MNT/base/d4/latest"
}

@test "a checkpoints directory is one by its name or by a tag in it; a tag is one by a model or a shard" {
	local d=$BATS_TEST_TMPDIR
	mkdir -p "$d/none_checkpoints/d4" "$d/hub/other" "$d/shards"
	quiet "$d/none_checkpoints"
	[[ $TOP == "d4 " ]]
	small_pt "$d/hub/run1/model_000650.pt" "$d/shards/optim_000500_rank0.pt"
	quiet "$d/hub"
	[[ $TOP == "largest other run1 " ]]
	quiet "$d/hub/run1"
	[[ $TOP == "000650 history.tsv latest " ]]
	quiet "$d/shards"
	[[ -z $TOP ]]
}

@test "a level that the store doesn't have is said in one line, with the one that it has" {
	noted level=source -o level=base "$S/base_checkpoints"
	[[ $TOP == "base rl sft " ]]
	noted level=base -o level=source "$S"
	noted level=tag -o level=source "$S/base_checkpoints/d12"
	background "$S" "$BATS_TEST_TMPDIR/m"
	mkdir "$BATS_TEST_TMPDIR/second"
	run --separate-stderr timeout 20 "$CKPTFS" "$MNT" "$BATS_TEST_TMPDIR/second" 3>&-
	fusermount3 -u "$BATS_TEST_TMPDIR/second"
	[[ $status -eq 0 && ${#stderr_lines[@]} -eq 1 && $stderr == *"'$MNT': this is a mount of ckptfs"* ]]
	unmount $((${#MOUNTS[@]} - 1))
	mkdir "$BATS_TEST_TMPDIR/empty"
	noted "no model_NNNNNN.pt" -o level=tag "$BATS_TEST_TMPDIR/empty"
}

@test "the default store is always a base directory" {
	export NANOCHAT_BASE_DIR=$S/base_checkpoints
	noted level=source
	[[ $TOP == "base rl sft " ]]
	export NANOCHAT_BASE_DIR=$S/base_checkpoints/d12
	noted level=tag
	[[ $TOP == "base rl sft " ]]
	quiet -o level=tag
	[[ $TOP == "000001 history.tsv latest " ]]
}

@test "STORE and MOUNTPOINT swapped, and a store alone, are told from a directory that holds something" {
	local d=$BATS_TEST_TMPDIR store
	for store in "$S" "$S/base_checkpoints" "$S/base_checkpoints/d12"; do
		no_mount "this is a store" "$CKPTFS" "$d/m" "$store"
		[[ $stderr == *"$store"*"ckptfs STORE MOUNTPOINT"* && $stderr != *nonempty* ]]
	done
	NANOCHAT_BASE_DIR=$d/m no_mount "this is a store" "$CKPTFS" "$S"
	NANOCHAT_BASE_DIR=$S no_mount "this is the store" "$CKPTFS" "$S"
	HOME=$d no_mount "ckptfs STORE MOUNTPOINT" "$CKPTFS" "$S"
	mkdir "$d/full" && touch "$d/full/file"
	no_mount nonempty "$CKPTFS" "$S" "$d/full"
}

@test "a mountpoint that is missing or taken is said, with what to do" {
	local d=$BATS_TEST_TMPDIR
	no_mount mkdir "$CKPTFS" "$S" "$d/nowhere"
	no_mount "not a directory" "$CKPTFS" "$S" "$S/base_checkpoints/d12/model_000001.pt"
	background "$S" "$d/m"
	no_mount "mounted there already: fusermount3 -u" "$CKPTFS" "$S" "$d/m"
	# A mount that shows nothing is an empty directory.
	mkdir "$d/no_checkpoints" "$d/m2"
	background "$d/no_checkpoints" "$d/m2"
	no_mount "mounted there already" "$CKPTFS" "$S" "$d/m2"
}

@test "an option in another program's spelling, or misspelt, is refused with the one that is meant" {
	local word want
	while read -r word want; do
		no_mount "$want" "$CKPTFS" "$word" "$S" "$BATS_TEST_TMPDIR/m"
		[[ $stderr == *"'${word#-o}'"* ]]
	done <<-'EOF'
		--ro did you mean -o ro?
		-ro did you mean -o ro?
		--native did you mean -o native?
		--device=cuda did you mean -o device=cuda?
		--allow-other did you mean -o allow_other?
		--read-only did you mean -o ro?
		--foreground did you mean -f?
		-onativ did you mean -o native?
		-oalow_other did you mean -o allow_other?
		-olevle=tag did you mean -o level=tag?
		-status did you mean --status?
		-ostatus did you mean --status?
		--verison did you mean --version?
		--jsno=1 see ckptfs --help
		--f did you mean -f?
		-u fusermount3 -u
		-x see ckptfs --help
	EOF
	no_mount "joined by commas" "$CKPTFS" -o ro native "$S" "$BATS_TEST_TMPDIR/m"
	no_mount "joined by commas" "$CKPTFS" -o ro native "$BATS_TEST_TMPDIR/m"
}

@test "remount is refused: unmount, and mount again" {
	no_mount "unmount it, and mount it again" "$CKPTFS" -o remount,ro "$S" "$BATS_TEST_TMPDIR/m"
	# What mount(8) of Debian 13 may put before it.
	no_mount "unmount it, and mount it again" "$CKPTFS" -o user_id=0,group_id=0,default_permissions,remount,ro "$S" "$BATS_TEST_TMPDIR/m"
	[[ $EUID -eq 0 ]] || skip "the rest needs root, as mount does"
	mount8 'mount -t fuse.ckptfs "$1/s" "$1/m"; mount -o remount,ro "$1/m" || { ls "$1/m"; exit 7; }'
	[[ $status -eq 7 && $output == *"unmount it, and mount it again"*base* ]] || { echo "$output"; return 1; }
}

# crippled COMMANDS - what ckptfs says to the user 65534, one line, after root's COMMANDS in a mount namespace of its own.
crippled() {
	local d=$BATS_TEST_TMPDIR
	chmod o+x "$BATS_RUN_TMPDIR"
	cp "$CKPTFS" "$d/ckptfs"
	chown 65534:65534 "$d/m"
	[[ -e $d/fuse ]] || mknod "$d/fuse" c 10 229
	chmod 666 "$d/fuse"
	run --separate-stderr timeout 60 unshare -m bash -euc "
		mount --bind \"\$1/fuse\" /dev/fuse
		user='setpriv --reuid=65534 --regid=65534 --clear-groups'
		$1
		exec \$user env HOME=/ \"\$1/ckptfs\" \${options:-} \"\$1/s\" \"\${to:-\$1/m}\"" _ "$d" 3>&-
	[[ $status -ne 0 && -z $output && ${#stderr_lines[@]} -eq 1 ]] || { echo "status $status: $output $stderr"; return 1; }
}

@test "what a system lacks for a mount is said in one line, with what to do" {
	[[ $EUID -eq 0 ]] || skip "needs root, to take things away"
	crippled 'chmod 600 "$1/fuse"'
	[[ $stderr == *"/dev/fuse: Permission denied: "*"chmod 666"*--device* ]] || { echo "$stderr"; return 1; }
	crippled 'mkdir "$1/dev"; mount --bind "$1/dev" /dev'
	[[ $stderr == *"/dev/fuse: No such file"*modprobe*--device* ]] || { echo "$stderr"; return 1; }
	crippled 'user="$user --bounding-set=-sys_admin"'
	[[ $stderr == *CAP_SYS_ADMIN*--cap-add* ]] || { echo "$stderr"; return 1; }
	crippled 'touch "$1/none"; mount --bind "$1/none" "$(command -v fusermount3)"'
	[[ $stderr == *fusermount3*install* ]] || { echo "$stderr"; return 1; }
	crippled 'echo "#" >"$1/conf"; mount --bind "$1/conf" /etc/fuse.conf; options="-o allow_other"'
	[[ $stderr == *user_allow_other*/etc/fuse.conf* ]] || { echo "$stderr"; return 1; }
	crippled 'mkdir "$1/roots"; to=$1/roots'
	[[ $stderr == *"no write access"*roots* ]] || { echo "$stderr"; return 1; }
}

@test "a daemon that was killed: the dead mount is told, fusermount3 -u takes it away, auto_unmount does so itself" {
	local i
	mkdir "$BATS_TEST_TMPDIR/m2"
	background "$S" "$BATS_TEST_TMPDIR/m"
	kill -KILL "$DAEMON"
	within 5000 eval '! ls "$MNT"'
	no_mount "fusermount3 -u it" "$CKPTFS" "$S" "$MNT"
	no_mount "fusermount3 -u it" "$CKPTFS" "$MNT" "$BATS_TEST_TMPDIR/m2"
	fusermount3 -u "$MNT"
	PIDS[0]=
	# libfuse's own auto_unmount leaves one in twenty, and each one of a user on Debian 12.
	for i in {1..40}; do
		background -o auto_unmount "$S" "$BATS_TEST_TMPDIR/m2"
		kill -KILL "$DAEMON"
		within 20000 eval '! mountpoint -q "$MNT" && ls "$MNT"'
		PIDS[i]=
	done
}

@test "with -f the log goes to stderr, and a bad checkpoint is in it" {
	: >"$S/base_checkpoints/d12/model_000002.pt"
	mount_store "$S"
	cat "$MNT/base/d12/000002/model.error" >/dev/null
	within 2000 grep -q 'model_000002\.pt' "$LOG"
}
