#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# ckptfs --check: each kind of damage is found, nothing else is; what it calls sound is what the mount shows; exit statuses, JSON, signals.

load ../lib/helpers
load ../lib/shims

# aged STORE - a copy of the store, made an hour ago; $STORE.
aged() {
	STORE=$BATS_TEST_TMPDIR/store
	rm -rf "$STORE"
	cp -a "$1" "$STORE"
	find "$STORE" -exec touch -hd '1 hour ago' {} +
}

# checks STATUS ARG... - runs --check; $output has stdout, $stderr stderr.
checks() {
	reports
	run --separate-stderr "$CKPTFS" --check "${@:2}"
	[[ $status -eq $1 ]] || { echo "status $status"$'\n'"$output"$'\n'"$stderr"; return 1; }
}

@test "each kind of damage in a sound store: what is found, and nothing else; the exit status" {
	need_torch
	oracle check_store damage "$CKPTFS" "$(nanochat_store)" "$BATS_TEST_TMPDIR/store"
}

@test "nothing is wrong with what torch and nanochat saved, in every fixture" {
	local fixture
	for fixture in "$FIXTURES"/torch-*/ "$FIXTURES"/field/*/; do
		aged "$fixture"
		checks 0 "$STORE"
		[[ $output != *": error:"* && $output != *": note:"* ]] || { echo "$output"; return 1; }
		# The one warning that is true: the fixtures' second step has no model_config, so nanochat can't build it.
		[[ $(grep -v 'find_last_step names 000002' <<<"$output") != *": warning:"* ]] || { echo "$output"; return 1; }
	done
}

@test "what --check calls sound is what the mount shows, and the reverse: all fixtures" {
	local fixture
	for fixture in "$FIXTURES"/torch-*/; do
		aged "$fixture"
		mount_store "$STORE"
		oracle check_store property "$CKPTFS" "$STORE" "$MNT"
	done
}

@test "what --check calls sound is what the mount shows, and the reverse: hostile files and zips that lie" {
	local made=$BATS_TEST_TMPDIR/made
	python3 "$GEN/make_hostile.py" "$made" tensors opcodes foreign disguised depth lengths metas names
	python3 "$GEN/make_zips.py" "$made/zips"
	mv "$made/zips/"*.pt "$made"
	cut -f1,2 "$made/zips/expect.tsv" >>"$made/expect.tsv"
	python3 "$ORACLE/check_hostile.py" store "$made" "$BATS_TEST_TMPDIR/s"
	aged "$BATS_TEST_TMPDIR/s"
	mount_store "$STORE"
	oracle check_store property "$CKPTFS" "$STORE" "$MNT"
	[[ ! -e $CKPTFS_CANARY ]]
}

@test "a person's lines: the stored path, what is wrong, and the counts at the end" {
	aged "$(nanochat_store)"
	checks 0 "$STORE"
	[[ $output == "16 files checked: 0 errors, 0 warnings, 0 notes" && -z $stderr ]]
	truncate -s 1000 "$STORE/base_checkpoints/d12/optim_001000_rank1.pt"
	touch -d '1 hour ago' "$STORE/base_checkpoints/d12/optim_001000_rank1.pt"
	checks 4 "$STORE"
	[[ ${lines[0]} == "$STORE/base_checkpoints/d12/optim_001000_rank1.pt: error: no end of central directory"* ]]
	[[ ${lines[1]} == "16 files checked: 1 error, 0 warnings, 0 notes" && ${#lines[@]} -eq 2 ]]
	checks 4 -v "$STORE"
	[[ $(grep -c ': sound$' <<<"$output") -eq 9 ]]
}

@test "STORE at any level, and one step of it" {
	aged "$(nanochat_store)"
	local d12=$STORE/base_checkpoints/d12
	checks 0 "$STORE/base_checkpoints"
	[[ $output == "11 files checked"* ]]
	checks 0 "$d12"
	[[ $output == "7 files checked"* ]]
	checks 0 "$d12:000500"
	[[ $output == "3 files checked"* ]]
	cd "$d12"
	truncate -s 100 model_001000.pt
	touch -d '1 hour ago' model_001000.pt
	checks 4 .:001000
	[[ ${lines[0]} == "./model_001000.pt: error: "* && ${#lines[@]} -eq 2 ]]
	checks 0 .:000500
	cp -a "$d12" "$BATS_TEST_TMPDIR/a:000500"
	checks 4 "$BATS_TEST_TMPDIR/a:000500"
}

@test "JSON: an object per line, with names as they are" {
	aged "$(nanochat_store)"
	mv "$STORE/base_checkpoints/d12" "$STORE/base_checkpoints/d\"12"$'\n\e'
	truncate -s 0 "$STORE/base_checkpoints/"d\"*/model_001000.pt
	find "$STORE" -exec touch -hd '1 hour ago' {} +
	checks 4 --json "$STORE"
	jq -es '.[0].severity == "error" and (.[0].path | endswith("/base_checkpoints/d\"12\n\u001b/model_001000.pt"))
		and .[-1] == {files: 16, errors: 1, warnings: 1, notes: 0, failed: 0, interrupted: false}' <<<"$output"
	checks 4 "$STORE"
	[[ ${#lines[@]} -eq 3 && ${lines[0]} == *"/d\"12??/model_001000.pt: error: the file is empty"* ]]
}

@test "NaN, infinities and statistics of every tensor: NumPy's, to the last digit printed" {
	need_torch
	local store
	for store in "$(nanochat_store)" "$(dtypes_store)"; do
		aged "$store"
		oracle check_stats "$CKPTFS" "$STORE"
	done
	checks 4 --finite -v "$STORE"
	[[ ${lines[0]} == *"model_000001.pt:" && ${lines[1]} == "  tensor "*" nan "*"inf" ]] || { echo "$output"; return 1; }
}

@test "memory stays flat, whatever the size of the files" {
	! sanitized || skip "sanitizers take memory of their own"
	"$PYTHON" - "$CKPTFS" "$BATS_TEST_TMPDIR" <<-'END'
		import handmade, os, resource, subprocess, sys
		for n in range(1, 4):
		    path = f"{sys.argv[2]}/model_{n:06d}.pt"
		    with open(path, "wb") as f:
		        w = handmade.Writer(f)
		        w.entry("data.pkl", handmade.dumps({f"w{i}": handmade.tensor(i, (1 << 26,)) for i in range(4)}))
		        for i in range(4):
		            w.entry(f"data/{i}", 4 << 26, align=True)
		        w.entry("version", b"3\n")
		        w.finish()
		    open(path.replace("model", "meta").replace(".pt", ".json"), "w").write("{}")
		for name in os.listdir(sys.argv[2]):
		    os.utime(os.path.join(sys.argv[2], name), (1, 1))
		subprocess.run([sys.argv[1], "--check", "--read-data", "--finite", sys.argv[2]], check=True)
		most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
		assert most < 32 << 10, f"{most} KiB"
	END
}

@test "SIGUSR1 says how far it is; SIGINT ends it with the counts so far and 32" {
	shim slow
	aged "$(nanochat_store)"
	local pid out=$BATS_TEST_TMPDIR/out err=$BATS_TEST_TMPDIR/err log=$BATS_TEST_TMPDIR/delayed status=0
	: >"$log"
	reports
	env ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 LD_PRELOAD="$CKPTFS_SHIM" SLOW_MS=1000 SLOW_LEN=$((1 << 30)) SLOW_UNDER="$STORE/base_checkpoints/d12/model_" SLOW_LOG="$log" \
		"$CKPTFS" --check "$STORE" >"$out" 2>"$err" 3>&- &
	pid=$!
	within 20000 test -s "$log"
	kill -USR1 "$pid"
	within 20000 grep -qE '^[0-9]+ of 16 files, 0[.]00 of 0[.]0. GB, ' "$err"
	kill -INT "$pid"
	wait "$pid" || status=$?
	[[ $status -eq 32 ]]
	[[ $(<"$out") =~ ^interrupted:\ [0-9]+\ files?\ checked:\ 0\ errors ]]
	[[ $(wc -l <"$err") -eq 1 && $(<"$err") != *$'\r'* ]]
}

@test "on a terminal, and only there, a line says how far it is, and goes away" {
	aged "$(nanochat_store)"
	"$PYTHON" -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' "$CKPTFS" --check "$STORE" </dev/null >"$BATS_TEST_TMPDIR/out" 3>&-
	grep -qE $'\r[0-9]+ of 16 files' "$BATS_TEST_TMPDIR/out"
	[[ $(<"$BATS_TEST_TMPDIR/out") == *$'\r\e[K16 files checked: 0 errors, 0 warnings, 0 notes'* ]]
}

@test "wrong usage is 16, a store that can't be checked 8" {
	checks 16
	checks 16 "$STORE" "$BATS_TEST_TMPDIR"
	checks 16 --bogus "$BATS_TEST_TMPDIR"
	run "$CKPTFS" --json "$BATS_TEST_TMPDIR"
	[[ $status -eq 1 && $output == *"--json belongs to --status and --check"* ]]
	checks 8 "$BATS_TEST_TMPDIR/nowhere"
	aged "$(nanochat_store)"
	checks 8 "$STORE/base_checkpoints/d12:000999"
	[[ $stderr == *"no step 000999: there is no model_000999.pt" ]]
	checks 8 "$STORE/base_checkpoints/d12:500"
	[[ $stderr == *"a step is named as its files are: 000500" ]]
	checks 8 "$STORE/base_checkpoints:000500"
	checks 0 "$BATS_TEST_TMPDIR"
	[[ $stderr == *"found no *_checkpoints directory"* ]]
}

@test "EIO at one file: an error for that file, the rest goes on, exit 8" {
	shim faults
	aged "$(nanochat_store)"
	local faults=$BATS_TEST_TMPDIR/faults nth
	for nth in 1 4 9; do
		rm -f "$faults"
		truncate -s 4096 "$faults"
		printf '%s\0' "read $nth 1 5" | dd of="$faults" conv=notrunc status=none
		reports
		run --separate-stderr env ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 LD_PRELOAD="$CKPTFS_SHIM" CKPTFS_FAULTS="$faults" "$CKPTFS" --check "$STORE"
		[[ $status -eq 8 ]] || { echo "$status: $output"; return 1; }
		[[ $(grep -c 'error: .*Input/output error$' <<<"$output") -eq 1 ]]
		[[ $output == *"16 files checked: 1 error, 0 warnings, 0 notes; 1 of the errors: could not be checked" ]]
	done
}

@test "checking while a run saves: never a false alarm" {
	need_torch
	local saver turn
	STORE=$BATS_TEST_TMPDIR/s
	mkdir -p "$STORE/base_checkpoints/d4"
	"$PYTHON" - "$STORE/base_checkpoints/d4" 3>&- <<-'END' &
		import itertools, make_store, os, sys
		for n in itertools.count(1):
		    make_store.save_checkpoint(sys.argv[1], n % 3 + 1, make_store.gpt_state(n, True), [make_store.optimizer_state(n, 2)] * 2, make_store.meta(n % 3 + 1, 1.0))
	END
	saver=$!
	until [[ -e $STORE/base_checkpoints/d4/optim_000001_rank1.pt ]]; do sleep 0.1; done
	# bats' own `run` counts with i.
	for turn in {1..60}; do
		checks 0 "$STORE" || { kill "$saver"; return 1; }
		[[ $output != *": warning: "* ]] || { kill "$saver"; echo "$turn: $output"; return 1; }
	done
	kill "$saver"
	wait "$saver" || true
}

@test "it reads only: not a time, not a byte of the store is another afterwards" {
	aged "$(nanochat_store)"
	(cd "$STORE" && find . -printf '%p %s %T@ %C@ %m\n' | sort) >"$BATS_TEST_TMPDIR/before"
	checks 0 "$STORE"
	(cd "$STORE" && find . -printf '%p %s %T@ %C@ %m\n' | sort) | diff "$BATS_TEST_TMPDIR/before" -
}
