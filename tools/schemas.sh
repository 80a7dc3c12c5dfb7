#!/usr/bin/env bash
# Installs the JSON schemas with which the tests of deploy/ validate files into .tools/schemas: kubernetes/ and compose-spec.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/schemas
pin=tools/schemas.txt

installed() { cmp -s "$pin" "$target/pin.txt"; }

install() {
	if installed; then return 0; fi
	local version wheel module python=${PYTHON:-python3}
	version=$(sed -n 's/^kubernetes-validate==\([^ ]*\).*/\1/p' "$pin")
	module=$(sed -n 's/^# compose-go //p' "$pin")
	echo "installing the schemas of Kubernetes $version and compose into $target"
	rm -rf "$target"
	mkdir -p "$target"
	# The module is only downloaded and unpacked, not built, so its dependencies are not needed.
	"$python" -m pip download --quiet --no-deps --only-binary :all: --require-hashes --dest "$target" --requirement "$pin"
	wheel=$(echo "$target"/*.whl)
	"$python" -m zipfile -e "$wheel" "$target/wheel"
	mv "$target/wheel/kubernetes_validate/kubernetes-json-schema/v$version-local-strict" "$target/kubernetes"
	rm -rf "$wheel" "$target/wheel"
	cp "$(cd / && GOFLAGS='' GOWORK=off go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')/schema/compose-spec.json" "$target/"
	chmod u+w "$target/compose-spec.json"
	cp "$pin" "$target/pin.txt"
}

installed || with_lock .tools/schemas.lock install
