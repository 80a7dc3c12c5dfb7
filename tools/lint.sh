#!/usr/bin/env bash
# Runs the linters for `make lint`. A failed linter does not stop the others, so that one run shows all findings.
# shellcheck disable=SC2317,SC2329 # the functions are called through check
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$PWD/.tools/bin
bad=0

check() { # TITLE COMMAND…
	local title=$1
	shift
	echo "$title"
	"$@" || bad=1
}

# A test with a fixed sleep is slow on fast machines and flaky on slow ones. Wait for the event, or poll with a ticker.
no_sleep_in_tests() {
	local hits
	hits=$(find . -path ./.tools -prune -o -name '*_test.go' -exec grep -Hn 'time\.Sleep(' {} + || true)
	[ -z "$hits" ] && return
	echo "$hits"
	echo "time.Sleep in a test: wait for the event itself"
	return 1
}

shell_scripts() {
	if ! command -v shellcheck >/dev/null; then
		echo "  (no shellcheck here: skipped)"
		return
	fi
	shellcheck -x .ci/run tools/*.sh deploy/*/*.sh
}

check "staticcheck" "$bin/staticcheck" ./...
check "errcheck" "$bin/errcheck" -ignoretests -exclude tools/errcheck.txt ./...
check "go-errorlint" "$bin/go-errorlint" ./...
check "no time.Sleep in tests" no_sleep_in_tests
check "shellcheck" shell_scripts
check "plain words" go run ./tools/words -check .
exit $bad
