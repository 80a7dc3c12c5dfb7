#!/usr/bin/env bash
# Builds the documentation site in bin/site, or shows it on http://127.0.0.1:8000 while it is edited (`serve`). Zensical is installed
# into .tools/docs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/docs
pin=tools/docs/requirements.txt

ensure_wheels "$target" "$pin" Zensical
case ${1:-build} in
install) ;;
serve) exec "$target/bin/python" -m zensical serve --dev-addr 127.0.0.1:8000 ;;
build)
	"$target/bin/python" -m zensical build --clean --strict || fail "docs: a link leads nowhere: see above"
	find bin/.site -name '*.go' -delete # what the server embeds is for the server
	"$target/bin/python" tools/docs/finish.py
	rm -rf bin/site
	mv bin/.site bin/site
	;;
esac
