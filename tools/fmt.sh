#!/usr/bin/env bash
# fmt.sh check|write: gofumpt (a stricter gofmt) over every Go file of the work tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
write) .tools/bin/gofumpt -w . ;;
check)
	files=$(.tools/bin/gofumpt -l .)
	[ -z "$files" ] && exit
	echo "$files"
	echo "not formatted: run make fmt"
	exit 1
	;;
*) echo "usage: $0 check|write" >&2 && exit 2 ;;
esac
