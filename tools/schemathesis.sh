#!/usr/bin/env bash
# Installs schemathesis into .tools/schemathesis, for `make contract`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/schemathesis
pin=tools/schemathesis.txt

installed() { "$target/bin/python" -c '' 2>/dev/null && cmp -s "$pin" "$target/pin.txt"; }

install() {
	if installed; then return 0; fi
	echo "installing schemathesis into $target"
	install_wheels "$target" "$pin" 3.11
	cp "$pin" "$target/pin.txt"
}

installed || with_lock .tools/schemathesis.lock install
