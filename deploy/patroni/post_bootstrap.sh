#!/bin/sh
# Makes the role and the database of Burnkey. Patroni runs it once, on the node that made the cluster, with the address of
# the superuser's database as $1. The role's password is BURNKEY_DB_PASSWORD in Patroni's environment.
set -eu
: "${BURNKEY_DB_PASSWORD:?must be in the environment of Patroni}"
# From standard input: a password among the arguments would be in the list of processes.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$1" <<'SQL'
\set password `printf %s "$BURNKEY_DB_PASSWORD"`
SET log_min_error_statement = panic;
CREATE ROLE burnkey LOGIN PASSWORD :'password';
CREATE DATABASE burnkey OWNER burnkey;
REVOKE ALL ON DATABASE burnkey FROM PUBLIC;
SQL
