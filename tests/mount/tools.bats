#!/usr/bin/env bats
# shellcheck disable=SC2015,SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# What people type to copy a step in: every tool against every form of a step. It ends with 0; then the step is published
# and loads in torch, equal, or it is a draft whose DRAFT.error says what to do, and that does it.

load ../lib/helpers

# $SRC/FORM - a step in each form, in a file system of its own; the whole step is the mount's own.
setup() {
	need_torch
	own_store
	STORED=$STORE/base_checkpoints/d12
	mount_store "$STORE"
	TAG=$MNT/base/d12 SRC=$BATS_TEST_TMPDIR/src N=600
	mkdir -p "$SRC"/{pt,safetensors,tensors}
	cp --no-preserve=mode "$TAG/001000"/{meta.json,model.pt} "$SRC/pt/"
	cp --no-preserve=mode "$TAG/001000"/{meta.json,model.safetensors} "$SRC/safetensors/"
	cp -r --no-preserve=mode "$TAG/001000"/{meta.json,model} "$SRC/tensors/"
	ln -s "$TAG/001000" "$SRC/whole"
	touch -d 2024-05-06T07:08:09 "$SRC"/*/*.* "$SRC/tensors/model"/*
}

# How each tool copies the directory $1 to the step $2.
tool_cp() { mkdir "$2" && cp "$1"/* "$2/"; }
tool_cp_r() { mkdir "$2" && cp -r "$1"/* "$2/"; }
tool_cp_a() { cp -a "$1/." "$2"; }
tool_cp_r_dir() { cp -r "$1/." "$2"; }
tool_mv() { rm -rf "$SRC/moved" && cp -a "$1/." "$SRC/moved" && chmod -R u+w "$SRC/moved" && mv "$SRC/moved" "$2"; }
tool_rsync_r() { rsync -r "$1/" "$2/"; }
tool_rsync_a() { rsync -a "$1/" "$2/"; }
tool_tar() { mkdir "$2" && tar -C "$1" -cf - . | tar -C "$2" -xf -; }
tool_unzip() {
	rm -f "$SRC/step.zip"
	(cd "$1/" && "$PYTHON" -m zipfile -c "$SRC/step.zip" ./*) && unzip -q "$SRC/step.zip" -d "$2"
}
tool_copytree() { "$PYTHON" -c 'import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])' "$1" "$2"; }
tool_xargs() {
	mkdir "$2" && (cd "$1/" && find . -mindepth 1 -type d -exec mkdir -p "$2/{}" \; && find . -type f -print0 | xargs -0 -P 4 -I{} cp {} "$2/{}")
}
# The files of scp and of sftp, without a network in between: what they ask of ssh is run here.
tool_scp_r() {
	printf '#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n' >"$SRC/ssh"
	chmod +x "$SRC/ssh"
	scp -q -s -S "$SRC/ssh" -r "$1/." "there:$2"
}
tool_vim() {
	mkdir "$2" && find "$1/" -mindepth 1 -maxdepth 1 ! -name meta.json -exec cp -r {} "$2/" \; &&
		vim -es -u NONE -N +"write $2/meta.json" +quit "$1/meta.json" 3>&-
}

# into TOOL FORM - sets STEP, STATUS.
into() {
	N=$((N + 1)) STEP=000$N
	[[ ${3:-} != partial ]] || STEP+=.partial
	run --separate-stderr "tool_$1" "$SRC/$2" "$TAG/$STEP"
	STATUS=$status
	[[ $STATUS -eq 0 ]] || echo "$1 $2: status $STATUS: $stderr"
}

# The step is there and loads in torch, equal to the original.
equal() {
	local pt=$STORED/model_$STEP.pt
	[[ -f $pt && -f $STORED/meta_$STEP.json && -f $TAG/$STEP/model.pt && ! -e $TAG/$STEP/DRAFT.error ]] || { ls "$STORED" "$TAG/$STEP"; return 1; }
	"$PYTHON" -c 'import json, sys; assert json.load(open(sys.argv[1])) == json.load(open(sys.argv[2]))' "$TAG/$STEP/meta.json" "$TAG/001000/meta.json"
	case $1 in
	pt | whole) cmp "$pt" "$STORED/model_001000.pt" ;;
	*) oracle check_saved any-order "$pt" "$STORED/model_001000.pt" "$STORED/meta_001000.json" cpu ;;
	esac
	[[ $1 != whole ]] || cmp "$STORED/optim_${STEP}_rank0.pt" "$STORED/optim_001000_rank0.pt"
}

is_published() { [[ $STATUS -eq 0 ]] && equal "$2" || { echo "$1 $2"; return 1; }; }

# A draft that says so; and sync publishes it.
is_draft() {
	[[ $STATUS -eq 0 && ! -e $STORED/model_$STEP.pt ]] || { echo "$1 $2"; return 1; }
	is_error "$TAG/$STEP/DRAFT.error" "31 tensors" "meta.json: sync this directory to publish" || return
	sync "$TAG/$STEP" && equal "$2"
}

@test "one file for the model: published when the last of the two is there, by every tool, and each ends with 0" {
	local tool form
	for tool in cp cp_r cp_a cp_r_dir mv rsync_r rsync_a tar unzip copytree xargs scp_r vim; do
		for form in pt safetensors; do
			into "$tool" "$form"
			is_published "$tool" "$form"
		done
	done
}

@test "single tensors: a draft where meta.json comes first, and sync publishes it; published where it comes last" {
	local tool
	into cp tensors
	[[ $STATUS -eq 1 && ! -e $STORED/model_$STEP.pt ]]
	is_error "$TAG/$STEP/DRAFT.error" "meta.json: .*no model" "sync"
	for tool in cp_r rsync_r rsync_a unzip; do
		into "$tool" tensors
		is_draft "$tool" tensors
	done
	into vim tensors
	is_published vim tensors
	# In the order of the source's file system, or in none.
	for tool in cp_a cp_r_dir mv tar copytree xargs scp_r; do
		into "$tool" tensors
		# scp's server closes its last file when scp has ended: a draft may be published as it is looked at.
		[[ ! -e $STORED/model_$STEP.pt ]] && is_draft "$tool" tensors || is_published "$tool" tensors
	done
}

@test "a whole step: a draft, and sync gives the same step again" {
	local tool
	for tool in cp_r cp_a cp_r_dir tar copytree xargs scp_r; do
		into "$tool" whole
		is_draft "$tool" whole
	done
	into vim whole
	is_published vim whole
}

@test "a whole step by programs that copy files before directories: into .partial, and rename" {
	local tool
	for tool in rsync_r rsync_a cp_a tar unzip mv; do
		into "$tool" whole partial
		[[ $STATUS -eq 0 && -d $TAG/$STEP ]] || { echo "$tool"; return 1; }
		STEP=${STEP%.partial}
		is_error "$TAG/$STEP.partial/DRAFT.error" "rename this directory to $STEP to publish"
		mv "$TAG/$STEP.partial" "$TAG/$STEP"
		equal whole
	done
	# Without it the step may be published by its first two files, whole, and the program hears of what it can't add.
	into cp whole
	[[ $STATUS -eq 1 ]]
	equal pt
	into rsync_r whole
	if [[ -e $STORED/model_$STEP.pt ]]; then equal pt; else is_draft rsync_r whole; fi
}

@test "files that are closed at the same moment: published when the last close returns" {
	oracle at_once "$TAG" "$TAG/001000" 20000 60 model.safetensors meta.json
	oracle at_once "$TAG" "$TAG/001000" 30000 60 model.pt meta.json
	(cd "$TAG/001000" && find model -type f) >"$BATS_TEST_TMPDIR/tensors"
	mapfile -t tensors <"$BATS_TEST_TMPDIR/tensors"
	oracle at_once "$TAG" "$TAG/001000" 40000 20 "${tensors[@]}" meta.json
}
