#!/usr/bin/env bash
# Installs what the client matrix (`make clients`) needs beyond the libraries of the examples, pinned in tools/clients, into
# .tools/matrix: Python's libraries, Spring's where a JDK and Maven are installed, and oauth2-proxy. Ruby's and Perl's libraries are
# Debian packages. A client whose tool chain is missing is reported as not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/python.sh
. tools/python.sh

target=.tools/matrix
proxy=github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6

has_java() { command -v javac >/dev/null && command -v mvn >/dev/null; }

# installed NAME PIN: whether a part was installed from this pin.
installed() { cmp -s "$2" "$target/$1.pin"; }

spring_libraries() {
	if ! has_java || installed spring tools/clients/spring/pom.xml; then return 0; fi
	echo "installing Spring's libraries into $target"
	rm -rf "$target/spring"
	mvn -q -B -f tools/clients/spring/pom.xml dependency:copy-dependencies "-DoutputDirectory=$PWD/$target/spring" >&2
	cp tools/clients/spring/pom.xml "$target/spring.pin"
}

oauth2_proxy() {
	installed oauth2-proxy <(echo "$proxy") && return
	echo "building oauth2-proxy into $target, which takes a few minutes"
	GOBIN="$PWD/$target/bin" go install "$proxy"
	echo "$proxy" >"$target/oauth2-proxy.pin"
}

debian_packages() {
	ruby -rjwt -e '' 2>/dev/null && perl -MCrypt::JWT -e '' 2>/dev/null && return
	apt_install --no-upgrade ruby ruby-jwt libcrypt-jwt-perl || echo "Ruby's and Perl's clients are not run; on Debian run:
    sudo apt-get install -y ruby ruby-jwt libcrypt-jwt-perl"
}

install() {
	mkdir -p "$target"
	ensure_wheels "$target/python" tools/clients/python/requirements.txt "Python's clients"
	spring_libraries
	oauth2_proxy
	debian_packages
}

with_lock .tools/matrix.lock install
