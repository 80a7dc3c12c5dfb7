#!/usr/bin/env bash
# Checks that redis-server is installed, for the tests of limits that gateways share. If it is missing and the script runs as root
# on Debian, the script installs the package. Nothing is upgraded and no service is started.
# BURNKEY_REDIS_SERVER=/path/to/redis-server uses that program instead, which may be Valkey's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

complete() {
	if [ -n "${BURNKEY_REDIS_SERVER:-}" ]; then
		[ -x "$BURNKEY_REDIS_SERVER" ] || fail "BURNKEY_REDIS_SERVER=$BURNKEY_REDIS_SERVER is not an executable file"
		return 0
	fi
	command -v redis-server >/dev/null
}

install() {
	if complete; then return 0; fi
	apt_install_idle redis-server || true
	complete || fail "no redis-server; on Debian run:
    sudo apt-get install -y redis-server"
}

complete || with_lock .tools/redis.lock install
