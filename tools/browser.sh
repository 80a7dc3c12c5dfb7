#!/usr/bin/env bash
# Installs what the browser tests need, in the versions pinned in tools/browser/, into .tools/browser: playwright-core,
# axe-core, an OpenID provider and, on Linux, Node.js. Chromium and npm are installed from Debian's packages if they are
# missing and the script runs as root on Debian; nothing is upgraded.
# BURNKEY_CHROMIUM=/path/to/chromium uses that Chromium instead.
#
# To use other versions, edit package.json in tools/browser and run there
#     npm install --package-lock-only --omit-lockfile-registry-resolved
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/browser
pin=tools/browser/package-lock.json
oldest=20 # Node.js, for playwright-core

has_chromium() {
	if [ -n "${BURNKEY_CHROMIUM:-}" ]; then
		[ -x "$BURNKEY_CHROMIUM" ] || fail "BURNKEY_CHROMIUM=$BURNKEY_CHROMIUM is not an executable file"
		return 0
	fi
	type -P chromium || type -P chromium-browser || type -P google-chrome
} >/dev/null

# On platforms without a pinned Node.js, the Node.js in PATH is used.
has_node() {
	local node=$target/node_modules/.bin/node
	[ -x "$node" ] || node=$(type -P node) || return 1
	"$node" -e "process.exit(process.versions.node.split('.')[0] < $oldest ? 1 : 0)" 2>/dev/null
}

installed() { cmp -s "$pin" "$target/pin.json" && has_chromium && has_node; }

install() {
	local missing=()
	if installed; then return 0; fi
	has_chromium || missing+=(chromium)
	command -v npm >/dev/null || missing+=(npm)
	if [ ${#missing[@]} -gt 0 ]; then
		apt_install --no-upgrade "${missing[@]}" || true
		has_chromium && command -v npm >/dev/null || fail "no Chromium or no npm; on Debian run:
    sudo apt-get install -y ${missing[*]}"
	fi
	echo "installing playwright-core, axe-core and oidc-provider into $target"
	rm -rf "$target"
	mkdir -p "$target"
	cp tools/browser/package.json "$pin" "$target/"
	(cd "$target" && npm ci --cache cache --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error) >&2
	rm -rf "$target/cache"
	has_node || fail "no Node.js of version $oldest or later in PATH, and none is pinned for this platform"
	cp "$pin" "$target/pin.json"
}

installed || with_lock .tools/browser.lock install
