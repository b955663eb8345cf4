#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A stored file of a store behind a network changes, or the client calls it by another inode number, while somebody reads it: what was begun is read on
# as it was, or it is an error; never bytes of two versions.

load ../lib/helpers
load ../lib/network

# Two models of one size: the same names, other numbers.
setup() {
	need_torch
	STORE=$BATS_TEST_TMPDIR/s
	TAG=base_checkpoints/d12
	mkdir -p "$STORE/$TAG"
	"$PYTHON" - "$BATS_TEST_TMPDIR" "$STORE/$TAG/model_000001.pt" <<-'END'
		import shutil, sys, torch
		for value in (1.0, 2.0):
		    torch.save({"transformer.wte.weight": torch.full((3 << 20,), value)}, "%s/model_%d.pt" % (sys.argv[1], value))
		shutil.copy2(sys.argv[1] + "/model_1.pt", sys.argv[2])
	END
	NEW=$BATS_TEST_TMPDIR/model_2.pt
	[[ $(stat -c %s "$NEW") -eq $(stat -c %s "$STORE/$TAG/model_000001.pt") ]]
	# Not of the second in which it is replaced: some clients have no finer times.
	touch -d '1 hour ago' "$STORE/$TAG/model_000001.pt"
}

# begin FILE - a reader that has something of it; goes_on lets it read what lies before that, for which rclone asks its server again, and says in $line
# what it got: 1.0, 2.0, or an errno.
begin() {
	cat >"$BATS_TEST_TMPDIR/half.py" <<-'END'
		import errno, os, struct, sys
		fd = os.open(sys.argv[1], os.O_RDONLY)
		os.pread(fd, 4096, 10 << 20)
		print("begun", flush=True)
		sys.stdin.readline()
		os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
		try:
		    print(*sorted(set(struct.unpack("<1024f", os.pread(fd, 4096, 2 << 20)))))
		except OSError as e:
		    print(errno.errorcode[e.errno])
	END
	coproc READER { "$PYTHON" "$BATS_TEST_TMPDIR/half.py" "$1" 2>&1 3>&-; }
	exec {from}<&"${READER[0]}" {to}>&"${READER[1]}"
	read -r -t 60 line <&"$from" && [[ $line == begun ]]
}

goes_on() {
	echo >&"$to"
	read -r -t 60 line <&"$from"
	echo "the reader got $line"
	exec {from}<&- {to}>&-
}

# mounts ENGINE
mounts() {
	serve "$1" "$STORE"
	client
	mount_store "$REMOTE"
	STEP=$MNT/base/d12/000001
	cmp "$STORE/$TAG/model_000001.pt" "$BATS_TEST_TMPDIR/model_1.pt"
}

other_time() { [[ $(stat -c %Y "$REMOTE/$TAG/model_000001.pt") -gt $1 ]]; }

@test "rclone: a descriptor follows the file that takes its name, and keeps the old attributes: no new bytes after old ones" {
	mounts rclone-webdav
	begin "$STEP/model.raw/transformer.wte.weight"
	cp "$NEW" "$REMOTE/$TAG/new"
	mv "$REMOTE/$TAG/new" "$REMOTE/$TAG/model_000001.pt"
	goes_on
	[[ $line == 1.0 || $line == EIO || $line == ESTALE ]]
	within 20000 cmp "$STEP/model.pt" "$NEW"
}

@test "sshfs: a file that is replaced through the client is read on as it was" {
	mounts sshfs
	begin "$STEP/model.raw/transformer.wte.weight"
	cp "$NEW" "$REMOTE/$TAG/new"
	mv "$REMOTE/$TAG/new" "$REMOTE/$TAG/model_000001.pt"
	goes_on
	[[ $line == 1.0 ]]
	within 20000 cmp "$STEP/model.pt" "$NEW"
}

@test "sshfs: a file that another machine rewrites in place is an error once the client shows its time" {
	mounts sshfs
	begin "$STEP/model.raw/transformer.wte.weight"
	dd if="$NEW" of="$STORE/$TAG/model_000001.pt" conv=notrunc bs=1M status=none
	within 20000 other_time "$(($(date +%s) - 600))"
	goes_on
	[[ $line == EIO || $line == ESTALE ]]
	within 20000 cmp "$STEP/model.pt" "$NEW"
}

@test "sshfs: the kernel forgets names and inode numbers, and a reader goes on" {
	[[ $EUID -eq 0 ]] || skip "dropping the kernel's caches needs root"
	mounts sshfs
	begin "$STEP/model.raw/transformer.wte.weight"
	echo 3 >/proc/sys/vm/drop_caches
	goes_on
	[[ $line == 1.0 ]]
	# Nobody has it open any more.
	echo 3 >/proc/sys/vm/drop_caches
	cmp "$STEP/model.pt" "$STORE/$TAG/model_000001.pt"
	tensor_is "$STEP/model/transformer.wte.weight.npy"
}

tensor_is() { "$PYTHON" -c 'import sys; data = open(sys.argv[1], "rb").read(); assert data.count(b"\0\0\x80\x3f") >= 3 << 20, len(data)' "$1"; }
