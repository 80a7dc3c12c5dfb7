#!/usr/bin/env bash
# Checks that Apache and its module mod_auth_openidc are installed, for the documentation's commands. If one is missing and the
# script runs as root on Debian, the script installs the packages. Nothing is upgraded and no service is started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

complete() { command -v apache2 >/dev/null && [ -e /usr/lib/apache2/modules/mod_auth_openidc.so ]; }

install() {
	if complete; then return 0; fi
	apt_install_idle apache2 libapache2-mod-auth-openidc || true
	complete || fail "no Apache, or no mod_auth_openidc; on Debian run:
    sudo apt-get install -y apache2 libapache2-mod-auth-openidc"
}

complete || with_lock .tools/apache.lock install
