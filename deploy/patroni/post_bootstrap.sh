#!/bin/sh
# Creates Burnkey's role and database. Patroni runs this script once, on the node that creates the cluster. $1 is the URL of
# the superuser's database. The password of the new role is BURNKEY_DB_PASSWORD in Patroni's environment.
set -eu
: "${BURNKEY_DB_PASSWORD:?must be in the environment of Patroni}"
# SQL comes from standard input: a password in the arguments would be visible in the list of processes.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$1" <<'SQL'
\set password `printf %s "$BURNKEY_DB_PASSWORD"`
SET log_min_error_statement = panic;
CREATE ROLE burnkey LOGIN PASSWORD :'password';
CREATE DATABASE burnkey OWNER burnkey;
REVOKE ALL ON DATABASE burnkey FROM PUBLIC;
SQL
