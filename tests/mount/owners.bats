#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Whose the files are: a mount by root and one by the store's owner take turns, and neither locks the other out.

load ../lib/helpers

setup() {
	[[ $EUID -eq 0 ]] || skip "a mount by root, and by a user, need root"
	S=$BATS_TEST_TMPDIR/s STORED=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	umask 022
	small_pt "$STORED/model_000001.pt"
	chown -R 65534:65534 "$S"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$BATS_TEST_TMPDIR"
}

as() { setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"; }

# as_owner SCRIPT - runs it in a mount of the owner's own, with $TAG and $STORED; /dev/fuse has the mode that distributions give it.
as_owner() {
	[[ -e $BATS_TEST_TMPDIR/fuse ]] || mknod -m 666 "$BATS_TEST_TMPDIR/fuse" c 10 229
	install -m 755 "$CKPTFS" "$BATS_TEST_TMPDIR/ckptfs"
	install -d -o 65534 -g 65534 "$BATS_TEST_TMPDIR/m" "$BATS_TEST_TMPDIR/m.log"
	timeout 60 unshare -m bash -euc '
		cd "$1"
		mount --bind fuse /dev/fuse
		exec setpriv --reuid=65534 --regid=65534 --clear-groups bash -uc "
			TAG=\$PWD/m/base/d12 STORED=\$PWD/s/base_checkpoints/d12
			./ckptfs -f -o sandbox=off s m 2>m.log/log &
			for i in {1..200}; do mountpoint -q m && break; sleep 0.05; done
			(set -e; $2)
			status=\$?
			fusermount3 -u m
			wait
			exit \$status"' _ "$BATS_TEST_TMPDIR" "$1" 3>&-
}

is_of() { [[ $(stat -c %u:%g "$2") == "$1" ]] || { stat -c '%n %u:%g %a' "$2"; return 1; }; }

all_owned() { [[ -z $(find "$STORED/.ckptfs" ! -uid 65534 -o ! -gid 65534) ]] || { find "$STORED/.ckptfs" -ls; return 1; }; }

@test "after a mount by root the owner's own mount writes everything there" {
	mount_store "$S" -o allow_other
	local tag=$MNT/base/d12
	# Root's own, and the owner's through root's mount.
	mkdir "$tag/000600"
	cp "$STORED/model_000001.pt" "$tag/000600/model.pt"
	cp "$STORED/meta_000001.json" "$tag/000600/meta.json"
	cp "$STORED/model_000001.pt" "$tag/model_000601.pt"
	as 65534 mkdir "$tag/000700" "$tag/000700/optim" "$tag/000701.partial" "$tag/000001/optim"
	as 65534 cp "$STORED/model_000001.pt" "$tag/000700/model.pt"
	as 65534 touch "$tag/000701.partial/x" "$tag/000001/optim/rank0.tmp"
	is_of 0:0 "$STORED/model_000600.pt"
	is_of 0:0 "$STORED/model_000601.pt"
	is_of 65534:65534 "$STORED/.ckptfs/writers"
	all_owned
	unmount 0
	as_owner '
		cp $STORED/meta_000001.json $TAG/000700/meta.json
		cmp $STORED/model_000001.pt $STORED/model_000700.pt
		touch $TAG/000701.partial/y
		rm -r $TAG/000701.partial
		rm $TAG/000001/optim/rank0.tmp
		rmdir $TAG/000001/optim
		cp $STORED/model_000001.pt $TAG/model_000602.pt
		mkdir $TAG/000800
		cp $STORED/model_000001.pt $TAG/000800/model.pt
		cp $STORED/meta_000001.json $TAG/000800/meta.json
		cmp $STORED/model_000001.pt $STORED/model_000800.pt
	'
	all_owned
}

@test "what a mount by root of version 0.1.0 left is given to the owner" {
	mkdir -p "$STORED/.ckptfs/staged"
	touch "$STORED/.ckptfs/lock"
	mount_store "$S"
	unmount 0
	as_owner 'cp $STORED/model_000001.pt $TAG/model_000602.pt'
	# Where root's mount only writes, too.
	rm -rf "$STORED/.ckptfs"
	mount_store "$S"
	mkdir "$STORED/.ckptfs"
	cp "$STORED/model_000001.pt" "$MNT/base/d12/model_000603.pt"
	all_owned
}

@test "root's mount killed in the midst of a publication: the owner's own mount finishes it" {
	RUNNER=(strace -f -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:signal=KILL:when=1)
	mount_store "$S" -o allow_other,sandbox=off
	local tag=$MNT/base/d12
	as 65534 mkdir "$tag/000600"
	as 65534 cp "$STORED/model_000001.pt" "$tag/000600/model.pt"
	run ! as 65534 cp "$STORED/meta_000001.json" "$tag/000600/meta.json"
	wait "$DAEMON" 2>/dev/null || true
	PIDS[0]=
	fusermount3 -uz "$MNT"
	[[ -e $STORED/.ckptfs/000600/intent ]]
	as_owner '
		[[ -e $STORED/model_000600.pt ]] || sync $TAG/000600
		cmp $STORED/model_000001.pt $STORED/model_000600.pt
		[[ ! -e $STORED/.ckptfs/000600 ]]
	'
	is_of 65534:65534 "$STORED/model_000600.pt"
}

@test "a file in a directory of root's that is put where the lock is stays root's" {
	mkdir "$STORED/.ckptfs"
	chown 65534:65534 "$STORED/.ckptfs"
	echo secret >"$STORED/.ckptfs/writers"
	chmod 600 "$STORED/.ckptfs/writers"
	touch "$BATS_TEST_TMPDIR/other"
	chmod 600 "$BATS_TEST_TMPDIR/other"
	mount_store "$S" -o sandbox=off
	mkdir "$MNT/base/d12/000600"
	[[ $(stat -c %u:%a "$STORED/.ckptfs/writers") == 0:600 ]]
	unmount 0
	rm "$STORED/.ckptfs/writers"
	ln "$BATS_TEST_TMPDIR/other" "$STORED/.ckptfs/writers"
	mount_store "$S" -o sandbox=off
	mkdir "$MNT/base/d12/000601"
	[[ $(stat -c %u:%a "$BATS_TEST_TMPDIR/other") == 0:600 ]]
}

@test "a group's tag: drafts have its group, and its members write to each other's" {
	chown 65534:1234 "$STORED"
	chmod 2775 "$STORED"
	mount_store "$S" -o allow_other
	local tag=$MNT/base/d12
	(umask 002 && setpriv --reuid=1001 --regid=1001 --groups=1234 mkdir "$tag/000600" "$tag/000600/model")
	is_of 1001:1234 "$STORED/.ckptfs/000600/files"
	is_of 1001:1234 "$STORED/.ckptfs/000600/files/model"
	[[ $(stat -c %a "$tag/000600/model") == 2775 ]]
	setpriv --reuid=1002 --regid=1002 --groups=1234 cp "$STORED/meta_000001.json" "$tag/000600/x"
	is_of 1002:1234 "$STORED/.ckptfs/000600/files/x"
	is_of 1001:1234 "$STORED/.ckptfs/000600/order"
	[[ $(stat -c %a "$STORED/.ckptfs/000600/order") == 664 ]]
	[[ $(stat -c %u:%g:%a "$STORED/.ckptfs") == 65534:1234:2775 ]]
	[[ $(stat -c %u:%g:%a "$STORED/.ckptfs/writers") == 65534:1234:660 ]]
}
