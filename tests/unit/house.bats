#!/usr/bin/env bats
# shellcheck disable=SC2153,SC2154
# The rules that the sources keep, and that those who check them see a breach.

load ../lib/helpers

# planted FILE INCLUDE - layers.py finds one fault, in $output, once FILE includes INCLUDE too.
planted() {
	local copy=$BATS_TEST_TMPDIR/copy
	mkdir "$copy"
	cp -r "$REPO/core" "$REPO/fs" "$copy"
	run --separate-stderr "$PYTHON" "$REPO/tests/lib/layers.py" "$copy"
	[[ $status -eq 0 && -z $output ]] || { echo "$output"; return 1; }
	echo "#include \"$2\"" >>"$copy/$1"
	run --separate-stderr "$PYTHON" "$REPO/tests/lib/layers.py" "$copy"
	[[ $status -eq 1 && ${#lines[@]} -eq 1 ]] || { echo "$status: $output"; return 1; }
}

@test "an include that points up the list of folders" {
	planted core/zip/dir.c core/tree/store.h
	[[ $output == "core/zip/dir.c: includes core/tree/store.h, which stands above it" ]]
}

@test "an include of a driver's header in core" {
	planted core/draft/plan.c fs/log.h
	[[ $output == "core/draft/plan.c: includes fs/log.h, which stands above it" ]]
}

@test "two files that include each other" {
	planted core/base/utf8.h core/base/error.h
	[[ $output == "a circle: core/base/error -> core/base/utf8 -> core/base/error" ]]
}

@test "a circle of three files" {
	planted core/tensor/dtype.c core/tensor/view.h
	[[ $output == "a circle: "*"core/tensor/dtype -> core/tensor/view -> core/tensor/"* ]]
}

@test "a folder that is not in the list" {
	planted core/base/buf.c tests/unit/check.h
	[[ $output == "core/base/buf.c: includes"*"which is in no folder of the list" ]]
}
