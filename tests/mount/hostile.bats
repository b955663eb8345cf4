#!/usr/bin/env bats
# shellcheck disable=SC2153,SC2154
# Checkpoints made to attack their reader: each is refused by name or shown, within two seconds of the processor and 144 MiB, and nothing else is touched.

load ../lib/helpers

# hostile PART... - mounts a store made of these parts of make_hostile.py, and judges each of its steps.
hostile() {
	python3 "$REPO/tests/gen/make_hostile.py" "$BATS_TEST_TMPDIR/made" tensors "$@"
	judge
}

judge() {
	python3 "$REPO/tests/oracle/check_hostile.py" store "$BATS_TEST_TMPDIR/made" "$BATS_TEST_TMPDIR/s"
	mount_store "$BATS_TEST_TMPDIR/s"
	! sanitized || export HOSTILE_NO_LIMITS=1
	timeout 300 python3 "$REPO/tests/oracle/check_hostile.py" check "$BATS_TEST_TMPDIR/made" "$MNT" "$DAEMON"
	[[ ! -e $CKPTFS_CANARY ]]
	kill -0 "$DAEMON"
}

@test "tensors outside of their storage, or of what numbers can say" { hostile; }
@test "every opcode without the stack, mark, memo or argument that it needs" { hostile opcodes; }
@test "opcodes on what they are not for" { hostile targets; }
@test "foreign globals, in every way to spell and to call them" { hostile foreign; }
@test "globals that look like a checkpoint's" { hostile disguised; }
@test "nesting without end, and containers that hold themselves" { hostile depth; }
@test "a little that stands for very much" { hostile bombs; }
@test "lengths that are not there, numbers without end" { hostile lengths; }
@test "keys that collide" { hostile floods; }
@test "keys that are hostile as file names" { hostile names; }
@test "metadata that is too deep, too large, too long" { hostile metas; }
@test "as much as the limits let through, of what takes most memory" { hostile memory; }

@test "many of the worst at the same time: four are opened, the others wait" {
	local i most tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d1
	python3 "$REPO/tests/gen/make_hostile.py" "$BATS_TEST_TMPDIR/made" memory
	mkdir -p "$tag"
	for i in {10..33}; do ln "$BATS_TEST_TMPDIR/made/much-lists-of-one.pt" "$tag/model_0000$i.pt"; done
	mount_store "$BATS_TEST_TMPDIR/s"
	printf '%s\n' {10..33} | xargs -P 24 -I {} ls "$MNT/base/d1/0000{}" >"$BATS_TEST_TMPDIR/listed"
	[[ $(grep -c 'model[.]pt' "$BATS_TEST_TMPDIR/listed") -eq 24 ]]
	most=$(awk '/^VmHWM:/ { print $2 }' "/proc/$DAEMON/status")
	echo "# at most $((most / 1024)) MiB" >&3
	sanitized || [[ $most -lt $((4 * 144 * 1024)) ]]
}

# A lie in a local header is found when the entry is read, not when the file is opened: shown or refused, if refused then for what it is.
@test "zips that lie" {
	local made=$BATS_TEST_TMPDIR/made
	python3 "$REPO/tests/gen/make_hostile.py" "$made" tensors
	python3 "$REPO/tests/gen/make_zips.py" "$made/zips"
	mv "$made/zips/"*.pt "$made"
	awk -F'\t' -v OFS='\t' '$2 != "ok" { print $1, "any", $2 } $2 == "ok" && $3 == "torch" { print $1, "ok" }
		$2 == "ok" && $3 ~ /^zip$/ { print $1, "error", "expected a record `version`" }' "$made/zips/expect.tsv" >"$made/expect.tsv"
	judge
}
