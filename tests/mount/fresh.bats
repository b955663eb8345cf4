#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What changes in the store shows in the mount within one second (and what a poll costs).

load ../lib/helpers

SECOND=1150

setup() {
	STORE=$BATS_TEST_TMPDIR/s
	D12=$STORE/base_checkpoints/d12
	small_pt "$D12"/model_00000{1,2}.pt
	mount_store "$STORE"
	# Everything is looked at once, also what isn't there yet, so that every cache is warm.
	ls -lR "$MNT" >/dev/null
	stat "$MNT/base/d12/000003" "$MNT/base/d12/model_000003.pt" "$MNT/base/d20" "$MNT/mid" "$MNT/base/d12/000002/optim/rank0.pt" >/dev/null 2>&1 || true
}

points() { [[ $(readlink "$1") == "$2" ]]; }
gone() { [[ ! -e $1 ]]; }

@test "a new step appears and latest moves" {
	small_pt "$BATS_TEST_TMPDIR/model_000003.pt"
	cp "$BATS_TEST_TMPDIR"/m*_000003.* "$D12"
	within $SECOND points "$MNT/base/d12/latest" 000003
	within 50 lists "$MNT/base/d12" "000001 000002 000003 history.tsv latest"
	lists "$MNT/base/d12/000003/model" "lm_head.weight.npy transformer.wte.weight.npy"
	within $SECOND cmp "$MNT/base/d12/model_000003.pt" "$D12/model_000003.pt"
}

@test "a step that was looked up in vain is found" {
	small_pt "$D12/model_000003.pt"
	within $SECOND test -d "$MNT/base/d12/000003"
	within $SECOND test -f "$MNT/base/d12/model_000003.pt"
}

@test "a model that is being written is an error until it is whole" {
	small_pt "$BATS_TEST_TMPDIR/model_000003.pt"
	head -c 500 "$BATS_TEST_TMPDIR/model_000003.pt" >"$D12/model_000003.pt"
	within $SECOND is_error "$MNT/base/d12/000003/model.error" 'model_000003\.pt'
	points "$MNT/base/d12/latest" 000002
	gone "$MNT/base/d12/000003/model"
	tail -c +501 "$BATS_TEST_TMPDIR/model_000003.pt" >>"$D12/model_000003.pt"
	cp "$BATS_TEST_TMPDIR/meta_000003.json" "$D12"
	within $SECOND points "$MNT/base/d12/latest" 000003
	within $SECOND gone "$MNT/base/d12/000003/model.error"
	within $SECOND lists "$MNT/base/d12/000003" "hf.error meta.json model model.pt model.raw model.safetensors model.tsv"
}

@test "a removed step disappears and latest moves back" {
	rm "$D12"/*_000002.*
	within $SECOND points "$MNT/base/d12/latest" 000001
	within $SECOND gone "$MNT/base/d12/000002"
	lists "$MNT/base/d12" "000001 history.tsv latest"
}

@test "a replaced model shows its new tensors, size and inode number" {
	local raw=$MNT/base/d12/000002/model.raw/lm_head.weight before
	before=$(stat -c %i "$raw")
	cksum "$raw" >/dev/null
	oracle make_case keys "$STORE/new.pt"
	mv "$STORE/new.pt" "$D12/model_000002.pt"
	within $SECOND gone "$raw"
	within $SECOND test -f "$MNT/base/d12/000002/model.raw/a%2Fb"
	oracle make_case good "$STORE/new.pt"
	mv "$STORE/new.pt" "$D12/model_000002.pt"
	within $SECOND test -f "$raw"
	[[ $(stat -c %i "$raw") != "$before" ]]
	cmp "$MNT/base/d12/000002/model.pt" "$D12/model_000002.pt"
}

@test "a replaced meta.json shows, and changes what is patched" {
	gone "$MNT/base/d12/000002/model/x0_lambdas.npy"
	echo '{"model_config": {"n_layer": 2}}' >"$STORE/new.json"
	mv "$STORE/new.json" "$D12/meta_000002.json"
	within $SECOND grep -q window_pattern "$MNT/base/d12/000002/meta.json"
	within $SECOND test -f "$MNT/base/d12/000002/model/x0_lambdas.npy"
	[[ $(in_order "$MNT/base/d12/000002/model" | wc -l) -eq 4 ]]
	rm "$D12/meta_000002.json"
	within $SECOND gone "$MNT/base/d12/000002/meta.json"
	within $SECOND gone "$MNT/base/d12/000002/model/x0_lambdas.npy"
}

@test "the shards of a run arrive one by one" {
	small_pt "$D12/optim_000002_rank0.pt"
	within $SECOND test -f "$MNT/base/d12/000002/optim/rank0.json"
	small_pt "$D12/optim_000002_rank1.pt"
	within $SECOND test -d "$MNT/base/d12/000002/optim/rank1"
	rm "$D12/optim_000002_rank0.pt"
	within $SECOND gone "$MNT/base/d12/000002/optim/rank0"
}

@test "a new tag appears, and largest moves when it has a step" {
	mkdir "$STORE/base_checkpoints/d20"
	within $SECOND test -d "$MNT/base/d20"
	points "$MNT/base/largest" d12
	small_pt "$STORE/base_checkpoints/d20/model_000001.pt"
	within $SECOND points "$MNT/base/largest" d20
	rm -r "$STORE/base_checkpoints/d20"
	within $SECOND points "$MNT/base/largest" d12
	within $SECOND gone "$MNT/base/d20"
}

@test "a source that appears, and the first step of all" {
	small_pt "$STORE/chatsft_checkpoints/d12/model_000009.pt" "$STORE/mid_checkpoints/d12/model_000008.pt"
	within $SECOND points "$MNT/sft/d12/latest" 000009
	within $SECOND points "$MNT/mid/largest" d12
}

@test "a listing through a directory that is held open is fresh as well" {
	"$PYTHON" - "$MNT/base/d12" "$D12" <<-'END'
		import os, shutil, sys, time
		fd = os.open(sys.argv[1], os.O_RDONLY)
		assert sorted(os.listdir(fd)) == ["000001", "000002", "history.tsv", "latest"], os.listdir(fd)
		shutil.copy(sys.argv[2] + "/model_000001.pt", sys.argv[2] + "/model_000007.pt")
		time.sleep(1.1)
		os.lseek(fd, 0, 0)
		assert sorted(os.listdir(fd)) == ["000001", "000002", "000007", "history.tsv", "latest"], os.listdir(fd)
	END
}
