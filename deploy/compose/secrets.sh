#!/bin/sh
# Makes the password of the database, once: as PostgreSQL wants it, and as Burnkey does (a .pgpass).
set -eu
cd "$(dirname "$0")"
[ ! -e secrets ] || exit 0
# The containers' users read the files, whoever they are on this machine; the folder lets nobody else in.
umask 022
mkdir -m 0700 secrets.new
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf %s "$password" >secrets.new/postgres-password
echo "*:*:*:burnkey:$password" >secrets.new/pgpass
mv secrets.new secrets
