#!/usr/bin/env bats
# shellcheck disable=SC2103,SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# The ways to publish a step, what publishes and what waits, and what DRAFT.error says meanwhile.

load ../lib/helpers

# A store of nanochat's, mounted for writing.
setup() {
	need_torch
	own_store
	STORED=$STORE/base_checkpoints/d12
	mount_store "$STORE"
	TAG=$MNT/base/d12 DRAFT=$MNT/base/d12/000600
	mkdir "$DRAFT"
}

published() { [[ -f $STORED/model_${1:-000600}.pt && -f $STORED/meta_${1:-000600}.json ]] || { ls "$STORED"; cat "$DRAFT/DRAFT.error"; return 1; }; }
unpublished() { [[ ! -e $STORED/model_${1:-000600}.pt ]] || { ls "$STORED"; return 1; }; }
says() { is_error "$DRAFT/DRAFT.error" "$@"; }

@test "a whole model.pt or model.safetensors beside meta.json publishes in whatever order" {
	local n=600 form order
	for form in model.pt model.safetensors; do
		for order in "meta.json $form" "$form meta.json"; do
			n=$((n + 1))
			mkdir "$TAG/000$n"
			cp "$TAG/000500/${order% *}" "$TAG/000$n/"
			unpublished 000$n
			cp "$TAG/000500/${order#* }" "$TAG/000$n/"
			published 000$n
		done
		mkdir "$TAG/000$n.partial"
		cp "$TAG/000500/meta.json" "$TAG/000500/$form" "$TAG/000$n.partial/"
		[[ -d $TAG/000$n.partial ]]
		rm -r "$TAG/000$n.partial"
	done
	cmp "$STORED/model_000500.pt" "$STORED/model_000601.pt"
	cmp "$STORED/model_000500.pt" "$STORED/model_000602.pt"
	diff -r "$TAG/000500/model" "$TAG/000603/model"
	n=605
	for form in model.pt model.safetensors; do
		mkdir "$TAG/000$n"
		cp "$TAG/000500/meta.json" "$TAG/000$n/"
		rsync -a "$TAG/000500/$form" "$TAG/000$n/"
		published 000$n
		n=606
	done
}

@test "half a model.pt beside meta.json is no model: it publishes when it is whole" {
	cp "$TAG/000500/meta.json" "$DRAFT/"
	head -c 1000 "$STORED/model_000500.pt" >"$DRAFT/model.pt"
	unpublished
	says "model\.pt" "no end of central directory"
	tail -c +1001 "$STORED/model_000500.pt" >>"$DRAFT/model.pt"
	published
	cmp "$STORED/model_000500.pt" "$STORED/model_000600.pt"
}

@test "one of several forms doesn't publish by itself; sync does" {
	mkdir "$DRAFT/model"
	cp "$TAG/000500/meta.json" "$TAG/000500/model.pt" "$DRAFT/"
	unpublished
	says "a model without tensors|0 tensors"
	cp "$TAG/000500/model"/* "$DRAFT/model/"
	unpublished
	says "31 tensors, model.pt and meta.json" "sync this directory to publish"
	sync "$DRAFT"
	published
}

@test "parallel copiers: single tensors are published when they are complete as model_config says, not before" {
	find "$TAG/000500/model" -name '*.npy' | head -n 12 | xargs -P 4 -I{} cp {} "$DRAFT/" || return
	mkdir "$DRAFT/model"
	mv "$DRAFT"/*.npy "$DRAFT/model/"
	cp "$TAG/000500/meta.json" "$DRAFT/"
	unpublished
	says "incomplete: 14 of the 26 tensors that n_layer 4 asks for are missing" "sync"
	cp -r "$TAG/000500/model" "$DRAFT/"
	unpublished
	says "31 tensors and meta.json: sync this directory to publish"
	cp "$TAG/000500/meta.json" "$DRAFT/"
	published
	diff -r "$TAG/000500/model" "$TAG/000600/model"
}

@test "incomplete on purpose: sync publishes it as it is; where n_layer or the layers are unknown one tensor is enough" {
	mkdir "$DRAFT/model"
	cp "$TAG/000500/model/lm_head.weight.npy" "$TAG/000500/model/transformer.h.0.attn.c_q.weight.npy" "$DRAFT/model/"
	cp "$TAG/000500/meta.json" "$DRAFT/"
	unpublished
	sync "$DRAFT"
	published
	mkdir -p "$TAG/000601/model" "$TAG/000602/model"
	cp "$TAG/000500/model/transformer.h.0.attn.c_q.weight.npy" "$TAG/000601/model/"
	echo '{"step": 601}' >"$TAG/000601/meta.json"
	published 000601
	cp "$TAG/000500/model/lm_head.weight.npy" "$TAG/000602/model/"
	cp "$TAG/000500/meta.json" "$TAG/000602/"
	published 000602
}

@test "a publication that had to wait is done when the last writer closes" {
	cp -r "$TAG/000500/model" "$DRAFT/"
	exec 6>>"$DRAFT/model/lm_head.weight.npy" 7>"$DRAFT/.meta.json.swp"
	cp "$TAG/000500/meta.json" "$DRAFT/"
	unpublished
	says "2 files are open for writing" "lm_head" "closing the last of them publishes"
	exec 6>&-
	unpublished
	says "1 file is open for writing" "swp"
	exec 7>&-
	published
}

@test "the same with vim: :w of meta.json while its .swp is open" {
	cp "$TAG/000500/meta.json" "$DRAFT/"
	cp -r "$TAG/000500/model" "$DRAFT/"
	chmod u+w "$DRAFT/meta.json"
	vim -es -u NONE -N +'set swapfile directory=. updatecount=1 backupcopy=yes' +'%s/"step": 500/"step": 600/' +'write' +'sleep 200m' +quit "$DRAFT/meta.json" 3>&-
	published
	grep -q '"step": 600' "$STORED/meta_000600.json"
}

@test "the same with a mapping: nobody is there to be told, DRAFT.error and the log say it" {
	cp -r "$TAG/000500/model" "$DRAFT/"
	cp "$TAG/000500/meta.json" "$BATS_TEST_TMPDIR/"
	"$PYTHON" - "$DRAFT" "$BATS_TEST_TMPDIR/meta.json" <<-'END'
		import shutil, sys, os, numpy as np
		one = sys.argv[1] + "/model/lm_head.weight.npy"
		os.chmod(one, 0o644)
		m = np.load(one, mmap_mode="r+")
		m[0, 0] = 5
		m.flush()
		shutil.copyfile(sys.argv[2], sys.argv[1] + "/meta.json")
		assert not os.path.exists(sys.argv[1] + "/model.pt")
		with open(sys.argv[1] + "/DRAFT.error") as f:
		    assert "1 file is open for writing (lm_head" in f.read()
		del m
	END
	within 3000 published
	[[ $("$PYTHON" -c 'import numpy, sys; print(numpy.load(sys.argv[1])[0, 0])' "$TAG/000600/model/lm_head.weight.npy") == 5.0 ]]
	# Unfit when the mapping goes: it stays, with the reason.
	DRAFT=$TAG/000601
	mkdir "$DRAFT"
	cp -r "$TAG/000500/model" "$DRAFT/"
	"$PYTHON" - "$DRAFT" "$BATS_TEST_TMPDIR/meta.json" <<-'END'
		import mmap, shutil, sys, os
		one = sys.argv[1] + "/model/lm_head.weight.npy"
		os.chmod(one, 0o644)
		with open(one, "r+b") as f:
		    m = mmap.mmap(f.fileno(), 0)
		m[0:4] = b"junk"
		shutil.copyfile(sys.argv[2], sys.argv[1] + "/meta.json")
		m.close()
	END
	within 3000 says "lm_head.weight.npy" "magic"
	within 3000 grep -q 'lm_head.weight.npy.*magic' "$LOG"
	unpublished 000601
}

@test "DRAFT.error stands in every draft and says how things stand now" {
	says "nothing yet" "meta.json.*missing" "sync"
	cp -r "$TAG/000500/model" "$DRAFT/"
	says "31 tensors: " "meta.json.*missing"
	mkdir "$TAG/000700.partial"
	cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/000500/optim" "$TAG/000700.partial/"
	is_error "$TAG/000700.partial/DRAFT.error" "31 tensors, 1 shard and meta.json: rename this directory to 000700 to publish"
	# Stale is what it never is.
	echo rubbish >"$DRAFT/model/x.npy"
	refuses "Invalid argument" sync "$DRAFT"
	echo '{}' >"$DRAFT/meta.json"
	refuses "Invalid argument" sync "$DRAFT"
	says "x\.npy" "magic"
	rm "$DRAFT/model/x.npy"
	says "31 tensors and meta.json: sync this directory to publish"
	# Removing it succeeds and does nothing.
	rm "$DRAFT/DRAFT.error"
	says "31 tensors"
	[[ $(names "$DRAFT" | tr '\n' ' ') == "DRAFT.error meta.json model " ]]
	[[ $(stat -c %s "$DRAFT/DRAFT.error") -eq $(wc -c <"$DRAFT/DRAFT.error") ]]
	# Of a copy of a draft nothing is kept, and nothing fails.
	mkdir "$TAG/000701.partial"
	cp -a "$DRAFT/." "$TAG/000701.partial"
	rsync -a "$DRAFT/" "$TAG/000701.partial/"
	is_error "$TAG/000701.partial/DRAFT.error" "rename this directory to 000701"
	rm -r "$DRAFT" "$TAG/000700.partial"
	mkdir "$DRAFT"
	[[ $(names "$DRAFT") == DRAFT.error ]]
	rmdir "$DRAFT"
	[[ ! -e $STORED/.ckptfs/000600 ]]
}

@test "DRAFT.error of a shard, also where the shard can't be written" {
	local optim=$TAG/000300/optim
	mkdir -p "$TAG/000300"
	cp "$TAG/000500/model.pt" "$TAG/000500/meta.json" "$TAG/000300/"
	published 000300
	mkdir "$optim" "$optim/rank0"
	is_error "$optim/DRAFT.error" "no shard is complete"
	cp "$TAG/000500/optim/rank0.json" "$optim/"
	is_error "$optim/DRAFT.error" "rank0.json" "tensor"
	cp "$TAG/000500/optim/rank0"/* "$optim/rank0/"
	is_error "$optim/DRAFT.error" "1 shard: sync this directory to publish"
	sync "$optim"
	cmp "$STORED/optim_000300_rank0.pt" "$STORED/optim_000500_rank0.pt" || diff -r "$TAG/000500/optim/rank0" "$optim/rank0"
}

@test "shards of a whole optim/, with what it only shows, are added to a published step and leave nothing behind" {
	local optim=$TAG/000600/optim
	cp "$TAG/001000/model.pt" "$TAG/001000/meta.json" "$DRAFT/"
	mkdir "$optim" "$optim/rank0" "$optim/rank1"
	cp -r "$TAG/001000"/optim/rank0.{raw,safetensors,tsv} "$optim/"
	cp "$TAG/001000/optim/rank0.tsv" "$optim/all.tsv"
	cp "$TAG/001000/optim/rank0"/* "$optim/rank0/"
	cp "$TAG/001000/optim/rank0.json" "$optim/"
	[[ -e $STORED/optim_000600_rank0.pt ]]
	rmdir "$optim/rank1"
	cp "$TAG/001000/optim/rank1.pt" "$optim/"
	cmp "$STORED/optim_000600_rank1.pt" "$STORED/optim_001000_rank1.pt"
	[[ ! -e $STORED/.ckptfs/000600.optim ]] || { find "$STORED/.ckptfs"; return 1; }
	diff -r "$TAG/001000/optim/rank0" "$optim/rank0"
	[[ $(names "$optim" | tr '\n' ' ') == "$(names "$TAG/001000/optim" | tr '\n' ' ')" ]]
}

@test "a waiting shard is published when the last of its files is closed" {
	local optim=$TAG/000600/optim one
	cp "$TAG/000500/model.pt" "$TAG/000500/meta.json" "$DRAFT/"
	mkdir -p "$optim/rank0"
	cp "$TAG/000500/optim/rank0"/* "$optim/rank0/"
	one=$(find "$optim/rank0" -name '*.npy' -print -quit)
	chmod u+w "$one"
	exec 6>>"$one"
	cp "$TAG/000500/optim/rank0.json" "$optim/"
	[[ ! -e $STORED/optim_000600_rank0.pt ]]
	is_error "$optim/DRAFT.error" "1 file is open for writing"
	exec 6>&-
	[[ -e $STORED/optim_000600_rank0.pt ]]
}

# ---- after it is published ----

@test "who stands in a draft that is published stands in the step, whose directories keep their inode numbers" {
	local before after
	mkdir "$DRAFT/model"
	cp "$TAG/000500/model"/* "$DRAFT/model/"
	before=$(stat -c '%i' "$DRAFT" "$DRAFT/model")
	cd "$DRAFT/model"
	cp "$TAG/000500/meta.json" ../meta.json
	published
	[[ -f lm_head.weight.npy && -f ../model.pt && $(names .. | head -n 1) == hf.error ]]
	cmp lm_head.weight.npy "$TAG/000500/model/lm_head.weight.npy"
	stat . .. ../meta.json >/dev/null
	[[ $(names . | wc -l) -eq 31 ]]
	after=$(stat -c '%i' "$DRAFT" "$DRAFT/model")
	[[ $before == "$after" ]]
	sleep 1.2
	[[ $(stat -c '%i' "$DRAFT" . ) == "$before" ]]
	[[ $(find "$TAG" -maxdepth 1 -name 000600 -printf '%i') == "${before%%$'\n'*}" ]]
	"$PYTHON" -c 'import os, sys
for d, _, _ in os.walk(sys.argv[1]):
    for e in os.scandir(d):
        assert e.inode() == e.stat(follow_symlinks=False).st_ino, e.path' "$MNT"
	[[ -z $(find "$MNT" -printf '%i\n' | sort | uniq -d) ]]
	# Shards are added by who stands there, too.
	cd ..
	mkdir optim
	cd optim
	cp -r "$TAG/000500/optim/rank0" .
	cp "$TAG/000500/optim/rank0.json" .
	[[ -e $STORED/optim_000600_rank0.pt ]]
	cmp rank0.json "$TAG/000500/optim/rank0.json"
	cd "$REPO"
	# The number of a draft that is gone is no other draft's.
	for n in 1 2 3 4; do mkdir "$TAG/00070$n"; done
	[[ -z $(find "$MNT" -printf '%i\n' | sort | uniq -d) ]]
}

@test "touch of a draft's meta.json publishes it and ends with 0" {
	cp "$TAG/000500/meta.json" "$DRAFT/"
	cp -r "$TAG/000500/model" "$DRAFT/"
	unpublished
	chmod u+w "$DRAFT/meta.json"
	touch -d 2024-01-02T03:04:05 "$DRAFT/meta.json"
	published
	[[ $(stat -c %y "$DRAFT/meta.json") == 2024-01-02* ]]
}

dated() { [[ $(stat -c %y "${@:2}" | cut -c1-10 | sort -u) == "$1" ]]; }

@test "times, mode and owner of a published step's entries are the stored file's: they can be set, and they last" {
	local step=$TAG/000500 model=$STORED/model_000500.pt meta=$STORED/meta_000500.json
	sha256sum "$STORED"/*.* >"$BATS_TEST_TMPDIR/before"
	touch -d 2024-01-02T03:04:05 "$step/model.pt"
	[[ $(stat -c %y "$model" "$step/model.pt" | cut -c1-19 | sort -u) == "2024-01-02 03:04:05" ]]
	within 1500 dated 2024-01-02 "$step/model/lm_head.weight.npy" "$step"
	touch -d 2023-01-02T03:04:05 "$step"
	[[ $(stat -c %y "$model") == 2023-01-02* ]]
	touch -d 2022-01-02T03:04:05 "$step/meta.json"
	[[ $(stat -c %y "$meta") == 2022-01-02* && $(stat -c %y "$model") == 2023-01-02* ]]
	chmod 640 "$model"
	chmod a+r,a-w "$step/model/lm_head.weight.npy"
	[[ $(stat -c %a "$model") == 644 ]]
	chmod 700 "$step/optim/rank0.pt"
	[[ $(stat -c %a "$STORED/optim_000500_rank0.pt") =~ ^6[02][02]$ ]]
	[[ $EUID -ne 0 ]] || { chown 1:2 "$step/model.pt" && [[ $(stat -c %u:%g "$model") == 1:2 ]]; }
	refuses "Operation not permitted" truncate -s 0 "$step/model.pt"
	refuses "Operation not permitted" tee "$step/model.pt" </dev/null
	sha256sum --quiet -c "$BATS_TEST_TMPDIR/before"
	unmount 0
	mount_store "$STORE"
	step=$MNT/base/d12/000500
	[[ $(stat -c %y "$step/model.pt") == 2023-01-02* && $(stat -c %y "$step/meta.json") == 2022-01-02* ]]
}

@test "attributes that are set through the mount are no change of content: open readers go on, inode numbers stay" {
	local before
	before=$(cd "$TAG/000500" && find . -printf '%i %p\n' | sort)
	exec 6<"$TAG/000500/model.safetensors" 7<"$TAG/000500/model.pt"
	head -c 100 <&6 >"$BATS_TEST_TMPDIR/one"
	head -c 100 <&7 >"$BATS_TEST_TMPDIR/two"
	touch -d 2024-01-02T03:04:05 "$TAG/000500/model.pt" "$TAG/000500/meta.json" "$TAG/000500/optim/rank0.pt"
	touch "$TAG/000500/model.tsv"
	chmod 600 "$TAG/000500/meta.json"
	cat <&6 >>"$BATS_TEST_TMPDIR/one"
	cat <&7 >>"$BATS_TEST_TMPDIR/two"
	exec 6<&- 7<&-
	cmp "$BATS_TEST_TMPDIR/two" "$STORED/model_000500.pt"
	cmp "$BATS_TEST_TMPDIR/one" "$TAG/000500/model.safetensors"
	sleep 1.2
	[[ $(cd "$TAG/000500" && find . -printf '%i %p\n' | sort) == "$before" ]]
	# A rewrite is one, also afterwards.
	cp "$STORED/model_001000.pt" "$STORED/model_000500.pt"
	within 1500 cmp "$TAG/000500/model.pt" "$STORED/model_001000.pt"
}

@test "mknod of a regular file makes one: tar --xattrs, NFS servers" {
	"$PYTHON" -c 'import os, stat, sys; os.mknod(sys.argv[1], 0o640 | stat.S_IFREG)' "$DRAFT/x"
	[[ -f $DRAFT/x && $(stat -c %a "$DRAFT/x") == 640 ]]
	echo text >>"$DRAFT/x"
	[[ $(<"$DRAFT/x") == text ]]
	rm "$DRAFT/x"
	refuses "File exists" "$PYTHON" -c 'import os, stat, sys; os.mknod(sys.argv[1]); os.mknod(sys.argv[1])' "$DRAFT/y"
	rm "$DRAFT/y"
	tar -C "$TAG/000500" --xattrs -cf - model meta.json | tar -C "$DRAFT" --xattrs -xf - 2>/dev/null
	[[ -e $STORED/model_000600.pt ]] || sync "$DRAFT"
	published
}
