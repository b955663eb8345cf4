#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What torch.load(weights_only=True) opens, opens here with the same values, and the reverse, but for a list of differences, each with its reason.

load ../lib/helpers

RECORD=$FIXTURES/verdicts/torch-2.6.json
LIST=$FIXTURES/verdicts/differences.tsv
PTCAT=${CKPTFS_TOOLS:-$BUILD/tools}/ptcat

# inputs - every input, once per run: fixtures, field files, bad and hostile files, the fuzz corpora.
inputs() {
	(
		flock 9
		[[ -d $BATS_RUN_TMPDIR/verdicts ]] || { rm -rf "$BATS_RUN_TMPDIR/verdicts.new" && oracle verdicts inputs "$BATS_RUN_TMPDIR/verdicts.new" && mv "$BATS_RUN_TMPDIR/verdicts.new" "$BATS_RUN_TMPDIR/verdicts"; }
	) 9>"$BATS_RUN_TMPDIR/verdicts.lock" >&2 || return
	printf '%s\n' "$BATS_RUN_TMPDIR/verdicts"
}

@test "core opens what torch 2.6 opens, with the same values, and refuses what it refuses, but for the listed differences" {
	local dir
	dir=$(inputs)
	oracle verdicts check "$dir" "$PTCAT" "$RECORD" "$LIST"
}

# Elsewhere the record stands for torch.
@test "what torch says is what was recorded, where torch is 2.6 or later" {
	local dir
	dir=$(inputs)
	if "$PYTHON" -c 'import sys, torch; sys.exit(tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6))' 2>/dev/null; then
		oracle verdicts record "$dir" "$BATS_TEST_TMPDIR/now.json"
		oracle verdicts compare "$RECORD" "$BATS_TEST_TMPDIR/now.json" "$LIST"
	fi
}

@test "a difference that isn't listed, one that is gone, and one for a reason that isn't explained fail" {
	local dir=$BATS_TEST_TMPDIR/few name
	mkdir "$dir"
	cd "$BATS_TEST_TMPDIR"
	for name in good cycle no-version; do
		oracle make_case "$name" "$dir/case-$name.pt"
	done
	"$PYTHON" - "$RECORD" <<-'END'
		import json, sys
		record = {n: v for n, v in json.load(open(sys.argv[1])).items() if n in ("case-good", "case-cycle", "case-no-version")}
		json.dump(record, open("true.json", "w"))
		record["case-good"]["tensors"][0] = "float32 [2,3] 00000000"
		json.dump(record, open("values.json", "w"))
	END
	grep -P '^# |^case-cycle\t' "$LIST" >list
	oracle verdicts check "$dir" "$PTCAT" true.json list
	run oracle verdicts check "$dir" "$PTCAT" values.json list
	[[ $status -eq 1 && $output == *case-good*values* ]]
	run oracle verdicts check "$dir" "$PTCAT" true.json <(grep '^# ' list)
	[[ $status -eq 1 && $output == *case-cycle*refuses* ]]
	run oracle verdicts check "$dir" "$PTCAT" true.json <(cat list && printf 'case-no-version\trefuses\tlimit\n')
	[[ $status -eq 1 && $output == *case-no-version* ]]
	run oracle verdicts check "$dir" "$PTCAT" true.json <(cat list && printf 'case-no-version\trefuses\tluck\n')
	[[ $status -eq 1 && $output == *luck* ]]
	run oracle verdicts compare true.json values.json list
	[[ $status -eq 1 && $output == *case-good* ]]
}
