#!/usr/bin/env bash
# Runs govulncheck on the whole module. On machines without a network, BURNKEY_VULNDB is the path of a copy of the Go
# vulnerability database, a folder or a .tgz. With neither a network nor a copy, the check is skipped, but fails if CI=true.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
	echo "error: $*" >&2
	exit 1
}

# The root of the database is the folder that contains index/. In an archive, the root is one level down.
root() {
	find "$1" -maxdepth 3 -path '*/index/modules.json*' -print -quit | sed 's|/index/modules.json.*||'
}

args=()
source=${BURNKEY_VULNDB:-}
if [ -n "$source" ]; then
	if [ -f "$source" ]; then
		unpacked=.tools/vulndb
		sum=$(cksum <"$source")
		if [ "$(cat "$unpacked/sum.txt" 2>/dev/null)" != "$sum" ]; then
			rm -rf "$unpacked"
			mkdir -p "$unpacked"
			tar -xzf "$source" -C "$unpacked"
			echo "$sum" >"$unpacked/sum.txt"
		fi
		source=$unpacked
	fi
	[ -d "$source" ] || fail "BURNKEY_VULNDB=$BURNKEY_VULNDB is neither a folder nor an archive"
	db=$(root "$source")
	[ -n "$db" ] || fail "BURNKEY_VULNDB=$BURNKEY_VULNDB holds no Go vulnerability database"
	args=(-db "file://$(cd "$db" && pwd)")
fi

log=$(mktemp .tools/vulncheck.XXXXXX)
trap 'rm -f "$log"' EXIT
status=0
.tools/bin/govulncheck ${args[@]+"${args[@]}"} ./... 2>"$log" || status=$?
cat "$log" >&2
if [ $status != 0 ] && [ -z "$source" ] && grep -q '^govulncheck: fetching vulnerabilities' "$log"; then
	[ "${CI:-}" != true ] || fail "the vulnerability database is out of reach: set BURNKEY_VULNDB to a copy of it"
	echo "SKIPPED: no network to fetch the vulnerability database, and BURNKEY_VULNDB names no copy of it"
	exit 0
fi
exit $status
