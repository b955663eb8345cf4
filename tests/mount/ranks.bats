#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2034,SC2153,SC2154
# The optimizer joined over ranks (optim/all), and cut for another number (-o ranks=N), against shards of nanochat's own optimizer.

load ../lib/helpers
load ../lib/steps

ranks_store() { shared "ranks$1${2-}" make_ranks "$@"; }

# own_ranks W [--list] - a store of W ranks that the test may change; $STORE, and $TAG its tag in the store.
own_ranks() {
	need_torch
	STORE=$BATS_TEST_TMPDIR/store
	cp -a "$(ranks_store "$@")" "$STORE"
	TAG=$STORE/base_checkpoints/d2
}

# shard N - that shard's file.
shard() { echo "$TAG/optim_000004_rank$1.pt"; }

# change_model CODE - Python code that changes `m`, the model.
change_model() {
	"$PYTHON" - "$TAG/model_000004.pt" <<-END
		import sys, torch
		m = torch.load(sys.argv[1])
		$1
		torch.save(m, sys.argv[1])
	END
}

# change N CODE - Python code that changes `s`, the shard of rank N.
change() {
	"$PYTHON" - "$(shard "$1")" <<-END
		import sys, torch
		s = torch.load(sys.argv[1])
		$2
		torch.save(s, sys.argv[1])
	END
}

unmount_last() { unmount $((${#MOUNTS[@]} - 1)); }

remount() {
	unmount_last
	mount_store "$@"
	OPTIM=$MNT/base/d2/000004/optim
}

mount_ranks() {
	mount_store "$@"
	OPTIM=$MNT/base/d2/000004/optim
}

has_links() { [[ $(stat -c %h "$2") -eq $1 ]]; }

# cut_is N [--list] - every form of what N ranks would have saved, bit for bit.
cut_is() { oracle check_ranks cut "$MNT/base/d2/000004" "$@"; }

@test "1, 2 and 4 ranks, each cut for 1, 2 and 4: the real shards bit for bit, in every form" {
	need_torch
	local stored wanted rank
	for stored in 1 2 4; do
		for wanted in 1 2 4; do
			mount_ranks "$(ranks_store "$stored")" -o "ro,ranks=$wanted"
			# A stored shard is shown as it is: its table has its places.
			if ((stored == wanted)); then
				for ((rank = 0; rank < wanted; rank++)); do
					oracle check_optim "$MNT/base/d2/000004" "$(ranks_store "$stored")/base_checkpoints/d2/optim_000004_rank$rank.pt" $rank
				done
			else
				cut_is "$wanted"
			fi
			[[ ! -e $OPTIM/rank$wanted && ! -e $OPTIM/rank$wanted.pt && ! -e $OPTIM/ranks.error ]]
			[[ ! -e $MNT/base/d2/optim_000004_rank$wanted.pt ]]
			unmount_last
		done
	done
}

@test "the layout of January 2026, a list of two states, is cut and joined too" {
	need_torch
	mount_ranks "$(ranks_store 4 --list)" -o ro,ranks=2
	cut_is 2 --list
	oracle check_ranks all "$MNT/base/d2/000004"
	remount "$(ranks_store 1 --list)" -o ro,ranks=4
	cut_is 4 --list
}

@test "optim/all is the state of one rank under the parameters' names, whatever the number of ranks" {
	need_torch
	local stored
	for stored in 1 2 4; do
		mount_ranks "$(ranks_store "$stored")"
		oracle check_ranks all "$MNT/base/d2/000004"
		lists_in_order "$OPTIM" "$(for ((r = 0; r < stored; r++)); do printf 'rank%d rank%d.json rank%d.raw rank%d.safetensors rank%d.tsv rank%d.pt ' $r $r $r $r $r $r; done)all all.json all.raw all.safetensors all.tsv"
		unmount_last
	done
}

@test "optim/all of a cut step is the same as without the option" {
	need_torch
	mount_ranks "$(ranks_store 4)" -o ro,ranks=2
	oracle check_ranks all "$MNT/base/d2/000004"
}

@test "3 doesn't divide the rows: refused in one line, and the stored shards stay" {
	need_torch
	mount_ranks "$(ranks_store 4)" -o ro,ranks=3,native
	is_error "$OPTIM/ranks.error" optim_000004_rank0.pt lm_head.weight "3 ranks divide" "found 128"
	oracle check_optim "$MNT/base/d2/000004" "$(ranks_store 4)/base_checkpoints/d2/optim_000004_rank3.pt" 3
	[[ -e $OPTIM/all.json && ! -e $OPTIM/all.error ]]
	[[ $(names "$MNT/base/d2" | grep -c optim_000004_rank) -eq 4 ]]
	[[ $(names "$OPTIM" | grep -cE '^rank[0-9].pt$') -eq 4 ]]
	in_order "$OPTIM" | grep -qx ranks.error
}

@test "2 ranks to 4 and back are the same" {
	local rank
	own_ranks 2
	mount_ranks "$STORE" -o ro,ranks=4
	for rank in 0 1 2 3; do
		cp "$MNT/base/d2/optim_000004_rank$rank.pt" "$BATS_TEST_TMPDIR/"
	done
	cp -r "$OPTIM/rank1" "$BATS_TEST_TMPDIR/"
	unmount_last
	cp "$BATS_TEST_TMPDIR"/optim_000004_rank?.pt "$TAG"
	mount_ranks "$STORE" -o ro,ranks=2
	cut_is 2
	# What the mount made has no CRCs, and is read and shown like any other.
	remount "$STORE" -o ro,ranks=4
	[[ $(cut -f 8 "$OPTIM/rank0.tsv" | sort -u | tr '\n' ' ') == "- crc32 " ]]
	diff -r "$BATS_TEST_TMPDIR/rank1" "$OPTIM/rank1"
	cmp "$OPTIM/rank1.pt" "$(shard 1)"
}

@test "names: listed as they resolve, the same numbers under both, and link counts" {
	need_torch
	mount_ranks "$(ranks_store 4)" -o ro,ranks=2,native
	[[ $(names "$MNT/base/d2" | grep _000004 | tr '\n' ' ') == "meta_000004.json model_000004.pt optim_000004_rank0.pt optim_000004_rank1.pt " ]]
	lists_in_order "$OPTIM" "rank0 rank0.json rank0.raw rank0.safetensors rank0.tsv rank0.pt rank1 rank1.json rank1.raw rank1.safetensors rank1.tsv rank1.pt all all.json all.raw all.safetensors all.tsv"
	[[ $(find "$OPTIM" -mindepth 1 -maxdepth 1 -printf '%i %f\n' | sort -n | cut -d' ' -f2) == "$(in_order "$OPTIM")" ]]
	[[ $(stat -c %i "$OPTIM/rank1.pt") == $(stat -c %i "$MNT/base/d2/optim_000004_rank1.pt") ]]
	[[ $(stat -c %i "$OPTIM/rank0.pt") != $(stat -c %i "$OPTIM/rank1.pt") ]]
	[[ $(find "$OPTIM" -printf '%i\n' | sort | uniq -d | wc -l) -eq 0 ]]
	# rank0, rank0.raw, rank1, rank1.raw, all, all.raw
	within 1100 has_links 8 "$OPTIM"
	local name
	while read -r name; do
		[[ $(find "$OPTIM" -maxdepth 1 -name "$name" -printf %i) == $(stat -c %i "$OPTIM/$name") ]]
	done < <(names "$OPTIM")
	find "$OPTIM" -printf '%P %i %s\n' | sort >"$BATS_TEST_TMPDIR/before"
	remount "$(ranks_store 4)" -o ro,ranks=2,native
	find "$OPTIM" -printf '%P %i %s\n' | sort | diff "$BATS_TEST_TMPDIR/before" -
}

@test "the link count of optim/ without a joined state" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d2
	small_pt "$tag/model_000004.pt" "$tag/optim_000004_rank0.pt"
	mount_ranks "$BATS_TEST_TMPDIR/s"
	# Not known before a shard was looked at.
	[[ $(stat -c %h "$OPTIM") -eq 1 ]]
	[[ -e $OPTIM/all.error && ! -e $OPTIM/all && -d $OPTIM/rank0 ]]
	within 1100 has_links 4 "$OPTIM"
}

@test "the shards of a cut step can't be made, replaced, renamed or removed, and the store is as it was" {
	own_ranks 4
	mount_ranks "$STORE" -o ranks=2,delete,native
	local d=$MNT/base/d2 name rank
	(cd "$STORE" && find . -type f -exec md5sum {} + | sort) >"$BATS_TEST_TMPDIR/before"
	for rank in 0 1 2 5; do
		name=$d/optim_000004_rank$rank.pt
		refuses "Operation not permitted" dd if=/dev/zero of="$name" count=1
		refuses "Operation not permitted" dd if=/dev/zero of="$name" count=1 conv=notrunc
		echo new >"$d/other"
		refuses "Operation not permitted" mv "$d/other" "$name"
		refuses "Operation not permitted" dd if=/dev/zero of="$OPTIM/rank$rank.pt" count=1
	done
	for rank in 0 1; do
		refuses "Operation not permitted" mv "$d/optim_000004_rank$rank.pt" "$d/away"
		refuses "Operation not permitted" rm "$d/optim_000004_rank$rank.pt"
		refuses "Operation not permitted" truncate -s 0 "$d/optim_000004_rank$rank.pt"
		refuses "Operation not permitted" rm "$OPTIM/rank$rank.pt"
	done
	refuses "Operation not permitted" mkdir "$OPTIM/rank7"
	refuses "Operation not permitted" mv "$d/model_000004.pt" "$d/optim_000004_rank9.pt"
	grep -q new "$d/other"
	rm "$d/other"
	(cd "$STORE" && find . -type f ! -path '*/.ckptfs/*' -exec md5sum {} + | sort) | diff "$BATS_TEST_TMPDIR/before" -
	# torch.save says so, too.
	refuses "cannot be opened" "$PYTHON" -c 'import sys, torch; torch.save({}, sys.argv[1])' "$d/optim_000004_rank0.pt"
	# The step itself goes, with all its shards.
	rm "$d/model_000004.pt"
	[[ -z $(find "$TAG" -name '*000004*') ]]
}

@test "a step whose shards this mount sees coming shows them as they come" {
	own_ranks 4
	mkdir "$BATS_TEST_TMPDIR/shards"
	mv "$TAG"/optim_* "$BATS_TEST_TMPDIR/shards"
	mount_ranks "$STORE" -o ranks=2,native
	[[ ! -e $OPTIM ]]
	local rank
	for rank in 1 0 3 2; do
		cp "$BATS_TEST_TMPDIR/shards/optim_000004_rank$rank.pt" "$MNT/base/d2"
		[[ -f $OPTIM/rank$rank.pt ]]
	done
	[[ $(names "$MNT/base/d2" | grep -c optim_) -eq 4 ]]
	# The next mount cuts it.
	remount "$STORE" -o ranks=2
	cut_is 2
}

@test "cp -r of a cut step publishes what it shows, and nothing that is only shown" {
	own_ranks 4
	local rank
	mount_ranks "$STORE" -o ranks=2
	cp -r "$MNT/base/d2/000004" "$MNT/base/d2/000005"
	sync "$MNT/base/d2/000005"
	[[ $(names "$TAG" | grep 000005 | tr '\n' ' ') == "meta_000005.json model_000005.pt optim_000005_rank0.pt optim_000005_rank1.pt " ]]
	rm -f "$TAG"/*000004*
	rename() { local f; for f in "$TAG"/*000005*; do mv "$f" "${f/000005/000004}"; done; }
	rename
	# The mount's .pt had no CRCs; what is published has the real ones.
	for rank in 0 1; do
		"$PYTHON" -m zipfile -t "$(shard $rank)" | grep -qvi bad
	done
	remount "$STORE" -o ro,ranks=2
	cmp "$OPTIM/rank0.pt" "$(shard 0)"
	[[ $(cut -f 8 "$OPTIM/rank0.tsv" | grep -cE '^[0-9a-f]{8}$') -eq 24 ]]
	"$PYTHON" - "$TAG" <<-END
		import sys, torch, check_ranks, make_ranks, ckpt
		for rank, want in enumerate(make_ranks.real(2)):
		    check_ranks.same(torch.load("%s/optim_000004_rank%d.pt" % (sys.argv[1], rank)), want, "rank%d" % rank)
		ckpt.finish("published")
	END
	remount "$STORE" -o ro,ranks=4
	cut_is 4
}

@test "a shard that is replaced, or rewritten, under open readers: old bytes to the end, or an error, never a mixture" {
	own_ranks 4
	mount_ranks "$STORE" -o ranks=2
	"$PYTHON" - "$OPTIM" "$TAG" <<-END
		import os, sys, time, errno, torch
		optim, tag = sys.argv[1:]
		names = ["rank0.pt", "rank0/state.0.exp_avg.npy", "all/lm_head.weight.exp_avg.npy", "all.safetensors", "rank1.raw/state.9.momentum_buffer"]
		files = {n: open(os.path.join(optim, n), "rb", buffering=0) for n in names}
		old = {n: open(os.path.join(optim, n), "rb").read() for n in names}
		def fresh(f, size):
		    # Past what the kernel has cached.
		    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
		    return os.pread(f.fileno(), size, 0)
		# Replaced: another file takes the name.
		for rank in range(4):
		    path = "%s/optim_000004_rank%d.pt" % (tag, rank)
		    s = torch.load(path)
		    for field in (s["state"][0]["exp_avg"], s["state"][9]["momentum_buffer"]):
		        field += 1
		    torch.save(s, path + ".new")
		    os.rename(path + ".new", path)
		    for n in names:
		        assert fresh(files[n], len(old[n])) == old[n], n
		time.sleep(1.2)
		again = {n: open(os.path.join(optim, n), "rb", buffering=0) for n in names}
		new = {n: fresh(again[n], len(old[n])) for n in names}
		assert all(new[n] != old[n] and len(new[n]) == len(old[n]) for n in names)
		# Rewritten in place.
		path = "%s/optim_000004_rank1.pt" % tag
		with open(path, "r+b") as f:
		    f.seek(30000)
		    f.write(bytes(50000))
		    os.fsync(f.fileno())
		for n in names:
		    try:
		        got = fresh(again[n], len(old[n]))
		        assert got == new[n][:len(got)], n
		    except OSError as e:
		        assert e.errno == errno.EIO, (n, e)
		print("ok")
	END
}

@test "reshard.sh copies a step for another number of ranks, with real CRCs, and refuses what it can't do" {
	own_ranks 4
	local to=$BATS_TEST_TMPDIR/to rank
	mkdir "$BATS_TEST_TMPDIR/t"
	export CKPTFS TMPDIR=$BATS_TEST_TMPDIR/t
	"$REPO/examples/reshard.sh" "$TAG" 4 2 "$to/base_checkpoints/d2" 3>&-
	[[ $(names "$to/base_checkpoints/d2" | grep 000004 | tr '\n' ' ') == "meta_000004.json model_000004.pt optim_000004_rank0.pt optim_000004_rank1.pt " ]]
	for rank in 0 1; do
		"$PYTHON" - "$to/base_checkpoints/d2/optim_000004_rank$rank.pt" $rank <<-END
			import sys, zipfile, torch, check_ranks, ckpt, make_ranks
			z = zipfile.ZipFile(sys.argv[1])
			ckpt.check(z.testzip() is None and all(i.CRC for i in z.infolist()), "CRCs")
			check_ranks.same(torch.load(sys.argv[1]), make_ranks.real(2)[int(sys.argv[2])], sys.argv[1])
			ckpt.finish("resharded")
		END
	done
	# What was resharded goes back to 4.
	mount_ranks "$to" -o ro,ranks=4
	cut_is 4
	reshard() { "$REPO/examples/reshard.sh" "$@" 3>&-; }
	refuses "there already" reshard "$TAG" 4 2 "$to/base_checkpoints/d2"
	refuses "3 ranks divide" reshard "$TAG" 4 3 "$BATS_TEST_TMPDIR/three"
	refuses "no such model" reshard "$TAG" 5 2 "$BATS_TEST_TMPDIR/five"
	refuses "another directory" reshard "$TAG" 000004 2 "$TAG/." || refuses "there already" reshard "$TAG" 4 2 "$TAG/."
	refuses "ranks" reshard "$TAG" 4 0 "$BATS_TEST_TMPDIR/none"
	[[ -z $(find "$BATS_TEST_TMPDIR/three" "$BATS_TEST_TMPDIR/t" -mindepth 1 -name '*0*') ]]
}

# reads - how often the daemon called read(2) and the like.
reads() { awk '/^syscr/ { print $2 }' "/proc/$DAEMON/io"; }
memory() { awk "/^$1:/ { print \$2 }" "/proc/$DAEMON/status"; }

@test "a d12's optimizer on 8 ranks, 1.5 GB: cut for 4 it opens with few reads, and streams in little memory" {
	local before=() opened=() cpu=() size options
	oracle make_big ranks "$BATS_TEST_TMPDIR/s/d12"
	for options in ro ro,ranks=4; do
		mount_store "$BATS_TEST_TMPDIR/s/d12" -o "$options"
		before+=("$(reads)") cpu+=("$(cpu_ms "$DAEMON")")
		head -c 4096 "$MNT/000001/optim/rank0.pt" | wc -c | grep -qx 4096
		opened+=("$(reads)") cpu+=("$(cpu_ms "$DAEMON")")
	done
	echo "# first bytes: $((opened[0] - before[0])) reads and $((cpu[1] - cpu[0])) ms of the daemon as stored, $((opened[1] - before[1])) and $((cpu[3] - cpu[2])) cut" >&3
	[[ $((opened[1] - before[1])) -lt 150 ]]
	[[ $(names "$MNT/000001/optim" | grep -cE '^rank[0-9].pt$') -eq 4 && -e $MNT/000001/optim/all.json ]]
	size=$(stat -c %s "$MNT/000001/optim/rank3.pt")
	[[ $size -gt $((300 << 20)) && $(wc -c <"$MNT/000001/optim/rank3.pt") -eq $size ]]
	# A read of 128 KiB for the kernel, and one of the store, at most, for each; the tensors' ends apart.
	[[ $(dd if="$MNT/000001/optim/rank2.pt" bs=1M status=none | wc -c) -eq $size ]]
	[[ $(($(reads) - opened[1])) -lt $((2 * 2 * size / (128 << 10) + 1000)) ]]
	wc -c <"$MNT/000001/optim/all.safetensors" >/dev/null
	dd if="$MNT/000001/optim/all.safetensors" of=/dev/null bs=1M status=none
	echo "# peak memory $(memory VmHWM) KiB" >&3
	sanitized || [[ $(memory VmHWM) -lt 32768 ]]
}

# ---- bad input ----

# not_joined WORD... - all.error and ranks.error say it, and what is stored stays.
not_joined() {
	[[ ! -e $OPTIM/all && ! -e $OPTIM/all.json && ! -e $OPTIM/all.safetensors ]]
	is_error "$OPTIM/all.error" "$@"
	is_error "$OPTIM/ranks.error" "$@"
	local file
	for file in "$TAG"/optim_*; do
		cmp "$file" "$MNT/base/d2/${file##*/}"
	done
	in_order "$OPTIM" | grep -qx all.error
	in_order "$OPTIM" | grep -qx ranks.error
	[[ $(names "$OPTIM" | grep -cE '^rank[0-9]+.pt$') -eq $(find "$TAG" -name 'optim_*' | wc -l) ]]
}

# spoil N CODE WORD... - a store of 4 ranks with one shard changed can't be joined, nor cut for 2.
spoil() {
	own_ranks 4
	change "$1" "$2"
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined "${@:3}"
}

@test "bad: a rank is missing" {
	own_ranks 4
	rm "$(shard 2)"
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank2.pt "ranks 0 to 3" "none of rank 2"
}

@test "bad: rank 0 is missing" {
	own_ranks 4
	rm "$(shard 0)"
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank0.pt "ranks 0 to 3" "none of rank 0"
}

@test "bad: the last ranks are missing" {
	own_ranks 4
	rm "$(shard 3)" "$(shard 2)"
	mount_ranks "$STORE" -o ro,ranks=1
	not_joined optim_000004_rank0.pt "each of 2 ranks" lm_head.weight "found \[32,64\]"
}

@test "bad: a shard of another step" {
	spoil 1 'for p in (0, 1, 2, 3, 4, 5, 6, 7): s["state"][p]["step"] = 5' optim_000004_rank1.pt 'expected.*"step": 4' 'found.*"step": 5'
}

@test "bad: a shard of another run: what every rank has whole differs" {
	spoil 3 's["state"][3]["exp_avg"] += 1e-6' optim_000004_rank3.pt state.3.exp_avg "values of rank 0's shard"
}

@test "bad: a shard of a run on another number of ranks" {
	own_ranks 4
	cp "$(ranks_store 2)/base_checkpoints/d2/optim_000004_rank1.pt" "$(shard 1)"
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank1.pt "expected.*rank 0's shard"
}

@test "bad: param_groups that differ" {
	spoil 2 's["param_groups"][0]["lr"] *= 2' optim_000004_rank2.pt 'expected.*"lr": 0.0138' 'found.*"lr": 0.0277'
}

@test "bad: a muon stack whose padding isn't zero, in its first or in its last element" {
	spoil 3 's["state"][17]["momentum_buffer"][0, 0, 0] = 1' optim_000004_rank3.pt state.17.momentum_buffer "zeros in row 0" "2 parameters"
	unmount_last
	rm -rf "$STORE"
	spoil 2 's["state"][19]["second_momentum_buffer"][-1, -1, -1] = 1e-30' optim_000004_rank2.pt state.19.second_momentum_buffer "zeros in row 0"
	unmount_last
	rm -rf "$STORE"
	spoil 3 's["state"][17]["momentum_buffer"][-1, -1, -1] = 1' optim_000004_rank3.pt state.17.momentum_buffer "zeros in row 0"
}

@test "bad: shapes that don't fit the model" {
	own_ranks 4
	change_model 'm["transformer.wte.weight"] = torch.zeros(256, 64)'
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank0.pt "expected \[64,64\]" transformer.wte.weight "found \[32,64\]"
}

@test "bad: a model with fewer layers, and with more" {
	own_ranks 4
	change_model 'm = {k: v for k, v in m.items() if ".h.1." not in k}'
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank0.pt "expected a group of the model's 4 parameters" "found one of 1"
	unmount_last
	cp "$(ranks_store 4)/base_checkpoints/d2/model_000004.pt" "$TAG"
	change_model 'm["transformer.h.2.attn.odd"] = torch.zeros(5000, 2)'
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank0.pt transformer.h.2.attn.odd "expected a group"
}

@test "bad: an optimizer of another class" {
	local rank
	own_ranks 4
	for rank in 0 1 2 3; do
		"$PYTHON" - "$(shard $rank)" <<-END
			import sys, torch
			w = torch.nn.Parameter(torch.zeros(4, 4))
			o = torch.optim.SGD([w], lr=0.1, momentum=0.9)
			w.sum().backward(); o.step()
			torch.save(o.state_dict(), sys.argv[1])
		END
	done
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank0.pt param_groups "adamw or muon"
}

@test "bad: a state of another optimizer's fields, and a shard that is no optimizer's" {
	local rank
	own_ranks 2
	for rank in 0 1; do
		change $rank 's["state"][0]["max_exp_avg_sq"] = s["state"][0]["exp_avg"]'
	done
	mount_ranks "$STORE" -o ro,ranks=1
	not_joined optim_000004_rank0.pt lm_head.weight "max_exp_avg_sq"
	unmount_last
	for rank in 0 1; do
		change $rank 's = {"a": torch.zeros(2)}'
	done
	mount_ranks "$STORE" -o ro,ranks=1
	not_joined optim_000004_rank0.pt "state and param_groups"
}

@test "bad: optimizers of nanochat before January 2026" {
	own_ranks 1
	# Before 13 November 2025: rank 0's shard alone, without a rank in its name.
	mv "$(shard 0)" "$TAG/optim_000004.pt"
	mount_ranks "$STORE" -o ro,ranks=2
	is_error "$OPTIM/all.error" optim_000004.pt "each rank" "13 November 2025"
	is_error "$OPTIM/ranks.error" optim_000004.pt "13 November 2025"
	[[ -f $OPTIM/rank0.pt ]]
	unmount_last
	rm -rf "$STORE"
	# Before 15 January 2026: a list of two without chunk_size, with zero_buffer tensors.
	own_ranks 4 --list
	local rank
	for rank in 0 1 2 3; do
		change $rank 'for g in s[1]["param_groups"]: del g["chunk_size"]'
	done
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank0.pt chunk_size "15 January 2026"
}

@test "bad: a shard that can't be read, or is being written" {
	own_ranks 4
	truncate -s 1000 "$(shard 2)"
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank2.pt "end of central directory"
	unmount_last
	: >"$(shard 2)"
	mount_ranks "$STORE" -o ro,ranks=2
	not_joined optim_000004_rank2.pt
}

@test "bad: a number of ranks that is none" {
	local n
	for n in 0 -1 100000 1025 2x '' 007 1.5; do
		no_mount "ranks" "$CKPTFS" -o "ranks=$n" "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR"
	done
	no_mount "ranks" "$CKPTFS" -o ranks "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR"
}
