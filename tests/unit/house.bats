#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154,SC2314,SC2317
# The rules that the sources keep, and that those who check them see a breach.

load ../lib/helpers

# planted FILE TEXT - layers.py finds one fault, in $output, once FILE has the line TEXT too.
planted() {
	local copy=$BATS_TEST_TMPDIR/copy
	mkdir "$copy"
	cp -r "$REPO/core" "$REPO/fs" "$copy"
	run --separate-stderr "$PYTHON" "$REPO/tests/lib/layers.py" "$copy"
	[[ $status -eq 0 && -z $output ]] || { echo "$output"; return 1; }
	echo "$2" >>"$copy/$1"
	run --separate-stderr "$PYTHON" "$REPO/tests/lib/layers.py" "$copy"
	[[ $status -eq 1 && ${#lines[@]} -eq 1 ]] || { echo "$status: $output"; return 1; }
}

@test "an include that points up the list of folders" {
	planted core/zip/dir.c '#include "core/tree/store.h"'
	[[ $output == "core/zip/dir.c: includes core/tree/store.h, which stands above it" ]]
}

@test "an include of a driver's header in core" {
	planted core/draft/plan.c '#include "fs/log.h"'
	[[ $output == "core/draft/plan.c: includes fs/log.h, which stands above it" ]]
}

@test "two files that include each other" {
	planted core/base/utf8.h '#include "core/base/error.h"'
	[[ $output == "a circle: core/base/error -> core/base/utf8 -> core/base/error" ]]
}

@test "a circle of three files" {
	planted core/tensor/dtype.c '#include "core/tensor/view.h"'
	[[ $output == "a circle: "*"core/tensor/dtype -> core/tensor/view -> core/tensor/"* ]]
}

@test "a call of a function that stands above, though no include shows it" {
	planted core/zip/dir.c 'int up(const char *p) { uint64_t s; return ck_step_parse(p, &s); }'
	[[ $output == "core/zip/dir.c: calls a function of core/tree/"*".c, which stands above it" ]]
}

@test "a circle of calls, which a header with the functions of several files hides" {
	planted core/draft/dnode.c 'void down(struct ck_drafts *d, struct where *w) { where_put(d, w); }'
	[[ $output == "a circle of calls: "*"core/draft/dnode.c -> "* ]]
}

@test "a folder that is not in the list" {
	planted core/base/buf.c '#include "tests/unit/check.h"'
	[[ $output == "core/base/buf.c: includes"*"which is in no folder of the list" ]]
}

# ---- prose ----

# forbidden TEXT - the lines of TEXT (grep's output) with a form that a reader has to read twice. 'There is no ...' and 'no longer' are plain.
forbidden() {
	sed -E 's/[Tt]here (is|are) (no|none)//g; s/(is|are) no (longer|more)//g' "$@" |
		grep -nE '\b(is|are) (no|none)\b|\b([Ww]hoever|[Mm]eanwhile|anew|but for|of which may be known|hasn.t got)\b'
}

@test "the forms that make a sentence hard to read are in no source" {
	local file status=0
	cd "$REPO"
	local plain=(core/*/*.[ch] fs/*.[ch])
	[[ ${#plain[@]} -gt 150 ]]
	for file in "${plain[@]}"; do
		! forbidden "$file" | sed "s|^|$file:|" | grep . || status=1
	done
	return "$status"
}

@test "each form would be seen" {
	local line
	for line in 'its offset is no int' 'those are none' 'whoever reads' 'Whoever writes' 'and meanwhile' 'built anew' 'all but for one' 'it hasn'\''t got one'; do
		forbidden <<<"/* $line */" || { echo "passed: $line"; return 1; }
	done
	for line in 'NULL when there is none' 'There is no such file' 'the file is no longer there' 'everything but formats'; do
		! forbidden <<<"/* $line */" || return 1
	done
}

@test "each source begins with what it is, and no line is too long" {
	local file status=0
	cd "$REPO"
	local plain=(core/*/*.[ch] fs/*.[ch])
	for file in "${plain[@]}"; do
		[[ $(head -c 2 "$file") == '/*' ]] || { echo "$file begins without a word"; status=1; }
		! expand -t 8 "$file" | grep -nE '^.{121}' | sed "s|^|$file:|" | grep . || status=1
	done
	return "$status"
}

@test "no function is longer than 60 lines, no file longer than 500, and no header has many functions" {
	local file status=0
	cd "$REPO"
	for file in core/*/*.[ch] fs/*.[ch]; do
		[[ $(wc -l <"$file") -le 500 ]] || { echo "$file: too long"; status=1; }
	done
	awk 'FNR == 1 { start = 0 } $0 == "{" { start = FNR } $0 == "}" && start { if (FNR - start > 61) { print FILENAME ":" start ": too long"; bad = 1 } start = 0 } END { exit bad }' \
		core/*/*.c fs/*.c || status=1
	"$PYTHON" - core/*/*.h <<-'EOF' || status=1
		import re, sys
		bad = False
		for name in sys.argv[1:]:
		    text = re.sub(r"/\*.*?\*/", "", open(name).read(), flags=re.DOTALL)
		    count = len(re.findall(r"^(?!typedef|#|static|\s)[a-z][^;{}=]*\([^;{}]*\)[^;{}]*;", text, re.MULTILINE))
		    # real.h has a namesake for each system call on a path.
		    if count > 14 and name != "core/file/real.h":
		        print(f"{name}: {count} functions")
		        bad = True
		sys.exit(bad)
	EOF
	return "$status"
}

@test "README has no line over 140 characters, and its tour names each folder" {
	local folder
	cd "$REPO"
	! LC_ALL=C.UTF-8 grep -nE '^.{141}' README.md || return 1
	for folder in core/*/ fs/; do
		grep -qF "](${folder%/})" README.md || { echo "README lacks $folder"; return 1; }
	done
}

# ---- the tests themselves ----

@test "no test names a path of its own outside the test's directory, or measures how long something took" {
	cd "$REPO"
	# Of /tmp only a directory made by mkdtemp; of the clock only how long a test goes on.
	! grep -rnE '(^|[^]$A-Za-z0-9_}.])/tmp/' tests --include=*.{bats,py,bash,sh,c,h} | grep -vE 'XXXXXX|house\.bats' || return 1
	! grep -rnE 'now_ms\) ?- ?\$?(start|before)|monotonic\(\) - (start|before)' tests/mount tests/unit/*.bats tests/oracle | grep -v 'house\.bats' || return 1
}

@test "CKPTFS_BUILD may be absolute, or below the repository" {
	local build
	for build in /some/where build-address-undefined ''; do
		# shellcheck disable=SC2016
		run env BATS_TEST_DIRNAME="$BATS_TEST_DIRNAME" CKPTFS_BUILD="$build" bash -c 'bats_require_minimum_version() { :; }; . "$0"; echo "$BUILD"' "$REPO/tests/lib/helpers.bash"
		case $build in
		/*) [[ $output == "$build" ]] ;;
		*) [[ $output == "$REPO/${build:-build}" ]] ;;
		esac || { echo "$output"; return 1; }
	done
}
