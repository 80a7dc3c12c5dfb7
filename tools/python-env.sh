#!/usr/bin/env bash
# Creates .tools/python, a virtual environment with the libraries that verify tokens in the end-to-end tests.
# If BURNKEY_PYTHON=/path/to/python is set, that interpreter is used and nothing is installed.
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

# The first test is for a Python that was moved or upgraded: the environment's interpreter is then broken, although the copy
# of python.txt is current.
installed() { "$target/bin/python" -c '' 2>/dev/null && cmp -s "$pin" "$target/pin.txt"; }

install() {
	if installed; then return 0; fi
	echo "installing PyJWT and joserfc into $target"
	install_wheels "$target" "$pin" 3.11
	"$target/bin/python" -c "$probe" || fail "$target/bin/python cannot import what was installed"
	cp "$pin" "$target/pin.txt"
}

installed || with_lock .tools/python.lock install
