#!/bin/bash
# reshard.sh TAG STEP RANKS TARGET - copies a step, with its optimizer as RANKS ranks would have saved it, to the directory TARGET, for a run that goes
# on with another number of GPUs. TAG and TARGET are directories that hold model_NNNNNN.pt (TARGET may be new). What was written is compared.
# Environment: CKPTFS the program (default: ckptfs, else ./ckptfs).
set -euo pipefail
die() { echo "reshard: $*" >&2; exit 1; }
[[ $# -eq 4 ]] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
tag=$1 ranks=$3 target=$4
[[ $2 =~ ^[0-9]+$ ]] || die "$2: expected a step's number"
step=$(printf '%06d' "$((10#$2))")
ckptfs=${CKPTFS:-$(command -v ckptfs || echo "$(dirname "$0")/../ckptfs")}
[[ -f $tag/model_$step.pt ]] || die "$tag/model_$step.pt: no such model"
[[ ! -e $target/model_$step.pt ]] || die "$target/model_$step.pt is there already"
mkdir -p "$target"
[[ ! $tag -ef $target ]] || die "$target: expected another directory than $tag"

# Two mounts that nobody else sees: the step as it is to be, and the directory that it is published in.
dir=$(mktemp -d)
cleanup() {
	local mnt
	for mnt in "$dir"/from "$dir"/to; do
		! mountpoint -q "$mnt" || fusermount3 -u "$mnt" || fusermount3 -uz "$mnt"
	done
	rm -rf --one-file-system "$dir"
}
trap cleanup EXIT
mkdir "$dir/from" "$dir/to"
"$ckptfs" -o "ro,level=tag,ranks=$ranks" "$tag" "$dir/from"
"$ckptfs" -o level=tag "$target" "$dir/to"
from=$dir/from/$step to=$dir/to/$step
[[ -d $from/optim ]] || die "$tag: step $step has no optimizer"
[[ ! -e $from/optim/ranks.error ]] || die "$(cat "$from/optim/ranks.error")"
[[ -e $from/meta.json ]] || die "$tag/meta_$step.json: expected the step's metadata"

# A draft: it is published, whole and with CRCs, when its directory is synced.
mkdir "$to.partial" "$to.partial/optim"
cp "$from/model.pt" "$from/meta.json" "$to.partial/"
for ((rank = 0; rank < ranks; rank++)); do
	cp "$from/optim/rank$rank.pt" "$to.partial/optim/"
done
mv "$to.partial" "$to" || die "$(cat "$to.partial/DRAFT.error")"

# The bytes of each tensor and everything else, read back from what is stored now.
cmp "$from/model.pt" "$target/model_$step.pt"
for ((rank = 0; rank < ranks; rank++)); do
	cmp "$from/optim/rank$rank.json" "$to/optim/rank$rank.json"
	diff -r "$from/optim/rank$rank.raw" "$to/optim/rank$rank.raw"
done
echo "$target: step $step for $ranks ranks, $(find "$to"/optim/rank[0-9]*.raw -type f | wc -l) tensors compared"
