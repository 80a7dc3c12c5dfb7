#!/usr/bin/env bash
# Runs the cluster of this folder on one machine: three nodes, each with etcd, Patroni and PostgreSQL, and one HAProxy. The
# script is for tests and trials; docs/operate/postgresql.md explains how to set up real machines.
#
#   cluster.sh start DIR [PORT]      make the cluster in DIR and wait for it; PORT is the first of 20 ports to use
#   cluster.sh wait DIR [SECONDS]    until all nodes that run are well and a write works (default 120)
#   cluster.sh primary DIR           print the name of the primary: pg1, pg2 or pg3
#   cluster.sh kill-primary DIR [postgres]   kill -9 its whole node, or PostgreSQL alone; prints its name
#   cluster.sh kill DIR NODE         kill -9 that node
#   cluster.sh revive DIR NODE       start what does not run on that node
#   cluster.sh status DIR            what Patroni thinks of the nodes
#   cluster.sh render DIR [PORT]     write its files only
#   cluster.sh stop DIR              end everything; DIR stays, and start takes it up again
#
# DIR/env has the addresses and passwords as NAME=VALUE, DIR/log the logs, DIR/run/NODE-PROGRAM.pid the process ids. If the
# script is run as root, the programs run as the user postgres, who must have access to the parent folder of DIR.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nodes=(pg1 pg2 pg3)

die() {
	echo "cluster.sh: $*" >&2
	exit 1
}

usage() { sed -n '/^#   cluster.sh/s/^# *//p' "${BASH_SOURCE[0]}" >&2 && exit 2; }

# PostgreSQL refuses to be run by root.
as_user=()
if [ "$(id -u)" = 0 ]; then as_user=(setpriv --reuid=postgres --regid=postgres --init-groups); fi

# get PORT PATH: prints the HTTP status of Patroni's answer, or 000 if there is no answer.
get() {
	curl --silent --output /dev/null --max-time 2 --write-out '%{http_code}' "http://127.0.0.1:$1$2" || true
}

port_of() { # NODE postgres|rest|client|peer
	local at=$((PORT + 5 * ${1#pg}))
	case $2 in postgres) ;; rest) at=$((at + 1)) ;; client) at=$((at + 2)) ;; peer) at=$((at + 3)) ;; esac
	echo "$at"
}

# ---- set-up

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_ports: prints the first of 20 consecutive unused ports, all below the ephemeral ports.
free_ports() {
	local first port
	for _ in $(seq 100); do
		first=$((20000 + RANDOM % 600 * 20))
		for port in $(seq "$first" $((first + 19))); do
			if listens "$port"; then continue 2; fi
		done
		echo "$first"
		return
	done
	die "no free ports"
}

secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

write_env() {
	local node password
	password=$(secret)
	{
		echo "PORT=$PORT"
		echo "DATABASE_URL=postgres://burnkey:$password@127.0.0.1:$PORT/burnkey?sslmode=disable"
		echo "BURNKEY_DB_PASSWORD=$password"
		echo "PATRONI_SUPERUSER_PASSWORD=$(secret)"
		echo "PATRONI_REPLICATION_PASSWORD=$(secret)"
		echo "PATRONI_REWIND_PASSWORD=$(secret)"
		echo "PATRONI_RESTAPI_USERNAME=patroni"
		echo "PATRONI_RESTAPI_PASSWORD=$(secret)"
		for node in "${nodes[@]}"; do
			echo "${node}_POSTGRES=127.0.0.1:$(port_of "$node" postgres)"
			echo "${node}_REST=http://127.0.0.1:$(port_of "$node" rest)"
			echo "${node}_DATA=$dir/$node/data"
		done
		echo "MULTI_HOST_URL=postgres://burnkey:$password@$(multi_host)/burnkey?sslmode=disable&target_session_attrs=read-write"
	} >"$dir/env.new"
	mv "$dir/env.new" "$dir/env"
}

multi_host() {
	local node list=
	for node in "${nodes[@]}"; do list+=,127.0.0.1:$(port_of "$node" postgres); done
	echo "${list#,}"
}

# render FILE NODE: prints a configuration file of this folder with the addresses and folders of this cluster.
render() {
	local node script=() n
	for node in "${nodes[@]}"; do
		n=10.0.0.1${node#pg}
		script+=(-e "s/^\( *server $node\) $n:5432 check port 8008/\1 127.0.0.1:$(port_of "$node" postgres) check port $(port_of "$node" rest)/"
			-e "s/$n:5432/127.0.0.1:$(port_of "$node" postgres)/g" -e "s/$n:8008/127.0.0.1:$(port_of "$node" rest)/g"
			-e "s/$n:2379/127.0.0.1:$(port_of "$node" client)/g" -e "s/$n:2380/127.0.0.1:$(port_of "$node" peer)/g")
	done
	# The files are those of pg1. Replace the addresses of pg1 itself, but not in lines that list all three nodes.
	sed -e "/pg2=\|hosts:\|server /! { s/10\.0\.0\.11:/10.0.0.1${2#pg}:/; s/^name: pg1/name: $2/ }" "$here/$1" | sed "${script[@]}" \
		-e "s/127\.0\.0\.1:5000/127.0.0.1:$PORT/" -e '/^ *\(user\|group\) haproxy$/d' \
		-e 's/10\.0\.0\.0\/24/127.0.0.1\/32/' -e 's/mode: automatic/mode: "off"/' -e 's|"/var/run/postgresql"|""|' \
		-e "s|/var/lib/etcd/burnkey|$dir/$2/etcd|" -e "s|/var/lib/postgresql/15/burnkey|$dir/$2/data|" \
		-e "s|/var/lib/postgresql/.pgpass-patroni|$dir/$2/pgpass|" -e "s|/etc/patroni/post_bootstrap.sh|$dir/post_bootstrap.sh|" \
		-e "s|/usr/lib/postgresql/15/bin|$bindir|"
}

find_programs() {
	local program missing=
	for program in etcd patroni haproxy setsid curl psql; do
		command -v "$program" >/dev/null || missing+=" $program"
	done
	bindir=$(find /usr/lib/postgresql/*/bin -name postgres 2>/dev/null | sort -V | tail -n 1 | xargs -r dirname)
	[ -n "$bindir" ] || missing+=" postgres"
	[ -z "$missing" ] || die "missing:$missing (tools/patroni.sh installs them on Debian)"
}

prepare() {
	local node
	mkdir -p "$dir/run" "$dir/log"
	chmod 755 "$dir"
	if [ ! -f "$dir/env" ]; then
		PORT=${1:-$(free_ports)}
		[[ $PORT =~ ^[1-9][0-9]{3,4}$ ]] && [ "$PORT" -le 65516 ] || die "PORT must be a number from 1000 to 65516"
		write_env
	fi
	load_env
	cp "$here/post_bootstrap.sh" "$dir/"
	render haproxy.cfg pg1 >"$dir/haproxy.cfg"
	for node in "${nodes[@]}"; do
		mkdir -p "$dir/$node"
		render etcd.yml "$node" >"$dir/$node/etcd.yml"
		render patroni.yml "$node" >"$dir/$node/patroni.yml"
	done
	chmod 600 "$dir/env"
}

hand_over() {
	if [ "$(id -u)" = 0 ]; then chown -R postgres: "$dir"; fi
	"${as_user[@]}" test -x "$dir/run" || die "the user postgres cannot enter $dir: create it in a folder that everyone may enter"
}

load_env() {
	[ -f "$dir/env" ] || die "no cluster in $dir"
	# Leave out the URLs: the one with several hosts contains special characters of the shell, and is not needed here.
	# shellcheck source=/dev/null
	. <(grep -v '_URL=' "$dir/env" | sed 's/^/export /')
	DATABASE_URL=$(sed -n 's/^DATABASE_URL=//p' "$dir/env")
}

# a_node NODE: prints the name of the node, or fails if there is no such node.
a_node() {
	[[ " ${nodes[*]} " == *" ${1:-none} "* ]] || die "NODE must be one of ${nodes[*]}"
	echo "$1"
}

# ---- processes

# alive NAME: prints the process id of the daemon if it runs. A different process that reused the id does not count.
alive() {
	local pid
	pid=$(cat "$dir/run/$1.pid" 2>/dev/null) || return 1
	[ "$(ps -o stat= -p "$pid" 2>/dev/null | cut -c1)" != Z ] || return 1
	tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$dir/" || return 1
	echo "$pid"
}

# launch NAME COMMAND…: starts a daemon in a session of its own, with none of the caller's standard streams.
launch() {
	local name=$1
	shift
	if alive "$name" >/dev/null; then return; fi
	"${as_user[@]}" setsid "$@" </dev/null >>"$dir/log/$name.log" 2>&1 &
	echo $! >"$dir/run/$name.pid"
	disown
}

start_node() {
	launch "$1-etcd" etcd --config-file "$dir/$1/etcd.yml"
	launch "$1-patroni" patroni "$dir/$1/patroni.yml"
}

# postmaster NODE: prints the process id of the node's PostgreSQL, if it runs.
postmaster() {
	local pid
	pid=$(head -n 1 "$dir/$1/data/postmaster.pid" 2>/dev/null) || return 1
	tr '\0' ' ' 2>/dev/null <"/proc/${pid:-none}/cmdline" | grep -qF "$dir/$1/data" || return 1
	echo "$pid"
}

# tree PID…: prints the ids of these processes and of all their descendants.
tree() {
	local pid
	for pid in "$@"; do
		echo "$pid"
		# shellcheck disable=SC2046 # one word for each process
		tree $(pgrep -P "$pid" || true)
	done
}

# kill_all PID…: kills these processes and their descendants together, as when a machine dies. The processes are stopped
# first, so that none of them starts a new one meanwhile.
kill_all() {
	local pids
	[ $# -gt 0 ] || return 0
	kill -STOP "$@" 2>/dev/null || true
	mapfile -t pids < <(tree "$@")
	kill -KILL "${pids[@]}" 2>/dev/null || true
	within 10 gone "${pids[@]}" || die "still there after kill -9: ${pids[*]}"
}

gone() { ! ps -o stat= -p "$(IFS=,; echo "$*")" | grep -qv '^Z'; }

# within SECONDS COMMAND…: retries the command until it succeeds, or fails after this time.
within() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

# ---- commands

primary() {
	local node
	for node in "${nodes[@]}"; do
		if [ "$(get "$(port_of "$node" rest)" /primary)" = 200 ]; then
			echo "$node"
			return
		fi
	done
	return 1
}

# writes: tests a write as the role burnkey through HAProxy. Its commit waits for a standby.
writes() {
	PGCONNECT_TIMEOUT=2 timeout 5 psql --no-psqlrc --quiet --tuples-only --output=/dev/null "$DATABASE_URL" \
		--command="SELECT pg_logical_emit_message(true, 'cluster.sh', '')" 2>/dev/null
}

well() {
	local node rest synchronous=0
	primary >/dev/null || return 1
	for node in "${nodes[@]}"; do
		alive "$node-patroni" >/dev/null || continue
		rest=$(port_of "$node" rest)
		if [ "$(get "$rest" /synchronous)" = 200 ]; then synchronous=1; fi
		[ "$(get "$rest" /primary)" = 200 ] || [ "$(get "$rest" '/replica?lag=1MB')" = 200 ] || return 1
	done
	[ "$synchronous" = 1 ] && writes
}

wait_until_well() { within "$1" well || die "not well within $1 s: see $dir/log"; }

start() {
	local node
	find_programs
	prepare "$@"
	hand_over
	trap 'stop; exit 1' INT TERM
	for node in "${nodes[@]}"; do start_node "$node"; done
	launch haproxy haproxy -db -f "$dir/haproxy.cfg"
	if ! within 120 well; then
		stop
		die "not well within 120 s: see $dir/log"
	fi
	echo "$DATABASE_URL"
}

kill_node() {
	local pids=() pid
	if pid=$(postmaster "$1"); then
		pids+=("$pid")
		# A killed PostgreSQL leaves shared memory, which may be mapped only by child processes. Note it, so that stop removes it.
		# shellcheck disable=SC2046 # one word for each process
		cat $(tree "$pid" | sed 's|.*|/proc/&/maps|') 2>/dev/null | grep -o '/dev/shm/PostgreSQL\.[0-9]*' | sort -u >>"$dir/run/shm" || true
	fi
	if [ "${2:-node}" = node ]; then
		if pid=$(alive "$1-patroni"); then pids+=("$pid"); fi
		if pid=$(alive "$1-etcd"); then pids+=("$pid"); fi
	fi
	kill_all "${pids[@]}"
}

kill_primary() {
	local node
	node=$(primary) || die "there is no primary"
	kill_node "$node" "$@"
	echo "$node"
}

stop() {
	local node pid name
	for node in "${nodes[@]}"; do
		if pid=$(alive "$node-patroni"); then kill_all "$pid"; fi
		if pid=$(postmaster "$node"); then
			kill -QUIT "$pid" 2>/dev/null || true
			within 10 gone "$pid" || kill_node "$node"
		fi
		# Remove the shared memory of a PostgreSQL that was killed and not started again.
		pid=$(sed -n '7s/.* //p' "$dir/$node/data/postmaster.pid" 2>/dev/null || true)
		if [ -n "$pid" ]; then ipcrm -m "$pid" 2>/dev/null || true; fi
	done
	for name in haproxy "${nodes[@]/%/-etcd}"; do
		if pid=$(alive "$name"); then kill_all "$pid"; fi
	done
	if [ -s "$dir/run/shm" ]; then xargs rm -f <"$dir/run/shm"; fi
	rm -rf "$dir/run"
}

[ $# -ge 2 ] || usage
command=$1 dir=$(realpath -m "$2")
shift 2
case $command in
start | render | stop) ;;
*) load_env ;;
esac
case $command in
start) start "$@" ;;
render) find_programs && prepare "$@" ;;
wait) wait_until_well "${1:-120}" ;;
primary) primary || die "there is no primary" ;;
kill-primary) kill_primary "$@" ;;
kill) kill_node "$(a_node "$@")" ;;
revive) start_node "$(a_node "$@")" ;;
status) patronictl -c "$dir/pg1/patroni.yml" list ;;
stop) stop ;;
*) usage ;;
esac
