#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# The programs of examples/, each run as a reader of the README would, and the documents where a program can check them.

load ../lib/helpers
load ../lib/kitchen

setup() {
	EXAMPLES=$REPO/examples
	BUILT=$BUILD/examples
	STORE=$EXAMPLES/store
	D2=$STORE/base_checkpoints/d2
}

# column N FILE - the Nth column of a table.
column() { awk -v n="$1" '{ print $n }' "$2"; }

# demo_ended_well DIR - nothing is mounted below DIR and nothing is left in it.
demo_ended_well() {
	! grep -qF "$1" /proc/self/mountinfo || { grep -F "$1" /proc/self/mountinfo; return 1; }
	[[ -z $(names "$1") ]] || { ls -la "$1"; return 1; }
}

@test "demo.sh shows the tree, reads the tensors and leaves nothing behind" {
	mkdir "$BATS_TEST_TMPDIR/t"
	TMPDIR=$BATS_TEST_TMPDIR/t CKPTFS=$CKPTFS run timeout 60 "$EXAMPLES/demo.sh" 3>&-
	echo "$output"
	[[ $status -eq 0 ]]
	[[ $output == *"latest -> 001000"* && $output == *"largest -> d2"* && $output == *"lm_head.weight "*float32*64x16* ]]
	# README's tree is this one. A mount may show more by now.
	[[ $(sed -n '/^mnt$/,/^└── rl/p' "$REPO/README.md" | wc -l) -gt 30 ]]
	comm -23 <(sed -n '/^mnt$/,/^└── rl/s/[│├└─]//gp' "$REPO/README.md" | sort) <(sort <<<"${output//[│├└─]/}") >"$BATS_TEST_TMPDIR/more"
	[[ ! -s $BATS_TEST_TMPDIR/more ]] || { cat "$BATS_TEST_TMPDIR/more"; return 1; }
	[[ $output == *"model_001500.pt: "* && $output == *"... 14 more"* && $output == *"resid_lambdas "*"mean +1.000000"* ]]
	demo_ended_well "$BATS_TEST_TMPDIR/t"
}

@test "demo.sh unmounts also when it fails or is stopped" {
	mkdir "$BATS_TEST_TMPDIR/t"
	# An interpreter that imports NumPy, and then fails; one that then waits.
	printf '#!/bin/sh\n[ "$1" = -c ] || exit 7\n' >"$BATS_TEST_TMPDIR/fails"
	printf '#!/bin/sh\n[ "$1" = -c ] || { touch "%s/waiting"; sleep 2; }\n' "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/waits"
	chmod +x "$BATS_TEST_TMPDIR"/{fails,waits}
	export TMPDIR=$BATS_TEST_TMPDIR/t CKPTFS
	PYTHON=$BATS_TEST_TMPDIR/fails run timeout 60 "$EXAMPLES/demo.sh" 3>&-
	[[ $status -eq 7 ]]
	demo_ended_well "$TMPDIR"
	PYTHON=$BATS_TEST_TMPDIR/waits "$EXAMPLES/demo.sh" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	within 20000 test -e "$BATS_TEST_TMPDIR/waiting"
	kill -TERM $!
	wait $! || [[ $? -eq 143 ]]
	demo_ended_well "$TMPDIR"
}

@test "demo.sh as an unprivileged user" {
	[[ $EUID -eq 0 ]] || skip "the demo's own test is this one, for a user"
	local d=$BATS_TEST_TMPDIR
	chmod o+x "$BATS_RUN_TMPDIR" "$d"
	mkdir -m 777 "$d/t"
	cp -r "$EXAMPLES" "$d/examples"
	cp "$CKPTFS" "$d/ckptfs"
	mknod "$d/fuse" c 10 229
	chmod 666 "$d/fuse"
	# In a mount namespace of its own, where /dev/fuse has the mode that distributions give it.
	run timeout 60 unshare -m bash -euc '
		mount --bind "$1/fuse" /dev/fuse
		exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/ TMPDIR="$1/t" CKPTFS="$1/ckptfs" "$1/examples/demo.sh"
	' _ "$d" 3>&-
	echo "$output"
	[[ $status -eq 0 && $output == *"latest -> 001000"* ]]
	demo_ended_well "$d/t"
}

@test "demo.sh says what is missing" {
	CKPTFS=/nowhere/ckptfs run "$EXAMPLES/demo.sh"
	[[ $status -eq 1 && $output == *"no program at"*"run make"* ]]
}

@test "mmap_tensor gives NumPy's mean, on every device" {
	local device key want got n=0
	for device in cpu cuda; do
		mount_store "$STORE" -o device="$device"
		for key in lm_head.weight transformer.wte.weight resid_lambdas transformer.h.1.mlp.c_proj.weight; do
			want=$("$PYTHON" - "$MNT/base/d2/latest/model.raw/$key" "$device" <<-'EOF'
				import sys, numpy as np
				data = open(sys.argv[1], "rb").read()
				half = sys.argv[2] == "cuda" and "wte" in sys.argv[1]
				a = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4") if half else np.frombuffer(data, "<f4")
				print(a.size, "%.7g" % a.mean(dtype="f8"))
			EOF
			)
			got=$("$BUILT/mmap_tensor" "$MNT/base/d2/latest/model/$key.npy" | sed 's/.*) *//')
			"$PYTHON" - "$want" "$got" <<-'EOF'
				import sys
				want, got = sys.argv[1].split(), sys.argv[2].split()
				assert want[0] == got[0] and got[1] == "elements", (want, got)
				assert abs(float(want[1]) - float(got[3])) <= 1e-6 * max(1e-3, abs(float(want[1]))), (want, got)
			EOF
			n=$((n + 1))
		done
	done
	[[ $n -eq 8 ]]
	refuses 'no .npy file' "$BUILT/mmap_tensor" "$MNT/base/d2/latest/meta.json"
	refuses 'No such file' "$BUILT/mmap_tensor" "$MNT/nothing"
}

@test "mmap_tensor needs nothing but libc" {
	cc -std=gnu11 -D_GNU_SOURCE -Wall -Werror -o "$BATS_TEST_TMPDIR/mmap_tensor" "$EXAMPLES/mmap_tensor.c"
	"$PYTHON" -c 'import numpy, sys; numpy.save(sys.argv[1], numpy.arange(10, dtype="i8").reshape(2, 5))' "$BATS_TEST_TMPDIR/a.npy"
	[[ $("$BATS_TEST_TMPDIR/mmap_tensor" "$BATS_TEST_TMPDIR/a.npy") == "'<i8'  shape (2, 5)  10 elements  mean 4.5" ]]
}

@test "list_pt, which links core alone, lists what torch saved" {
	local want
	want=$(jq -r '.["cuda/000002/model"][] | "\(.key) \(.dtype) [\(.shape | map(tostring) | join(","))]"' "$FIXTURES/torch-2.6/expected.json")
	[[ $want == *float8_e4m3fn* ]]
	"$BUILT/list_pt" "$FIXTURES/torch-2.6/base_checkpoints/d1/model_000002.pt" >"$BATS_TEST_TMPDIR/got"
	[[ $(sed '$d' "$BATS_TEST_TMPDIR/got" | tr -s ' ') == "$want" ]]
	[[ $(tail -n 1 "$BATS_TEST_TMPDIR/got") == "$(wc -l <<<"$want") tensors, "* ]]
	[[ $(ldd "$BUILT/list_pt") != *libfuse* ]]
	refuses 'central directory' "$BUILT/list_pt" "$D2/meta_000500.json" || refuses 'meta_000500.json' "$BUILT/list_pt" "$D2/meta_000500.json"
	refuses 'No such file' "$BUILT/list_pt" "$BATS_TEST_TMPDIR/nothing.pt"
}

@test "read_numpy.py lists every tensor in the checkpoint's order" {
	local device
	for device in cpu cuda; do
		mount_store "$STORE" -o device="$device"
		"$PYTHON" "$EXAMPLES/read_numpy.py" "$MNT/base/d2/latest" >"$BATS_TEST_TMPDIR/$device"
	done
	cmp "$BATS_TEST_TMPDIR/cpu" "$BATS_TEST_TMPDIR/cuda"
	[[ $(column 1 "$BATS_TEST_TMPDIR/cpu" | head -n 2 | tr '\n' ' ') == "transformer.wte.weight transformer.h.0.attn.c_q.weight " ]]
	[[ $(column 1 "$BATS_TEST_TMPDIR/cpu" | tail -n 3 | tr '\n' ' ') == "value_embeds.1.weight resid_lambdas x0_lambdas " ]]
	[[ $(wc -l <"$BATS_TEST_TMPDIR/cpu") -eq 17 ]]
	[[ $(tail -n 2 "$BATS_TEST_TMPDIR/cpu" | column 5 /dev/stdin | tr '\n' ' ') == "+1.000000 +0.000000 " ]]
}

@test "read_safetensors.py finds the same tensors as NumPy does in model/" {
	mount_store "$STORE"
	local step=$MNT/base/d2/latest
	"$PYTHON" "$EXAMPLES/read_safetensors.py" "$step/model.safetensors" >"$BATS_TEST_TMPDIR/got"
	"$PYTHON" - "$step/model" >"$BATS_TEST_TMPDIR/want" <<-'EOF'
		import os, sys, numpy as np
		for name in sorted(os.listdir(sys.argv[1])):
		    a = np.load(os.path.join(sys.argv[1], name))
		    print(name[:-4], a.dtype, "x".join(map(str, a.shape)), "norm %.6f" % np.linalg.norm(a.astype("f8").ravel()))
	EOF
	[[ $(tr -s ' ' <"$BATS_TEST_TMPDIR/got") == "$(<"$BATS_TEST_TMPDIR/want")" ]]
	[[ $("$PYTHON" "$EXAMPLES/read_safetensors.py" "$step/model.safetensors" resid_lambdas) == "[1. 1.]" ]]
}

@test "tour.sh names exactly the tensors that changed" {
	mount_store "$STORE"
	run "$EXAMPLES/tour.sh" "$MNT"
	echo "$output"
	[[ $status -eq 0 ]]
	[[ $(grep ' changed$' <<<"$output" | grep -v '^\$' | sort | tr '\n' ' ') == "lm_head.weight changed transformer.h.1.mlp.c_fc.weight changed " ]]
	[[ $output == *'user.ckptfs.dtype="float32"'* && $output == *'"betas":{"$tuple":[0.8,0.95]}'* && $output == *'with the steps 000500 001000'* ]]
	[[ $output == *"$(printf '500\t1.2075')"* ]]
	refuses usage "$EXAMPLES/tour.sh" "$BATS_TEST_TMPDIR"
}

@test "make_store.py writes the store that is committed" {
	need_torch
	"$PYTHON" "$EXAMPLES/make_store.py" "$BATS_TEST_TMPDIR/s"
	local file
	for file in "$D2"/*.json; do
		cmp "$file" "$BATS_TEST_TMPDIR/s/base_checkpoints/d2/${file##*/}"
	done
	"$PYTHON" - "$D2" "$BATS_TEST_TMPDIR/s/base_checkpoints/d2" <<-'EOF'
		import sys, torch
		for step in "000500", "001000":
		    a, b = (torch.load("%s/model_%s.pt" % (d, step)) for d in sys.argv[1:])
		    # The last digits of randn are another torch's own.
		    assert list(a) == list(b) and all(a[k].dtype == b[k].dtype and torch.allclose(a[k], b[k], rtol=0.01) for k in a)
	EOF
}

@test "the man page is clean, and names every option that --help does" {
	local word
	mandoc -Tlint -W warning "$REPO/fs/ckptfs.1"
	mandoc -Tutf8 "$REPO/fs/ckptfs.1" | col -b >"$BATS_TEST_TMPDIR/man"
	for word in $("$CKPTFS" --help | sed -nE 's/^  (-[a-zA-Z])[, ].*/\1/p; s/^  -o ([a-z_]+)[=, ].*/\1/p'); do
		grep -qF -- "$word" "$BATS_TEST_TMPDIR/man" || { echo "not in the man page: $word"; return 1; }
	done
}

@test "the README's links lead somewhere" {
	local target
	grep -oE '\]\([^)#]+' "$REPO/README.md" | cut -c3- | grep -v '^http' >"$BATS_TEST_TMPDIR/links"
	[[ -s $BATS_TEST_TMPDIR/links ]]
	while read -r target; do
		[[ -e $REPO/$target ]] || { echo "no $target"; return 1; }
	done <"$BATS_TEST_TMPDIR/links"
}

# bound HEADER EXPRESSION - its value, in the C headers.
bound() {
	local header
	header=$(find "$REPO/core" -name "$1.h")
	printf '#include <stdio.h>\n#include "%s"\nint main(void) { printf("%%llu\\n", (unsigned long long)(%s)); }\n' "$header" "$2" |
		cc -D_GNU_SOURCE -I"$REPO" -x c -o "$BATS_TEST_TMPDIR/bound" - && "$BATS_TEST_TMPDIR/bound"
}

@test "the limits in README and man page are those of the headers" {
	local header name text
	while read -r header name text; do
		[[ $text == "$(bound "$header" "$name" | sed ':a; s/\B[0-9]\{3\}\>/,&/; ta')" ]] || { echo "$name: $text, $(bound "$header" "$name")"; return 1; }
	done <<-'EOF'
		checkpoint CK_MAX_TENSORS 262,144
		archive CK_ARCHIVE_MAX_ENTRIES 131,072
		archive (CK_OPEN_BYTES>>20) 128
		archive (CK_ARCHIVE_MAX_INFLATED>>30) 64
		pickle (CK_PICKLE_MAX_BYTES>>20) 32
		pickle CK_PICKLE_MAX_DEPTH 100
		tensor CK_MAX_DIMS 64
		meta (CK_META_MAX_BYTES>>20) 4
		json CK_JSON_MAX_DEPTH 400
		outline (CK_OUTLINE_MAX_BYTES>>20) 24
		safetensors (CK_SAFETENSORS_MAX_HEADER>>20) 32
		keyname CK_NAME_MAX 255
	EOF
	for text in 262,144 131,072 '64 GiB' '32 MiB' '100 levels' '64 dimensions' '4 MiB' '400 levels' '24 MiB' '128 MiB' '255 bytes'; do
		grep -qF "$text" "$REPO/README.md" || { echo "README lacks $text"; return 1; }
		tr '\n' ' ' <"$REPO/fs/ckptfs.1" | grep -qF "$text" || { echo "man page lacks $text"; return 1; }
	done
}

@test "README: the recipes for reading" {
	kitchen
	follow "NumPy"
	follow "C"
	[[ $output == *"mean "* ]]
	follow "jq"
	[[ ${lines[0]} == 2 && ${#lines[@]} -gt 1 ]]
	if "$PYTHON" -c 'import safetensors'; then
		follow "safetensors"
	fi
	# R and Octave are large; where they are, they are asked.
	recipe "R and Octave"
	local line word want
	want=$("$PYTHON" -c 'import numpy; print("%.3g" % numpy.load("mnt/base/d12/latest/model/lm_head.weight.npy").astype("f8").mean())')
	while IFS= read -r line; do
		word=${line%% *}
		[[ $word == Rscript || $word == octave ]]
		command -v "$word" >/dev/null || continue
		run -0 bash -c "$line"
		echo "$output; want a mean of $want"
	done <"$BATS_TEST_TMPDIR/recipe"
}

@test "README: bfloat16 on a mount for CUDA, and as float32 in NumPy" {
	kitchen
	local want
	want=$(sha256sum <mnt/base/d12/latest/model.raw/transformer.wte.weight)
	unmount 0
	recipe "As CUDA"
	run -0 bash -eu "$BATS_TEST_TMPDIR/recipe" 3>&-
	adopt "$BATS_TEST_TMPDIR/mnt"
	[[ $(getfattr --only-values -n user.ckptfs.dtype mnt/base/d12/latest/model/transformer.wte.weight.npy) == bfloat16 ]]
	recipe "bfloat16 in NumPy"
	[[ $({ cat "$BATS_TEST_TMPDIR/recipe"; echo 'import sys; sys.stdout.buffer.write(w.tobytes())'; } | "$PYTHON" - | sha256sum) == "$want" ]]
}

@test "README: the recipes for comparing" {
	kitchen
	follow "How a run went"
	[[ $output == $'step\tval_bpb\tsmooth_train_loss\tstate\n500\t1.2075\t3.21\tok\n1000\t'*$'\n1500\t'*$'\n000500' ]]
	follow "The same in NumPy"
	[[ $output == "500 [1.2075 1.2075 1.2075]" ]]
	recipe "Which tensors changed"
	run -1 bash "$BATS_TEST_TMPDIR/recipe"
	echo "$output"
	[[ $(sed -n 's/^[<>] //p' <<<"$output" | cut -f 1 | sort | uniq -c | tr -s '\n ' ' ') == " 2 lm_head.weight 2 transformer.h.1.mlp.c_fc.weight " ]]
	follow "Where one changed"
	[[ $output == '['*[0-9]*']' ]]
	follow "What takes the space"
	[[ ${lines[0]} == *total && $(printf '%s\n' "${lines[@]:1}" | cut -f 2 | sort -c -nr 2>&1) == "" && ${#lines[@]} -eq 11 ]]
	"$PYTHON" - "$D12/model_001000.pt" "${lines[1]}" <<-'EOF_PY'
		import sys, zipfile
		largest = max(i.file_size for i in zipfile.ZipFile(sys.argv[1]).infolist() if "/data/" in i.filename)
		assert int(sys.argv[2].split()[1]) == largest, (largest, sys.argv[2])
	EOF_PY
	follow "Which steps are broken"
	[[ ${#lines[@]} -eq 1 && $output == *"model_001500.pt: "* ]]
	"$PYTHON" - "$D12/model_001000.pt" "$D12/model_001600.pt" <<-'EOF_PY'
		import sys, zipfile
		with zipfile.ZipFile(sys.argv[1]) as old, zipfile.ZipFile(sys.argv[2], "w") as new:
		    for name in old.namelist():
		        hostile = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R."
		        new.writestr(name, hostile if name.endswith("/data.pkl") else old.read(name))
	EOF_PY
	recipe "Which checkpoints are not safe"
	sed -n 's/^\$ //p' "$BATS_TEST_TMPDIR/recipe" >"$BATS_TEST_TMPDIR/asked"
	within 1150 test -e mnt/base/d12/001600/model.pt
	run -0 bash -u "$BATS_TEST_TMPDIR/asked"
	[[ $output == *"$(sed -n 2p "$BATS_TEST_TMPDIR/recipe")"$'\nuser.ckptfs.pickle="refused: '*os.system* ]]
}

@test "README: what a mount is doing" {
	kitchen
	cat mnt/base/d12/001500/model.error >/dev/null
	cat mnt/base/d12/latest/model.pt >/dev/null
	follow "When something is odd"
	[[ ${lines[0]} == "store "*"$HOME/.cache/nanochat" && $output == *$'\ndrafts         base_checkpoints/d12/002000, '* ]]
	[[ $output == *$'\nunusable       '*model_001500.pt:* && ${lines[-1]} -ge $(stat -c %s "$D12/model_001000.pt") ]]
}

@test "README: a step is copied as it is, and largest stays where it was" {
	kitchen
	follow "A step as it is"
	cmp "$D12/model_001000.pt" "${D12%/*}/scratch/model_001000.pt"
	within 1150 eval '[[ $(readlink mnt/base/scratch/latest) == 001000 && $(readlink mnt/base/largest) == d12 ]]'
	diff -r mnt/base/{d12,scratch}/001000/model
	diff <(jq -S . mnt/base/d12/001000/meta.json) <(jq -S . mnt/base/scratch/001000/meta.json)
}

@test "README: a mount that is busy says who uses it, and can be taken away" {
	kitchen
	(cd mnt && exec sleep 60 3>&-) &
	PIDS+=($!) MOUNTS+=(none) LOGS+=(/dev/null)
	within 5000 eval '[[ $(readlink "/proc/${PIDS[-1]}/cwd") == "$MNT" ]]'
	refuses busy fusermount3 -u mnt
	recipe "Unmounting when busy"
	run -0 bash -eu "$BATS_TEST_TMPDIR/recipe"
	[[ $output == *sleep* ]]
	run ! mountpoint -q mnt
	kill "${PIDS[-1]}"
	wait "${PIDS[-1]}" || true
	unset 'PIDS[-1]' 'MOUNTS[-1]' 'LOGS[-1]'
	within 5000 eval '! kill -0 "$DAEMON"'
}
