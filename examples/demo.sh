#!/bin/bash
# demo.sh - mounts a small nanochat store, shows what is in it, reads a tensor with NumPy, and unmounts. Needs no torch; runs as any user.
# Environment: CKPTFS the program (default ./ckptfs), PYTHON an interpreter with NumPy (default: python3, else /usr/bin/python3).
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
ckptfs=$(realpath -m "${CKPTFS:-./ckptfs}")

say() { printf '\n\e[1m%s\e[0m\n' "$*"; }
[[ -t 1 ]] || say() { printf '\n%s\n' "$*"; }
die() { echo "demo: $*" >&2; exit 1; }

# python_with MODULE - the first interpreter that has it.
python_with() {
	local python
	for python in "${PYTHON:-python3}" /usr/bin/python3; do
		"$python" -c "import $1" 2>/dev/null && { echo "$python"; return; }
	done
	die "no Python with $1: apt-get install python3-$1"
}

# picture DIRECTORY [INDENT] - a tree in the directory's own order. Long directories are cut short, and what repeats itself stays closed.
picture() {
	local entries name last i mark indent
	mapfile -t entries < <(find "$1" -mindepth 1 -maxdepth 1 -printf '%f\n')
	last=$((${#entries[@]} - 1))
	for i in "${!entries[@]}"; do
		name=${entries[i]} mark='├── ' indent="${2:-}│   "
		if ((i == 3 && last > 11)); then
			printf '%s└── ... %d more\n' "${2:-}" $((last - 2))
			return
		fi
		((i < last)) || mark='└── ' indent="${2:-}    "
		printf '%s%s%s' "${2:-}" "$mark" "$name"
		if [[ -L $1/$name ]]; then
			printf ' -> %s\n' "$(readlink "$1/$name")"
		elif [[ $name == 000500 || $name == *.raw ]]; then
			printf '/ ...\n'
		elif [[ -d $1/$name ]]; then
			printf '/\n'
			picture "$1/$name" "$indent"
		else
			printf '\n'
		fi
	done
}

[[ -x $ckptfs ]] || die "no program at $ckptfs: run make first"
[[ -e /dev/fuse ]] || die "no /dev/fuse here; in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN ..."
[[ -r /dev/fuse && -w /dev/fuse ]] || die "/dev/fuse is closed to $(id -un); as root: chmod 666 /dev/fuse"
python=$(python_with numpy)

dir=$(mktemp -d)
cleanup() {
	cd /
	# Someone may still be looking at the mount: then it goes when they do.
	! mountpoint -q "$dir/mnt" || fusermount3 -u "$dir/mnt" 2>/dev/null || fusermount3 -uz "$dir/mnt"
	rm -rf --one-file-system "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir "$dir/mnt"
cp -r examples/store "$dir/store"
head -c 20000 "$dir/store/base_checkpoints/d2/model_001000.pt" >"$dir/store/base_checkpoints/d2/model_001500.pt"
cd "$dir"

say "A nanochat store: two steps of a tiny model, and a third that was cut off while it was saved."
find store -type f | sort

say "\$ ckptfs store mnt"
"$ckptfs" store mnt

say "Every tensor is a file, and 'latest' is the last step that loads."
echo mnt
picture mnt

say "\$ cat mnt/base/d2/001500/model.error"
sed "s,$dir/,," mnt/base/d2/001500/model.error

say "\$ $(basename "$python") read_numpy.py mnt/base/d2/latest     # bfloat16 and _orig_mod. are gone, as nanochat does when it loads"
"$python" "$here/examples/read_numpy.py" mnt/base/d2/latest

say "\$ fusermount3 -u mnt"
fusermount3 -u mnt
echo "That was it. Your own store:  ckptfs ~/.cache/nanochat MOUNTPOINT"
