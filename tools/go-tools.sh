#!/usr/bin/env bash
# Builds the programs listed in tools/go-tools.txt into .tools/bin. Programs of the right version that
# were built by the Go in use are left alone (a linter built by an older Go may not read a newer one's files).
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
	# From / the module of this repository has no say; no experiment and no cgo, whatever the caller builds with. It is
	# built elsewhere first, for go names it by the package's last part: two packages may share one.
	fresh=$(mktemp -d "$bin/.new.XXXXXX")
	trap 'rm -rf "$fresh"' EXIT
	(cd / && GOBIN=$fresh GOFLAGS='' GOOS='' GOARCH='' GOEXPERIMENT='' GOWORK=off CGO_ENABLED=0 \
		go install "$package@$version")
	mv "$fresh"/* "$bin/$name"
	rmdir "$fresh"
done <tools/go-tools.txt
