#!/usr/bin/env bash
# Checks that Apache with its module mod_auth_openidc and Caddy are installed, for the documentation's commands. If one is missing and the
# script runs as root on Debian, the script installs the packages. Nothing is upgraded and no service is started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

complete() { command -v apache2 >/dev/null && command -v caddy >/dev/null && [ -e /usr/lib/apache2/modules/mod_auth_openidc.so ]; }

install() {
	if complete; then return 0; fi
	apt_install_idle apache2 libapache2-mod-auth-openidc caddy || true
	complete || fail "no Apache, mod_auth_openidc or Caddy; on Debian run:
    sudo apt-get install -y apache2 libapache2-mod-auth-openidc caddy"
}

complete || with_lock .tools/proxies.lock install
