#!/usr/bin/env bash
# e2e.sh [FLAG…]: go test over the packages that have end-to-end tests, those named TestE2E…, and over these tests
# alone. That there are none is a failure, since then nothing was shown.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=()
while IFS= read -r dir; do
	packages+=("$dir")
done < <(find . \( -path ./.tools -o -path ./.git \) -prune -o -name '*_test.go' -exec grep -l '^func TestE2E' {} + |
	sed 's|/[^/]*$||' | sort -u)
if [ ${#packages[@]} = 0 ]; then
	echo "error: no test is named TestE2E…" >&2
	exit 1
fi
# Those that may run side by side mostly wait: for fetches of Envoy's, and for what is to happen at its time.
exec go test -run '^TestE2E' -count=1 -parallel 4 "$@" "${packages[@]}"
