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

ensure_wheels "$target" "$pin" 'PyJWT and joserfc' "$probe"
