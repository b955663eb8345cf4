# Runs one thing after the other, shows what each says, and adds up how they ended. Sourced by .ci/run and by tests/fresh-root*.sh.
# shellcheck shell=bash

passed=0 failed=0 skipped=0
SUMMARY='^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$'

# tally NAME COMMAND... - runs the command. Its last line 'N passed, N failed, N skipped' is what it counts; without one it counts as one test.
# The command gets its own process group, so that stop() reaches all of it; it is also told when this shell is killed.
tally() {
	local show status line before=$((failed + skipped))
	log=$(mktemp) || return
	set -m
	setpriv --pdeathsig TERM "${@:2}" >"$log" 2>&1 &
	child=$!
	# Only the last line of the whole run may look like a summary.
	tail -n +1 -f --pid="$child" "$log" 2>/dev/null | sed -uE "s/$SUMMARY/  &/" &
	show=$!
	set +m
	wait "$child"
	status=$?
	child=
	wait "$show"
	line=$(grep -E "$SUMMARY" "$log" | tail -n 1)
	rm -f "$log"
	log=
	if [[ $line =~ $SUMMARY ]]; then
		passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
		# A command that counts no failure and yet fails has one that it could not count.
		[[ $status -eq 0 || $((failed + skipped)) -gt $before ]] || failed=$((failed + 1))
	else
		passed=$((passed + (status == 0))) failed=$((failed + (status != 0)))
	fi
	if [[ $status -eq 0 ]]; then echo "ok: $1"; else echo "not ok (status $status): $1"; fi
	return "$status"
}

# stop SIGNAL - ends what runs, waits for it, and exits as that signal does. Mounts end with their daemons.
child='' log='' stop_with=TERM
stop() {
	trap '' INT TERM HUP
	[[ -z $child ]] || { kill -s "$stop_with" -- "-$child" 2>/dev/null || kill -s "$stop_with" "$child"; wait "$child"; }
	[[ -z $log ]] || rm -f "$log"
	exit $((128 + $(kill -l "$1")))
}
trap 'stop INT' INT
trap 'stop TERM' TERM
trap 'stop HUP' HUP

# total - the last line of a run, and its status: in CI a skip is a failure.
total() {
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	[[ $failed -eq 0 && $passed -gt 0 ]] || return 1
	[[ ${CI:-} != true || $skipped -eq 0 ]]
}
