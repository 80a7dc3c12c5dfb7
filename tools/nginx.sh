#!/usr/bin/env bash
# Checks that nginx is installed, for make bench. If it is missing and the script runs as root on Debian, the script installs
# the package nginx-light. Nothing is upgraded and no service is started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

complete() { command -v nginx >/dev/null; }

install() {
	if complete; then return 0; fi
	apt_install_idle nginx-light || true
	complete || fail "no nginx; on Debian run:
    sudo apt-get install -y nginx-light"
}

complete || with_lock .tools/nginx.lock install
