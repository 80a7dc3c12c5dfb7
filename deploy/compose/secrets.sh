#!/bin/sh
# Creates the password of the database once, in a file for PostgreSQL and in one for Burnkey (a .pgpass).
set -eu
cd "$(dirname "$0")"
[ ! -e secrets ] || exit 0
# The containers' users, which have no name on this machine, must read the files; the folder keeps others out.
umask 022
mkdir -m 0700 secrets.new
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf %s "$password" >secrets.new/postgres-password
echo "*:*:*:burnkey:$password" >secrets.new/pgpass
mv secrets.new secrets
