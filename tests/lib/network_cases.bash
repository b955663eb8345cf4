# What is asked of each engine: one function a case, which is given the engine's name. After helpers.bash and network.bash.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154

# right STEP - every view of d12's STEP and of its shards, beside what torch reads of the store's files; and these are the original's.
right() {
	local original stored=$REMOTE/base_checkpoints/d12 shard rank
	original=$(nanochat_store)/base_checkpoints/d12
	cmp "$stored/model_$1.pt" "$original/model_$1.pt"
	oracle check_model "$MNT/base/d12/$1" "$stored/model_$1.pt" "$stored/meta_$1.json" cpu
	for shard in "$original"/optim_"$1"_rank*.pt; do
		rank=${shard##*_rank}
		cmp "$stored/${shard##*/}" "$shard"
		oracle check_optim "$MNT/base/d12/$1" "$stored/${shard##*/}" "${rank%.pt}"
	done
}

every_view_is_right() {
	need_torch
	serve "$1" "$(nanochat_store)" "${2:-0}"
	client
	mount_store "$REMOTE"
	right 001000
}
