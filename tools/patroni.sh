#!/usr/bin/env bash
# Checks that PostgreSQL, Patroni, etcd, HAProxy, PgBouncer and SQLite's shell are installed, for deploy/patroni/cluster.sh,
# tests and the documentation's commands. If the script runs as root on Debian, it installs missing packages. Nothing is
# upgraded and no service is started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

complete() {
	local program
	for program in etcd patroni haproxy pgbouncer setsid curl psql sqlite3 ps ipcrm; do
		command -v "$program" >/dev/null || return 1
	done
	compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

install() {
	if complete; then return 0; fi
	apt_install_idle patroni etcd-server etcd-client haproxy pgbouncer postgresql sqlite3 curl procps util-linux || true
	complete || fail "no Patroni, etcd, HAProxy, PgBouncer, PostgreSQL or sqlite3; on Debian run:
    sudo apt-get install -y patroni etcd-server etcd-client haproxy pgbouncer postgresql sqlite3 curl procps"
}

complete || with_lock .tools/patroni.lock install
