#!/usr/bin/env bash
# Installs the libraries of the documentation's examples, pinned in tools/clients, into .tools/clients: those for JavaScript, and those
# for Java where a JDK and Maven are installed.
#
# To use other versions, edit package.json there and run
#     npm install --package-lock-only --omit-lockfile-registry-resolved
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/clients
pin=tools/clients/package-lock.json

has_java() { command -v javac >/dev/null && command -v mvn >/dev/null; }

installed() { cmp -s "$pin" "$target/pin.json" && { ! has_java || cmp -s tools/clients/pom.xml "$target/pom.xml"; }; }

install() {
	if installed; then return 0; fi
	command -v npm >/dev/null || apt_install --no-upgrade npm || fail "no npm; on Debian run:
    sudo apt-get install -y npm"
	echo "installing the libraries of the examples into $target"
	rm -rf "$target"
	mkdir -p "$target"
	cp tools/clients/package.json "$pin" "$target/"
	(cd "$target" && npm ci --cache cache --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error) >&2
	rm -rf "$target/cache"
	if has_java; then
		mvn -q -B -f tools/clients/pom.xml dependency:copy-dependencies "-DoutputDirectory=$PWD/$target/java" >&2
		cp tools/clients/pom.xml "$target/"
	fi
	cp "$pin" "$target/pin.json"
}

installed || with_lock .tools/clients.lock install
