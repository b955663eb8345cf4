#!/usr/bin/env bats
# shellcheck disable=SC2046,SC2119,SC2120,SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# CKPTFS_KEPT=each: also the many files of the last two under each name in each way, which takes long.
# What a program wrote under one of nanochat's own names is never thrown away: it has its name, or stands beside it.

load ../lib/helpers
load ../lib/steps

# kept FILE... - the property, in a tag of its own.
kept() {
	writable
	mkdir "$MNT/base/kept"
	oracle kept "$MNT/base/kept" "$STORE/base_checkpoints/kept" "$@"
	within 2000 test -z "$(find "$STORE/base_checkpoints/kept/.ckptfs/staged" -type f)"
}

@test "whatever is written, in each way, is in the store as it was written, or beside it: fixtures and field files" {
	kept $(find "$FIXTURES" -name '*.pt' -o -name 'meta_*.json' -size -100k)
}

@test "whatever is written, in each way, is in the store as it was written, or beside it: hostile files" {
	python3 "$GEN/make_hostile.py" "$BATS_TEST_TMPDIR/made"
	CKPTFS_KEPT=${CKPTFS_KEPT:-turns} kept $(find "$BATS_TEST_TMPDIR/made" -type f -size -64k \( -name '*.pt' -o -name '*.json' \))
}

@test "whatever is written, in each way, is in the store as it was written, or beside it: the fuzzers' corpus" {
	CKPTFS_KEPT=${CKPTFS_KEPT:-turns} kept $(find "$REPO/tests/fuzz/corpus/pt" "$REPO/tests/fuzz/corpus/zip" "$REPO/tests/fuzz/corpus/meta" -type f -size -64k | awk 'NR % 5 == 0')
}

# save_as NAME FILE - writes FILE to NAME and prints close's errno.
save_as() { "$PYTHON" -c 'import os, sys
fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.write(fd, open(sys.argv[1], "rb").read())
try:
    os.close(fd)
except OSError as e:
    print(e.errno)' "$2" "$1"; }

@test "NAME.rejected: listed, readable, removable, the last one kept, says why, and goes when NAME is written whole" {
	writable
	head -c 1000 "$STORED/model_000500.pt" >"$BATS_TEST_TMPDIR/a"
	head -c 2000 "$STORED/model_000500.pt" >"$BATS_TEST_TMPDIR/b"
	cp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/before"
	[[ $(save_as "$TAG/model_000500.pt" "$BATS_TEST_TMPDIR/a") == 22 ]]
	cmp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/before"
	names "$TAG" | grep -qx model_000500.pt.rejected
	cmp "$TAG/model_000500.pt.rejected" "$BATS_TEST_TMPDIR/a"
	cmp "$STORED/model_000500.pt.rejected" "$BATS_TEST_TMPDIR/a"
	[[ $(getfattr --only-values -n user.ckptfs.error "$TAG/model_000500.pt.rejected") == *"no end of central directory"* ]]
	grep -q 'model_000500\.pt: .*no end of central directory.*kept as model_000500\.pt\.rejected' "$LOG"
	save_as "$TAG/model_000500.pt" "$BATS_TEST_TMPDIR/b"
	cmp "$TAG/model_000500.pt.rejected" "$BATS_TEST_TMPDIR/b"
	rm "$TAG/model_000500.pt.rejected"
	[[ ! -e $STORED/model_000500.pt.rejected ]]
	save_as "$TAG/model_000500.pt" "$BATS_TEST_TMPDIR/b"
	[[ -e $STORED/model_000500.pt.rejected ]]
	[[ -z $(save_as "$TAG/model_000500.pt" "$STORED/model_001000.pt") ]]
	cmp "$STORED/model_000500.pt" "$STORED/model_001000.pt"
	[[ ! -e $STORED/model_000500.pt.rejected ]]
}

@test "a model under a shard's name, and the reverse: beside it, the old file in its place, latest as it was" {
	writable
	cp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/model"
	cp "$STORED/optim_000500_rank0.pt" "$BATS_TEST_TMPDIR/optim"
	[[ $(save_as "$TAG/model_000500.pt" "$BATS_TEST_TMPDIR/optim") == 22 ]]
	[[ $(save_as "$TAG/optim_000500_rank0.pt" "$BATS_TEST_TMPDIR/model") == 22 ]]
	[[ $(save_as "$TAG/model_002000.pt" "$BATS_TEST_TMPDIR/optim") == 22 ]]
	cmp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/model"
	cmp "$STORED/optim_000500_rank0.pt" "$BATS_TEST_TMPDIR/optim"
	[[ ! -e $STORED/model_002000.pt && $(readlink "$TAG/latest") == 001000 ]]
	[[ $(getfattr --only-values -n user.ckptfs.error "$TAG/model_002000.pt.rejected") == *"expected a model, found an optimizer's state"* ]]
	cmp "$TAG/model_002000.pt.rejected" "$BATS_TEST_TMPDIR/optim"
}

@test "each close judges the bytes as they are then; a file found unfit is judged again" {
	writable
	"$PYTHON" - "$TAG/model_000600.pt" "$STORED" <<-'END'
		import os, sys
		path, stored = sys.argv[1:]
		data = open(stored + "/model_000500.pt", "rb").read()
		fd = os.open(path, os.O_WRONLY | os.O_CREAT)
		def close_one():
		    try:
		        os.close(os.dup(fd))
		    except OSError as e:
		        return e.errno
		    return 0
		os.write(fd, data[:5000])
		assert close_one() == 22
		assert open(stored + "/model_000600.pt.rejected", "rb").read() == data[:5000]
		assert close_one() == 22
		os.write(fd, data[5000:])
		assert close_one() == 0
		assert open(stored + "/model_000600.pt", "rb").read() == data
		assert not os.path.exists(stored + "/model_000600.pt.rejected")
		os.close(fd)
	END
}
