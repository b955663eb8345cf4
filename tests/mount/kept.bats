#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What a program wrote under one of nanochat's own names is never thrown away: it has its name, or stands beside it.

load ../lib/helpers

writable() {
	need_torch
	own_store
	mount_store "$STORE" "$@"
	TAG=$MNT/base/d12 STORED=$STORE/base_checkpoints/d12
}

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
	kept $(find "$BATS_TEST_TMPDIR/made" -type f -size -64k \( -name '*.pt' -o -name '*.json' \))
}

@test "whatever is written, in each way, is in the store as it was written, or beside it: the fuzzers' corpus" {
	kept $(find "$REPO/tests/fuzz/corpus/pt" "$REPO/tests/fuzz/corpus/zip" "$REPO/tests/fuzz/corpus/meta" -type f -size -64k | awk 'NR % 5 == 0')
}
