#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# The model's views against torch, NumPy, json and nanochat's rules; the optimizer's are in optim.bats.

load ../lib/helpers

# against_torch STORE SOURCE/TAG STEP DEVICE - one mounted step against the oracle; MNT is mounted for that device.
against_torch() {
	local source
	case $2 in
	base/*) source=base_checkpoints/${2#base/} ;;
	sft/*) source=chatsft_checkpoints/${2#sft/} ;;
	rl/*) source=chatrl_checkpoints/${2#rl/} ;;
	esac
	oracle check_model "$MNT/$2/$3" "$1/$source/model_$3.pt" "$1/$source/meta_$3.json" "$4"
}

@test "a checkpoint with _orig_mod. keys, bfloat16 embeddings and no lambdas, on the CPU" {
	need_torch
	mount_store "$(nanochat_store)"
	against_torch "$(nanochat_store)" base/d12 000500 cpu
	against_torch "$(nanochat_store)" base/d12 001000 cpu
}

@test "the same for mps" {
	need_torch
	mount_store "$(nanochat_store)" -o device=mps
	against_torch "$(nanochat_store)" base/d12 000500 mps
}

@test "the same for cuda, which keeps bfloat16" {
	need_torch
	mount_store "$(nanochat_store)" -o device=cuda
	against_torch "$(nanochat_store)" base/d12 000500 cuda
	[[ $(getfattr --only-values -n user.ckptfs.dtype "$MNT/base/d12/000500/model/transformer.wte.weight.npy") == bfloat16 ]]
	head -c 128 "$MNT/base/d12/000500/model/transformer.wte.weight.npy" | grep -qa "'descr': '<V2'"
}

@test "checkpoints that have their lambdas, of base, sft and rl" {
	need_torch
	mount_store "$(nanochat_store)"
	against_torch "$(nanochat_store)" base/d20 000700 cpu
	against_torch "$(nanochat_store)" sft/d12 000300 cpu
	against_torch "$(nanochat_store)" rl/d12 000060 cpu
}

@test "every dtype of this torch, every kind of view, scalars and empty tensors, on the CPU" {
	need_torch
	mount_store "$(dtypes_store)"
	against_torch "$(dtypes_store)" base/d1 000001 cpu
}

@test "the same for cuda" {
	need_torch
	mount_store "$(dtypes_store)" -o device=cuda
	against_torch "$(dtypes_store)" base/d1 000001 cuda
}

@test "a dtype that safetensors lacks leaves the other views" {
	need_torch
	mount_store "$(dtypes_store)"
	against_torch "$(dtypes_store)" base/d1 000002 cpu
}

@test "the committed checkpoints of torch 1.13 and 2.6, which has float8, uint16 and conjugate bits" {
	local version device
	for version in 1.13 2.6; do
		for device in cpu cuda; do
			mount_store "$FIXTURES/torch-$version" -o "device=$device"
			oracle check_fixture "$MNT/base/d1" "$FIXTURES/torch-$version" "$device"
		done
	done
}

@test "a big-endian file reads as a little-endian one" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	mkdir -p "$tag"
	oracle make_case big-endian "$tag/model_000001.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(od -An -v -w24 -tf4 "$MNT/base/d12/000001/model.raw/float" | tr -s ' ') == " 0 1 2 3 4 5" ]]
	[[ $(od -An -v -w12 -td2 "$MNT/base/d12/000001/model.raw/short" | tr -s ' ') == " 0 1 2 3 4 5" ]]
	[[ $(od -An -v -w24 -tf4 "$MNT/base/d12/000001/model.raw/complex" | tr -s ' ') == " 0 1 2 3 4 5" ]]
}

@test "a checkpoint that was zipped again with deflate reads the same" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	mkdir -p "$tag"
	oracle make_case good "$tag/model_000001.pt"
	oracle make_case deflated "$tag/model_000002.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	diff -r "$MNT/base/d12/000001/model" "$MNT/base/d12/000002/model"
	diff -r "$MNT/base/d12/000001/model.raw" "$MNT/base/d12/000002/model.raw"
	cmp "$MNT/base/d12/000001/model.safetensors" "$MNT/base/d12/000002/model.safetensors"
	[[ $(awk -F'\t' 'NR > 1 { print $6 }' "$MNT/base/d12/000002/model.tsv" | sort -u) == - ]]
}

@test "a real checkpoint that was unzipped and zipped again reads the same" {
	need_torch
	local store
	store=$(nanochat_store)
	mkdir -p "$BATS_TEST_TMPDIR/s/d12"
	"$PYTHON" - "$store/base_checkpoints/d12/model_001000.pt" "$BATS_TEST_TMPDIR/s/d12/model_001000.pt" <<-'END'
		import sys, zipfile
		with zipfile.ZipFile(sys.argv[1]) as old, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as new:
		    for info in old.infolist():
		        new.writestr(info.filename, old.read(info))
	END
	cp "$store/base_checkpoints/d12/meta_001000.json" "$BATS_TEST_TMPDIR/s/d12"
	mount_store "$BATS_TEST_TMPDIR/s"
	oracle check_model "$MNT/d12/001000" "$BATS_TEST_TMPDIR/s/d12/model_001000.pt" "$BATS_TEST_TMPDIR/s/d12/meta_001000.json" cpu
}

@test "meta.json is byte for byte what json.dump writes for the patched dict" {
	small_pt "$BATS_TEST_TMPDIR/x/one.pt"
	oracle meta_cases make "$BATS_TEST_TMPDIR/s/base_checkpoints/d12" "$BATS_TEST_TMPDIR/x/one.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	oracle meta_cases check "$MNT/base/d12"
}

@test "the lambdas are patched for a usable n_layer and only then" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12 step=0 n lambdas
	for n in 3 0 -1 '"3"' 3.0 null 99999999999999999999; do
		small_pt "$tag/model_00000$((++step)).pt"
		echo "{\"model_config\": {\"n_layer\": $n}}" >"$tag/meta_00000$step.json"
	done
	mount_store "$BATS_TEST_TMPDIR/s"
	lists_in_order "$MNT/base/d12/000001/model" "transformer.wte.weight.npy lm_head.weight.npy resid_lambdas.npy x0_lambdas.npy"
	[[ $(od -An -tf4 "$MNT/base/d12/000001/model.raw/resid_lambdas" | tr -s ' ') == " 1 1 1" ]]
	[[ $(od -An -tf4 "$MNT/base/d12/000001/model.raw/x0_lambdas" | tr -s ' ') == " 0 0 0" ]]
	grep -q $'^resid_lambdas\tfloat32\t\[3\]\t12\tfloat32\t-\t-\t-$' "$MNT/base/d12/000001/model.tsv"
	[[ $(stat -c %s "$MNT/base/d12/000002/model.raw/x0_lambdas") -eq 0 ]]
	for step in 3 4 5 6 7; do
		lambdas=$(find "$MNT/base/d12/00000$step/model" -name '*lambdas*')
		[[ -z $lambdas ]] || { echo "step $step: $lambdas"; return 1; }
		[[ -e $MNT/base/d12/00000$step/model/lm_head.weight.npy ]]
	done
}

@test "keys that are no file names are encoded, cut and hashed, and their views are whole" {
	need_torch
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	mkdir -p "$tag"
	oracle make_case keys "$tag/model_000001.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	oracle check_keys "$MNT/base/d12/000001" "$tag/model_000001.pt"
}

@test "a key that stands twice: first position, last value" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	mkdir -p "$tag"
	oracle make_case same-key "$tag/model_000001.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	lists_in_order "$MNT/base/d12/000001/model" "a.npy b.npy"
	[[ $(od -An -tx1 -N4 "$MNT/base/d12/000001/model.raw/a") == " 40 a0 00 00" ]]
}

@test "a list of tensors in the place of the dict: their positions are their names" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12
	mkdir -p "$tag"
	oracle make_case list-of-tensors "$tag/model_000001.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	lists_in_order "$MNT/base/d12/000001/model" "0.npy 1.npy"
}
