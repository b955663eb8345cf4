# What the tests that preload tests/lib/shims into the daemon need.
# shellcheck shell=bash disable=SC2034,SC2154

# shim NAME - $CKPTFS_SHIM: tests/lib/shims/NAME.c as a shared object, where the build has made it or made here.
shim() {
	export CKPTFS
	export CKPTFS_SHIM=$BUILD/shims/$1.so
	[[ $CKPTFS_SHIM -nt $REPO/tests/lib/shims/$1.c ]] && return
	CKPTFS_SHIM=$BATS_TEST_TMPDIR/$1.so
	"${CC:-cc}" -std=gnu11 -O1 -fPIC -shared -pthread -o "$CKPTFS_SHIM" "$REPO/tests/lib/shims/$1.c"
}

# preload NAME=VALUE... - mounts from here on have $CKPTFS_SHIM preloaded, with these variables.
preload() {
	RUNNER=(env ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "LD_PRELOAD=$CKPTFS_SHIM" "$@")
}

# small_fs DIRECTORY SIZE - a file system of its own there, which the test's end takes away. Needs root, which CI has.
small_fs() {
	[[ $EUID -eq 0 ]] || skip "mounting a tmpfs needs root"
	mkdir -p "$1"
	mount -t tmpfs -o "size=$2" ckptfs-test "$1"
	SMALL_FS+=("$1")
}
SMALL_FS=()

# After helpers' own teardown, the daemons are gone.
drop_small_fs() {
	local dir
	for dir in "${SMALL_FS[@]}"; do
		findmnt -rno TARGET | grep "^$dir/" | sort -r | xargs -r -n1 fusermount3 -uqz || true
		umount "$dir" || umount -l "$dir"
	done
}

# The helpers' teardown, and then the file systems, on which a mount may have stood.
eval "helpers_$(declare -f teardown)"
teardown() {
	local status=0
	helpers_teardown || status=1
	drop_small_fs
	return "$status"
}
