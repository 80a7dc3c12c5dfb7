#!/bin/sh
# Creates the database password, if missing: in a file for PostgreSQL, and in a file for Burnkey (in the format of .pgpass).
set -eu
cd "$(dirname "$0")"
[ ! -e secrets ] || exit 0
# The files are readable for everybody, since the containers run as other users. The folder keeps users of this machine out.
umask 022
mkdir -m 0700 secrets.new
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf %s "$password" >secrets.new/postgres-password
echo "*:*:*:burnkey:$password" >secrets.new/pgpass
mv secrets.new secrets
