#!/bin/bash
# prune.sh TAG [--keep-last N] [--keep-every M] [--keep-best] [--optim-last N] [--delete] - deletes a run's old steps; TAG is a tag's directory
# in a mount, mnt/base/d12. Without --delete it only says what it would do, and how many bytes would come back.
#
#   --keep-last N   keep the N highest steps        --keep-best     keep the step that TAG/best names
#   --keep-every M  keep every Mth step             --optim-last N  of those that are kept, only the N highest keep their optimizer's shards
#
# The step that TAG/latest names is kept, with its shards, and so is every step above it, which may be one that is just being saved. What goes,
# goes by way of TAG/.trash: a crash leaves each step whole, in its place or there, or gone.
set -euo pipefail
shopt -s nullglob

die() { echo "prune: $*" >&2; exit 2; }
number() { [[ ${2:-} =~ ^[0-9]+$ ]] || die "$1 takes a number"; echo $((10#$2)); }

tag='' last=0 every=0 best='' optim='' delete=''
while (($#)); do
	case $1 in
	--keep-last) last=$(number "$@") && shift ;;
	--keep-every) every=$(number "$@") && shift ;;
	--optim-last) optim=$(number "$@") && shift ;;
	--keep-best) best=yes ;;
	--delete) delete=yes ;;
	-*) die "unknown option $1" ;;
	*) [[ -z $tag ]] || die "one tag at a time"; tag=${1%/} ;;
	esac
	shift
done
[[ -n $tag ]] || die "usage: prune.sh TAG [--keep-last N] [--keep-every M] [--keep-best] [--optim-last N] [--delete]"
[[ -d $tag/.trash ]] || die "$tag: expected a tag's directory in a mount of ckptfs, found no .trash there"
((last + every)) || [[ -n $best$optim ]] || die "nothing says what to keep"
latest=$(readlink "$tag/latest") || die "$tag: no step that loads, so nothing to go by: ckptfs --check says why"
[[ -z $best ]] || best=$(readlink "$tag/best") || best=none

# A draft has no file under nanochat's name.
steps=()
for dir in "$tag"/[0-9]*/; do
	dir=${dir%/} step=${dir##*/}
	[[ $step =~ ^[0-9]+$ && -e $tag/model_$step.pt ]] && ((10#$step <= 10#$latest)) && steps+=("$step")
done
mapfile -t steps < <(printf '%s\n' "${steps[@]}" | sort -n)

# kept I - whether the Ith step is kept, and why.
kept() {
	local step=${steps[$1]} why=()
	[[ $step != "$latest" ]] || why+=(latest)
	[[ $step != "$best" ]] || why+=(best)
	((last == 0 || $1 < ${#steps[@]} - last)) || why+=(last)
	((every == 0 || 10#$step % every)) || why+=(every)
	# Only the shards are to go.
	((last + every)) || [[ -n $best ]] || why+=(model)
	echo "${why[*]}"
}

# bytes FILE... - of those that are there.
bytes() { stat -Lc %s "$@" 2>/dev/null | awk '{ sum += $1 } END { printf "%d\n", sum }'; }

# go WHAT NAME - retires and deletes.
go() {
	[[ -n $delete ]] || return 0
	mv -T "$1" "$tag/.trash/$2"
	rm -r "$tag/.trash/$2"
}

would='' sum=0 shards=0
[[ -n $delete ]] || would='would '
for ((i = ${#steps[@]} - 1; i >= 0; i--)); do
	step=${steps[i]} reason=$(kept "$i")
	own=("$tag/$step"/optim/rank*.pt)
	if [[ -z $reason ]]; then
		n=$(bytes "$tag/$step/model.pt" "$tag/meta_$step.json" "${own[@]}")
		echo "$step: ${would}delete, $n bytes"
		go "$tag/$step" "$step"
	elif [[ -n $optim && $step != "$latest" && ${#own[@]} -gt 0 && $shards -ge $optim ]]; then
		n=$(bytes "${own[@]}")
		echo "$step: keep ($reason), ${would}delete its optimizer, $n bytes"
		go "$tag/$step/optim" "$step.optim"
	else
		n=0
		echo "$step: keep ($reason)"
	fi
	[[ -z $reason ]] || shards=$((shards + 1))
	sum=$((sum + n))
done
if [[ -n $delete ]]; then
	echo "$sum bytes came back"
else
	echo "$sum bytes would come back: --delete does it"
fi
