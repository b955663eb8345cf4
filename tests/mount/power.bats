#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A power loss at any moment of a publication or of a native save. The model, after ALICE, is in tests/oracle/power.py.

load ../lib/helpers
load ../lib/shims

@test "what the disk may hold after a power loss: each step complete, and loaded by torch, or absent" {
	need_torch
	shim faults
	run oracle power "$BATS_TEST_TMPDIR/power" "${CKPTFS_SEED:-1}" "${CKPTFS_SAMPLES:-3}"
	[[ $status -eq 0 ]] || { echo "$output"; return 1; }
	printf '# %s\n' "${lines[@]}" >&3
	[[ ${lines[-1]% disks} -ge 500 ]]
}
