#!/usr/bin/env bash
# Installs the JSON schemas with which the tests of deploy/ validate files into .tools/schemas: kubernetes/, compose-spec.json,
# and the custom resource definitions of Envoy Gateway in envoy-gateway/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/schemas
pin=tools/schemas.txt

installed() { cmp -s "$pin" "$target/pin.txt"; }

# module downloads the Go module that the pin names and prints its folder. It is only unpacked, not built, so its dependencies
# are not needed.
module() {
	(cd / && GOFLAGS='' GOWORK=off go mod download -json "$(sed -n "s/^# $1 //p" "$OLDPWD/$pin")" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
}

install() {
	if installed; then return 0; fi
	local version wheel crds python=${PYTHON:-python3}
	version=$(sed -n 's/^kubernetes-validate==\([^ ]*\).*/\1/p' "$pin")
	echo "installing the schemas of Kubernetes $version, compose and Envoy Gateway into $target"
	rm -rf "$target"
	mkdir -p "$target/envoy-gateway"
	"$python" -m pip download --quiet --no-deps --only-binary :all: --require-hashes --dest "$target" --requirement "$pin"
	wheel=$(echo "$target"/*.whl)
	"$python" -m zipfile -e "$wheel" "$target/wheel"
	mv "$target/wheel/kubernetes_validate/kubernetes-json-schema/v$version-local-strict" "$target/kubernetes"
	rm -rf "$wheel" "$target/wheel"
	cp "$(module compose-go)/schema/compose-spec.json" "$target/"
	crds=$(module envoy-gateway)/charts/gateway-helm/charts/crds/crds
	cp "$crds/gatewayapi-crds.yaml" "$crds"/generated/*{backends,backendtrafficpolicies,clienttrafficpolicies,securitypolicies}.yaml "$target/envoy-gateway/"
	chmod -R u+w "$target"
	cp "$pin" "$target/pin.txt"
}

installed || with_lock .tools/schemas.lock install
