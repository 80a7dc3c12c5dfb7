#!/usr/bin/env bash
# e2e.sh [FLAG…]: go test over the end-to-end tests. None of them may be missing its prefix, by which others leave them out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if stray=$(grep -n '^func Test' e2e/*_test.go | grep -v 'func TestE2E\|func TestMain('); then
	echo "$stray"
	echo "error: tests in e2e/ are named TestE2E…" >&2
	exit 1
fi
# Most tests that run in parallel wait: for Envoy's fetches, or for something that is due later.
exec go test -count=1 -parallel 4 "$@" ./e2e
