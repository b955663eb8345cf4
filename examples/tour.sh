#!/bin/bash
# tour.sh MOUNT - a walk with ordinary tools through a mounted store: what a step is, what changed since the one before, what takes the space.
set -euo pipefail
[[ $# -eq 1 && -d $1/base ]] || { echo "usage: tour.sh MOUNT (a mounted nanochat base directory)" >&2; exit 2; }
cd "$1"
[[ -L base/largest ]] || { echo "tour: no model in base/" >&2; exit 1; }
cd base/largest
steps=()
for step in [0-9]*; do
	[[ ! -d $step/model || ! -f $step/meta.json || -e $step/DRAFT.error ]] || steps+=("$step")
done
((${#steps[@]})) || { echo "tour: no step of $(readlink ../largest) has both model and metadata" >&2; exit 1; }
first=${steps[0]} last=${steps[-1]}

show() { printf '\n$ %s\n' "$*"; eval "$*"; }

echo "In base/$(readlink ../largest), with the steps ${steps[*]}:"
show "jq -c '.model_config' $last/meta.json"
show "jq -r '[.step, .val_bpb] | @tsv' ${steps[*]/%//meta.json}"
show "column -t $last/model.tsv"
show "getfattr --absolute-names -d $last/model/lm_head.weight.npy"
show "getfattr --absolute-names --only-values -n user.ckptfs.pickle $last/model.pt; echo"
show "du -sh --apparent-size $last/model $last/optim/rank*.pt 2>/dev/null || true"
show "for f in $first/model.raw/*; do cmp -s \"\$f\" $last/model.raw/\"\${f##*/}\" || echo \"\${f##*/} changed\"; done"
show "od -An -tf4 -N16 -w16 $last/model.raw/lm_head.weight"
show "sha256sum $last/model.safetensors"
for shard in "$last"/optim/rank*.json; do
	[[ ! -f $shard ]] || show "jq -c '.param_groups[] | {kind, lr, betas}' $shard"
done
