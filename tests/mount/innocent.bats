#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# No innocent command loses a checkpoint: what people type, each on a fresh store, and the store's checksums before and after.

load ../lib/helpers

# The commands run in a shell whose directory has the mount as `mnt`, and a place elsewhere as `away`.
COMMANDS=(
	'rm -rf mnt'
	'rm -rf mnt/*'
	'rm -rf mnt/base/d12'
	'rm -rf mnt/base/d12/*'
	'rm -rf mnt/base/d12/000500'
	'rm -rf mnt/base/d12/000500/model'
	'rm -f mnt/base/d12/model_000500.pt mnt/base/d12/meta_000500.json mnt/base/d12/optim_000500_rank0.pt'
	'cd mnt/base/d12 && rm -f *.pt *.json'
	'cd mnt/base/d12 && rm -f latest'
	'unlink mnt/base/d12/model_000500.pt'
	'rmdir mnt/base/d12/000500 mnt/base/d12 mnt/base'
	'cd mnt/base/d12 && rmdir *'
	'find mnt -delete'
	'find mnt/base/d12 -maxdepth 1 -type f -delete'
	'find mnt -name "*.pt" -exec rm {} +'
	'mkdir empty; rsync -a --delete empty/ mnt/base/d12/'
	'mkdir empty; rsync -a --delete-before --force empty/ mnt/base/'
	'mv mnt/base/d12 away/'
	'mv mnt/base/d12 mnt/base/d13'
	'mv mnt/base/d12/000500 away/'
	'mv mnt/base/d12/000500 mnt/base/d12/000700'
	'mv mnt/base/d12/model_000500.pt away/'
	'mv mnt/base/d12/model_000500.pt mnt/base/d12/model_000700.pt'
	'mv mnt/base/d12/model_000500.pt mnt/base/d12/model_000500.pt.old'
	'mv mnt/base/d12/model_000500.pt mnt/base/'
	'mv mnt/base/d12/optim_000500_rank0.pt mnt/base/d12/model_000500.pt'
	'mv mnt/base/d12/* away/'
	'cp /dev/null mnt/base/d12/model_000500.pt'
	': > mnt/base/d12/model_000500.pt'
	'truncate -s 0 mnt/base/d12/model_000500.pt mnt/base/d12/meta_000500.json'
	'shred -u mnt/base/d12/000500/model.pt'
	'cp mnt/base/d12/optim_000500_rank0.pt mnt/base/d12/model_000500.pt'
	'cp mnt/base/d12/model_000500.pt mnt/base/d12/optim_000500_rank0.pt'
	'head -c 1000 mnt/base/d12/000500/model.pt > mnt/base/d12/model_000500.pt'
	'install /dev/null mnt/base/d12/model_000500.pt'
	'ln -sf /dev/null mnt/base/d12/model_000500.pt'
	'python3 -c "import shutil; shutil.rmtree(\"mnt\", ignore_errors=True)"'
	'python3 -c "import shutil; shutil.move(\"mnt/base/d12\", \"away\")"'
	'git init -q mnt/base/d12; git -C mnt/base/d12 clean -qfdx'
)

# Every stored file, and its bytes; what a refused writer left beside a name is no loss.
sums() { (cd "$1" && find . -type f ! -name '*.rejected' ! -path '*/.git/*' ! -path '*/.ckptfs/*' -exec sha256sum {} + | sort -k 2); }

# table OPTION... - each command on a store of its own, mounted so.
table() {
	local command n=0 dir
	nanochat_store >/dev/null
	for command in "${COMMANDS[@]}"; do
		dir=$BATS_TEST_TMPDIR/t$((n++))
		mkdir -p "$dir/away"
		cp -a "$(nanochat_store)" "$dir/store"
		sums "$dir/store" >"$dir/before"
		mount_store "$dir/store" "$@"
		(cd "$dir" && timeout 60 bash -c "${command//mnt/../${MNT##*/}}" >"$dir/out" 2>&1 3>&-) || true
		unmount $((${#MOUNTS[@]} - 1))
		sums "$dir/store" | diff "$dir/before" - || { echo "lost by: $command"; cat "$dir/out"; return 1; }
		rm -rf "$dir"
	done
}

@test "every command, on a plain mount: the store has every byte that it had" { table; }
@test "every command, with native: the store has every byte that it had" { table -o native; }
@test "every command, with ro: the store has every byte that it had" { table -o ro,native; }

removable() {
	own_store
	mount_store "$STORE" "$@"
	TAG=$MNT/base/d12 STORED=$STORE/base_checkpoints/d12
}

@test "with delete the same commands do what they say" {
	removable -o native,delete
	rm -f "$TAG"/*.pt "$TAG"/*.json
	[[ -z $(find "$STORED" -type f ! -path '*/.ckptfs/*') ]] || { find "$STORED"; return 1; }
	within 1100 lists "$TAG" ""  || [[ -z $(names "$TAG") ]]
	rmdir "$TAG"
	[[ ! -e $STORED ]]
}

@test "with delete: find -delete, mv away, rsync --delete; a file can get another name, which is judged" {
	removable -o native,delete
	cp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/model"
	mv "$TAG/model_000500.pt" "$TAG/model_000700.pt"
	cmp "$STORED/model_000700.pt" "$BATS_TEST_TMPDIR/model"
	[[ ! -e $STORED/model_000500.pt ]]
	mv "$TAG/model_000700.pt" "$TAG/model_000700.pt.old"
	cmp "$TAG/model_000700.pt.old" "$BATS_TEST_TMPDIR/model"
	within 1100 test ! -e "$TAG/000700"
	mv "$TAG/model_000700.pt.old" "$TAG/model_000500.pt"
	within 1100 cmp "$TAG/000500/model.pt" "$BATS_TEST_TMPDIR/model"
	refuses "Invalid argument" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$TAG/model_000500.pt" "$TAG/optim_000500_rank0.pt"
	cmp "$STORED/model_000500.pt" "$BATS_TEST_TMPDIR/model"
	mv "$TAG/model_000500.pt" "$BATS_TEST_TMPDIR/away.pt"
	cmp "$BATS_TEST_TMPDIR/away.pt" "$BATS_TEST_TMPDIR/model"
	[[ -z $(find "$STORED" -name '*000500*') ]]
	# With a step's model its other files go: find meets names that are gone.
	find "$TAG" -maxdepth 1 -type f -delete || true
	[[ -z $(find "$STORED" -type f ! -path '*/.ckptfs/*') ]]
}

@test "refused without delete: EPERM, and the log names the option" {
	removable -o native
	refuses "Operation not permitted" rm -f "$TAG/model_000500.pt"
	refuses "Operation not permitted" rm -f "$TAG/meta_000500.json"
	refuses "Operation not permitted" rm -f "$TAG/optim_000500_rank0.pt"
	refuses "Operation not permitted" mv "$TAG/model_000500.pt" "$TAG/model_000700.pt"
	refuses "Operation not permitted" mv "$TAG/model_000500.pt" "$TAG/x"
	grep -q 'model_000500\.pt: .*-o delete' "$LOG"
	# Once a second at most: rm -r asks for every file.
	for _ in 1 2 3 4 5 6 7 8; do rm -f "$TAG/model_000500.pt" 2>/dev/null || true; done
	(($(grep -c -- '-o delete' "$LOG") <= 5))
}

@test "options beside each other: one doesn't take the next along" {
	own_store
	echo secret >"$BATS_TEST_TMPDIR/secret"
	ln -s "$BATS_TEST_TMPDIR/secret" "$STORE/base_checkpoints/d12/model_000003.pt"
	mount_store "$STORE" -o allow_other,native,delete
	refuses "Permission denied" cat "$MNT/base/d12/model_000003.pt"
	mount_store "$STORE" -o ro,delete,native
	refuses "Read-only file system" rm "$MNT/base/d12/model_000500.pt"
	[[ -n $(compgen -G "$MNT/base/d12/model_*.pt") ]]
}
