#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Links that another process puts in the way of what the mount writes: nothing outside is read, made, changed or removed.

load ../lib/helpers

setup() {
	S=$BATS_TEST_TMPDIR/s OUT=$BATS_TEST_TMPDIR/outside
	STORED=$S/base_checkpoints/d12 HOME_OF_DRAFTS=$S/base_checkpoints/d12/.ckptfs
	small_pt "$STORED"/model_00000{1,2}.pt
	# What the links lead to: what a step is made of, and what would be cleared away if it were ours.
	small_pt "$OUT/model.pt"
	mkdir -p "$OUT"/{dir,model,home/000700,home/staged,home/000800.trash,files}
	oracle make_case good "$OUT/home/staged/model.pt"
	"$PYTHON" -c 'import numpy, sys; numpy.save(sys.argv[1], numpy.arange(3.0))' "$OUT/model/secret.npy"
	cp "$OUT/model/secret.npy" "$OUT/files/"
	echo '{"secret": 1}' >"$OUT/meta.json"
	# An intent that would publish, or take back.
	echo '1 2 3 model_000600.pt' >"$OUT/intent"
	cp "$OUT/model.pt" "$OUT/dir/model_000600.pt"
	state_of_outside >"$BATS_TEST_TMPDIR/before"
}

state_of_outside() {
	find "$OUT" -printf '%P %y %m %u %s %n %T@ %C@\n' | sort
	find "$OUT" -type f -exec sha256sum {} + | sort
}

# After every attempt: nothing outside is another, nothing of it is in the store, and the mount works.
nothing_happened() {
	state_of_outside | diff "$BATS_TEST_TMPDIR/before" -
	[[ ! -e $STORED/model_000600.pt && ! -L $STORED/model_000600.pt ]]
	run ! grep -rqs secret "$S" --include='*.json' --include='*.error' --include='*.pt'
	cmp "$MNT/base/d12/000001/model.pt" "$STORED/model_000001.pt"
	lists_steps
}
lists_steps() { [[ $(ls "$MNT/base/d12") == *000001*000002* ]]; }

# each_mount COMMAND - with everyone's rights to read and with the mounter's alone, with a sandbox and without: the rule is core's.
each_mount() {
	local options
	for options in allow_other,sandbox=off sandbox=off allow_other sandbox=on; do
		[[ $options != allow_other* ]] || may_allow_other || continue
		mount_store "$S" -o "$options"
		TAG=$MNT/base/d12
		"$1"
		nothing_happened
		unmount $((${#MOUNTS[@]} - 1))
		# The next mount clears up.
		mount_store "$S" -o "$options"
		nothing_happened
		unmount $((${#MOUNTS[@]} - 1))
		rm -rf "$HOME_OF_DRAFTS"
	done
}

LOOP="Too many levels of symbolic links"

in_place_of_our_directory() {
	ln -s "$OUT/home" "$HOME_OF_DRAFTS"
	refuses "$LOOP" mkdir "$TAG/000600"
	refuses "$LOOP" mkdir "$TAG/000600.partial"
	refuses "$LOOP" cp "$STORED/model_000001.pt" "$TAG/model_000600.pt"
	refuses "$LOOP" cp "$STORED/model_000001.pt" "$TAG/model_000002.pt"
	refuses "$LOOP" mkdir "$TAG/000001/optim"
	refuses "No such file" ls "$TAG/000700"
	grep -q "\\.ckptfs: .*$LOOP" "$LOG"
}

@test "TAG/.ckptfs is a link" {
	each_mount in_place_of_our_directory
}

in_place_of_the_lock() {
	mkdir "$HOME_OF_DRAFTS"
	ln -s "$OUT/new" "$HOME_OF_DRAFTS/writers"
	refuses "$LOOP" mkdir "$TAG/000600"
	ln -sf "$OUT/model.pt" "$HOME_OF_DRAFTS/writers"
	refuses "$LOOP" cp "$STORED/model_000001.pt" "$TAG/model_000600.pt"
}

@test "the tag's lock is a link" {
	each_mount in_place_of_the_lock
}

in_place_of_a_draft() {
	mkdir "$HOME_OF_DRAFTS"
	ln -s "$OUT" "$HOME_OF_DRAFTS/000600.partial"
	ln -s "$OUT/home" "$HOME_OF_DRAFTS/000900.trash"
	refuses "No such file" ls "$TAG/000600.partial"
	refuses "$LOOP" mkdir "$TAG/000600.partial"
	refuses "No such file" mv "$TAG/000600.partial" "$TAG/000600"
	ln -s "$OUT/dir" "$HOME_OF_DRAFTS/staged"
	refuses "$LOOP" cp "$STORED/model_000001.pt" "$TAG/model_000600.pt"
	# And the directory in it that holds the files.
	mkdir "$TAG/000700.partial"
	rmdir "$HOME_OF_DRAFTS/000700.partial/files"
	ln -s "$OUT/files" "$HOME_OF_DRAFTS/000700.partial/files"
	within 2000 refuses "No such file" ls "$TAG/000700.partial/"
	refuses "File exists" mkdir "$TAG/000700.partial" || refuses "$LOOP" mkdir "$TAG/000700.partial"
}

@test "TAG/.ckptfs/STEP.partial is a link, or the directory of its files, or that of staged ones" {
	each_mount in_place_of_a_draft
}

in_place_of_files() {
	local files=$HOME_OF_DRAFTS/000600.partial/files form
	mkdir "$TAG/000600.partial"
	for form in model.pt model; do
		ln -s "$OUT/$form" "$files/$form"
		echo '{"step": 600}' >"$TAG/000600.partial/meta.json"
		refuses "$LOOP" cat "$TAG/000600.partial/$form"
		refuses "$LOOP" tee "$TAG/000600.partial/$form" </dev/null
		refuses "$LOOP" chmod 777 "$TAG/000600.partial/$form"
		refuses "$LOOP" touch "$TAG/000600.partial/$form"
		refuses "$LOOP" truncate -s 1 "$TAG/000600.partial/$form"
		refuses "$LOOP" touch "$TAG/000600.partial/$form/x"
		run ! mv "$TAG/000600.partial" "$TAG/000600"
		rm "$TAG/000600.partial/$form"
	done
	cp "$STORED/model_000001.pt" "$TAG/000600.partial/model.pt"
	ln -sf "$OUT/meta.json" "$files/meta.json"
	run ! mv "$TAG/000600.partial" "$TAG/000600"
	# A tensor, and a shard.
	rm "$TAG/000600.partial/meta.json" "$TAG/000600.partial/model.pt"
	mkdir "$TAG/000600.partial/model" "$TAG/000600.partial/optim"
	ln -s "$OUT/model/secret.npy" "$files/model/secret.npy"
	echo '{"step": 600}' >"$TAG/000600.partial/meta.json"
	run ! mv "$TAG/000600.partial" "$TAG/000600"
	ln -s "$OUT/model.pt" "$files/optim/rank0.pt"
	rm "$TAG/000600.partial/model/secret.npy"
	rmdir "$TAG/000600.partial/model"
	cp "$STORED/model_000001.pt" "$TAG/000600.partial/model.pt"
	run ! mv "$TAG/000600.partial" "$TAG/000600"
	rm -r "$TAG/000600.partial"
}

@test "a file or directory in the draft is a link" {
	each_mount in_place_of_files
}

in_place_of_our_files() {
	local draft=$HOME_OF_DRAFTS/000600.partial
	mkdir "$TAG/000600.partial"
	ln -s "$OUT/model.pt" "$draft/order"
	refuses "$LOOP" touch "$TAG/000600.partial/x"
	rm "$draft/order"
	cp "$STORED/model_000001.pt" "$TAG/000600.partial/model.pt"
	# Unfit, with a report that would go elsewhere.
	ln -s "$OUT/new" "$draft/files/DRAFT.error"
	run ! mv "$TAG/000600.partial" "$TAG/000600"
	ln -sf "$OUT/model.pt" "$draft/files/DRAFT.error"
	run ! mv "$TAG/000600.partial" "$TAG/000600"
	echo '{"step": 600}' >"$TAG/000600.partial/meta.json"
	ln -s "$OUT/dir" "$draft/publish"
	ln -s "$OUT/intent" "$draft/intent"
	refuses "$LOOP" mv "$TAG/000600.partial" "$TAG/000600"
}

@test "order, intent, publish and DRAFT.error of a draft are links" {
	each_mount in_place_of_our_files
	# Without the others' links it is published.
	mount_store "$S" -o allow_other,sandbox=off
	mkdir "$MNT/base/d12/000600.partial"
	cp "$STORED/model_000001.pt" "$MNT/base/d12/000600.partial/model.pt"
	echo '{"step": 600}' >"$MNT/base/d12/000600.partial/meta.json"
	ln -s "$OUT/dir" "$HOME_OF_DRAFTS/000600.partial/publish"
	mv "$MNT/base/d12/000600.partial" "$MNT/base/d12/000600"
	cmp "$STORED/model_000001.pt" "$STORED/model_000600.pt"
	state_of_outside | diff "$BATS_TEST_TMPDIR/before" -
}

@test "a stored file that is a link out of the store, with allow_other: nobody's to change" {
	ln -s "$OUT/model.pt" "$STORED/model_000003.pt"
	mount_store "$S" -o allow_other,sandbox=off,delete
	local stored=$MNT/base/d12/model_000003.pt
	refuses "Permission denied" chmod 4777 "$stored"
	refuses "Permission denied" touch "$stored"
	[[ $EUID -ne 0 ]] || refuses "Permission denied" chown 1 "$stored"
	refuses "Permission denied" truncate -s 0 "$stored"
	refuses "Permission denied" dd if=/dev/zero of="$stored" conv=notrunc count=1
	refuses "Permission denied" bash -c 'exec 7<>"$1"' _ "$stored"
	nothing_happened
	rm "$stored"
	[[ ! -L $STORED/model_000003.pt ]]
	nothing_happened
}

@test "a tag that is a link out of the store, with allow_other: nothing goes there" {
	mkdir "$OUT/home/.ckptfs"
	state_of_outside >"$BATS_TEST_TMPDIR/before"
	ln -s "$OUT/home" "$S/base_checkpoints/d13"
	mount_store "$S" -o allow_other,sandbox=off
	local tag=$MNT/base/d13
	refuses "Permission denied" mkdir "$tag/000600"
	refuses "Permission denied" cp "$STORED/model_000001.pt" "$tag/model_000600.pt"
	refuses "Permission denied" touch "$tag/.temporary"
	refuses "Permission denied" chmod 777 "$tag"
	run ! rmdir "$tag"
	nothing_happened
}

@test "a tag that is a link, without allow_other: drafts and files under nanochat's names go where it leads" {
	small_pt "$OUT/d20/model_000001.pt"
	ln -s "$OUT/d20" "$S/base_checkpoints/d20"
	mount_store "$S"
	local tag=$MNT/base/d20
	cp "$STORED/model_000001.pt" "$tag/model_000500.pt"
	mkdir "$tag/000600"
	cp "$STORED/model_000001.pt" "$tag/000600/model.pt"
	echo '{"step": 600}' >"$tag/000600/meta.json"
	cmp "$OUT/d20/model_000500.pt" "$OUT/d20/model_000600.pt"
	[[ -z $(find "$OUT/d20/.ckptfs" -mindepth 1 ! -name writers ! -name staged) ]]
}

@test "a tag that has become a link while a draft of it is written" {
	mount_store "$S" -o allow_other,sandbox=off
	local tag=$MNT/base/d12
	mkdir "$OUT/dir/.ckptfs" "$OUT/dir/.ckptfs/000600.partial" "$OUT/dir/.ckptfs/000600.partial/files"
	state_of_outside >"$BATS_TEST_TMPDIR/before"
	mkdir "$tag/000600.partial"
	exec 7>"$tag/000600.partial/meta.json"
	mv "$STORED" "$STORED.away"
	ln -s "$OUT/dir" "$STORED"
	run ! touch "$tag/000600.partial/x"
	run ! mkdir "$tag/000600.partial/model"
	run ! cp "$STORED.away/model_000001.pt" "$tag/model_000600.pt"
	run ! rm "$tag/000600.partial/meta.json"
	run ! mv "$tag/000600.partial" "$tag/000600"
	exec 7>&-
	rm "$STORED"
	mv "$STORED.away" "$STORED"
	nothing_happened
}

@test "links that come and go while a draft is written" {
	local stop=$BATS_TEST_TMPDIR/stop i turner dir=$HOME_OF_DRAFTS/000600.partial/files/model
	mount_store "$S" -o allow_other,sandbox=off
	mkdir "$MNT/base/d12/000600.partial" "$MNT/base/d12/000600.partial/model"
	(
		while [[ ! -e $stop ]] && kill -0 $$; do
			mv -T "$dir" "$dir.away" && ln -s "$OUT/dir" "$dir" && rm "$dir" && mv -T "$dir.away" "$dir"
			ln -sfn "$OUT/model.pt" "$dir/turned.npy" && rm -f "$dir/turned.npy"
		done 2>/dev/null
	) 3>&- &
	turner=$!
	for ((i = 0; i < 150; i++)); do
		echo "$i" >"$MNT/base/d12/000600.partial/model/$i.npy" || true
		echo "$i" >"$MNT/base/d12/000600.partial/model/turned.npy" || true
		chmod 777 "$MNT/base/d12/000600.partial/model/turned.npy" || true
		mv "$MNT/base/d12/000600.partial/model/$i.npy" "$MNT/base/d12/000600.partial/model/x.npy" || true
		rm -f "$MNT/base/d12/000600.partial/model/x.npy" || true
	done 2>/dev/null
	touch "$stop"
	wait "$turner" || true
	state_of_outside | diff "$BATS_TEST_TMPDIR/before" -
	cmp "$MNT/base/d12/000001/model.pt" "$STORED/model_000001.pt"
}
