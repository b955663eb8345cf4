#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Big in bytes and big in tensors. What it took of the daemon's time and memory is printed as a comment; the bounds are generous.

load ../lib/helpers

teardown_file() { [[ ! -s $BATS_FILE_TMPDIR/big ]] || rm -rf "$(cat "$BATS_FILE_TMPDIR/big")"; }

memory() { awk "/^$1:/ { print \$2 }" "/proc/$DAEMON/status"; }

@test "a sparse 8 GiB zip64 checkpoint mounts, lists and gives a tensor at once, in little memory" {
	local mounted listed got tensor
	oracle make_big sparse "$BATS_TEST_TMPDIR/s/d12"
	[[ $(du -k "$BATS_TEST_TMPDIR/s/d12/model_000001.pt" | cut -f1) -lt 4096 ]]
	mount_store "$BATS_TEST_TMPDIR/s/d12"
	mounted=$(cpu_ms "$DAEMON")
	lists_in_order "$MNT/000001/model" "transformer.wte.weight.npy transformer.h.0.mlp.weight.npy lm_head.weight.npy last.npy"
	listed=$(cpu_ms "$DAEMON")
	tensor=$(od -An -tf4 -j $((65535 * 4)) "$MNT/000001/model.raw/last")
	got=$(cpu_ms "$DAEMON")
	[[ ${tensor// /} == 65535 ]]
	echo "# the daemon's time: mount $mounted ms, list $((listed - mounted)) ms, read $((got - listed)) ms, peak memory $(memory VmHWM) KiB" >&3
	sanitized || [[ $got -lt 500 ]]
	[[ $(stat -c %s "$MNT/000001/model.raw/transformer.wte.weight") -eq $((5 << 30)) ]]
	[[ $(stat -c %s "$MNT/000001/model.raw/lm_head.weight") -eq $((2 << 30)) ]]
	[[ $(stat -c %o "$MNT/000001/model.raw/lm_head.weight") -eq $((1 << 20)) ]]
	[[ $(stat -c %o "$MNT/000001/model.raw/last") -le 65536 ]]
	[[ $(stat -c %s "$MNT/000001/model.pt") -eq $(stat -c %s "$BATS_TEST_TMPDIR/s/d12/model_000001.pt") ]]
	dd if="$MNT/000001/model.raw/transformer.wte.weight" bs=1M skip=$((5 * 1024 - 8)) status=none | cmp - <(head -c 8M /dev/zero)
	[[ $(tail -c 5M "$MNT/000001/model.safetensors" | wc -c) -eq $((5 << 20)) ]]
	cut -f 1,2,4 "$MNT/000001/model.tsv" | tail -n 1 | grep -qx $'last\tfloat32\t262144'
	local offset
	offset=$(awk -F'\t' '$1 == "last" { print $6 }' "$MNT/000001/model.tsv")
	[[ $offset -gt $((8 << 30)) ]]
	tail -c +$((offset + 1)) "$MNT/000001/model.pt" | head -c 262144 | cmp - "$MNT/000001/model.raw/last"
	sanitized || [[ $(memory VmRSS) -lt 32768 ]]
}

@test "tensors past 4 GiB in a file map and convert" {
	oracle make_big sparse "$BATS_TEST_TMPDIR/s/d12"
	mount_store "$BATS_TEST_TMPDIR/s/d12"
	"$PYTHON" - "$MNT/000001/model" <<-'END'
		import sys, numpy as np
		wte = np.load(sys.argv[1] + "/transformer.wte.weight.npy", mmap_mode="r")
		assert wte.shape == (5120, 262144) and not wte[-1].any() and not wte[2600, :4096].any()
		head = np.load(sys.argv[1] + "/lm_head.weight.npy", mmap_mode="r")
		assert head.dtype == np.float32 and head.shape == (512, 1024, 1024) and not head[511, 1000].any()
		last = np.load(sys.argv[1] + "/last.npy", mmap_mode="r")
		assert (last.reshape(-1) == np.arange(65536)).all()
	END
	sanitized || [[ $(memory VmRSS) -lt 32768 ]]
}

@test "a checkpoint of 100,000 tensors lists, and its last tensor is read" {
	local start opened listed summed
	oracle make_big many "$BATS_TEST_TMPDIR/s/d12"
	mount_store "$BATS_TEST_TMPDIR/s/d12"
	start=$(cpu_ms "$DAEMON")
	[[ $(od -An -tf4 "$MNT/000001/model.raw/layer.99999.weight" | tr -s ' ') == " 99 100 101 102" ]]
	opened=$(cpu_ms "$DAEMON")
	[[ $(in_order "$MNT/000001/model" | wc -l) -eq 100000 ]]
	listed=$(cpu_ms "$DAEMON")
	[[ $(find "$MNT/000001/model" -name '*.npy' -size 1 | wc -l) -eq 100000 ]]
	[[ $(wc -l <"$MNT/000001/model.tsv") -eq 100001 ]]
	summed=$(cpu_ms "$DAEMON")
	in_order "$MNT/000001/model" | sort -c
	echo "# the daemon's time: open and read $((opened - start)) ms, list $((listed - opened)) ms, stat all and model.tsv $((summed - listed)) ms, memory $(memory VmRSS) KiB, at most $(memory VmHWM) KiB" >&3
	sanitized || [[ $(memory VmHWM) -lt $((144 << 10)) ]]
	sanitized || [[ $((summed - start)) -lt 5000 ]]
	"$PYTHON" -B - "$MNT/000001/model.safetensors" "$ORACLE" <<-'END'
		import sys
		sys.path.insert(0, sys.argv[2])
		import ckpt
		metadata, tensors = ckpt.read_safetensors(open(sys.argv[1], "rb").read())
		assert len(tensors) == 100000 and metadata == {"format": "pt"}
	END
}

@test "a checkpoint of 100,000 tensors, each with a storage of its own, opens in less than 144 MiB" {
	oracle make_big each "$BATS_TEST_TMPDIR/s/d12"
	mount_store "$BATS_TEST_TMPDIR/s/d12"
	[[ $(od -An -tu8 "$MNT/000001/model.raw/layer.99999.weight" | tr -d ' ') == 99999 ]]
	[[ $(in_order "$MNT/000001/model" | wc -l) -eq 100000 ]]
	echo "# memory $(memory VmRSS) KiB, at most $(memory VmHWM) KiB" >&3
	sanitized || [[ $(memory VmHWM) -lt $((144 << 10)) ]]
}

@test "a thousand steps cost nothing until they are looked at" {
	local tag=$BATS_TEST_TMPDIR/s/base_checkpoints/d12 i start
	small_pt "$tag/model_000000.pt"
	for ((i = 1; i < 1000; i++)); do
		ln "$tag/model_000000.pt" "$tag/model_$(printf '%06d' "$i").pt"
	done
	mount_store "$BATS_TEST_TMPDIR/s"
	start=$(cpu_ms "$DAEMON")
	[[ $(in_order "$MNT/base/d12" | wc -l) -eq 1002 ]]
	[[ $(readlink "$MNT/base/d12/latest") == 000999 ]]
	echo "# the daemon's time to list 1000 steps and follow latest: $(($(cpu_ms "$DAEMON") - start)) ms, memory $(memory VmRSS) KiB" >&3
	[[ $(find "$MNT/base/d12" -name '*.npy' | wc -l) -eq 2000 ]]
	find "$MNT/base/d12" -name 'lm_head.weight.npy' -print0 | xargs -0 cat | wc -c | grep -qx $((1000 * 152))
	[[ $(find "/proc/$DAEMON/fd" | wc -l) -lt 600 ]]
	sanitized || [[ $(memory VmRSS) -lt 65536 ]]
}

@test "past 4 GiB: a tensor of 4.3 GB is published with zip64" {
	need_torch
	local BIG=
	# In memory where there is plenty of it: the disk would take most of the suite's time.
	[[ $(df --output=avail -B1G /dev/shm | tail -n 1) -lt 6 || $(sed -n 's/^MemAvailable: *//p' /proc/meminfo | cut -d' ' -f1) -lt 10000000 ]] ||
		BIG=$(mktemp -d /dev/shm/ckptfs-test.XXXXXX | tee "$BATS_FILE_TMPDIR/big")
	STORE=${BIG:-$BATS_TEST_TMPDIR}/store
	cp -a "$(nanochat_store)" "$STORE"
	mount_store "$STORE"
	TAG=$MNT/base/d12 STORED=$STORE/base_checkpoints/d12
	mkdir "$TAG/000600" "$TAG/000600/model"
	"$PYTHON" - "$TAG/000600/model" <<-'END'
		import sys
		import numpy as np
		def sparse(name, count):
		    m = np.lib.format.open_memmap(sys.argv[1] + "/" + name, mode="w+", dtype="<f4", shape=(0,))
		    with open(sys.argv[1] + "/" + name, "wb") as f:
		        np.lib.format.write_array_header_1_0(f, {"descr": "<f4", "fortran_order": False, "shape": (count,)})
		        start = f.tell()
		        f.truncate(start + 4 * count)
		        for i in (0, count // 2, count - 1):
		            f.seek(start + 4 * i)
		            f.write(np.float32(i % 1000 + 1).tobytes())
		sparse("big.npy", 1080000000)
		np.save(sys.argv[1] + "/small.npy", np.arange(5, dtype="<i8"))
	END
	cp "$TAG/000500/meta.json" "$TAG/000600/"
	[[ -f $STORED/model_000600.pt && ! -e $STORED/.ckptfs/000600 ]]
	"$PYTHON" - "$STORED/model_000600.pt" "$ORACLE" <<-'END'
		import sys
		sys.path.insert(0, sys.argv[2])
		import ckpt
		layout, places = ckpt.layout(sys.argv[1]), ckpt.storage_places(sys.argv[1])
		big, small = layout["big"], layout["small"]
		assert list(layout) == ["big", "small"] and big.size == (1080000000,), big.size
		offset, size, stored = places[big.key]
		assert size == 4320000000 and stored and offset % 64 == 0 and places[small.key][0] > 1 << 32, places
		with open(sys.argv[1], "rb") as f:
		    for i in (0, 1, 540000000, 1079999999):
		        f.seek(offset + 4 * i)
		        assert f.read(4) == ckpt.np.float32(0 if i == 1 else i % 1000 + 1).tobytes(), i
		    f.seek(places[small.key][0])
		    assert f.read(40) == ckpt.np.arange(5, dtype="<i8").tobytes()
	END
	unmount 0
	rm -rf "$STORED/model_000600.pt" "$BIG"
}
