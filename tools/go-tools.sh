#!/usr/bin/env bash
# Builds the programs listed in tools/go-tools.txt into .tools/bin. A program is rebuilt if its version or
# the version of Go has changed: a linter built with an older Go may fail to read the files of a newer Go.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=$PWD/.tools/bin
mkdir -p "$bin"
goversion=$(go env GOVERSION)

current() { # NAME PACKAGE VERSION
	local info
	[ -x "$bin/$1" ] || return 1
	info=$(go version -m "$bin/$1" 2>/dev/null) || return 1
	awk -v want="$goversion" -v path="$2" -v version="$3" '
		NR == 1 { go = $NF }
		$1 == "path" { p = $2 }
		$1 == "mod" { v = $3 }
		END { exit !(go == want && p == path && v == version) }' <<<"$info"
}

while read -r name package version; do
	case $name in '' | '#'*) continue ;; esac
	current "$name" "$package" "$version" && continue
	echo "building $name $version"
	# In the folder /, go.mod of this repository has no effect. The caller's GOEXPERIMENT and cgo settings are ignored. Build
	# in a separate folder, since go names the program after the last part of its package, which another tool may share.
	fresh=$(mktemp -d "$bin/.new.XXXXXX")
	trap 'rm -rf "$fresh"' EXIT
	(cd / && GOBIN=$fresh GOFLAGS='' GOOS='' GOARCH='' GOEXPERIMENT='' GOWORK=off CGO_ENABLED=0 \
		go install "$package@$version")
	mv "$fresh"/* "$bin/$name"
	rmdir "$fresh"
done <tools/go-tools.txt
