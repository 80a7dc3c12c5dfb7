#!/usr/bin/env bash
# beside.sh FIRST SECOND: runs two shell commands concurrently, the second at low priority. The output of FIRST is shown
# immediately, that of SECOND after both have ended. The script fails if either command fails; a signal that ends it ends both.
set -uo pipefail

log=$(mktemp)
set -m # gives each a process group of its own
nice -n 5 bash -c "$2" >"$log" 2>&1 &
second=$!
bash -c "$1" & # in the background, since a shell that waits for a foreground command sees no signal
first=$!
set +m
# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
	kill -- -$first -$second 2>/dev/null
	rm -f "$log"
}
trap clean EXIT
trap 'exit 130' INT TERM

status=0
wait $first || status=$?
wait $second || status=$?
cat "$log"
if [ $status != 0 ]; then echo "one of two stages that ran side by side FAILED: see above"; fi
exit $status
