#!/usr/bin/env bash
# Runs go generate, and fails if a file changes that git tracks or would add. The files are compared with their state before
# the run, not with the last commit, so that uncommitted work does not count as a difference.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

snapshot() {
	git ls-files -z --cached --others --exclude-standard | sort -zu | while IFS= read -r -d '' file; do
		if [ -f "$file" ]; then
			printf '%s  %s\n' "$(git hash-object --no-filters -- "$file")" "$file"
		fi
	done
}

git rev-parse --is-inside-work-tree >/dev/null || {
	echo "error: only a git work tree can be checked" >&2
	exit 1
}
before=$(snapshot)
go generate ./...
after=$(snapshot)
changed=$({ diff <(echo "$before") <(echo "$after") || true; } | sed -n 's/^[<>] [0-9a-f]*  //p' | sort -u)
[ -z "$changed" ] && exit
git --no-pager diff --stat
echo "$changed"
echo "generated files were out of date and have been written again: review and commit them"
exit 1
