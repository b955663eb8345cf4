#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Files as people have them: CRCs turned off, odd storages, tensors that are no arrays, bytes behind the zip, shards of earlier nanochat.

load ../lib/helpers

# field_store - the field files, a tag each; $STORE.
field_store() {
	STORE=$BATS_TEST_TMPDIR/s
	mkdir "$STORE"
	cp -a "$FIXTURES/field" "$STORE/base_checkpoints"
	rm "$STORE/base_checkpoints/torch-2.6.json"
}

pickle_of() { getfattr --only-values -n user.ckptfs.pickle "$1"; }

@test "each field file opens, with the values that torch 2.6 gives" {
	field_store
	mount_store "$STORE"
	oracle check_field "$MNT/base" "$FIXTURES/field"
	oracle check_field "$MNT/base" "$FIXTURES/field"
}

@test "the same for cuda, and with native names" {
	field_store
	mount_store "$STORE" -o device=cuda,native
	oracle check_field "$MNT/base" "$FIXTURES/field"
}

@test "a tensor that is no array says which it is, and only a listing of its own directory has it" {
	field_store
	mount_store "$STORE"
	grep -qi sparse "$MNT/base/sparse_coo/000100/optim/rank0/state.0.mask.error"
	grep -qi quantized "$MNT/base/quant_model/000100/model/lm_head.weight.error"
	grep -qi nested "$MNT/base/nested_strided/000100/optim/rank0/state.0.n.error"
	grep -qi meta "$MNT/base/meta_model/000100/model/h.0.freqs.error"
	[[ ! -e $MNT/base/quant_model/000100/model.raw/lm_head.weight && ! -e $MNT/base/quant_model/000100/model.raw/lm_head.weight.error ]]
	[[ ! -e $MNT/base/quant_model/000100/model/transformer.wte.weight.error ]]
	[[ $(jq -c '.state["0"].mask["$tensor"]' "$MNT/base/sparse_coo/000100/optim/rank0.json") == '"state.0.mask"' ]]
	[[ $(awk -F'\t' '$1 == "lm_head.weight" { print $2, $3, $6 }' "$MNT/base/quant_model/000100/model.tsv") == "qint8 [4] -" ]]
}

@test "bare storages of a shard are the 1-d tensors that they are" {
	need_torch
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d1
	mkdir -p "$tag"
	small_pt "$tag/model_000001.pt"
	"$PYTHON" - "$tag/optim_000001_rank0.pt" <<-'END'
		import sys, torch
		whole = torch.arange(6.0)
		torch.save({"state": {0: {"typed": whole.storage(), "untyped": torch.arange(3, dtype=torch.int16).storage().untyped(),
		                          "bf16": torch.ones(5, dtype=torch.bfloat16).storage(), "view": whole[2:4]}}, "param_groups": []}, sys.argv[1])
	END
	mount_store "$BATS_TEST_TMPDIR/s"
	"$PYTHON" - "$MNT/base/d1/000001/optim/rank0" <<-'END'
		import numpy as np, sys
		a = {k: np.load("%s/state.0.%s.npy" % (sys.argv[1], k)) for k in ("typed", "untyped", "view")}
		assert a["typed"].dtype == np.float32 and a["typed"].tolist() == [0, 1, 2, 3, 4, 5]
		assert a["untyped"].dtype == np.uint8 and a["untyped"].tolist() == [0, 0, 1, 0, 2, 0]
		assert a["view"].tolist() == [2, 3]
		with open(sys.argv[1] + ".raw/state.0.bf16", "rb") as f:
		    assert f.read() == b"\x80\x3f" * 5
	END
	[[ $(awk -F'\t' 'NR > 1 { print $1, $2, $3 }' "$MNT/base/d1/000001/optim/rank0.tsv") == \
		$'state.0.typed float32 [6]\nstate.0.untyped uint8 [6]\nstate.0.bf16 bfloat16 [5]\nstate.0.view float32 [2]' ]]
	[[ $(pickle_of "$MNT/base/d1/000001/optim/rank0.pt") == safe ]]
	cp -r "$MNT/base/d1/000001" "$MNT/base/d1/000002"
	sync "$MNT/base/d1/000002"
	cmp "$tag/optim_000001_rank0.pt" "$tag/optim_000002_rank0.pt"
}

@test "optim_NNNNNN.pt, without a rank, is optim/rank0, resolves under its own name, and is guarded as checkpoints are" {
	field_store
	local tag=$STORE/base_checkpoints/nocrc
	mv "$tag/optim_000100_rank0.pt" "$tag/optim_000100.pt"
	mount_store "$STORE"
	oracle check_field "$MNT/base" "$FIXTURES/field"
	cmp "$MNT/base/nocrc/optim_000100.pt" "$tag/optim_000100.pt"
	[[ $(names "$MNT/base/nocrc") != *optim* ]]
	run rm -f "$MNT/base/nocrc/optim_000100.pt"
	[[ $status -ne 0 && $output == *"Operation not permitted"* ]]
	run mv "$MNT/base/nocrc/optim_000100.pt" "$MNT/base/nocrc/kept.pt"
	[[ $status -ne 0 ]]
	[[ -e $tag/optim_000100.pt && ! -e $tag/kept.pt ]]
	mount_store "$STORE" -o native,ro
	names "$MNT/base/nocrc" | grep -qx optim_000100.pt
}

@test "user.ckptfs.pickle: safe, refused for what the pickle holds, damaged for all else" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d1
	small_pt "$tag"/model_00000{1,2,3,4,5}.pt
	oracle make_case foreign-global "$tag/model_000002.pt"
	head -c 300 "$tag/model_000001.pt" >"$tag/model_000003.pt"
	oracle make_case storage-missing "$tag/model_000004.pt"
	oracle make_case no-stop "$tag/model_000005.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	[[ $(pickle_of "$MNT/base/d1/000001/model.pt") == safe ]]
	[[ $(pickle_of "$MNT/base/d1/000002/model.pt") == "refused: "*posix.system* ]]
	[[ $(pickle_of "$MNT/base/d1/000003/model.pt") == "damaged: "* ]]
	[[ $(pickle_of "$MNT/base/d1/000004/model.pt") == "damaged: "* ]]
	[[ $(pickle_of "$MNT/base/d1/000005/model.pt") == "damaged: "* ]]
}

# The mask of expand_mask is 400 MB in each form.
@test "cp -r of a whole step with such tensors, and sync, gives the same step again" {
	local tag file
	field_store
	rm -r "$STORE/base_checkpoints/expand_mask"
	mount_store "$STORE"
	for tag in "$STORE"/base_checkpoints/*/; do
		tag=$(basename "$tag")
		cp -r "$MNT/base/$tag/000100" "$MNT/base/$tag/000200"
		sync "$MNT/base/$tag/000200" || cat "$MNT/base/$tag/000200/DRAFT.error"
		for file in "$STORE/base_checkpoints/$tag"/{model,optim}_000100*.pt; do
			[[ ! -e $file ]] || cmp "$file" "${file/000100/000200}"
		done
		[[ ! -e $MNT/base/$tag/000200/DRAFT.error ]]
	done
	[[ -e $MNT/base/quant_model/000200/model/lm_head.weight.error && -e $MNT/base/sparse_coo/000200/optim/rank0/state.0.mask.error ]]
}

@test "a tensor that is an array may not be missing beside one that is none" {
	field_store
	mount_store "$STORE"
	cp -r "$MNT/base/quant_model/000100" "$MNT/base/quant_model/000200.partial"
	rm "$MNT/base/quant_model/000200.partial/model/transformer.wte.weight.npy"
	run sync "$MNT/base/quant_model/000200.partial"
	run mv "$MNT/base/quant_model/000200.partial" "$MNT/base/quant_model/000200"
	[[ $status -ne 0 ]]
	grep -q 'transformer.wte.weight' "$MNT/base/quant_model/000200.partial/DRAFT.error"
}
