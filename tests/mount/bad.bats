#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Bad input: what can't be shown says why, in one line, and everything else stays up.

load ../lib/helpers

TAG() { printf '%s\n' "$BATS_TEST_TMPDIR/s/base_checkpoints/d12"; }

# bad CASE WORD... - a store whose newest model is make_case.py's CASE: model.error has each WORD (a regular expression, in any case),
# and nothing else is touched by it. VERDICT: what user.ckptfs.pickle begins with: a file that is damaged may hold an innocent pickle.
VERDICT=refused
bad() {
	local tag
	tag=$(TAG)
	small_pt "$tag"/model_00000{1,2}.pt "$tag/optim_000002_rank0.pt"
	oracle make_case "$1" "$tag/model_000002.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	is_error "$MNT/base/d12/000002/model.error" 'model_000002\.pt' "${@:2}"
	lists "$MNT/base/d12/000002" "meta.json model.error model.pt optim"
	cmp "$MNT/base/d12/000002/model.pt" "$tag/model_000002.pt"
	[[ $(getfattr --only-values -n user.ckptfs.pickle "$MNT/base/d12/000002/model.pt") == "$VERDICT: "?* ]]
	grep -q '"step": 1' "$MNT/base/d12/000002/meta.json"
	[[ $(in_order "$MNT/base/d12/000002/optim/rank0") == $'transformer.wte.weight.npy\nlm_head.weight.npy' ]]
	[[ $(readlink "$MNT/base/d12/latest") == 000001 ]]
	cmp "$MNT/base/d12/latest/model.raw/lm_head.weight" "$MNT/base/d12/000002/optim/rank0.raw/lm_head.weight"
}

@test "a text file" { VERDICT=damaged bad text; }
@test "an empty file" { VERDICT=damaged bad empty; }
@test "a file of zeros" { VERDICT=damaged bad zeros; }
@test "a truncated file" { VERDICT=damaged bad truncated; }
@test "a pickle without its zip" { VERDICT=damaged bad pickle-only; }
@test "a zip without data.pkl" { VERDICT=damaged bad no-pickle 'data\.pkl'; }
@test "two data.pkl" { VERDICT=damaged bad two-pickles; }
@test "two entries of one name" { VERDICT=damaged bad duplicate-entry 'data/0'; }
@test "entries that overlap" { VERDICT=damaged bad overlapping; }
@test "no version, which torch.load wants" { VERDICT=damaged bad no-version 'expected a record `version`'; }
@test "a version that is no number" { VERDICT=damaged bad version-word 'version: expected a number' three; }
@test "a version that torch doesn't know" { VERDICT=damaged bad version-eleven 'version: expected a number' 11; }
@test "an encrypted entry" { VERDICT=damaged bad encrypted; }
@test "a strange compression method" { VERDICT=damaged bad strange-method; }
@test "data.pkl with a wrong CRC" { VERDICT=damaged bad pickle-crc 'data\.pkl' crc; }
@test "a storage that reaches outside the file" { VERDICT=damaged bad storage-outside; }
@test "a storage that reaches into the directory" { VERDICT=damaged bad storage-past-directory; }
@test "a storage that isn't there" { VERDICT=damaged bad storage-missing 'data/1|lm_head'; }
@test "a storage that is shorter than numel times the item size" { VERDICT=damaged bad storage-short; }
@test "a tensor that starts so late that it leaves its storage" { bad tensor-offset faulty; }
@test "a tensor whose strides leave its storage" { bad tensor-stride faulty; }
@test "a tensor larger than 64 bits can say" { bad tensor-shape faulty; }
@test "a tensor far larger than its storage" { bad tensor-huge faulty; }
@test "a negative offset" { bad negative-offset faulty; }
@test "negative strides" { bad negative-stride faulty; }
@test "a negative shape" { bad negative-shape faulty; }
@test "a storage whose size wraps around 64 bits" { bad numel-overflow; }
@test "a pickle without an end" { VERDICT=damaged bad no-stop; }
@test "a pickle that pops an empty stack" { bad underflow; }
@test "a pickle that remembers nothing" { bad memo-missing; }
@test "a pickle that sets an item of a list" { bad setitem-on-list; }
@test "a pickle of a dict that holds itself" { bad cycle; }
@test "a pickle nested a hundred thousand deep" { bad deep; }
@test "a pickle that doubles sixty times" { bad doubling; }
@test "a string longer than its pickle" { VERDICT=damaged bad long-string; }
@test "an extension opcode" { bad extension-opcode; }
@test "a key of invalid UTF-8" { bad key-bytes; }

@test "a storage that is longer than numel times the item size, which torch.save writes of an odd number of bytes" {
	local tag
	tag=$(TAG)
	small_pt "$tag/model_000001.pt"
	oracle make_case storage-long "$tag/model_000002.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	cmp "$MNT/base/d12/000001/model.raw/lm_head.weight" "$MNT/base/d12/000002/model.raw/lm_head.weight"
	[[ $(getfattr --only-values -n user.ckptfs.pickle "$MNT/base/d12/000002/model.pt") == safe ]]
}

@test "a re-zipped file whose CRCs are turned off: none is checked" {
	local tag
	tag=$(TAG)
	small_pt "$tag/model_000001.pt"
	oracle make_case deflated-no-crcs "$tag/model_000002.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	cmp "$MNT/base/d12/000001/model.raw/lm_head.weight" "$MNT/base/d12/000002/model.raw/lm_head.weight"
	cmp "$MNT/base/d12/000001/model.raw/transformer.wte.weight" "$MNT/base/d12/000002/model.raw/transformer.wte.weight"
	[[ $(getfattr --only-values -n user.ckptfs.pickle "$MNT/base/d12/000002/model.pt") == safe ]]
}

@test "a legacy file of torch before 1.6" {
	need_torch
	VERDICT=damaged bad legacy legacy
}

@test "a foreign global is named and never called" {
	bad foreign-global 'posix\.system'
	grep -qaF "touch $CKPTFS_CANARY" "$(TAG)/model_000002.pt"
	[[ ! -e $CKPTFS_CANARY ]]
	[[ $(getfattr --only-values -n user.ckptfs.pickle "$MNT/base/d12/000002/model.pt") == "refused: "*posix.system* ]]
}

@test "a foreign global by STACK_GLOBAL" { bad foreign-stack-global 'builtins\.eval'; }
@test "a foreign global by INST" { bad foreign-instance 'os\.system'; }
@test "a foreign global that looks innocent" { bad foreign-numpy 'numpy\.core\.multiarray\.scalar'; }

@test "a local header with another name: an error at once or at the first read" {
	local tag
	tag=$(TAG)
	small_pt "$tag/model_000001.pt"
	oracle make_case local-name-used "$tag/model_000001.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	if [[ -e $MNT/base/d12/000001/model.error ]]; then
		is_error "$MNT/base/d12/000001/model.error" 'model_000001\.pt'
	else
		refuses "Input/output error" cat "$MNT/base/d12/000001/model.raw/transformer.wte.weight"
		grep -q 'data/0' "$LOG"
		cat "$MNT/base/d12/000001/model.raw/lm_head.weight" >/dev/null
	fi
}

@test "a checkpoint cut at any byte" {
	small_pt "$BATS_TEST_TMPDIR/x/one.pt"
	oracle truncate_all prefixes "$BATS_TEST_TMPDIR/x/one.pt" "$(TAG)"
	mount_store "$BATS_TEST_TMPDIR/s"
	oracle truncate_all check-prefixes "$MNT/base/d12"
}

@test "a checkpoint with any byte inverted" {
	small_pt "$BATS_TEST_TMPDIR/x/one.pt"
	oracle truncate_all damage "$BATS_TEST_TMPDIR/x/one.pt" "$(TAG)"
	mount_store "$BATS_TEST_TMPDIR/s"
	oracle truncate_all check-damage "$MNT/base/d12"
}

@test "a bad shard: optim/rank1.error stands for it, rank0 and the model stay" {
	local tag
	tag=$(TAG)
	small_pt "$tag/model_000001.pt" "$tag"/optim_000001_rank{0,1,2}.pt
	oracle make_case foreign-global "$tag/optim_000001_rank1.pt"
	oracle make_case doubling-dict "$tag/optim_000001_rank2.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	is_error "$MNT/base/d12/000001/optim/rank1.error" 'optim_000001_rank1\.pt' 'posix\.system'
	lists "$MNT/base/d12/000001/optim" "all.error rank0 rank0.json rank0.pt rank0.raw rank0.safetensors rank0.tsv rank1.error rank1.pt rank2.error rank2.pt"
	is_error "$MNT/base/d12/000001/optim/rank2.error" 'optim_000001_rank2\.pt'
	cmp "$MNT/base/d12/000001/optim/rank1.pt" "$tag/optim_000001_rank1.pt"
	[[ $(readlink "$MNT/base/d12/latest") == 000001 ]]
	jq -e . "$MNT/base/d12/000001/optim/rank0.json" >/dev/null
}

# bad_meta TEXT - meta.error stands for it, and the tensors are shown unpatched.
bad_meta() {
	local tag
	tag=$(TAG)
	small_pt "$tag/model_000001.pt"
	printf '%b' "$1" >"$tag/meta_000001.json"
	mount_store "$BATS_TEST_TMPDIR/s"
	is_error "$MNT/base/d12/000001/meta.error" 'meta_000001\.json'
	lists "$MNT/base/d12/000001" "hf.error meta.error model model.pt model.raw model.safetensors model.tsv"
	lists_in_order "$MNT/base/d12/000001/model" "transformer.wte.weight.npy lm_head.weight.npy"
	refuses "No such file" cat "$MNT/base/d12/000001/meta.json"
}

@test "meta: no JSON" {
	bad_meta 'step = 1\n'
}

@test "meta: an empty file" {
	bad_meta ''
}

@test "meta: JSON, but no object" {
	bad_meta '[{"model_config": {"n_layer": 2}}]'
}

@test "meta: cut short" {
	bad_meta '{"model_config": {"n_layer": 2}'
}

@test "meta: something behind it" {
	bad_meta '{"model_config": {"n_layer": 2}} x'
}

@test "meta: a trailing comma" {
	bad_meta '{"model_config": {"n_layer": 2},}'
}

@test "meta: invalid UTF-8" {
	bad_meta '{"model_config": {"n_layer": 2}, "a": "\xff\xfe"}'
}

@test "meta: nested a hundred thousand deep" {
	bad_meta "{\"a\": $(printf '[%.0s' {1..100000})"
}


@test "STORE isn't there, or is a file" {
	mkdir "$BATS_TEST_TMPDIR/m"
	touch "$BATS_TEST_TMPDIR/file"
	no_mount "$BATS_TEST_TMPDIR/nowhere" "$CKPTFS" "$BATS_TEST_TMPDIR/nowhere" "$BATS_TEST_TMPDIR/m"
	no_mount "$BATS_TEST_TMPDIR/file" "$CKPTFS" "$BATS_TEST_TMPDIR/file" "$BATS_TEST_TMPDIR/m"
	no_mount "$BATS_TEST_TMPDIR/nowhere" "$CKPTFS" -f "$BATS_TEST_TMPDIR/nowhere" "$BATS_TEST_TMPDIR/m"
	run ! mountpoint -q "$BATS_TEST_TMPDIR/m"
}

@test "MOUNTPOINT isn't there, or is a file, or isn't empty" {
	mkdir -p "$BATS_TEST_TMPDIR/s" "$BATS_TEST_TMPDIR/full"
	touch "$BATS_TEST_TMPDIR/file" "$BATS_TEST_TMPDIR/full/x"
	no_mount "$BATS_TEST_TMPDIR/nowhere" "$CKPTFS" "$BATS_TEST_TMPDIR/s" "$BATS_TEST_TMPDIR/nowhere"
	no_mount "$BATS_TEST_TMPDIR/file" "$CKPTFS" "$BATS_TEST_TMPDIR/s" "$BATS_TEST_TMPDIR/file"
	no_mount "$BATS_TEST_TMPDIR/full" "$CKPTFS" "$BATS_TEST_TMPDIR/s" "$BATS_TEST_TMPDIR/full"
	run ! mountpoint -q "$BATS_TEST_TMPDIR/full"
}

# A daemon that obeys file modes, also where the tests run as root.
obey_modes() {
	[[ $EUID -ne 0 ]] || RUNNER=(setpriv '--bounding-set=-dac_override,-dac_read_search')
}

@test "an unreadable tag directory, step file and metadata in the store" {
	local base=$BATS_TEST_TMPDIR/s/base_checkpoints
	small_pt "$base"/d12/model_00000{1,2,3}.pt "$base/d20/model_000001.pt"
	chmod 0 "$base/d12/model_000003.pt" "$base/d12/meta_000001.json" "$base/d20"
	obey_modes
	mount_store "$BATS_TEST_TMPDIR/s"
	lists "$MNT/base" "d12 d20 largest"
	refuses "Permission denied" ls "$MNT/base/d20"
	[[ $(readlink "$MNT/base/largest") == d12 ]]
	if [[ $EUID -eq 0 ]]; then
		is_error "$MNT/base/d12/000003/model.error" 'model_000003\.pt' 'permission denied'
		[[ $(stat -c %a "$MNT/base/d12/000003/model.pt") == 0 ]]
	else
		# A step's directory is as readable as its model.
		refuses "Permission denied" ls "$MNT/base/d12/000003"
	fi
	is_error "$MNT/base/d12/000001/meta.error" 'meta_000001\.json' 'permission denied'
	[[ $(readlink "$MNT/base/d12/latest") == 000002 ]]
	lists_in_order "$MNT/base/d12/000001/model" "transformer.wte.weight.npy lm_head.weight.npy"
	chmod 755 "$base/d20"
}

@test "an unreadable checkpoints directory in the store" {
	local store=$BATS_TEST_TMPDIR/s
	small_pt "$store/base_checkpoints/d12/model_000001.pt" "$store/chatsft_checkpoints/d12/model_000001.pt"
	chmod 0 "$store/base_checkpoints"
	obey_modes
	mount_store "$store"
	lists "$MNT" "base rl sft"
	refuses "Permission denied" ls "$MNT/base"
	lists "$MNT/sft/d12/latest/model" "lm_head.weight.npy transformer.wte.weight.npy"
	chmod 755 "$store/base_checkpoints"
}

@test "a directory, a dangling link and a fifo under a model's name" {
	local tag
	tag=$(TAG)
	small_pt "$tag/model_000001.pt" "$tag/real.pt"
	mkdir "$tag/model_000002.pt"
	ln -s nowhere "$tag/model_000003.pt"
	mkfifo "$tag/model_000004.pt"
	ln -s real.pt "$tag/model_000005.pt"
	mount_store "$BATS_TEST_TMPDIR/s"
	timeout 10 ls -lR "$MNT/base/d12" >/dev/null
	[[ $(readlink "$MNT/base/d12/latest") == 000005 ]]
	lists_in_order "$MNT/base/d12/000005/model" "transformer.wte.weight.npy lm_head.weight.npy"
}
