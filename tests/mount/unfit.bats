#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Drafts that can't become a step: each is kept, DRAFT.error says why, and mended they are published.

load ../lib/helpers
load ../lib/steps

# unfit STEP WORD... - sync of the draft fails with EINVAL, says why in DRAFT.error and the log, and loses nothing.
unfit() {
	local before after line
	before=$(cd "$TAG/$1" && find . ! -name DRAFT.error -type f -exec cksum {} + | sort)
	refuses "Invalid argument" sync "$TAG/$1"
	is_error "$TAG/$1/DRAFT.error" "${@:2}" || return 1
	# The log has the reason, with the store's path of what is meant; DRAFT.error has its place in the draft.
	after=$(<"$TAG/$1/DRAFT.error")
	while read -r _ _ line; do
		[[ $after != *"$line"* ]] || break
	done <"$LOG"
	[[ -n $line && $after == *"$line"* ]] || { cat "$LOG"; echo "$after"; return 1; }
	after=$(cd "$TAG/$1" && find . ! -name DRAFT.error -type f -exec cksum {} + | sort)
	[[ $before == "$after" ]] || { diff <(echo "$before") <(echo "$after"); return 1; }
	unpublished "$1"
}

@test "an unfit draft: EINVAL, one line in DRAFT.error, nothing lost; mended, it is published" {
	writable
	local draft=$TAG/000600 good=$TAG/000500
	mkdir "$draft"
	unfit 000600 'meta\.json: it is missing'
	cp "$good/meta.json" "$draft/"
	unfit 000600 model
	mkdir "$draft/model"
	unfit 000600 model
	echo "no array" >"$draft/model/x.npy"
	unfit 000600 'x\.npy'
	cp "$good/model/lm_head.weight.npy" "$draft/model/x.npy"
	truncate -s -4 "$draft/model/x.npy"
	unfit 000600 'x\.npy'
	"$PYTHON" -c 'import numpy, sys; numpy.save(sys.argv[1], numpy.array(["text"]))' "$draft/model/x.npy"
	unfit 000600 'x\.npy'
	: >"$draft/model/x.npy"
	unfit 000600 'x\.npy'
	mkdir "$draft/model/y.npy"
	cp "$good/model/lm_head.weight.npy" "$draft/model/x.npy"
	unfit 000600 'y\.npy'
	rmdir "$draft/model/y.npy"
	echo hello >"$draft/model/notes.txt"
	unfit 000600 'notes\.txt'
	rm "$draft/model/notes.txt"
	echo hello >"$draft/notes.txt"
	unfit 000600 'notes\.txt'
	rm "$draft/notes.txt"
	cp "$good/model.safetensors" "$draft/"
	unfit 000600 'model' 'differ'
	rm "$draft/model.safetensors"
	mkdir -p "$draft/optim/rank0"
	unfit 000600 rank0
	cp "$good/optim/rank0.json" "$draft/optim/"
	unfit 000600 'rank0'
	chmod u+w "$draft/optim/rank0.json"
	echo 1 >"$draft/optim/rank0.json"
	cp -r "$good/optim/rank0" "$draft/optim/"
	unfit 000600 'rank0'
	echo "not json" >"$draft/optim/rank0.json"
	unfit 000600 'rank0'
	rm -r "$draft/optim"
	echo x >"$draft/optim"
	unfit 000600 optim
	rm "$draft/optim"
	for text in '[1, 2]' '{"step": 1' '"text"' 'no json' '{"a": 1} {}' '{"a": }'; do
		rm "$draft/meta.json"
		echo "$text" >"$draft/meta.json"
		unfit 000600 'meta\.json' || { echo "$text"; return 1; }
	done
	lists "$draft" "DRAFT.error meta.json model"
	rm "$draft/meta.json"
	cp "$good/meta.json" "$draft/"
	published 000600
	[[ $(in_order "$TAG/000600/model") == $'x.npy\nresid_lambdas.npy\nx0_lambdas.npy' ]]
}

@test "a shard with a device that torch.load refuses, or takes for another, is unfit" {
	writable
	local draft=$TAG/000600 device
	mkdir "$draft" "$draft/optim"
	cp "$TAG/000500/meta.json" "$draft/"
	cp -r "$TAG/000500/model" "$draft/"
	for device in foo CPU cpu:x cuda:128 cuda:99999999999; do
		echo "{\"\$device\": \"$device\"}" >"$draft/optim/rank0.json"
		unfit 000600 'rank0\.json' "\"$device\"|\"${device#*:}\"" || { echo "$device"; return 1; }
	done
	echo '[{"$device": "cuda:127"}, {"$device": "privateuseone"}]' >"$draft/optim/rank0.json"
	sync "$draft"
	published 000600
	"$PYTHON" -c 'import sys, torch
assert torch.load(sys.argv[1]) == [torch.device("cuda", 127), torch.device("privateuseone")]' "$STORED/optim_000600_rank0.pt"
}

@test "a safetensors header that lies is unfit, each lie by name" {
	writable
	mkdir "$TAG/000600"
	echo '{}' >"$TAG/000600/meta.json"
	local lie
	while read -r lie; do
		"$PYTHON" - "$ORACLE" "$TAG/000600/model.safetensors" "$lie" <<-'END'
			import struct, sys
			sys.path.insert(0, sys.argv[1])
			import write_cases
			one = '"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'
			header, body = {
			    "shape": ('{%s}' % one.replace("[2]", "[3]"), 8), "offsets": ('{%s}' % one.replace("[0, 8]", "[0, 12]"), 8),
			    "begin": ('{%s}' % one.replace("[0, 8]", "[4, 12]"), 12), "backwards": ('{%s}' % one.replace("[0, 8]", "[8, 0]"), 8),
			    "short": ('{%s}' % one, 7), "long": ('{%s}' % one, 9), "dtype": ('{%s}' % one.replace("F32", "F33"), 8),
			    "duplicate": ('{%s, %s}' % (one, one), 8), "overlap": ('{%s, %s}' % (one, one.replace('"a"', '"b"')), 8),
			    "array": ('[%s]' % "1", 0), "text": ("no json ", 0), "empty": ("{}", 0),
			    "negative": ('{%s}' % one.replace("[2]", "[-2]"), 8), "huge": ('{%s}' % one.replace("[2]", "[4611686018427387904, 8]"), 8),
			}.get(sys.argv[3], ("", 0))
			data = write_cases.pack_safetensors(header.encode(), bytes(body))
			if sys.argv[3] == "length":
			    data = struct.pack("<Q", 1 << 62) + data[8:]
			if sys.argv[3] == "cut":
			    data = data[:5]
			open(sys.argv[2], "wb").write(data)
		END
		unfit 000600 'model\.safetensors' || { echo "$lie"; return 1; }
	done < <(printf '%s\n' shape offsets begin backwards short long dtype duplicate overlap array text empty negative huge length cut)
	oracle make_written safetensors "$TAG/000600/model.safetensors"
	sync "$TAG/000600"
	published 000600
}

@test "a model.pt that can't be read is unfit, and why is said" {
	writable
	mkdir "$TAG/000600"
	echo '{}' >"$TAG/000600/meta.json"
	local case
	for case in text truncated deep storage-short foreign-global; do
		oracle make_case "$case" "$BATS_TEST_TMPDIR/case.pt"
		cp "$BATS_TEST_TMPDIR/case.pt" "$TAG/000600/model.pt"
		unfit 000600 'model\.pt' || { echo "$case"; return 1; }
	done
	cp "$STORED/model_000500.pt" "$TAG/000600/model.pt"
	sync "$TAG/000600"
	published 000600
}

@test "forms of one model, or of one shard, that differ in a key, a shape, a dtype or a value: unfit, and it says in what" {
	writable
	local draft=$TAG/000600 one=lm_head.weight.npy
	cp -r "$TAG/000500" "$draft"
	chmod -R u+w "$draft"
	printf 'x' | dd of="$draft/model/$one" bs=1 seek=300 conv=notrunc status=none
	unfit 000600 differ "values of lm_head"
	"$PYTHON" -c 'import numpy as np, sys; f = sys.argv[1]; np.save(f, np.load(f).astype("f8"))' "$draft/model/$one"
	unfit 000600 differ "dtype of lm_head"
	"$PYTHON" -c 'import numpy as np, sys; np.save(sys.argv[1], np.load(sys.argv[2]).T)' "$draft/model/$one" "$TAG/000500/model/$one"
	unfit 000600 differ "shape of lm_head"
	rm "$draft/model/$one"
	unfit 000600 differ "lm_head"
	cp "$TAG/000500/model/$one" "$draft/model/"
	cp "$TAG/000500/model/$one" "$draft/model/more.npy"
	unfit 000600 differ "more"
	rm "$draft/model/more.npy"
	cp "$TAG/001000/model.safetensors" "$draft/"
	unfit 000600 differ
	cp "$TAG/000500/model.safetensors" "$draft/"
	echo '{"state": {}, "param_groups": []}' >"$draft/optim/rank0.json"
	unfit 000600 "rank0\.json"
	cp "$TAG/000500/optim/rank0.json" "$draft/optim/"
	# What is only ever shown counts for nothing; nor do the lambdas that nanochat adds.
	echo rubbish >"$draft/model.tsv"
	rm -r "$draft/model.raw" "$draft"/model/{resid,x0}_lambdas.npy
	sync "$draft"
	published 000600
	cmp "$STORED/model_000500.pt" "$STORED/model_000600.pt"
}
