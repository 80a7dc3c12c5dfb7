#!/usr/bin/env bash
# Installs the servers that `make bench` compares the exchange with into .tools/rivals, pinned in tools/rivals.txt: Keycloak, which needs
# a JDK and Maven, and Ory Hydra, which needs a C compiler for its SQLite. The benchmarks do without one that is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=$PWD/.tools/rivals
pin=tools/rivals.txt

# pinned NAME: sets version and checksum.
pinned() { read -r version checksum < <(sed -n "s/^$1 //p" "$pin"); }

installed() { cmp -s "$pin" "$target/pin.txt"; }

keycloak() {
	if ! command -v jar >/dev/null || ! command -v mvn >/dev/null; then
		echo "no JDK or no Maven, so Keycloak is not compared" >&2
		return
	fi
	pinned keycloak
	echo "installing Keycloak $version into $target"
	local archive=$target/keycloak-quarkus-dist-$version.zip
	mvn -q -B dependency:copy "-Dartifact=org.keycloak:keycloak-quarkus-dist:$version:zip" "-DoutputDirectory=$target" >&2
	echo "$checksum  $archive" | sha256sum --check --quiet - || fail "$archive is not the pinned archive"
	(cd "$target" && jar xf "$archive")
	mv "$target/keycloak-$version" "$target/keycloak"
	rm "$archive"
	chmod +x "$target/keycloak/bin/kc.sh"
	"$target/keycloak/bin/kc.sh" build --db=dev-mem >&2
}

# The module has a replacement that `go install` refuses. Without it, its go.sum still has the checksums of all other modules.
hydra() {
	if ! command -v "$(go env CC)" >/dev/null; then
		echo "no C compiler, so Ory Hydra is not compared" >&2
		return
	fi
	pinned hydra
	echo "building Ory Hydra $version into $target, which takes a few minutes"
	local module source=$target/hydra-source
	module=$(go mod download -json "github.com/ory/hydra/v2@$version")
	grep -qF "\"Sum\": \"$checksum\"" <<<"$module" || fail "github.com/ory/hydra/v2@$version is not the pinned module"
	cp -r "$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' <<<"$module")" "$source"
	chmod -R u+w "$source"
	(cd "$source" && go mod edit -dropreplace=github.com/ory/hydra-client-go/v2 &&
		CGO_ENABLED=1 go build -mod=mod -tags sqlite -o "$target/hydra" .)
	rm -rf "$source"
}

install() {
	if installed; then return 0; fi
	rm -rf "$target"
	mkdir -p "$target"
	keycloak
	hydra
	cp "$pin" "$target/pin.txt"
}

installed || with_lock .tools/rivals.lock install
