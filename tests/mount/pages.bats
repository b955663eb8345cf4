#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# examples/*.md: each command of each page is run as it stands there, one page in one shell, as a reader would. And README's picture, and
# what README shows of writing, and the man page's examples.

load ../lib/helpers
load ../lib/kitchen

# read_through NAME - runs the page; $output. Nothing is mounted then.
read_through() {
	page "$1"
	# The daemon in the background must not keep the pipe of `run` or bats' own descriptor.
	timeout 120 bash -euo pipefail "$BATS_TEST_TMPDIR/page" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- || { cat "$BATS_TEST_TMPDIR/out"; return 1; }
	output=$(<"$BATS_TEST_TMPDIR/out")
	echo "$output"
	! grep -F "$BATS_TEST_TMPDIR" /proc/self/mountinfo || return 1
}

eval "helpers_$(declare -f teardown)"
teardown() {
	local mnt status=0
	helpers_teardown || status=1
	for mnt in mnt serve shared; do
		! mountpoint -q "$BATS_TEST_TMPDIR/$mnt" || fusermount3 -uz "$BATS_TEST_TMPDIR/$mnt"
	done
	return "$status"
}

@test "every page is run here, and each link of theirs leads somewhere" {
	local file target
	for file in "$REPO"/examples/*.md; do
		grep -q "^	read_through $(basename "$file" .md)\$" "$BATS_TEST_FILENAME" || { echo "nobody runs $file"; return 1; }
		grep -qF "](examples/${file##*/})" "$REPO/README.md" || { echo "README doesn't name $file"; return 1; }
		[[ $(LC_ALL=C.UTF-8 wc -L <"$file") -le 140 ]]
		while read -r target; do
			[[ $target == http* || -e $REPO/examples/$target ]] || { echo "$file: no $target"; return 1; }
		done < <(grep -oE '\]\([^)#]+' "$file" | cut -c3-)
	done
}

@test "a command that fails fails the page, and a block of no language too" {
	REPO=$BATS_TEST_TMPDIR/repo
	mkdir -p "$REPO/examples"
	printf '```sh\ntrue\nfalse\n```\n' >"$REPO/examples/one.md"
	run ! read_through one
	printf '```python\nraise SystemExit(3)\n```\n' >"$REPO/examples/one.md"
	run ! read_through one
	printf '```\ntrue\n```\n' >"$REPO/examples/one.md"
	run ! page one
	printf 'So:\n\n    ls\n' >"$REPO/examples/one.md"
	run ! page one
}

@test "training.md" {
	kitchen none
	# nanochat, as far as its files are concerned: it saves step 2000.
	cat >bin/torchrun <<-'EOF'
		#!/bin/bash
		set -e
		[[ $* == *" -m scripts.base_train -- --depth=12" ]]
		cd "$NANOCHAT_BASE_DIR/base_checkpoints/d12"
		cp model_001000.pt model_002000.pt
		cp optim_001000_rank0.pt optim_002000_rank0.pt
		sed 's/"step": 1000/"step": 2000/' meta_001000.json >meta_002000.json
	EOF
	chmod +x bin/torchrun
	cp "$D12"/optim_00{1000,0500}_rank0.pt
	read_through training
	[[ $output == 500$'\t'*$'\n1000\t'*$'\n2000\t'* && $output == *$'\n002000\n'*model_001500.pt:* && $output == *$'\nadamw\t0.3\n'* ]]
	cmp "$D12/model_001000.pt" "${D12%/*}/d12-again/model_002000.pt"
	cmp "$D12/optim_001000_rank0.pt" "${D12%/*}/d12-again/optim_002000_rank0.pt"
	[[ $(grep -c '^0.* [0-9.]*$' <<<"$output") -ge 3 && ! -e $D12/optim_000500_rank0.pt ]]
}

@test "analysis.md" {
	kitchen none
	read_through analysis
	local mean
	[[ $(grep -c 'effective rank' <<<"$output") -eq 6 && $output == *"float32 "[0-9]* ]]
	[[ $(grep -E '^[^ ]+ 0[.][0-9]+$' <<<"$output" | cut -d' ' -f1 | tr '\n' ' ') == "lm_head.weight transformer.h.1.mlp.c_fc.weight " ]]
	# R says what NumPy does, where there is R.
	if command -v Rscript; then
		mean=$("$PYTHON" - "$D12/model_001000.pt" <<-'EOF'
			import sys, torch
			w = next(v for k, v in torch.load(sys.argv[1]).items() if k.endswith("lm_head.weight")).double()
			print("%d %d %.7g" % (*w.shape, w.mean()))
		EOF
		)
		[[ $output == *$'\n'"$mean"* ]] || { echo "want $mean"; return 1; }
	fi
}

@test "serving.md" {
	kitchen none
	read_through serving
	[[ $output == *"/serve/001000/model.safetensors F32 "* && $output == *$'\nsafe\n'* && $output == *'model.safetensors: OK'* && $output == *'"unusable": 1'* ]]
	[[ $output != *reload* ]]
	# It is the model as CUDA loads it.
	"$PYTHON" "$REPO/examples/read_safetensors.py" release/model.safetensors >got
	[[ $(wc -l <got) -eq 17 && $(stat -c %s release/model.safetensors) -lt $(stat -c %s "$D12/model_001000.pt") ]]
}

@test "admin.md" {
	[[ $EUID -eq 0 ]] || skip "an administrator's page"
	kitchen none
	# mount(8) looks for ckptfs in a PATH of its own.
	printf '#!/bin/sh\nexec "$@"\n' >bin/sudo
	cat >bin/mount <<-'EOF'
		#!/bin/bash
		set -e
		[[ "$1 $2 $3" == "-t fuse.ckptfs -o" && $# -eq 6 ]]
		exec "$(type -ap mount | sed -n 2p)" -t "fuse.$HOME/bin/ckptfs" -o "$4" "$5" "$6"
	EOF
	chmod +x bin/sudo bin/mount
	export STORE=$HOME/.cache/nanochat MNT=$HOME/shared
	read_through admin
	[[ $output == *'0 parse errors, 0 errors, '* && $output == *model_001500.pt:* && $output == *$'\nckptfs_reads_bytes '[0-9]* ]]
	! grep -vE '^ckptfs_[a-z_]+ [0-9]+$' ckptfs.prom || return 1
	[[ $(wc -l <ckptfs.prom) -ge 15 && $(tail -n 1 <<<"$output") == 0 ]]
}

# words FILE - of the picture's text, each once.
words() { sed -n 's/<[^>]*>//g; /^ *[.@}]/d; p' "$1" | tr -s '[:space:]' '\n' | sort -u; }

# drawn NAME COUNT - the picture examples/NAME.svg, of COUNT commands, as drawn now.
drawn() {
	local new=$BATS_TEST_TMPDIR/$1.svg old=$REPO/examples/$1.svg
	TMPDIR=$BATS_TEST_TMPDIR CKPTFS=$CKPTFS timeout 60 "$PYTHON" "$REPO/examples/picture.py" "$1" >"$new" 3>&-
	[[ $(grep -c 'class="prompt">\$<' "$new") -eq $2 ]]
	diff <(grep 'class="command"' "$new" | sed 's/^[^>]*>//') <(grep 'class="command"' "$old" | sed 's/^[^>]*>//')
	# A mount may show more than on the day of the picture.
	[[ -z $(comm -13 <(words "$new") <(words "$old")) ]]
	[[ $(words "$new" | wc -l) -gt 50 ]]
	"$PYTHON" -c 'import sys, xml.dom.minidom as m; [m.parse(f) for f in sys.argv[1:]]' "$new" "$old"
	grep -q 'prefers-color-scheme: dark' "$old"
}

@test "README's pictures are what their commands print: 'make picture' draws them again" {
	local d=$BATS_TEST_TMPDIR
	drawn terminal 9
	drawn check 5
	[[ -z $(find "$d" -mindepth 1 -name 'tmp*') ]]
}

# ---- README on writing ----

@test "README: the first two commands" {
	kitchen none
	ln -s bin/ckptfs ckptfs
	recipe 'And with what `make` built'
	run -0 bash -eu "$BATS_TEST_TMPDIR/recipe" 3>&-
	! grep -F "$BATS_TEST_TMPDIR" /proc/self/mountinfo || return 1
}

# listed TEXT - the commands of the first numbered list behind README's line that begins with TEXT: each item's first `...` that isn't a mere name.
listed() {
	awk -v title="$1" '
		index($0, title) == 1 { on = 1; next }
		on && /^[0-9]+\. / { list = 1; if (match($0, /`[a-z0-9]+ [^`]*`/)) print substr($0, RSTART + 1, RLENGTH - 2); next }
		on && list && /^$/ { exit }' "$REPO/README.md"
}

@test "README: what is to be done for a training, beside it or in place, and for a first look" {
	kitchen none
	mkdir "$HOME/empty"
	# A store with the tag that the lists name.
	cp -r "$D12" "${D12%/*}/d20"
	listed "**Is it safe?" >safe
	listed "nanochat runs on a mount unchanged" >beside
	listed "Or in place" >in_place
	head -n 99 safe beside in_place
	[[ $(wc -l <beside) -eq 4 && $(wc -l <in_place) -eq 3 && $(head -n 1 safe) == *"-o ro"* ]]
	run -0 bash -euo pipefail <(head -n 1 safe; echo 'fusermount3 -u mnt; rmdir mnt') 3>&-
	run -0 bash -euo pipefail beside 3>&-
	[[ $output == 0.10* ]]
	run -0 bash -euo pipefail in_place 3>&-
	[[ $output == *lm_head.weight.npy* ]]
	! grep -F "$BATS_TEST_TMPDIR" /proc/self/mountinfo || return 1
}

@test "README: a whole step is copied with cp, one tensor is edited, rsync brings a step" {
	kitchen
	follow "cp"
	cmp "$D12/model_000500.pt" "${D12%/*}/scratch/model_000500.pt"
	follow "Editing one tensor"
	within 1150 test -e "$D12/model_000600.pt"
	"$PYTHON" - mnt/base/d12/{000500,000600}/model <<-'EOF'
		import numpy as np, os, sys
		a, b = ({n: np.load(os.path.join(d, n)) for n in os.listdir(d)} for d in sys.argv[1:])
		assert a.keys() == b.keys() and all(np.array_equal(a[n] * (0.5 if n == "lm_head.weight.npy" else 1), b[n]) for n in a)
	EOF
	# The other machine is this one.
	mkdir -p run/step/model
	cp --no-preserve=mode mnt/base/d12/000500/model/* run/step/model
	cp --no-preserve=mode mnt/base/d12/000500/meta.json run/step/
	printf '#!/bin/sh\nshift\nexec "$@"\n' >bin/other
	chmod +x bin/other
	RSYNC_RSH=other follow "rsync"
	[[ -e $D12/model_000700.pt ]]
	diff -r mnt/base/d12/000{5,7}00/model
}

@test "README: a step is made with Python, and removed on a mount with delete" {
	kitchen
	recipe "Python"
	{
		echo 'import numpy'
		echo 'tensors = {"a.weight": numpy.arange(6, dtype="f4").reshape(2, 3), "b": numpy.ones(2, "i8")}; meta = {"step": 800}'
		cat "$BATS_TEST_TMPDIR/recipe"
	} | "$PYTHON" -
	within 1150 test -e "$D12/model_000800.pt"
	[[ $("$PYTHON" -c 'import numpy; print(numpy.load("mnt/base/d12/000800/model/a.weight.npy")[1, 2])') == 5.0 ]]
	cp "$D12"/model_00{0800,0700}.pt
	cp "$D12"/meta_00{0800,0700}.json
	refuses "Operation not permitted" rm -f mnt/base/d12/model_000700.pt
	unmount 0
	ckptfs -o delete "$HOME/.cache/nanochat" "$HOME/mnt" 3>&-
	adopt "$HOME/mnt"
	follow "Removing a step"
	[[ ! -e $D12/model_000700.pt && ! -e $D12/meta_000700.json && -e $D12/model_000800.pt ]]
}

# ---- the man page ----

# examples_of_man - the blocks of its section EXAMPLES, as programs example1, example2, ... in the test's directory; how many.
examples_of_man() {
	awk -v to="$BATS_TEST_TMPDIR/example" '
		/^\.Sh/ { in_section = /EXAMPLES/ }
		in_section && /^\.Bd/ { n++; on = 1; next }
		/^\.Ed/ { on = 0 }
		on { gsub(/\\e/, "\\"); gsub(/\\&/, ""); print >(to n) }
		END { print n }' "$REPO/fs/ckptfs.1"
}

@test "the man page's examples" {
	kitchen none
	mkdir mnt
	local n i
	n=$(examples_of_man)
	[[ $n -ge 6 ]]
	# The first mounts, looks and unmounts; the others are of a mount.
	grep -q '^fusermount3 -u mnt$' example1
	run -0 bash -euo pipefail example1 3>&-
	ckptfs "$HOME/.cache/nanochat" "$HOME/mnt" 3>&-
	adopt "$HOME/mnt"
	for ((i = 2; i <= n; i++)); do
		cat "example$i"
		if grep -q /home/ada "example$i"; then
			# A mount by root and the line of /etc/fstab: command.bats has both.
			grep -E '^(mount -t fuse\.ckptfs -o ro,allow_other )?/home/ada/.cache/nanochat /mnt/nanochat|^mount -t' "example$i"
		else
			# diff and grep tell of what they find, or of nothing, by their status.
			bash -uo pipefail "example$i" || [[ $? -eq 1 ]]
		fi
	done >out
	[[ $(<out) == *'Files mnt/base/d12/000500/model.raw/lm_head.weight and mnt/base/d12/001000/model.raw/lm_head.weight differ'* ]]
	within 1150 test -e "$D12/model_000600.pt"
}
