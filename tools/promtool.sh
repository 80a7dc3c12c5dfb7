#!/usr/bin/env bash
# Puts promtool, which checks deploy/monitoring, into .tools/promtool. It is a part of Debian's package prometheus, which is only unpacked
# here, so that no Prometheus starts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/promtool

complete() { command -v promtool >/dev/null || [ -x "$target/promtool" ]; }

install() {
	if complete; then return 0; fi
	command -v apt-get >/dev/null || fail "no promtool: install Prometheus"
	rm -rf "$target"
	mkdir -p "$target/package"
	echo "unpacking promtool into $target"
	(cd "$target" && { apt-get download -qq prometheus || { [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get download -qq prometheus; }; }) \
		>/dev/null 2>&1 || fail "no promtool; on Debian run:
    sudo apt-get install -y prometheus"
	dpkg -x "$target"/prometheus_*.deb "$target/package"
	mv "$target/package/usr/bin/promtool" "$target/"
	rm -rf "$target/package" "$target"/*.deb
}

complete || with_lock .tools/promtool.lock install
