#!/usr/bin/env bash
# Checks that nginx is installed, for make bench. If it is missing and the script runs as root on Debian, the script installs
# the package nginx-light. Nothing is upgraded and no service is started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

complete() { command -v nginx >/dev/null; }

install() {
	local policy=/usr/sbin/policy-rc.d ours=
	if complete; then return 0; fi
	# Debian's packages start their services, unless this file tells them not to.
	if [ "$(id -u)" = 0 ] && [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
		ours=yes
	fi
	apt_install --no-upgrade nginx-light || true
	if [ -n "$ours" ]; then rm -f "$policy"; fi
	complete || fail "no nginx; on Debian run:
    sudo apt-get install -y nginx-light"
}

complete || with_lock .tools/nginx.lock install
