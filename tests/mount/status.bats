#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# ckptfs --status: what a mount says of itself, to a person and to a program, and that nobody copies it by accident.

load ../lib/helpers
load ../lib/shims

setup() {
	S=$BATS_TEST_TMPDIR/s
	D=$S/base_checkpoints/d12
	small_pt "$D"/model_{000001,000002}.pt
	STEP=base/d12/000001
}

# Whatever failed, nothing waits any more: processes that wait in the kernel can't be killed.
eval "shims_$(declare -f teardown)"
teardown() {
	rm -f "${GATE:-}"
	shims_teardown
}

# says FILTER [JQ-OPTION...] - what jq finds in the status of $MNT.
says() { "$CKPTFS" --status --json "$MNT" | jq -r "${@:2}" "$1"; }
# is FILTER VALUE
is() { [[ $(says "$1") == "$2" ]] || { says .; return 1; }; }

@test "text and JSON say the same of the store and its options" {
	mount_store "$S" -o ro,device=cuda,tmp_max_size=20m
	is .store "$S"
	is .level base
	is .daemon.pid "$DAEMON"
	is '.daemon.version' "$("$CKPTFS" -V | cut -d' ' -f2)"
	is '.options | tojson' '{"device":"cuda","sandbox":"on","tmp_max_bytes":20971520,"ro":true,"native":false,"inplace":false,"delete":false,"follow":false,"allow_other":false}'
	[[ $(date -d "$(says .daemon.started)" +%s) -le $(date +%s) ]]
	run --separate-stderr "$CKPTFS" --status "$MNT"
	[[ $status -eq 0 && -z $stderr ]]
	[[ $output == *$'\noptions        device cuda, sandbox on, tmp max bytes 20.0 MiB, ro\n'* && $output == *$'\nunusable       none\n'* ]]
	# Every name of the JSON has its line, in that order.
	diff <(says 'keys_unsorted[] | gsub("_"; " ")') <(cut -c 1-15 <<<"$output" | sed 's/ *$//')
	[[ $(wc -L <<<"$output") -le 200 ]]
	getfattr --only-values -n user.ckptfs.status "$MNT" | jq -e .store
}

@test "a mount of one tag, and one in place" {
	mount_store "$D"
	is .level tag
	is .store "$D"
	"$CKPTFS" -o inplace "$S" 3>&-
	adopt "$S"
	is .level base
	is .store "$S"
	is '.options | .inplace and .native' true
}

@test "reads, writes and their bytes are counted" {
	local before bytes size
	mount_store "$S"
	[[ $(says '.reads.count + .writes.count') == 0 ]]
	size=$(stat -c %s "$MNT/$STEP/model.pt")
	dd if="$MNT/$STEP/model.pt" of=/dev/null bs=4096 status=none
	is .reads.bytes "$size"
	is .requests.errors 0
	mkdir -p "$MNT/base/d12/000003"
	dd if=/dev/zero of="$MNT/base/d12/000003/model.pt" bs=1000 count=7 status=none
	is .writes.bytes 7000
	is .requests.served 1
	is .requests.waiting 0
}

@test "checkpoints are open, in use, and the cache has them" {
	mount_store "$S"
	is .checkpoints.open 0
	cat "$MNT"/base/d12/00000{1,2}/model.tsv >/dev/null
	is '.checkpoints | tojson' '{"open":2,"in_use":0,"loading":0,"loaded":2,"failed":0}'
	[[ $(says '.cache | .bytes > 1000 and .bytes < .max_bytes and .nodes > 3') == true ]]
	exec 7<"$MNT/$STEP/model.safetensors"
	is .checkpoints.in_use 1
	exec 7<&-
	within 2000 is .checkpoints.in_use 0
}

@test "stored files that can't be shown, and the last lines of the log" {
	local i
	truncate -s 300 "$D/model_000002.pt"
	mount_store "$S"
	cat "$MNT/base/d12/000002/model.error" >/dev/null
	is .checkpoints.failed 1
	[[ $(says '.unusable[0].line') == *model_000002.pt:* ]]
	is '.log | length' 0
	# Later ones come first. They push each other out; the text is cut where it is long.
	for ((i = 10; i < 30; i++)); do
		echo 'not a zip' >"$D/model_0000$i.pt"
	done
	for ((i = 10; i < 30; i++)); do
		cat "$MNT/base/d12/0000$i/model.error" >/dev/null
	done
	[[ $(says '.unusable | length') -eq 10 && $(says '.unusable[0].line') == *model_000029.pt* ]]
	! "$CKPTFS" --status "$MNT" | grep -q model_000002 || return 1
	is .checkpoints.failed 21
	refuses "Invalid argument" mkdir "$MNT/base/d12/7"
	[[ $(says '.log[0].line') == *000007* ]]
	run ! mkdir "$MNT/base/d12/7"
	is '.log[0].count' 2
	# In the text as well, in one line each.
	[[ $("$CKPTFS" --status "$MNT" | grep -c 'model_0000[12].\.pt') -eq 10 ]]
}

@test "drafts in use: who writes, what waits, why publishing failed" {
	mount_store "$S"
	is '.drafts | length' 0
	mkdir -p "$MNT/base/d12/000003/model"
	exec 7>"$MNT/base/d12/000003/model/a.npy"
	[[ $(says '.drafts | tojson') == '[{"name":"base_checkpoints/d12/000003","writers":1,"waiting":false}]' ]]
	"$PYTHON" -c 'import numpy, sys; numpy.save(sys.stdout.buffer, numpy.ones(3, "f4"))' >&7
	cp "$MNT/$STEP/meta.json" "$MNT/base/d12/000003/"
	is '.drafts[0].waiting' true
	[[ $("$CKPTFS" --status "$MNT") == *$'\ndrafts         base_checkpoints/d12/000003, writers 1, waiting\n'* ]]
	exec 7>&-
	within 5000 test -e "$D/model_000003.pt"
	is .drafts_in_use 0
	# One that can't be published, and more of them than are listed.
	mkdir -p "$MNT"/base/d12/00001{0..7}/model
	is .drafts_in_use 8
	is '.drafts | length' 6
	echo nonsense >"$MNT/base/d12/000017/model/a.npy"
	sed 's/"step": *1/"step": 17/' "$MNT/$STEP/meta.json" >"$MNT/base/d12/000017/meta.json"
	run ! sync "$MNT/base/d12/000017"
	[[ $(says '.drafts[] | select(.failure) | .name + .failure') == base_checkpoints/d12/000017*a.npy* ]]
}

@test "a store's name may hold anything" {
	local odd=$BATS_TEST_TMPDIR/$'a "b" \\ \n\x1b[31m \xff ü'
	export ODD=$odd
	mv "$S" "$odd"
	mount_store "$odd"
	[[ $(says .level) == base ]]
	"$CKPTFS" --status --json "$MNT" | "$PYTHON" -c 'import json, os, sys; assert json.load(sys.stdin)["store"] == os.environ["ODD"]' || return 1
	[[ $("$CKPTFS" --status "$MNT" | wc -l) -eq $(says 'length') ]]
	! "$CKPTFS" --status "$MNT" | LC_ALL=C grep -q $'\x1b' || return 1
}

@test "it waits for no file, and says that others do" {
	shim gate
	GATE=$BATS_TEST_TMPDIR/gate
	touch "$GATE"
	preload "GATE_SHUT=$GATE" "GATE_INODE=$(stat -c %i "$D/model_000001.pt")"
	mount_store "$S" -o sandbox=off
	cat "$MNT/$STEP/model.tsv" >"$BATS_TEST_TMPDIR/tsv" &
	within 5000 test -s "$GATE.waits"
	[[ $(says .checkpoints.loading) -ge 1 ]]
	[[ $(says .requests.served) -ge 2 ]]
	rm "$GATE"
	wait $!
	is .checkpoints.loading 0
	[[ -s $BATS_TEST_TMPDIR/tsv ]]
}

@test "no copy of a mount takes it along" {
	mount_store "$S"
	local d=$BATS_TEST_TMPDIR way tensor
	tensor=$(cd "$MNT" && find "$STEP/model" -name '*.npy' | head -n 1)
	touch "$d/probe"
	setfattr -n user.probe -v 1 "$d/probe" 2>/dev/null || skip "the file system of the test has no user attributes"
	[[ -z $(getfattr -d -m- "$MNT" 2>/dev/null) ]]
	"$PYTHON" -c 'import os, sys; assert os.listxattr(sys.argv[1]) == [] and os.getxattr(sys.argv[1], "user.ckptfs.status")' "$MNT"
	cp -a "$MNT" "$d/cp"
	mkdir "$d"/{rsync,tar}
	tar --xattrs -C "$MNT" -c . | tar --xattrs --xattrs-include='user.*' -C "$d/tar" -x
	! command -v rsync || rsync -aX "$MNT/" "$d/rsync/"
	for way in cp rsync tar; do
		# Other attributes came along, so that this one would have.
		[[ $way == rsync && ! -e $d/rsync/base ]] || getfattr -n user.ckptfs.dtype "$d/$way/$tensor"
		refuses "No such attribute" getfattr -n user.ckptfs.status "$d/$way"
		refuses "not the mountpoint" "$CKPTFS" --status "$d/$way"
	done
	# It can't be written either.
	run ! setfattr -n user.ckptfs.status -v x "$MNT"
	run ! setfattr -x user.ckptfs.status "$MNT"
	is .level base
}

@test "what isn't a mount is refused in one line" {
	mount_store "$S"
	local where
	for where in "$S" "$MNT/base" "$MNT/$STEP/model.pt" /; do
		no_mount "not the mountpoint of a ckptfs" "$CKPTFS" --status "$where"
		no_mount "not the mountpoint of a ckptfs" "$CKPTFS" --json --status "$where"
	done
	no_mount "No such file" "$CKPTFS" --status "$BATS_TEST_TMPDIR/nowhere"
	no_mount "wants one mountpoint" "$CKPTFS" --status
	no_mount "wants one mountpoint" "$CKPTFS" --status "$S" "$MNT"
	no_mount "belongs to --status" "$CKPTFS" --json "$MNT"
	kill -KILL "$DAEMON"
	within 5000 eval '! ls "$MNT"'
	no_mount "fusermount3 -u it" "$CKPTFS" --status "$MNT"
	fusermount3 -u "$MNT"
	PIDS[0]=
}

@test "with allow_other, only root and who mounted it may ask" {
	[[ $EUID -eq 0 ]] || skip "another user is needed"
	chmod o+x "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR"
	cp "$CKPTFS" "$BATS_TEST_TMPDIR/ckptfs"
	mount_store "$S" -o allow_other
	local nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	"${nobody[@]}" ls "$MNT/base/d12"
	no_mount "only root and who mounted it" "${nobody[@]}" "$BATS_TEST_TMPDIR/ckptfs" --status "$MNT"
	is .level base
	is '.log | length' 0
}
