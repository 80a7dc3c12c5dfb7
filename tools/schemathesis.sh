#!/usr/bin/env bash
# Installs schemathesis into .tools/schemathesis, for `make contract`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

ensure_wheels .tools/schemathesis tools/schemathesis.txt schemathesis
