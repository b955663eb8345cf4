#!/usr/bin/env bats
# shellcheck disable=SC2034,SC2030,SC2031,SC2153,SC2154
# How often the store is asked: a store behind a network answers each call late. Counted where the calls arrive, in the log of OpenSSH's sftp-server
# behind sshfs with its own defaults, and by strace.

load ../lib/helpers
load ../lib/network

# sshfs's own default.
KEPT=20

# far - $FAR is $S through sshfs, of which nobody has asked anything yet; the server logs what it is asked.
far() {
	serve sshfs "${S%/*}"
	printf '#!/bin/sh\nexec %s -e -l DEBUG3 2>>%s\n' "$SFTP_SERVER" "$NET/asked" >"$NET/ssh"
	client
	FAR=$REMOTE/${S##*/}
}

forget_calls() { : >"$NET/asked"; }
calls() { oracle trips "$NET/asked" "$@"; }
# number KIND - of the calls since forget_calls; 0 for a kind that isn't there.
number() { calls | tr ' ' '\n' | sed -n "s/^$1=//p" | grep . || echo 0; }
# at_most N KIND...
at_most() {
	local kind sum=0
	for kind in "${@:2}"; do sum=$((sum + $(number "$kind"))); done
	echo "# ${*:2}: $sum of at most $1" >&3
	[[ $sum -le $1 ]] || { calls -v; return 1; }
}

# step NUMBER COUNT [HOW] - a model of COUNT tensors in $S, with metadata that is old enough to be believed. Its places are in places.NUMBER.
step() {
	S=$BATS_TEST_TMPDIR/served/tag
	mkdir -p "$S"
	oracle make_layout "$2" "$S/model_00000$1.pt" ${3:+"$3"} >"$BATS_TEST_TMPDIR/places.$1"
	echo '{"step": 1, "val_bpb": 0.9, "model_config": {"n_layer": 1}}' >"$S/meta_00000$1.json"
	touch -d '1 hour ago' "$S/"*"_00000$1."*
}

@test "from the start to the first bytes of a tensor: at most 8 calls in a row" {
	step 1 100
	far
	forget_calls
	mount_store "$FAR"
	head -c 4096 "$MNT/000001/model/layer.00050.weight.npy" >"$BATS_TEST_TMPDIR/head"
	# Both ends of the model are asked for ahead, and come while its metadata is opened and read: two calls that nobody waits for.
	at_most 10 all
	at_most 4 read
	at_most 1 opendir
}

@test "model.tsv of 300 tensors: at most 20 reads, and the places are the true ones" {
	step 1 300
	far
	mount_store "$FAR"
	ls "$MNT/000001/model" >"$BATS_TEST_TMPDIR/names"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/names") -eq 302 ]]
	forget_calls
	tail -n +2 "$MNT/000001/model.tsv" | cut -f 1,6 >"$BATS_TEST_TMPDIR/places"
	at_most 20 read
	diff <(grep '^layer' "$BATS_TEST_TMPDIR/places") "$BATS_TEST_TMPDIR/places.1"
}

@test "a step opens with at most 6 reads, of 300 tensors and of 20,000" {
	! sanitized || skip "strace and LeakSanitizer exclude each other"
	[[ $EUID -eq 0 ]] || skip "needs root: under strace fusermount3 has no rights"
	local i
	step 1 300
	step 2 20000
	for i in 1 2; do
		# shellcheck disable=SC2054 # strace's own list
		RUNNER=(strace -f -qq -y -e trace=pread64,preadv2 -o "$BATS_TEST_TMPDIR/trace")
		mount_store "$S"
		ls "$MNT/00000$i" >"$BATS_TEST_TMPDIR/names"
		grep -q model.raw "$BATS_TEST_TMPDIR/names"
		# Of one byte that is asked for if it is in memory a store hears nothing.
		sed -i '/RWF_NOWAIT/d' "$BATS_TEST_TMPDIR/trace"
		echo "# $(grep -c "<$S/" "$BATS_TEST_TMPDIR/trace") reads" >&3
		[[ $(grep -c "<$S/" "$BATS_TEST_TMPDIR/trace") -le 6 ]] || { cat "$BATS_TEST_TMPDIR/trace"; return 1; }
		unmount $((${#MOUNTS[@]} - 1))
	done
}

@test "listing a tag of 1,000 steps: it is read once, and no more is asked than it has entries" {
	local i
	step 1 3
	for i in {1001..1999}; do
		ln "$S/model_000001.pt" "$S/model_00$i.pt"
		ln "$S/meta_000001.json" "$S/meta_00$i.json"
	done
	far
	mount_store "$FAR" -o level=tag
	forget_calls
	[[ $(find "$MNT" -maxdepth 1 -name '00*' | wc -l) -eq 1000 ]]
	at_most 1 opendir
	at_most 2000 stat lstat fstat
	at_most 10 open read
}

@test "latest after a new step: that step is read and no other" {
	step 1 3
	step 2 3
	KEPT=1
	far
	mount_store "$FAR"
	[[ $(readlink "$MNT/latest") == 000002 ]]
	step 3 3
	forget_calls
	newest() { [[ $(readlink "$MNT/latest") == 000003 ]]; }
	within 10000 newest
	calls -v >"$BATS_TEST_TMPDIR/calls"
	run ! grep -E '^(open|read) .*_00000[12]' "$BATS_TEST_TMPDIR/calls"
	# Its metadata, for itself and for the model; the model's two ends.
	at_most 4 read
}

@test "a local header that lies: the table has the tensor's place, its bytes are refused, --check finds it" {
	step 1 40
	step 2 40 lie
	mount_store "$S"
	diff <(cut -f 1,6 "$MNT/000002/model.tsv") <(cut -f 1,6 "$MNT/000001/model.tsv")
	run ! cat "$MNT/000002/model/layer.00005.weight.npy"
	[[ $output == *"Input/output error"* ]]
	grep -q 'data/5: the local header at .* and the central directory disagree about the CRC' "$LOG"
	cmp "$MNT/000002/model/layer.00006.weight.npy" "$MNT/000001/model/layer.00006.weight.npy"
	diff <(cut -f 1,6 "$MNT/000002/model.tsv") <(cut -f 1,6 "$MNT/000001/model.tsv")
	run -4 "$CKPTFS" --check --read-data "$S"
	[[ $output == *"model_000002.pt: error: "*"disagree about the CRC"* ]]
}

@test "a file that torch didn't lay out: each place comes from the local header" {
	step 1 40 gaps
	mount_store "$S"
	diff <(tail -n +2 "$MNT/000001/model.tsv" | cut -f 1,6 | grep '^layer') "$BATS_TEST_TMPDIR/places.1"
}
