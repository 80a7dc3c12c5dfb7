#!/usr/bin/env bash
# Installs the JavaScript libraries of the documentation's examples, pinned in tools/clients, into .tools/clients.
#
# To use other versions, edit package.json there and run
#     npm install --package-lock-only --omit-lockfile-registry-resolved
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/clients
pin=tools/clients/package-lock.json

installed() { cmp -s "$pin" "$target/pin.json"; }

install() {
	if installed; then return 0; fi
	command -v npm >/dev/null || apt_install --no-upgrade npm || fail "no npm; on Debian run:
    sudo apt-get install -y npm"
	echo "installing the JavaScript libraries of the examples into $target"
	rm -rf "$target"
	mkdir -p "$target"
	cp tools/clients/package.json "$pin" "$target/"
	(cd "$target" && npm ci --cache cache --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error) >&2
	rm -rf "$target/cache"
	cp "$pin" "$target/pin.json"
}

installed || with_lock .tools/clients.lock install
