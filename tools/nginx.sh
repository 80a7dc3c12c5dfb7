#!/usr/bin/env bash
# Makes sure that there is an nginx, for make bench. On Debian and as root it installs nginx-light, from Debian's packages;
# nothing is upgraded and no service is started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

complete() { command -v nginx >/dev/null; }

install() {
	local policy=/usr/sbin/policy-rc.d ours=
	if complete; then return 0; fi
	# Debian's packages start their services, unless this file forbids it.
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
