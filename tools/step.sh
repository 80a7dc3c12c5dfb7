#!/usr/bin/env bash
# step.sh TITLE COMMAND…: prints the title, runs the command, and prints whether it succeeded and how long it took.
set -uo pipefail
title=$1
shift
started=$(date +%s)
echo "=== $title"
"$@"
status=$?
[ $status = 0 ] && outcome=ok || outcome="FAILED (exit status $status)"
echo "--- $title: $outcome, $(($(date +%s) - started)) s"
exit $status
