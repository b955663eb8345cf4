#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# The names: what is listed, what resolves, what latest and largest point to.

load ../lib/helpers

@test "the root holds base, rl and sft, and mid only where the store has it" {
	mkdir -p "$BATS_TEST_TMPDIR"/{a,b/mid_checkpoints/d4}
	mount_store "$BATS_TEST_TMPDIR/a"
	lists "$MNT" "base rl sft"
	[[ -z $(names "$MNT/base")$(names "$MNT/sft")$(names "$MNT/rl") ]]
	[[ ! -e $MNT/mid ]]
	mount_store "$BATS_TEST_TMPDIR/b"
	lists "$MNT" "base mid rl sft"
	lists "$MNT/mid" d4
}

@test "a nanochat store shows its tags and steps, latest and largest" {
	need_torch
	mount_store "$(nanochat_store)"
	lists "$MNT" "base rl sft"
	lists "$MNT/base" "d12 d12_long d20 largest"
	[[ $(readlink "$MNT/base/largest") == d20 ]]
	lists "$MNT/base/d12" "000500 001000 best history.tsv latest"
	[[ $(readlink "$MNT/base/d12/latest") == 001000 ]]
	lists "$MNT/base/d12/latest/optim" "all.error rank0 rank0.json rank0.pt rank0.raw rank0.safetensors rank0.tsv rank1 rank1.json rank1.pt rank1.raw rank1.safetensors rank1.tsv"
	lists "$MNT/base/largest/latest" "hf.error meta.json model model.pt model.raw model.safetensors model.tsv"
	lists "$MNT/sft/d12" "000300 best history.tsv latest"
	lists "$MNT/rl/largest" "000060 history.tsv latest"
}

@test "a step directory holds every entry of the contract" {
	need_torch
	mount_store "$(nanochat_store)"
	lists "$MNT/base/d12/000500" "hf.error meta.json model model.pt model.raw model.safetensors model.tsv optim"
	lists "$MNT/base/d12/000500/optim" "all.error rank0 rank0.json rank0.pt rank0.raw rank0.safetensors rank0.tsv"
	[[ $(names "$MNT/base/d12/000500/model" | wc -l) -eq 31 ]]
	[[ -f $MNT/base/d12/000500/model/transformer.h.0.attn.c_q.weight.npy ]]
	[[ -f $MNT/base/d12/000500/model.raw/resid_lambdas ]]
}

# in_step_order DIRECTORY - the listing, and the inode numbers rise with it.
in_step_order() {
	local listed
	listed=$(in_order "$1")
	[[ $(find "$1" -mindepth 1 -maxdepth 1 -printf '%i %f\n' | sort -n | cut -d' ' -f2) == "$listed" ]] || { find "$1" -maxdepth 1 -printf '%i %f\n'; return 1; }
	tr '\n' ' ' <<<"$listed"
}

@test "a step's entries stand in the contract's order, in listings and in inode numbers, the same after a remount" {
	local tag n text
	for tag in d4 d12 a b c; do
		for n in 000001 000500 001000 999999 5000000; do
			small_pt "$BATS_TEST_TMPDIR/s/base_checkpoints/$tag"/{model_$n,optim_${n}_rank0,optim_${n}_rank1,optim_${n}_rank10}.pt
		done
	done
	mount_store "$BATS_TEST_TMPDIR/s"
	for tag in "$MNT"/base/{d4,d12,a,b,c}/[0-9]*; do
		[[ $(in_step_order "$tag") == "meta.json model model.raw model.safetensors model.tsv hf.error model.pt optim " ]] || { in_step_order "$tag"; return 1; }
		text=
		for n in 0 1 10; do text+="rank$n rank$n.json rank$n.raw rank$n.safetensors rank$n.tsv rank$n.pt "; done
		text+="all.error "
		[[ $(in_step_order "$tag/optim") == "$text" ]] || { in_step_order "$tag/optim"; return 1; }
	done
	[[ -z $(find "$MNT" -printf '%i\n' | sort | uniq -d) ]]
	(cd "$MNT" && find . -printf '%i %p\n' | sort) >"$BATS_TEST_TMPDIR/before"
	unmount 0
	mount_store "$BATS_TEST_TMPDIR/s"
	(cd "$MNT" && find . -printf '%i %p\n' | sort) | cmp - "$BATS_TEST_TMPDIR/before"
}

@test "only the canonical name is a step" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	small_pt "$tag"/model_{000000,000500,1000000,0000501,502,000503_backup,000504.partial,-00505,+00506}.pt "$tag"/model_000507.pt.tmp
	mkdir "$tag"/model_000508.pt.d
	mount_store "$BATS_TEST_TMPDIR/s"
	lists "$MNT/base/d12" "$({ echo 000000 000500 1000000 history.tsv latest; ls "$tag"; } | tr ' ' '\n' | grep -vxE '(model|meta)_(000000|000500|1000000)\..*' | sort | tr '\n' ' ' | sed 's/ $//')"
	[[ $(readlink "$MNT/base/d12/latest") == 1000000 ]]
	local name
	for name in 000501 501 0500 0000500 1e6 01000000; do
		refuses "No such file" stat "$MNT/base/d12/$name"
	done
}

@test "tags are directories; dot-directories and files are none" {
	local base=$BATS_TEST_TMPDIR/s/base_checkpoints
	small_pt "$base/d4/model_000001.pt" "$base/.cache/model_000001.pt" "$BATS_TEST_TMPDIR/elsewhere/model_000002.pt"
	mkdir "$base/empty" && touch "$base/README.md" && ln -s ../../elsewhere "$base/linked" && ln -s nowhere "$base/dangling"
	mount_store "$BATS_TEST_TMPDIR/s"
	lists "$MNT/base" ".cache README.md d4 dangling empty largest linked"
	[[ $(readlink "$MNT/base/largest") == d4 && $(readlink "$MNT/base/dangling") == nowhere ]]
	lists "$MNT/base/linked" "000002 history.tsv latest"
	[[ -z $(names "$MNT/base/empty") ]]
}

# largest WANT TAG... - a store with these tags, in the order of their mtimes, each with a step but for those spelled TAG/.
largest() {
	local base=$BATS_TEST_TMPDIR/s/base_checkpoints tag now=1700000000
	rm -rf "$base"
	for tag in "${@:2}"; do
		mkdir -p "$base/$tag"
		[[ $tag == */ ]] || small_pt "$base/$tag/model_000001.pt"
		touch -d "@$((now += 10))" "$base/$tag"
	done
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(readlink "$MNT/base/largest") == "$1" ]] || { readlink "$MNT/base/largest"; return 1; }
	unmount $((${#MOUNTS[@]} - 1))
}

@test "largest: the highest d<number>, by number and not by text" {
	largest d12 d9 d12 d2
	largest d100 d100 d20 d3
	largest d20x d20x d3 zz
	largest d007 d007 d6
}

@test "largest: a tie goes to the exact name, then to the first by name" {
	largest d12 d12_long d12 d12_a
	largest d12 d12 d12_long
	largest d12_a d12_b d12_a
}

@test "largest: without a d<number> the most recently modified" {
	largest beta alpha beta
	largest alpha beta alpha
	largest d1 d1 zeta
	largest D40 D40
}

@test "largest: a tag without a step is passed over" {
	largest d12 d12 d20/
	largest alpha alpha beta/
}

@test "largest and latest are absent where there is nothing to name" {
	mkdir -p "$BATS_TEST_TMPDIR/s/base_checkpoints/d12"
	mount_store "$BATS_TEST_TMPDIR/s"
	lists "$MNT/base" d12
	[[ -z $(names "$MNT/base/d12") ]]
	refuses "No such file" readlink -v "$MNT/base/largest"
	refuses "No such file" readlink -v "$MNT/base/d12/latest"
}

@test "latest stays on the last good step when the newest is half-written" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	small_pt "$tag"/model_{000001,000002,000003}.pt
	truncate -s 300 "$tag/model_000003.pt"
	: >"$tag/model_000004.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(readlink "$MNT/base/d12/latest") == 000002 ]]
	lists "$MNT/base/d12" "000001 000002 000003 000004 history.tsv latest"
	is_error "$MNT/base/d12/000003/model.error" model_000003.pt
	is_error "$MNT/base/d12/000004/model.error" model_000004.pt
}

# loadable FILE... - models with the metadata that nanochat needs to build them.
loadable() {
	local file
	small_pt "$@"
	for file; do
		file=${file/model_/meta_}
		echo '{"step": 1, "model_config": {"n_layer": 0}}' >"${file%.pt}.json"
	done
}

@test "latest is never a step whose meta.json is missing, cut or no object where another step is better" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12 step text
	loadable "$tag/model_000001.pt"
	small_pt "$tag"/model_{000002,000003,000004,000005,000006,000007}.pt
	rm "$tag/meta_000002.json"
	printf '{"step": 3, "model_con' >"$tag/meta_000003.json"
	: >"$tag/meta_000004.json"
	echo '[{"model_config": {}}]' >"$tag/meta_000005.json"
	echo '{"step": 6}' >"$tag/meta_000006.json"
	echo '{"model_config": null}' >"$tag/meta_000007.json"
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(readlink "$MNT/base/d12/latest") == 000001 ]]
	lists "$MNT/base/d12" "000001 000002 000003 000004 000005 000006 000007 history.tsv latest"
	# The better one comes and goes.
	echo '{"model_config": {"n_layer": 0}}' >"$tag/meta_000004.json"
	within 1150 eval '[[ $(readlink "$MNT/base/d12/latest") == 000004 ]]'
	rm "$tag"/meta_00000{1,4}.json
	within 1150 eval '[[ $(readlink "$MNT/base/d12/latest") == 000007 ]]'
}

@test "latest: usable metadata beside a damaged model names nothing; a model that opens is better than none" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	loadable "$tag"/model_00000{1,3}.pt
	truncate -s 300 "$tag"/model_00000{1,3}.pt
	mount_store "$BATS_TEST_TMPDIR/s"
	refuses "No such file" readlink -v "$MNT/base/d12/latest"
	refuses "No such file" readlink -v "$MNT/base/largest"
	small_pt "$tag/model_000002.pt"
	within 1150 eval '[[ $(readlink "$MNT/base/d12/latest") == 000002 && $(readlink "$MNT/base/largest") == d12 ]]'
}

@test "largest: a tag whose steps nanochat can't load is passed over, unless there is no other" {
	local base=$BATS_TEST_TMPDIR/s/base_checkpoints
	small_pt "$base"/{d20,d12}/model_000001.pt
	rm "$base"/*/meta_*
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(readlink "$MNT/base/largest") == d20 ]]
	loadable "$base/d4/model_000001.pt"
	within 1150 eval '[[ $(readlink "$MNT/base/largest") == d4 ]]'
	loadable "$base/d12/model_000001.pt"
	within 1150 eval '[[ $(readlink "$MNT/base/largest") == d12 ]]'
}

@test "latest and largest agree with nanochat's own functions over random stores" {
	local store=$BATS_TEST_TMPDIR/s seed
	for seed in 1 2 3 4 5 6; do
		small_pt "$BATS_TEST_TMPDIR/one/x.pt"
		oracle choose make "$store$seed" "$seed" "$BATS_TEST_TMPDIR/one/x.pt"
		mount_store "$store$seed"
		oracle choose check "$store$seed" "$MNT"
	done
}

@test "nanochat's own names resolve in a tag's directory and are not listed" {
	need_torch
	local store name
	store=$(nanochat_store)
	mount_store "$store"
	for name in model_000500.pt meta_000500.json optim_000500_rank0.pt optim_001000_rank1.pt; do
		cmp "$MNT/base/d12/$name" "$store/base_checkpoints/d12/$name"
	done
	lists "$MNT/base/d12" "000500 001000 best history.tsv latest"
	for name in model_000501.pt model_500.pt meta_500.json optim_000500_rank1.pt optim_000500_rank00.pt model_000500; do
		refuses "No such file" stat "$MNT/base/d12/$name"
	done
}

@test "-o native lists nanochat's own names, and nanochat's code runs on the mount" {
	need_torch
	local store
	store=$(nanochat_store)
	mount_store "$store" -o native
	lists "$MNT/base/d12" "000500 001000 best history.tsv latest meta_000500.json meta_001000.json model_000500.pt model_001000.pt optim_000500_rank0.pt optim_001000_rank0.pt optim_001000_rank1.pt"
	oracle choose load "$MNT/base" "$store/base_checkpoints"
}

@test "the mount's root is the level that STORE has: base, source or tag" {
	local store=$BATS_TEST_TMPDIR/s
	small_pt "$store"/base_checkpoints/d12/model_00000{1,2}.pt
	mount_store "$store/base_checkpoints"
	lists "$MNT" "d12 largest"
	lists "$MNT/largest" "000001 000002 history.tsv latest"
	mount_store "$store/base_checkpoints/d12"
	lists "$MNT" "000001 000002 history.tsv latest"
	lists "$MNT/latest" "hf.error meta.json model model.pt model.raw model.safetensors model.tsv"
	cmp "$MNT/model_000001.pt" "$store/base_checkpoints/d12/model_000001.pt"
}

@test "-o level= says the level outright" {
	local store=$BATS_TEST_TMPDIR/s
	small_pt "$store/base_checkpoints/d12/model_000001.pt"
	mount_store "$store/base_checkpoints/d12" -o level=tag
	lists "$MNT" "000001 history.tsv latest"
	mount_store "$store/base_checkpoints" -o level=source
	lists "$MNT" "d12 largest"
	mount_store "$store" -o level=base
	lists "$MNT" "base rl sft"
	mount_store "$store/base_checkpoints/d12" -o level=base
	lists "$MNT" "base rl sft"
	mkdir "$BATS_TEST_TMPDIR/empty"
	mount_store "$BATS_TEST_TMPDIR/empty" -o level=tag
	[[ -z $(names "$MNT") ]]
}

@test "a name that nobody has is ENOENT, and a file is no directory" {
	local store=$BATS_TEST_TMPDIR/s path
	small_pt "$store/base_checkpoints/d12/model_000001.pt"
	mount_store "$store"
	for path in mid nope base/d13 base/d12/000002 base/d12/000001/model.error base/d12/000001/meta.error base/d12/000001/model/nope.npy \
		base/d12/000001/model/lm_head.weight base/d12/000001/model.raw/lm_head.weight.npy base/d12/000001/optim/rank0.json base/d12/000001/model.npy; do
		refuses "No such file" stat "$MNT/$path"
	done
	refuses "Not a directory" stat "$MNT/base/d12/000001/model.pt/x"
}

@test "a name of more than 255 bytes is ENAMETOOLONG, as statfs says" {
	small_pt "$BATS_TEST_TMPDIR/s/base_checkpoints/d12/model_000001.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(stat -f -c %l "$MNT") -eq 255 ]]
	refuses "No such file" stat "$MNT/base/$(printf 'x%.0s' {1..255})"
	refuses "File name too long" stat "$MNT/base/$(printf 'x%.0s' {1..256})"
}

@test "a missing meta.json patches nothing and hides nothing" {
	local store=$BATS_TEST_TMPDIR/s
	small_pt "$store/base_checkpoints/d12/model_000001.pt"
	rm "$store/base_checkpoints/d12/meta_000001.json"
	mount_store "$store"
	lists "$MNT/base/d12/000001" "hf.error model model.pt model.raw model.safetensors model.tsv"
	lists "$MNT/base/d12/000001/model" "lm_head.weight.npy transformer.wte.weight.npy"
}
