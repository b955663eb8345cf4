#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154,SC2317
# STEP/hf/, the model as transformers' NanoChat takes it: which checkpoints have it, what is in it, and what the others are told.

load ../lib/helpers
load ../lib/steps

hf_store() { shared hf make_hf; }

setup() {
	need_torch
	S=$(hf_store)
	B=$S/base_checkpoints
}

@test "models that transformers can represent have hf/, true in each field, name and byte, with nanochat's logits" {
	local device tag count=0
	for device in cpu mps cuda; do
		mount_store "$S" -o "device=$device"
		for tag in "$B"/ok_*; do
			oracle check_hf "$MNT/base/${tag##*/}/000500" "$tag/model_000500.pt" "$tag/meta_000500.json" "$device"
			lists "$MNT/base/${tag##*/}/000500" "hf meta.json model model.pt model.raw model.safetensors model.tsv"
			lists "$MNT/base/${tag##*/}/000500/hf" "config.json generation_config.json model.safetensors"
			count=$((count + 1))
		done
		unmount 0
	done
	[[ $count -eq 24 ]]
}

@test "each of the others has hf.error, which names the tensor or the setting" {
	local tag words word count=0
	mount_store "$S"
	while IFS=$'\t' read -r tag words; do
		local step=$MNT/base/$tag/000500 line
		[[ ! -e $step/hf && -d $step/model ]] || { echo "$tag: hf/ is there"; return 1; }
		line=$(<"$step/hf.error")
		[[ $(wc -l <"$step/hf.error") -eq 1 && $(stat -c %s "$step/hf.error") -eq $((${#line} + 1)) ]]
		[[ $line == "${words%% *}"* ]] || { echo "$line"; return 1; }
		for word in $words; do
			[[ $line == *"$word"* ]] || { echo "$tag: '$word' is not in: $line"; return 1; }
		done
		lists "$step" "hf.error $([[ $tag == no_meta ]] || echo "meta.json ")model model.pt model.raw model.safetensors model.tsv"
		count=$((count + 1))
	done <"$S/REFUSED"
	[[ $count -ge 26 ]]
}

@test "entries of a step with hf/ rise in inode numbers as they are listed; beside model.error stands neither" {
	local step
	mount_store "$S"
	step=$MNT/base/ok_october/000500
	[[ $(find "$step" -mindepth 1 -maxdepth 1 -printf '%i %f\n' | sort -n | cut -d' ' -f2 | tr '\n' ' ') == \
		"meta.json model model.raw model.safetensors model.tsv hf model.pt " ]]
	[[ $(find "$step" -mindepth 1 -maxdepth 1 -printf '%f ') == "meta.json model model.raw model.safetensors model.tsv hf model.pt " ]]
	[[ $(stat -c %h "$step") -eq 5 && $(stat -c %h "$step/hf") -eq 2 ]]
	[[ $(stat -c %i "$step/hf/..") == $(stat -c %i "$step") ]]
	unmount 0
	own_store
	head -c 300 "$B/ok_october/model_000500.pt" >"$STORE/base_checkpoints/d12/model_000500.pt"
	mount_store "$STORE"
	[[ -e $MNT/base/d12/000500/model.error && ! -e $MNT/base/d12/000500/hf && ! -e $MNT/base/d12/000500/hf.error ]]
	[[ $(names "$MNT/base/d12/000500") != *hf* ]]
}

@test "a link count of 1 says that nobody has opened the step yet; a step without metadata needs no opening" {
	mount_store "$S"
	[[ $(stat -c %h "$MNT/base/ok_window/000500") -eq 1 && $(stat -c %h "$MNT/base/no_meta/000500") -eq 4 ]]
	cat "$MNT/base/ok_window/000500/model/lm_head.weight.npy" >"$BATS_TEST_TMPDIR/lm"
	known() { [[ $(stat -c %h "$MNT/base/ok_window/000500") -eq 5 ]]; }
	within 1150 known
}

@test "only the lambdas are read for it, and only where all else fits" {
	! sanitized || skip "strace and LeakSanitizer exclude each other"
	local tag reads=()
	for tag in ok_october ok_lambdas ve_gate; do
		# shellcheck disable=SC2054 # strace's own list
		RUNNER=(strace -f -qq -e trace=pread64,preadv2 -P "$B/$tag/model_000500.pt" -o "$BATS_TEST_TMPDIR/$tag.trace")
		mount_store "$S"
		ls "$MNT/base/$tag/000500" >/dev/null
		unmount 0
		reads+=("$(grep -c 'pread' "$BATS_TEST_TMPDIR/$tag.trace")")
	done
	echo "${reads[*]}"
	# A tensor is a local header and its bytes.
	[[ ${reads[0]} -gt 0 && ${reads[2]} -eq ${reads[0]} && ${reads[1]} -gt ${reads[0]} && ${reads[1]} -le $((reads[0] + 4)) ]]
}

@test "a tokenizer in the Hub's form is shown: the tag's own, else that of tokenizer/, else the base directory's, each by itself" {
	local s=$BATS_TEST_TMPDIR/s step
	cp -a "$S" "$s"
	mkdir "$s/tokenizer"
	echo base >"$s/tokenizer.json"
	echo base >"$s/chat_template.jinja"
	echo shared >"$s/tokenizer/tokenizer.json"
	echo shared >"$s/tokenizer/tokenizer_config.json"
	echo own >"$s/base_checkpoints/ok_october/tokenizer_config.json"
	mkdir "$s/base_checkpoints/ok_october/special_tokens_map.json"
	echo pickle >"$s/tokenizer/tokenizer.pkl"
	mount_store "$s"
	step=$MNT/base/ok_october/000500/hf
	lists_in_order "$step" "config.json generation_config.json model.safetensors chat_template.jinja tokenizer.json tokenizer_config.json"
	[[ $(cd "$step" && cat chat_template.jinja tokenizer.json tokenizer_config.json | tr '\n' ' ') == "base shared own " ]]
	[[ $(<"$MNT/base/ok_lambdas/000500/hf/tokenizer_config.json") == shared ]]
	[[ ! -e $step/tokenizer.pkl && ! -e $step/special_tokens_map.json ]]
	[[ $(stat -c %s "$step/tokenizer.json") -eq 7 ]]
	# A file that is replaced or comes shows within a second, and who has the old one open reads it to the end.
	exec 7<"$step/tokenizer.json"
	echo replaced >"$s/tokenizer/new" && mv "$s/tokenizer/new" "$s/tokenizer/tokenizer.json"
	echo special >"$s/special_tokens_map.json"
	shows() { [[ $(<"$step/$1") == "$2" ]]; }
	within 1150 shows tokenizer.json replaced
	within 1150 shows special_tokens_map.json special
	[[ $(cat <&7) == shared ]]
	exec 7<&-
	unmount 0
	# A tag alone has its own.
	mount_store "$s/base_checkpoints/ok_october"
	lists_in_order "$MNT/000500/hf" "config.json generation_config.json model.safetensors tokenizer_config.json"
}

@test "what new metadata says is shown within a second" {
	local s=$BATS_TEST_TMPDIR/s tag
	mkdir -p "$s/base_checkpoints"
	cp -a "$B/window" "$s/base_checkpoints/window"
	mount_store "$s"
	tag=$MNT/base/window/000500
	grep -q window_pattern "$tag/hf.error"
	sed 's/SSSL/L/' "$B/window/meta_000500.json" >"$s/new" && mv "$s/new" "$s/base_checkpoints/window/meta_000500.json"
	shows() { [[ -e $tag/hf/config.json && ! -e $tag/hf.error ]]; }
	within 1150 shows
	oracle check_hf "$tag" "$s/base_checkpoints/window/model_000500.pt" "$s/base_checkpoints/window/meta_000500.json" cpu
}

@test "hf/ is only shown: nothing in it can be changed, and a copied step is published without it" {
	local s=$BATS_TEST_TMPDIR/s step
	cp -a "$S" "$s"
	mount_store "$s"
	step=$MNT/base/ok_october/000500
	refuses 'Operation not permitted' touch "$step/hf/new"
	refuses 'Operation not permitted' rm "$step/hf/config.json"
	refuses 'Operation not permitted' mv "$step/hf/config.json" "$step/hf/c"
	refuses 'Operation not permitted' rmdir "$step/hf"
	refuses 'Operation not permitted' dd if=/dev/zero of="$step/hf/model.safetensors" bs=1 count=1 conv=notrunc
	cp -r "$step" "$MNT/base/ok_october/000600"
	sync "$MNT/base/ok_october/000600"
	cmp "$s/base_checkpoints/ok_october/meta_000600.json" "$step/meta.json"
	diff -r "$step/hf" "$MNT/base/ok_october/000600/hf"
	[[ ! -e $s/base_checkpoints/ok_october/.ckptfs/000600 ]]
}
