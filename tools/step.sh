#!/usr/bin/env bash
# step.sh TITLE COMMAND…: runs the command between a title and a line with its outcome and duration.
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
