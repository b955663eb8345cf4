#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# The optimizer's views against torch, and rankN.json against the state_dict itself.

load ../lib/helpers

@test "a shard of nanochat's optimizer, rank 0 and rank 1" {
	need_torch
	local d12
	d12=$(nanochat_store)/base_checkpoints/d12
	mount_store "$(nanochat_store)"
	oracle check_optim "$MNT/base/d12/001000" "$d12/optim_001000_rank0.pt" 0
	oracle check_optim "$MNT/base/d12/001000" "$d12/optim_001000_rank1.pt" 1
	oracle check_optim "$MNT/base/d12/000500" "$d12/optim_000500_rank0.pt" 0
}

@test "a shard is shown as stored on every device" {
	need_torch
	local d12
	d12=$(nanochat_store)/base_checkpoints/d12
	mount_store "$(nanochat_store)" -o device=cuda
	oracle check_optim "$MNT/base/d12/001000" "$d12/optim_001000_rank0.pt" 0
}

@test "a shard of everything that Python puts side by side" {
	need_torch
	mount_store "$(dtypes_store)"
	oracle check_optim "$MNT/base/d1/000001" "$(dtypes_store)/base_checkpoints/d1/optim_000001_rank0.pt" 0
}

@test "a committed shard of torch 2.6, without torch" {
	mount_store "$FIXTURES/torch-2.6"
	oracle check_fixture "$MNT/base/d1" "$FIXTURES/torch-2.6" cpu
}

@test "keys that are empty, are one character of two surrogates, or are two surrogates" {
	need_torch
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d1
	mkdir -p "$tag"
	"$PYTHON" - "$tag" <<-'END'
		import sys, torch
		one, two, three, four = torch.arange(4.0).split(1)
		torch.save({"": {"_orig_mod.a": one}, "_orig_mod.b": two}, sys.argv[1] + "/model_000001.pt")
		torch.save({"": {"": one, "a": two, "$x": [three]}, "a": three, "x": {"": {"": four}}}, sys.argv[1] + "/optim_000001_rank0.pt")
		torch.save({"\U0001f600": {"a\U0001f600b": one}, 5: [{"\U0001f600": two}]}, sys.argv[1] + "/optim_000001_rank1.pt")
		torch.save({"\ud83d\ude00": one, "\U0001f600": two, "x": {"\ud83d": three}}, sys.argv[1] + "/optim_000001_rank2.pt")
	END
	mount_store "$BATS_TEST_TMPDIR/s"
	oracle check_optim "$MNT/base/d1/000001" "$tag/optim_000001_rank0.pt" 0
	oracle check_optim "$MNT/base/d1/000001" "$tag/optim_000001_rank1.pt" 1
	# Of the outermost dict alone a model's keys lose their prefix.
	[[ $(in_order "$MNT/base/d1/000001/model") == $'._orig_mod.a.npy\nb.npy' ]]
	jq -e '[.. | .["$tensor"]? // empty] == [{"$utf8": "\u00ed\u00a0\u00bd\u00ed\u00b8\u0080"}, "\ud83d\ude00", {"$utf8": "x.\u00ed\u00a0\u00bd"}]' \
		"$MNT/base/d1/000001/optim/rank2.json"
}

@test "jq reads rank0.json" {
	need_torch
	mount_store "$(nanochat_store)"
	local json=$MNT/base/d12/001000/optim/rank0.json
	jq -e . "$json" >/dev/null
	[[ $(jq -c '.param_groups[0].betas' "$json") == '{"$tuple":[0.8,0.95]}' ]]
	[[ $(jq -r '.state["0"].exp_avg["$tensor"]' "$json") == state.0.exp_avg ]]
	[[ $(jq -r '.state["0"].step' "$json") == 1000 ]]
	[[ $(jq -c '.state | keys_unsorted' "$json") == '["$keys","0","1","2","5","6"]' ]]
	[[ $(jq '[.param_groups[].params | length] | add' "$json") == 5 ]]
}

@test "shards of many ranks: two digits, gaps, in order, and no leading zeros" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12 rank
	small_pt "$tag/model_000001.pt"
	for rank in 0 2 10 007 x 11.bak; do
		small_pt "$tag/optim_000001_rank$rank.pt"
	done
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(in_order "$MNT/base/d12/000001/optim" | grep -xE 'rank[0-9]+' | tr '\n' ' ') == "rank0 rank2 rank10 " ]]
	[[ ! -e $MNT/base/d12/000001/optim/rank7 && ! -e $MNT/base/d12/000001/optim/rank007 ]]
	[[ $(ls "$MNT/base/d12/000001/optim/rank10") == $'lm_head.weight.npy\ntransformer.wte.weight.npy' ]]
}

@test "a step without a shard has no optimizer" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	small_pt "$tag/model_000001.pt" "$tag/optim_000002_rank0.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ -z $(ls "$MNT/base/d12/000001/optim" 2>/dev/null) ]]
	[[ ! -e $MNT/base/d12/000002 ]]
}

@test "a shard that is one plain value or a list is shown" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	small_pt "$tag/model_000001.pt"
	oracle make_case just-a-number "$tag/optim_000001_rank0.pt"
	oracle make_case list-of-tensors "$tag/optim_000001_rank1.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(<"$MNT/base/d12/000001/optim/rank0.json") == 42 ]]
	[[ -z $(ls "$MNT/base/d12/000001/optim/rank0") ]]
	[[ $(ls "$MNT/base/d12/000001/optim/rank1") == $'0.npy\n1.npy' ]]
	[[ $(jq -r '.[1]["$tensor"]' "$MNT/base/d12/000001/optim/rank1.json") == 1 ]]
}
