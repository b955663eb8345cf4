#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Steps that are written through the mount: what the store then holds is what was written, and it comes by three doors, whole.

load ../lib/helpers
load ../lib/steps

@test "cp -r of model/ and meta.json: torch.load of the store's new file is what the mount showed, float32" {
	writable
	mkdir "$TAG/000600"
	cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/000600/"
	published 000600
	oracle check_saved model "$STORED/model_000600.pt" "$STORED/model_000500.pt" "$STORED/meta_000500.json" cpu
	cmp "$STORED/meta_000600.json" "$TAG/000500/meta.json"
	diff -r "$TAG/000500/model" "$TAG/000600/model"
	cmp <(in_order "$TAG/000500/model") <(in_order "$TAG/000600/model")
	cmp "$TAG/000600/meta.json" "$TAG/000500/meta.json"
}

@test "the same on cuda, where bfloat16 is kept" {
	writable -o device=cuda
	mkdir "$TAG/000600"
	cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/000600/"
	published 000600
	oracle check_saved model "$STORED/model_000600.pt" "$STORED/model_000500.pt" "$STORED/meta_000500.json" cuda
	diff -r "$TAG/000500/model" "$TAG/000600/model"
}

@test "latest moves to the new step at once, drafts don't count" {
	writable
	mkdir "$TAG/002000.partial"
	cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/002000.partial/"
	unpublished 002000
	[[ $(readlink "$TAG/latest") == 001000 ]]
	lists "$TAG" "000500 001000 002000.partial best history.tsv latest"
	mv "$TAG/002000.partial" "$TAG/002000"
	published 002000
	lists "$TAG" "000500 001000 002000 best history.tsv latest"
	within 1100 eval '[[ $(readlink "$TAG/latest") == 002000 ]]'
}

@test "optimizer shards: cp -r of rank0/ and rank0.json is == on the whole state_dict" {
	writable
	mkdir "$TAG/000600"
	mkdir "$TAG/000600/optim"
	cp -r "$TAG/001000/optim/rank0" "$TAG/001000/optim/rank0.json" "$TAG/001000/optim/rank1" "$TAG/001000/optim/rank1.json" "$TAG/000600/optim/"
	cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/000600/"
	published 000600
	oracle check_saved state "$STORED/optim_000600_rank0.pt" "$STORED/optim_001000_rank0.pt"
	oracle check_saved state "$STORED/optim_000600_rank1.pt" "$STORED/optim_001000_rank1.pt"
	diff -r "$TAG/001000/optim" "$TAG/000600/optim" --exclude '*.pt' --exclude '*.tsv' --exclude all.error
}

@test "an optimizer shard with every kind of value" {
	writable
	oracle make_written shard "$STORED/optim_000500_rank7.pt"
	within 1100 test -f "$TAG/000500/optim/rank7.json"
	mkdir "$TAG/000600" "$TAG/000600/optim"
	cp -r "$TAG/000500/optim/rank7" "$TAG/000500/optim/rank7.json" "$TAG/000600/optim/"
	cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/000600/"
	published 000600
	oracle check_saved state "$STORED/optim_000600_rank7.pt" "$STORED/optim_000500_rank7.pt"
}

@test "every dtype and shape of .npy, by numpy.save and by hand" {
	writable
	mkdir "$TAG/000600"
	oracle make_written npy "$TAG/000600/model"
	cp "$TAG/000500/meta.json" "$TAG/000600/"
	published 000600
	oracle check_saved cases "$STORED/model_000600.pt"
}

@test "the dtypes of .npy that torch has since 2.3" {
	writable
	mkdir "$TAG/000600"
	oracle make_written npy "$TAG/000600/model" unsigned
	cp "$TAG/000500/meta.json" "$TAG/000600/"
	published 000600
	oracle check_saved cases "$STORED/model_000600.pt" unsigned
}

@test "a model as model.safetensors, in the order of its header" {
	writable
	mkdir "$TAG/000600"
	oracle make_written safetensors "$TAG/000600/model.safetensors"
	cp "$TAG/000500/meta.json" "$TAG/000600/"
	published 000600
	oracle check_saved cases "$STORED/model_000600.pt" little
}

@test "a model as model.pt, and a shard as rank0.pt: the bytes as they were" {
	writable
	mkdir "$TAG/000600" "$TAG/000600/optim"
	cp "$STORED/model_001000.pt" "$TAG/000600/model.pt"
	cp "$STORED/optim_001000_rank0.pt" "$TAG/000600/optim/rank0.pt"
	cp "$TAG/001000/meta.json" "$TAG/000600/"
	published 000600
	cmp "$STORED/model_001000.pt" "$STORED/model_000600.pt"
	cmp "$STORED/optim_001000_rank0.pt" "$STORED/optim_000600_rank0.pt"
}

@test "a step of 10,000 tensors, their order kept" {
	writable
	mkdir "$TAG/000600"
	local start
	start=$(cpu_ms "$DAEMON")
	oracle make_written many "$TAG/000600/model" 10000
	echo '{"step": 600}' >"$TAG/000600/meta.json"
	published 000600
	echo "# 10,000 tensors in $(($(cpu_ms "$DAEMON") - start)) ms of the daemon" >&3
	sanitized || (($(cpu_ms "$DAEMON") - start < 10000))
	oracle make_written check-many "$STORED/model_000600.pt" 10000
	[[ $(in_order "$TAG/000600/model" | wc -l) -eq 10000 ]]
}

# ---- the doors ----

@test "the first door: closing meta.json, by cp, by a shell's redirections, by Python" {
	writable
	local n=600 step meta=$TAG/000500/meta.json
	for command in 'cp "$meta" "$step"/meta.json' 'cat "$meta" > "$step"/meta.json' '{ cat "$meta"; echo; } > "$step"/meta.json' \
		'{ head -c 100 "$meta"; /bin/true; tail -c +101 "$meta"; } > "$step"/meta.json' '(cat "$meta"; sleep 0.1; echo) >> "$step"/meta.json' \
		'printf "{\"step\": %d}" 5 > "$step"/meta.json' 'tee < "$meta" "$step"/meta.json >/dev/null' 'dd if="$meta" of="$step"/meta.json bs=10 status=none' \
		'sed s/x/x/ "$meta" > "$step"/meta.json' 'exec 5> "$step"/meta.json; cat "$meta" >&5; echo >&5; exec 5>&-' \
		'exec 5> "$step"/meta.json; head -c 50 "$meta" >&5; sh -c "tail -c +51 $meta" >&5; exec 5>&-' \
		'"$PYTHON" -c "import json, sys; json.dump(json.load(open(sys.argv[1])), open(sys.argv[2], \"w\"), indent=2)" "$meta" "$step"/meta.json' \
		'"$PYTHON" -c "import json, os, sys; f = open(sys.argv[2], \"w\"); f.write(open(sys.argv[1]).read()); f.flush(); os.system(\"true\"); f.write(\"\\n\"); f.close()" "$meta" "$step"/meta.json'; do
		printf -v step '%s/%06d' "$TAG" $((++n))
		mkdir "$step"
		cp -r "$TAG/000500/model" "$step/"
		eval "$command" || { echo "$command: $?"; return 1; }
		published "$(printf %06d $n)" || { echo "$command"; return 1; }
	done
	cmp <(cat "$meta"; echo) "$STORED/meta_000603.json"
	cmp <(cat "$meta"; echo) "$STORED/meta_000605.json"
	cmp <(cat "$meta"; echo) "$STORED/meta_000610.json"
	cmp <(cat "$meta"; echo) "$STORED/meta_000613.json"
	cmp "$meta" "$STORED/meta_000611.json"
}

@test "a file whose opener has gone: closed by the child that it left it to" {
	writable
	mkdir "$TAG/000600"
	cp -r "$TAG/000500/model" "$TAG/000600/"
	sh -c 'exec 5> "$2"; (sleep 0.3; cat "$1" >&5) & exit 0' sh "$TAG/000500/meta.json" "$TAG/000600/meta.json" 3>&-
	unpublished 000600
	within 3000 published 000600
	cmp "$TAG/000500/meta.json" "$STORED/meta_000600.json"
}

@test "the first door, by rename: an editor's save, rsync, mv" {
	writable
	local n=600 step meta=$TAG/000500/meta.json command
	for command in 'cp "$meta" "$step/.meta.json.new"; mv "$step/.meta.json.new" "$step/meta.json"' 'cp "$meta" "$step/meta.json~"; mv "$step/meta.json~" "$step/meta.json"' \
		'rsync "$meta" "$step/meta.json"' 'rsync -a --no-owner "$meta" "$step/"' \
		'"$PYTHON" -c "import os, sys; f = open(sys.argv[2] + \".tmp\", \"w\"); f.write(open(sys.argv[1]).read()); f.flush(); os.fsync(f.fileno()); os.replace(f.name, sys.argv[2]); f.close()" "$meta" "$step/meta.json"'; do
		printf -v step '%s/%06d' "$TAG" $((++n))
		mkdir "$step"
		cp -r "$TAG/000500/model" "$step/"
		eval "$command"
		published "$(printf %06d $n)" || { echo "$command"; return 1; }
		cmp "$STORED/meta_000$n.json" "$meta"
	done
}

@test "the second door: sync of the directory" {
	writable
	mkdir "$TAG/000600"
	cp "$TAG/000500/meta.json" "$TAG/000600/"
	unpublished 000600
	cp -r "$TAG/000500/model" "$TAG/000600/"
	unpublished 000600
	sync "$TAG/000600"
	published 000600
	oracle check_saved model "$STORED/model_000600.pt" "$STORED/model_000500.pt" "$STORED/meta_000500.json" cpu
	sync "$TAG/000600"
}

@test "the third door: mv of the .partial; closing meta.json in it publishes nothing" {
	writable
	mkdir "$TAG/000600.partial"
	cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/000600.partial/"
	unpublished 000600
	sync "$TAG/000600.partial"
	unpublished 000600
	lists "$TAG/000600.partial" "DRAFT.error meta.json model"
	mv "$TAG/000600.partial" "$TAG/000600"
	published 000600
	oracle check_saved model "$STORED/model_000600.pt" "$STORED/model_000500.pt" "$STORED/meta_000500.json" cpu
}

@test "nothing is published while another file of the draft is open for writing" {
	writable
	mkdir "$TAG/000600"
	cp -r "$TAG/000500/model" "$TAG/000600/"
	chmod u+w "$TAG/000600/model/lm_head.weight.npy"
	exec 6>>"$TAG/000600/model/lm_head.weight.npy"
	cp "$TAG/000500/meta.json" "$TAG/000600/"
	unpublished 000600
	refuses "Device or resource busy" sync "$TAG/000600"
	mv "$TAG/000600" "$TAG/000600.partial"
	refuses "Device or resource busy" mv "$TAG/000600.partial" "$TAG/000600"
	exec 6>&-
	mv "$TAG/000600.partial" "$TAG/000600"
	published 000600
	oracle check_saved model "$STORED/model_000600.pt" "$STORED/model_000500.pt" "$STORED/meta_000500.json" cpu
}

@test "rsync -a, tar x and cp -a of a whole tree of files, into .partial and into the step itself" {
	writable
	local src=$BATS_TEST_TMPDIR/src
	mkdir -p "$src/optim"
	cp -r "$TAG/001000/model" "$TAG/001000/meta.json" "$src"
	cp -r "$TAG/001000/optim/rank0" "$TAG/001000/optim/rank0.json" "$src/optim"
	mkdir "$TAG"/00060{1,2,3}.partial "$TAG/000604"
	rsync -a "$src/" "$TAG/000601.partial/"
	tar -C "$src" -cf - . | tar -C "$TAG/000602.partial" -xf -
	cp -a "$src/." "$TAG/000603.partial"
	rsync -a "$src/" "$TAG/000604/"
	unpublished 000604
	local n
	for n in 1 2 3; do
		diff -r -x DRAFT.error "$src" "$TAG/00060$n.partial"
		[[ $(stat -c %Y "$TAG/00060$n.partial/meta.json") == $(stat -c %Y "$src/meta.json") ]]
		[[ -z $(rsync -ani "$src/" "$TAG/00060$n.partial/") ]]
		mv "$TAG/00060$n.partial" "$TAG/00060$n"
	done
	sync "$TAG/000604"
	for n in 1 2 3 4; do
		published 00060$n
		oracle check_saved state "$STORED/optim_00060${n}_rank0.pt" "$STORED/optim_001000_rank0.pt"
	done
	oracle check_saved any-order "$STORED/model_000602.pt" "$STORED/model_001000.pt" "$STORED/meta_001000.json" cpu
}

@test "tar x of model and meta.json straight into the step publishes it" {
	writable
	mkdir "$TAG/000600"
	tar -C "$TAG/000500" -cf - model meta.json | tar -C "$TAG/000600" -xf -
	[[ -e $STORED/model_000600.pt ]] || sync "$TAG/000600"
	published 000600
	oracle check_saved model "$STORED/model_000600.pt" "$STORED/model_000500.pt" "$STORED/meta_000500.json" cpu
}

@test "writes in the middle: dd conv=notrunc, seek and overwrite, truncate; a tensor edited in place" {
	writable
	local model=$TAG/000600/model one=lm_head.weight.npy
	mkdir "$TAG/000600"
	cp -r "$TAG/000500/model" "$TAG/000600/"
	chmod u+w "$model"/*
	printf '\0\0\200?' | dd of="$model/$one" bs=1 seek=128 conv=notrunc status=none
	truncate -s -4 "$model/$one"
	printf '\0\0\0@' >>"$model/$one"
	"$PYTHON" - "$model" <<-'END'
		import sys
		import numpy as np
		m = np.load(sys.argv[1] + "/smear_gate.weight.npy", mmap_mode="r+")
		m[0, 3] = 3.0
		m.flush()
		del m
		with open(sys.argv[1] + "/transformer.wte.weight.npy", "r+b") as f:
		    f.seek(128 + 8)
		    f.write(np.float32(4).tobytes())
		    f.seek(0)
		    assert f.read(6) == b"\x93NUMPY"
	END
	cp "$TAG/000500/meta.json" "$TAG/000600/"
	published 000600
	"$PYTHON" - "$STORED" "$ORACLE" <<-'END'
		import sys
		sys.path.insert(0, sys.argv[2])
		import ckpt
		want = ckpt.nanochat_model(sys.argv[1] + "/model_000500.pt", ckpt.load_meta(sys.argv[1] + "/meta_000500.json"), "cpu")
		want["lm_head.weight"][0, 0], want["lm_head.weight"][-1, -1] = 1, 2
		want["smear_gate.weight"][0, 3] = 3
		want["transformer.wte.weight"][0, 2] = 4
		got = ckpt.load(sys.argv[1] + "/model_000600.pt")
		assert list(got) == list(want) and all(ckpt.torch.equal(got[k], want[k]) for k in want)
	END
}

@test "parallel writers of one draft, and of several" {
	writable
	local n k pids=()
	for n in 1 2 3; do
		mkdir "$TAG/00060$n" "$TAG/00060$n/model"
		for k in 0 1 2 3; do
			{ find "$TAG/001000/model" -name "*.npy" -printf '%f\n' | sort | awk "NR % 4 == $k" | while read -r f; do
				cp "$TAG/001000/model/$f" "$TAG/00060$n/model/" || exit 1
			done; } 3>&- &
			pids+=($!)
		done
	done
	for k in "${pids[@]}"; do wait "$k"; done
	pids=()
	for n in 1 2 3; do
		cp "$TAG/001000/meta.json" "$TAG/00060$n/" 3>&- &
		pids+=($!)
	done
	for k in "${pids[@]}"; do wait "$k"; done
	for n in 1 2 3; do
		published 00060$n
		diff -r "$TAG/001000/model" "$TAG/00060$n/model"
	done
}

@test "an editor's save-by-rename inside a draft: vim, and sed -i" {
	writable
	command -v vim >/dev/null || skip "no vim"
	mkdir "$TAG/000600"
	cp "$TAG/000500/meta.json" "$TAG/000600/meta.json"
	chmod u+w "$TAG/000600/meta.json"
	vim -es -u NONE -N +'set backup writebackup backupcopy=no backupdir=. directory=. swapfile' +'%s/"step": 500/"step": 600/' +wq "$TAG/000600/meta.json" 3>&-
	cp -r "$TAG/000500/model" "$TAG/000600/"
	grep -q '"step": 600' "$TAG/000600/meta.json"
	sed -i 's/"step": 600/"step": 601/' "$TAG/000600/meta.json"
	published 000600
	cmp <(sed 's/"step": 500/"step": 601/' "$TAG/000500/meta.json"; echo) "$STORED/meta_000600.json"
}

# ---- several forms of one model ----

@test "cp -r of a whole step, and sync, give the same step again, bfloat16 and all" {
	writable
	local step n=600 device
	for device in cpu cuda; do
		[[ $device == cpu ]] || { mount_store "$STORE" -o device=cuda && TAG=$MNT/base/d12; }
		for step in 000500 001000; do
			n=$((n + 1))
			cp -r "$TAG/$step" "$TAG/000$n"
			unpublished 000$n
			sync "$TAG/000$n"
			published 000$n
			cmp "$STORED/model_$step.pt" "$STORED/model_000$n.pt"
			cmp "$STORED/optim_${step}_rank0.pt" "$STORED/optim_000${n}_rank0.pt"
			# That line names the shard's file.
			diff -r --exclude all.error "$TAG/$step" "$TAG/000$n"
		done
		unmount 0
	done
	cmp "$STORED/optim_001000_rank1.pt" "$STORED/optim_000604_rank1.pt"
}
