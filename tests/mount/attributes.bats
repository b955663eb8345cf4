#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What stat says of the mount's directories: link counts, modes, room; and that a mount with `ro` shows drafts as any other does.

load ../lib/helpers

setup() {
	S=$BATS_TEST_TMPDIR/s
	TAG=$S/base_checkpoints/d12
}

has_links() { [[ $(stat -c %h "$2") -eq $1 ]]; }

# counted PATH... - each directory's link count is 2 and one for each subdirectory that it lists. The count is asked for first; that of optim/ may
# be 1, not known, until a shard was looked at.
counted() {
	local dir links subdirs bad=0
	for dir; do
		links=$(stat -c %h "$MNT/$dir")
		subdirs=$(find "$MNT/$dir" -mindepth 1 -maxdepth 1 -type d | wc -l)
		if [[ $dir == */optim && $links -eq 1 ]]; then
			within 1150 has_links $((2 + subdirs)) "$MNT/$dir" || bad=1
			continue
		fi
		((links == 2 + subdirs)) || { echo "$dir: $links links, $subdirs subdirectories"; bad=1; }
	done
	return "$bad"
}

@test "link counts are true before anything was listed: steps, shards, errors, drafts" {
	small_pt "$TAG"/model_{000001,000002,000003,000004,000005,000006}.pt "$S/mid_checkpoints/d1/model_000001.pt"
	small_pt "$TAG"/optim_000002_rank0.pt "$TAG"/optim_000002_rank1.pt "$TAG"/optim_000003_rank1.pt "$TAG"/optim_000005_rank0.pt
	# Whether a model with metadata has hf/ only its file could tell (hf.bats).
	rm "$TAG"/meta_* "$S"/mid_checkpoints/d1/meta_*
	truncate -s 300 "$TAG"/model_00000{4,5}.pt
	: >"$TAG/model_000006.pt"
	echo 'not a zip' >"$TAG/optim_000001_rank7.pt"
	mkdir "$S/base_checkpoints/d1" && touch "$S/base_checkpoints/file" "$S/sft_checkpoints"
	mount_store "$S"
	mkdir -p "$MNT/base/d12/000010/model" "$MNT/base/d12/000011.partial/optim/rank0" "$MNT/base/d12/000004/optim/rank3"
	find "$MNT" -type d -printf '%P\n' >"$BATS_TEST_TMPDIR/dirs"
	unmount 0
	[[ $(wc -l <"$BATS_TEST_TMPDIR/dirs") -gt 40 ]]
	local dirs options
	mapfile -t dirs <"$BATS_TEST_TMPDIR/dirs"
	for options in device=cpu native ro,device=cuda; do
		mount_store "$S" -o "$options"
		counted "${dirs[@]}"
		# And from the leaves up, so that no directory was counted or listed before those below it.
		mount_store "$S" -o "$options"
		mapfile -t dirs < <(tac "$BATS_TEST_TMPDIR/dirs")
		counted "${dirs[@]}"
	done
}

@test "link counts follow what comes and goes within a second" {
	small_pt "$TAG/model_000001.pt"
	rm "$TAG"/meta_*
	mount_store "$S"
	links() { [[ $(stat -c %h "$MNT/base/d12/$1") -eq $2 ]]; }
	links 000001 4
	small_pt "$TAG/optim_000001_rank5.pt"
	within 1150 links 000001 5
	rm "$TAG/optim_000001_rank5.pt"
	within 1150 links 000001 4
	truncate -s 300 "$TAG/model_000001.pt"
	within 1150 links 000001 2
	links . 3
	mkdir "$MNT/base/d12/000002"
	within 1150 links . 4
}

@test "a damaged file that ends as a whole one is counted from the first look at it" {
	small_pt "$TAG/model_000001.pt"
	printf XXXX | dd of="$TAG/model_000001.pt" conv=notrunc status=none
	mount_store "$S"
	lists "$MNT/base/d12/000001" "meta.json model.error model.pt"
	within 1150 counted base/d12/000001
}

@test "a directory that stands for a stored one has its whole mode, and a step's directory its tag's" {
	small_pt "$TAG/model_000001.pt" "$TAG/optim_000001_rank0.pt"
	chmod 640 "$TAG/model_000001.pt"
	local modes
	for modes in "755 755" "3775 2770" "1777 3771" "700 500"; do
		chmod "00${modes% *}" "$S/base_checkpoints"
		chmod "00${modes#* }" "$TAG"
		for options in device=cpu ro; do
			mount_store "$S" -o "$options"
			[[ $(stat -c %a "$MNT/base") == "${modes% *}" ]] || { stat "$MNT/base"; return 1; }
			for dir in . 000001 000001/optim; do
				[[ $(stat -c %a "$MNT/base/d12/$dir") == "${modes#* }" ]] || { stat "$MNT/base/d12/$dir"; return 1; }
			done
			[[ $(stat -c %a "$MNT/base/d12/000001/model.pt") == 440 && $(stat -c %a "$MNT/base/d12/000001/model") == [57]50 ]]
			unmount $((${#MOUNTS[@]} - 1))
		done
	done
}

@test "du of a step's stored form is the stored file's, and directories take nothing" {
	small_pt "$TAG/model_000001.pt"
	truncate -s 100000 "$TAG/more" && cat "$TAG/more" >>"$TAG/model_000001.pt" && rm "$TAG/more"
	mount_store "$S"
	[[ $(du -k "$MNT/base/d12/000001/model.pt" | cut -f1) -eq $(du -k "$TAG/model_000001.pt" | cut -f1) ]]
	local files
	files=$(find "$MNT" -type f -printf '%b\n' | awk '{ n += $1 } END { print n }')
	[[ $(du -s -B512 "$MNT" | cut -f1) -eq $files && $files -gt 0 ]]
}

# drafts_of TAG - what there is to see of its drafts: every name, and every byte.
drafts_of() { (cd "$1" && find 0000[1-9]* -type d -printf '%p/\n' -o -printf '%p %s ' -exec cksum {} \; | sort); }

@test "with ro drafts are listed and can be read, and nothing of them can be changed" {
	small_pt "$TAG"/model_00000{1,2}.pt "$TAG/optim_000002_rank0.pt"
	mount_store "$S"
	local tag=$MNT/base/d12 want
	mkdir -p "$tag/000010/model" "$tag/000011.partial" "$tag/000002/optim/rank1"
	cp "$tag/000001/model/lm_head.weight.npy" "$tag/000010/model/"
	echo '{"step": 11}' >"$tag/000011.partial/meta.json"
	echo 'half' >"$tag/000002/optim/rank1/state.0.exp_avg.npy"
	run ! sync "$tag/000010"
	want=$(drafts_of "$tag"; cat "$tag/000002/optim/rank1/"*)
	[[ $want == *"000010/DRAFT.error "*lm_head* ]]
	unmount 0
	find "$S" -printf '%p %T@ %C@ %s\n' | sort >"$BATS_TEST_TMPDIR/before"
	mount_store "$S" -o ro
	tag=$MNT/base/d12
	lists "$tag" "000001 000002 000010 000011.partial history.tsv latest"
	[[ $(drafts_of "$tag"; cat "$tag/000002/optim/rank1/"*) == "$want" ]] || { drafts_of "$tag"; echo "$want"; return 1; }
	grep -q meta.json "$tag/000010/DRAFT.error"
	[[ $(readlink "$tag/latest") == 000002 ]]
	refuses "Read-only" touch "$tag/000010/meta.json"
	refuses "Read-only" sh -c 'echo >>"$1"' _ "$tag/000011.partial/meta.json"
	refuses "Read-only" mv "$tag/000011.partial" "$tag/000011"
	refuses "Read-only" rm -r "$tag/000010"
	refuses "Read-only" mkdir "$tag/000012"
	sync "$tag/000010" "$tag/000011.partial" || true
	unmount 1
	find "$S" -printf '%p %T@ %C@ %s\n' | sort | diff "$BATS_TEST_TMPDIR/before" -
}

@test "with ro a draft of another mount is seen as it grows, and as a step when it is published" {
	small_pt "$TAG/model_000001.pt"
	mount_store "$S" -o ro
	local ro=$MNT/base/d12
	mount_store "$S"
	mkdir -p "$MNT/base/d12/000010/model"
	within 1150 test -d "$ro/000010/model"
	cp "$ro/000001/model/lm_head.weight.npy" "$MNT/base/d12/000010/model/"
	within 1150 cmp "$ro/000001/model/lm_head.weight.npy" "$ro/000010/model/lm_head.weight.npy"
	echo '{"step": 10}' >"$MNT/base/d12/000010/meta.json"
	within 1150 test -f "$ro/000010/model.pt"
	lists "$ro" "000001 000010 history.tsv latest"
}
