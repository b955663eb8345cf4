#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# The core library without a mount: its unit tests, and its parsers against Python's.

load ../lib/helpers

setup() {
	cd "$REPO" || return
	CKPTFS_TOOLS=${CKPTFS_TOOLS:-$BUILD/tools}
	export CKPTFS_TOOLS
}

# unit NAME - runs one program of tests/unit.
unit() {
	local program=$BUILD/tests/test_$1
	[[ -x $program ]] || { echo "no $program: make builds it"; return 1; }
	run "$program"
	[[ $status -eq 0 && $output != *FAIL* ]] || { echo "status $status: $output"; return 1; }
}

@test "unit: archive" { unit archive; }
@test "unit: base" { unit base; }
@test "unit: convert" { unit convert; }
@test "unit: dtype" { unit dtype; }
@test "unit: intent" { unit intent; }
@test "unit: json" { unit json; }
@test "unit: keyname" { unit keyname; }
@test "unit: lock" { unit lock; }
@test "unit: npy" { unit npy; }
@test "unit: order" { unit order; }
@test "unit: outline" { unit outline; }
@test "unit: pickle" { unit pickle; }
@test "unit: pickle_limits" { unit pickle_limits; }
@test "unit: pickle_write" { unit pickle_write; }
@test "unit: safetensors" { unit safetensors; }
@test "unit: scratch" { unit scratch; }
@test "unit: serializer" { unit serializer; }
@test "unit: store" { unit store; }
@test "unit: view" { unit view; }

@test "unit: every other program of tests/unit" {
	local source name
	for source in tests/unit/test_*.c; do
		name=${source##*/test_}
		grep -q "@test \"unit: ${name%.c}\"" tests/unit/core.bats || unit "${name%.c}"
	done
}

@test "json as Python's json reads and writes it" {
	"$PYTHON" tests/oracle/json_oracle.py "$CKPTFS_TOOLS/jsoncat"
}

@test ".npy headers as NumPy reads and writes them" {
	"$PYTHON" tests/oracle/npy_oracle.py "$CKPTFS_TOOLS/npyhead"
}

@test "pickles as Python's pickle reads and writes them" {
	"$PYTHON" tests/oracle/pickle_oracle.py "$CKPTFS_TOOLS/pickledump"
}

@test "safetensors as the format's description has them" {
	"$PYTHON" tests/oracle/safetensors_oracle.py "$CKPTFS_TOOLS/stcat"
}

@test "zips, good and hostile, as Python's zipfile sees them" {
	mkdir "$BATS_TEST_TMPDIR/zips"
	"$PYTHON" tests/gen/make_zips.py "$BATS_TEST_TMPDIR/zips"
	! sanitized || export ZIPS_NO_LIMITS=1
	"$PYTHON" tests/oracle/check_zips.py "$CKPTFS_TOOLS/zipls" "$BATS_TEST_TMPDIR/zips"
}
