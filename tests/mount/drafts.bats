#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Drafts as directories: what programs may do in them, what they may not do elsewhere, and what outlives what.

load ../lib/helpers

# A store of small files made by hand, mounted for writing.
setup() {
	STORE=$BATS_TEST_TMPDIR/s
	STORED=$STORE/base_checkpoints/d12
	small_pt "$STORED/model_000500.pt" "$STORED/model_001000.pt" "$STORED/optim_001000_rank0.pt"
}

writable() {
	mount_store "$STORE" "$@"
	TAG=$MNT/base/d12
}

# fill DIR - what step 500 shows, copied.
fill() { cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$1/"; }

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

@test "POSIX behaviour inside a draft, call by call" {
	writable
	mkdir "$TAG/000600" "$TAG/000600.partial" "$TAG/000601" "$TAG/000601/model"
	"$PYTHON" "$ORACLE/posix_written.py" "$TAG/000600"
	"$PYTHON" "$ORACLE/posix_written.py" "$TAG/000600.partial"
	"$PYTHON" "$ORACLE/posix_written.py" "$TAG/000601/model"
	rmdir "$TAG/000600" "$TAG/000600.partial" "$TAG/000601/model" "$TAG/000601"
	lists "$TAG" "000500 001000 history.tsv latest"
	[[ -z $(find "$STORED/.ckptfs" -mindepth 1 ! -name writers) ]] || { find "$STORED/.ckptfs"; return 1; }
}

@test "mkdir: steps and their .partial, tags; nothing else" {
	writable
	local name
	for name in 600 0000600 600.partial; do
		refuses "Invalid argument" mkdir -- "$TAG/$name"
	done
	refuses "File exists" mkdir "$TAG/000500"
	mkdir "$TAG/000600"
	refuses "File exists" mkdir "$TAG/000600"
	refuses "File exists" mkdir "$MNT/base/d12"
	refuses "File exists" mkdir "$TAG/latest"
	refuses "File exists" mkdir "$MNT/base"
	mkdir "$MNT/x"
	[[ -d $STORE/x ]]
	refuses "Operation not permitted" mkdir "$TAG/000500/x"
	refuses "Operation not permitted" mkdir "$TAG/000500/model/x"
	mkdir "$MNT/base/d14"
	[[ -d $STORE/base_checkpoints/d14 ]]
	within 1100 lists "$MNT/base" "d12 d14 largest"
	mkdir "$MNT/base/d14/1000000"
	refuses "Directory not empty" rmdir "$MNT/base/d14"
	rmdir "$MNT/base/d14/1000000"
	rmdir "$MNT/base/d14"
	[[ ! -e $STORE/base_checkpoints/d14 ]]
	refuses "Directory not empty" rmdir "$TAG"
	refuses "Operation not permitted" mv "$MNT/base/d12" "$MNT/base/d13"
}

@test "a tag that holds a file is not empty: rmdir takes neither a temporary name nor a save under way" {
	writable
	mkdir "$MNT/base/d14"
	echo kept >"$MNT/base/d14/.notes"
	refuses "Directory not empty" rmdir "$MNT/base/d14"
	[[ $(<"$MNT/base/d14/.notes") == kept ]]
	rm "$MNT/base/d14/.notes"
	exec 6>"$MNT/base/d14/meta_000100.json"
	echo '{"step": 100}' >&6
	refuses "Directory not empty" rmdir "$MNT/base/d14"
	exec 6>&-
	[[ $(<"$STORE/base_checkpoints/d14/meta_000100.json") == '{"step": 100}' ]]
	rm "$STORE/base_checkpoints/d14/meta_000100.json"
	rmdir "$MNT/base/d14"
	[[ ! -e $STORE/base_checkpoints/d14 ]]
}

@test "a published step can't be changed: EPERM" {
	writable
	local step=$TAG/000500 command
	find "$STORED" -type f ! -path '*.ckptfs*' -exec sha256sum {} + | sort >"$BATS_TEST_TMPDIR/before"
	for command in "touch $step/model/new.npy" "touch $step/new" "mkdir $step/x" "rm -f $step/model.pt" "rm -f $step/model/lm_head.weight.npy" \
		"rmdir $step/model" "rmdir $step" "ln $step/model.pt $step/hard" "ln -s x $step/soft" "mknod $step/null c 1 3" "mknod $step/new p" \
		"truncate -s 0 $step/model.pt" "dd if=/dev/zero of=$step/meta.json conv=notrunc count=1" "mkfifo $step/fifo" "tee $step/model/lm_head.weight.npy" \
		"mv $step/meta.json $step/model/x" "mv $step $TAG/000700" "mv $step $TAG/000500.partial" "rm -rf $step/model" \
		"tee -a $TAG/001000/optim/rank0.json" "rm -f $TAG/001000/optim/rank0.pt" "mkdir $TAG/001000/optim/rank0/x" "tee $TAG/001000/optim/rank0.json" \
		"cp /dev/null $TAG/001000/optim/x.json" "mkdir $TAG/001000/optim/rankx"; do
		# shellcheck disable=SC2086 # a command's words
		refuses "Operation not permitted" $command </dev/null || { echo "$command: $status $output"; return 1; }
	done
	find "$STORED" -type f ! -path '*.ckptfs*' -exec sha256sum {} + | sort | cmp - "$BATS_TEST_TMPDIR/before"
}

@test "the same for another user, whom the mode may stop first" {
	[[ $EUID -eq 0 ]] || skip "needs root, to be somebody else"
	chmod o+x "$BATS_RUN_TMPDIR"
	writable -o allow_other
	local command
	for command in "touch $TAG/000500/x" "rm -f $TAG/000500/model.pt" "tee $TAG/000500/meta.json" "mkdir $TAG/000500/x" "mkdir $TAG/000600" "tee $TAG/model_000500.pt"; do
		# shellcheck disable=SC2086
		run as_nobody $command </dev/null
		[[ $status -ne 0 && $output =~ "Operation not permitted"|"Permission denied" ]] || { echo "$command: $status $output"; return 1; }
	done
}

@test "whose the files are: a user's, in a tag that is theirs, on a mount by root" {
	[[ $EUID -eq 0 ]] || skip "needs root, to be somebody else"
	chmod o+x "$BATS_RUN_TMPDIR"
	chmod o+rx "$STORE" "$STORE/base_checkpoints"
	chown -R 65534:65534 "$STORED"
	writable -o allow_other
	as_nobody mkdir "$TAG/000600"
	as_nobody cp -r "$TAG/000500/model" "$TAG/000500/meta.json" "$TAG/000600/"
	[[ -f $STORED/model_000600.pt ]]
	as_nobody cp "$STORED/model_000500.pt" "$TAG/model_000700.pt"
	as_nobody mkdir "$TAG/000800.partial"
	as_nobody touch "$TAG/000800.partial/x"
	[[ $(stat -c '%u %g' "$TAG/000800.partial/x") == "65534 65534" ]]
	[[ -z $(find "$STORED" -name '*.pt' ! -uid 65534 -o -name 'meta*' ! -uid 65534) ]] || { ls -la "$STORED"; return 1; }
	as_nobody rm -r "$TAG/000800.partial"
}

@test "a path in the store that is too long is ENAMETOOLONG, for each call that makes one" {
	writable
	local name deep=0
	name=$(printf 'n%.0s' {1..200})
	mkdir "$TAG/000600"
	cd "$TAG/000600"
	while mkdir "$name" 2>/dev/null && cd "$name"; do
		((++deep < 30))
	done
	((deep > 10))
	refuses "File name too long" mkdir "$name"
	refuses "File name too long" touch "$name"
	touch x
	refuses "File name too long" mv x "$name"
	refuses "File name too long" stat "$name"
	cd "$REPO"
}

@test "a mount by a user: the whole way" {
	[[ $EUID -eq 0 ]] || skip "the other tests are this one, for a user"
	chmod o+x "$BATS_RUN_TMPDIR"
	cp "$CKPTFS" "$BATS_TEST_TMPDIR/ckptfs"
	mkdir "$BATS_TEST_TMPDIR/m"
	chown -R 65534:65534 "$BATS_TEST_TMPDIR"
	mknod "$BATS_TEST_TMPDIR/fuse" c 10 229
	chmod 666 "$BATS_TEST_TMPDIR/fuse"
	reports
	# In a mount namespace of its own, where /dev/fuse has the mode that distributions give it.
	timeout 60 unshare -m bash -euc '
		cd "$1"
		mount --bind fuse /dev/fuse
		setpriv --reuid=65534 --regid=65534 --clear-groups bash -euc "
			./ckptfs s m
			cd m/base/d12
			mkdir 000600 000601.partial
			cp -r 000500/model 000500/meta.json 000600/
			test -f ../../../s/base_checkpoints/d12/model_000600.pt
			cp -r 000500/model 000500/meta.json 000601.partial/
			chmod -w 000601.partial/model
			mv 000601.partial 000601
			test -f ../../../s/base_checkpoints/d12/model_000601.pt
			cp 000500/model.pt model_000700.pt
			cmp model_000700.pt 000700/model.pt
			mkdir ../d14
			rmdir ../d14
			cd ../../..
		"
		fusermount3 -u m' bash "$BATS_TEST_TMPDIR" 3>&-
	[[ -z $(find "$STORED/.ckptfs" -mindepth 1 ! -name writers ! -name staged) && $(stat -c %u "$STORED/model_000601.pt") == 65534 ]]
}

@test "drafts outlive a remount and a kill" {
	writable
	mkdir "$TAG/000600" "$TAG/000700.partial"
	cp -r "$TAG/000500/model" "$TAG/000600/"
	fill "$TAG/000700.partial"
	(cd "$TAG" && find 000600 000700.partial -type f -exec cksum {} +) >"$BATS_TEST_TMPDIR/before"
	exec 6>"$TAG/model_000900.pt"
	echo half >&6
	kill -KILL "$DAEMON"
	wait "$DAEMON" || true
	exec 6>&- || true
	fusermount3 -uz "$MNT"
	PIDS[0]=
	[[ -n $(find "$STORED/.ckptfs/staged" -type f) ]]
	writable
	# The shell closed the file once: what it had then was beside its place.
	lists "$TAG" "000500 000600 000700.partial 001000 history.tsv latest model_000900.pt.rejected"
	rm "$TAG/model_000900.pt.rejected"
	[[ -z $(find "$STORED/.ckptfs" -path '*staged/*') && ! -e $STORED/model_000900.pt ]]
	(cd "$TAG" && cut -d' ' -f3 "$BATS_TEST_TMPDIR/before" | xargs cksum --) | cmp - "$BATS_TEST_TMPDIR/before"
	unmount 1
	writable
	cp "$TAG/000500/meta.json" "$TAG/000600/"
	mv "$TAG/000700.partial" "$TAG/000700"
	lists "$TAG" "000500 000600 000700 001000 history.tsv latest"
	cmp <(in_order "$TAG/000500/model") <(in_order "$TAG/000600/model")
	[[ -f $STORED/model_000600.pt && -f $STORED/model_000700.pt ]]
}

@test "key order goes by name: it stays where a file system makes up inode numbers anew, through renames, directories too" {
	writable
	local draft=$TAG/000600.partial keys="z b y a x" key
	mkdir "$draft" "$draft/new"
	for key in $keys; do
		"$PYTHON" -c 'import numpy, sys; numpy.save(open(sys.argv[1], "wb"), numpy.ones(2))' "$draft/new/.$key.tmp"
		mv "$draft/new/.$key.tmp" "$draft/new/$key.npy"
	done
	mv "$draft/new" "$draft/model"
	"$PYTHON" -c 'import numpy, sys; numpy.save(open(sys.argv[1], "wb"), numpy.ones(2))' "$draft/model/c.npy"
	mv "$draft/model/b.npy" "$draft/model/w.npy"
	rm "$draft/model/y.npy"
	cp "$TAG/000500/meta.json" "$draft/"
	unmount 0
	(cd "$STORED/.ckptfs/000600.partial/files/model" && for key in *; do cp "$key" "$key.new" && mv "$key.new" "$key"; done)
	writable
	mv "$TAG/000600.partial" "$TAG/000600"
	[[ $(in_order "$TAG/000600/model" | tr '\n' ' ') == "z.npy w.npy a.npy x.npy c.npy "* ]] || { in_order "$TAG/000600/model"; return 1; }
}

@test "rm -r of drafts, and renames of them" {
	writable
	mkdir "$TAG/000600" "$TAG/000700.partial"
	cp -r "$TAG/000500/model" "$TAG/000600/"
	fill "$TAG/000700.partial"
	mv "$TAG/000700.partial" "$TAG/000701.partial"
	lists "$TAG/000701.partial" "DRAFT.error meta.json model"
	chmod u+w "$TAG/000701.partial/meta.json"
	exec 6>>"$TAG/000701.partial/meta.json"
	mv "$TAG/000701.partial" "$TAG/000702.partial"
	echo >&6
	exec 6>&-
	cmp <(cat "$TAG/000500/meta.json"; echo) "$TAG/000702.partial/meta.json"
	refuses "Invalid argument" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$TAG/000702.partial" "$TAG/x"
	refuses "File exists" mv -T "$TAG/000702.partial" "$TAG/000500"
	refuses "File exists" mv -T "$TAG/000702.partial" "$TAG/000600"
	mkdir "$TAG/000703"
	mv -T "$TAG/000702.partial" "$TAG/000703"
	[[ ! -e $STORED/model_000703.pt ]]
	rm -r "$TAG/000600"
	lists "$TAG" "000500 000703 001000 history.tsv latest"
	sync "$TAG/000703"
	cmp <(in_order "$TAG/000500/model") <(in_order "$TAG/000703/model")
	[[ -f $STORED/model_000703.pt && -z $(find "$STORED/.ckptfs" -mindepth 1 ! -name writers) ]]
}

@test "rename between drafts is EXDEV, so that mv copies" {
	writable
	mkdir "$TAG/000600" "$TAG/000601.partial"
	echo text >"$TAG/000600/x"
	refuses "Invalid cross-device link" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$TAG/000600/x" "$TAG/000601.partial/x"
	mv "$TAG/000600/x" "$TAG/000601.partial/x"
	[[ ! -e $TAG/000600/x && $(cat "$TAG/000601.partial/x") == text ]]
	refuses "Invalid cross-device link" "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$TAG/000600" "$MNT/base/d12/000601.partial/y"
}

@test "a step that came to be by another way: EEXIST, and the draft is kept as .partial" {
	writable
	mkdir "$TAG/000600"
	cp -r "$TAG/000500/model" "$TAG/000600/"
	small_pt "$STORED/model_000600.pt"
	refuses "File exists" cp "$TAG/000500/meta.json" "$TAG/000600/meta.json" || {
		# Or the name is the published step's by now.
		[[ $output == *"Operation not permitted"* || $output == *"Permission denied"* ]]
	}
	unmount 0
	writable
	lists "$TAG" "000500 000600 000600.partial 001000 history.tsv latest"
	[[ -f $TAG/000600/model.pt && -d $TAG/000600.partial/model ]]
	[[ -f $TAG/000600.partial/meta.json ]] || cp "$TAG/000500/meta.json" "$TAG/000600.partial/"
	refuses "File exists" mv -T "$TAG/000600.partial" "$TAG/000600"
	mv "$TAG/000600.partial" "$TAG/000601.partial"
	mv "$TAG/000601.partial" "$TAG/000601"
	[[ -f $STORED/model_000601.pt ]]
}

@test "two writers race for one step: one wins whole, the other is told and keeps its draft" {
	writable
	mkdir "$TAG/000600" "$TAG/000600.partial"
	cp -r "$TAG/000500/model" "$TAG/000600/"
	fill "$TAG/000600.partial"
	local one=0 two=0 pid
	cp "$TAG/000500/meta.json" "$TAG/000600/" 3>&- &
	pid=$!
	"$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$TAG/000600.partial" "$TAG/000600" || two=1
	wait $pid || one=1
	[[ -f $STORED/model_000600.pt && -f $STORED/meta_000600.json ]]
	((one + two <= 1))
	((two == 0)) || [[ -d $TAG/000600.partial/model ]]
}

@test "two mounts of one store publish one draft: once, whole, and the other hears that it is gone" {
	writable
	mount_store "$STORE"
	local other=$MNT/base/d12 i step
	for i in {1..20}; do
		step=00060$i
		step=${step: -6}
		mkdir "$TAG/$step.partial"
		fill "$TAG/$step.partial"
		[[ -d $other/$step.partial ]]
		"$PYTHON" - "$TAG/$step" "$other/$step" 3>&- <<-'END'
			import os, sys, threading
			start, done = threading.Barrier(2), []
			def publish(path):
			    start.wait()
			    try:
			        os.rename(path + ".partial", path)
			        done.append(path)
			    except OSError:
			        pass
			both = [threading.Thread(target=publish, args=(path,)) for path in sys.argv[1:]]
			for t in both: t.start()
			for t in both: t.join()
			assert len(done) == 1, done
		END
		[[ -f $STORED/model_$step.pt ]]
		cmp "$STORED/meta_$step.json" "$TAG/000500/meta.json"
		[[ ! -e $STORED/.ckptfs/$step.partial ]]
	done
}

@test "TAG/.ckptfs is removed under a mount: what it writes then is no leftover to the next mount" {
	writable
	mkdir "$TAG/000600"
	rm -r "$STORED/.ckptfs"
	exec 6>"$TAG/meta_000700.json"
	echo '{"step": 700}' >&6
	mount_store "$STORE" 6>&-
	exec 6>&-
	[[ $(<"$STORED/meta_000700.json") == '{"step": 700}' ]]
}

@test "an optimizer shard is added to a published step, by rankN.json and by rankN.pt" {
	writable
	mkdir "$TAG/000500/optim"
	cp -r "$TAG/001000/optim/rank0" "$TAG/000500/optim/"
	[[ ! -e $STORED/optim_000500_rank0.pt ]]
	cp "$TAG/001000/optim/rank0.json" "$TAG/000500/optim/"
	[[ -f $STORED/optim_000500_rank0.pt ]]
	diff -r "$TAG/001000/optim/rank0" "$TAG/000500/optim/rank0"
	cp "$STORED/optim_001000_rank0.pt" "$TAG/000500/optim/rank1.pt"
	cmp "$STORED/optim_001000_rank0.pt" "$STORED/optim_000500_rank1.pt"
	mkdir "$TAG/001000/optim/rank3"
	cp "$TAG/001000/optim/rank0"/* "$TAG/001000/optim/rank3"
	cp "$TAG/001000/optim/rank0.json" "$TAG/001000/optim/.rank3.json.tmp"
	mv "$TAG/001000/optim/.rank3.json.tmp" "$TAG/001000/optim/rank3.json"
	[[ -f $STORED/optim_001000_rank3.pt ]]
	refuses "Operation not permitted" cp "$TAG/001000/optim/rank0.json" "$TAG/000500/optim/rank0.json"
	refuses "Operation not permitted" rm -f "$TAG/000500/optim/rank1.pt"
	[[ -z $(find "$STORED/.ckptfs" -name '*.optim') ]] || { find "$STORED/.ckptfs"; return 1; }
	within 1100 lists "$TAG/000500/optim" "all.error rank0 rank0.json rank0.pt rank0.raw rank0.safetensors rank0.tsv rank1 rank1.json rank1.pt rank1.raw rank1.safetensors rank1.tsv"
}

@test "each rank's shard is published by its own rankN.json, whatever the other ranks are still writing" {
	writable
	local optim=$TAG/000500/optim name
	mkdir "$optim" "$optim/rank1"
	name=$(find "$TAG/001000/optim/rank0" -name '*.npy' -printf '%f\n' -quit)
	exec 6>"$optim/rank1/$name"
	printf half >&6
	cp -r "$TAG/001000/optim/rank0" "$optim/"
	cp "$TAG/001000/optim/rank0.json" "$optim/"
	[[ -f $STORED/optim_000500_rank0.pt ]]
	diff -r "$TAG/001000/optim/rank0" "$optim/rank0"
	cp "$TAG/001000/optim/rank0"/* "$optim/rank1/"
	cp "$TAG/001000/optim/rank0.json" "$optim/rank1.json"
	[[ ! -e $STORED/optim_000500_rank1.pt ]]
	exec 6>&-
	sync "$optim"
	[[ -f $STORED/optim_000500_rank1.pt ]]
}

@test "an unfit shard says why beside it, and a mended one is published" {
	writable
	mkdir "$TAG/000500/optim" "$TAG/000500/optim/rank0"
	cp "$TAG/001000/optim/rank0.json" "$TAG/000500/optim/"
	[[ ! -e $STORED/optim_000500_rank0.pt ]]
	is_error "$TAG/000500/optim/DRAFT.error" rank0
	refuses "Invalid argument" sync "$TAG/000500/optim"
	cp "$TAG/001000/optim/rank0"/* "$TAG/000500/optim/rank0/"
	sync "$TAG/000500/optim"
	[[ -f $STORED/optim_000500_rank0.pt ]]
	within 1100 lists "$TAG/000500/optim" "all.error rank0 rank0.json rank0.pt rank0.raw rank0.safetensors rank0.tsv"
}

@test "link counts, types and inode numbers are true for drafts too" {
	writable
	mkdir "$TAG/000600" "$TAG/000700.partial" "$TAG/000600/optim"
	cp -r "$TAG/000500/model" "$TAG/000600/"
	# Until they are opened, a link count of 1 says that a model's hf/ and joined shards are not known.
	find "$MNT" >/dev/null
	sleep 1.1
	find "$MNT/base" -type d -printf '%n %p\n' | while read -r links path; do
		[[ $links -eq $((2 + $(find "$path" -mindepth 1 -maxdepth 1 -type d | wc -l))) ]] || { echo "$path: $links"; return 1; }
	done
	[[ -z $(find "$MNT" -printf '%i\n' | sort | uniq -d) ]]
	"$PYTHON" -c 'import os, sys
for d, _, _ in os.walk(sys.argv[1]):
    for e in os.scandir(d):
        assert e.inode() == os.lstat(e.path).st_ino, e.path' "$MNT"
	[[ $(find "$TAG/000600/model/.." -maxdepth 0 -printf %i) == $(stat -c %i "$TAG/000600") ]]
	[[ $(stat -c %i "$TAG/000600/..") == $(stat -c %i "$TAG") ]]
}

@test "a number that is no step's name is EINVAL, and the log gives the canonical one" {
	writable
	local name want tag=$TAG
	mkdir "$tag/000009"
	while read -r name want; do
		refuses "Invalid argument" mkdir "$tag/$name"
		within 2000 grep -q "/d12: $name: .*: $want\$" "$LOG"
	done <<-'END'
		600 000600
		0600 000600
		0000601 000601
		602.partial 000602.partial
		7 000007
		00 000000
		01000000 1000000
	END
	refuses "to a subdirectory of itself" mv -T "$tag/000009" "$tag/650"
	within 2000 grep -q "/d12: 650: .*: 000650\$" "$LOG"
	lists "$tag" "000009 000500 001000 history.tsv latest"
}

@test "DRAFT.error names the files of the draft by their places in it, before and after a try" {
	writable
	local draft=$TAG/000600
	mkdir -p "$draft/model"
	echo junk >"$draft/model/a.npy"
	refuses "Invalid argument" sync "$draft"
	is_error "$draft/DRAFT.error" "^1 tensor: meta.json: it is missing; mend that, then sync this directory to publish"
	echo '{}' >"$draft/meta.json"
	is_error "$draft/DRAFT.error" "^1 tensor and meta.json: model/a.npy: .*mend that"
	refuses "Invalid argument" sync "$draft"
	is_error "$draft/DRAFT.error" "^1 tensor and meta.json: model/a.npy: .*mend that"
}
