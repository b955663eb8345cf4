# Where a reader of the documents stands, and their commands as programs: for the tests that run what README and examples/*.md show.
# shellcheck shell=bash disable=SC2034,SC2154

# kitchen [none] - ckptfs and python3 in PATH, examples, ~/.cache/nanochat with d12, whose step 1500 is cut; with a mount of it on mnt, in
# which step 2000 is a draft that has metadata, unless NONE.
kitchen() {
	local home=$BATS_TEST_TMPDIR
	mkdir -p "$home/bin" "$home/.cache/nanochat"
	cp "$CKPTFS" "$home/bin/ckptfs"
	ln -s "$PYTHON" "$home/bin/python3"
	cp -r "$REPO/examples/store/base_checkpoints" "$home/.cache/nanochat/"
	mv "$home/.cache/nanochat/base_checkpoints/d2" "$home/.cache/nanochat/base_checkpoints/d12"
	D12=$home/.cache/nanochat/base_checkpoints/d12
	cp "$D12/meta_001000.json" "$D12/meta_001500.json"
	head -c 3000 "$D12/model_001000.pt" >"$D12/model_001500.pt"
	export PATH=$home/bin:$PATH HOME=$home
	cd "$home" || return
	ln -s "$REPO/examples" examples
	[[ ${1:-} != none ]] || return 0
	mkdir mnt
	ckptfs "$home/.cache/nanochat" "$home/mnt" 3>&-
	adopt "$home/mnt"
	mkdir -p mnt/base/d12/002000/model
	sed 's/"step": 1000/"step": 2000/' "$D12/meta_001000.json" >mnt/base/d12/002000/meta.json
}

# recipe TITLE - what the README's paragraph **TITLE**, or the one that begins with TITLE, shows: its indented lines, or its block of code.
recipe() {
	awk -v title="$1" '
		on && /^(\*\*|#)/ { exit }
		index($0, "**" title) == 1 || index($0, title) == 1 { on = 1; next }
		!on { next }
		/^```/ { if (fence) exit; fence = 1; next }
		fence { print; next }
		sub(/^    /, "") { print }' "$REPO/README.md" >"$BATS_TEST_TMPDIR/recipe"
	[[ -s $BATS_TEST_TMPDIR/recipe ]] || { echo "the README has no recipe **$1" >&2; return 1; }
}

# follow TITLE - runs the recipe with bash, or Python; $output.
follow() {
	recipe "$1"
	if grep -q '^import\|^from' "$BATS_TEST_TMPDIR/recipe"; then
		run -0 "$PYTHON" - <"$BATS_TEST_TMPDIR/recipe"
	else
		run -0 bash -euo pipefail "$BATS_TEST_TMPDIR/recipe"
	fi
}

# page NAME - all blocks of examples/NAME.md as one program for bash, $BATS_TEST_TMPDIR/page: those of other languages are handed to theirs, and R's
# and Julia's are passed over where there is none. A block of an unknown kind is an error.
page() {
	awk '
		!on && /^```/ {
			on = substr($0, 4)
			if (on == "sh") { }
			else if (on == "python") print "python3 - <<\"END OF BLOCK\""
			else if (on == "r") print "if command -v Rscript >/dev/null; then Rscript - <<\"END OF BLOCK\""
			else if (on == "julia") print "if command -v julia >/dev/null; then julia - <<\"END OF BLOCK\""
			else { print FILENAME ":" FNR ": a block of " on >"/dev/stderr"; exit 1 }
			next
		}
		on && /^```$/ { if (on != "sh") print "END OF BLOCK"; if (on == "r" || on == "julia") print "fi"; on = ""; next }
		on { print }
		!on && /^    |^\t/ { print FILENAME ":" FNR ": an indented line is run by nobody" >"/dev/stderr"; exit 1 }
	' "$REPO/examples/$1.md" >"$BATS_TEST_TMPDIR/page"
}
