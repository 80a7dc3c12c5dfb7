#!/usr/bin/env bash
# Makes .tools/python, the virtual environment whose libraries the end-to-end tests verify tokens with.
# BURNKEY_PYTHON=/path/to/python uses that interpreter instead, and nothing is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/python
pin=tools/python.txt
probe='import jwt, joserfc, cryptography'

if [ -n "${BURNKEY_PYTHON:-}" ] && [ "$BURNKEY_PYTHON" != "$PWD/$target/bin/python" ]; then
	"$BURNKEY_PYTHON" -c "$probe" || fail "BURNKEY_PYTHON=$BURNKEY_PYTHON lacks PyJWT or joserfc"
	exit 0
fi

# A moved or upgraded Python leaves the copy of the pin in place but a broken interpreter, hence the first test.
installed() { "$target/bin/python" -c '' 2>/dev/null && cmp -s "$pin" "$target/pin.txt"; }

install() {
	if installed; then return 0; fi
	echo "installing PyJWT and joserfc into $target"
	install_wheels "$target" "$pin" 3.11
	"$target/bin/python" -c "$probe" || fail "$target/bin/python cannot import what was installed"
	cp "$pin" "$target/pin.txt"
}

installed || with_lock .tools/python.lock install
