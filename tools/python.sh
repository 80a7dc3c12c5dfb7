# shellcheck shell=bash
# Scripts that install Python wheels source this file.
#
#   ensure_wheels DIR REQUIREMENTS WHAT [CHECK]
#
# installs WHAT from the file REQUIREMENTS into DIR, unless that is done already. CHECK is a statement of Python that must succeed then.
#
#   install_wheels DIR REQUIREMENTS [MINIMUM]
#
# creates a virtual environment in DIR with the packages pinned in the file REQUIREMENTS, and checks their hashes.
# MINIMUM is the oldest accepted version of Python, such as 3.11. The variable PYTHON replaces the interpreter python3.

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

fail() {
	echo "error: $*" >&2
	exit 1
}

# with_lock FILE COMMAND…: runs the command under a lock, so that concurrent runs of make do not install at the same time.
with_lock() {
	local file=$1
	shift
	mkdir -p "$(dirname "$file")"
	if command -v flock >/dev/null; then
		(flock 9 && "$@") 9>"$file"
	else
		"$@"
	fi
}

install_wheels() {
	local dir=$1 requirements=$2 minimum=${3:-3.8} python=${PYTHON:-python3}
	local pip=(--quiet --require-hashes --only-binary :all: --requirement "$requirements")

	command -v "$python" >/dev/null || apt_install python3-venv ||
		fail "no $python: install Python $minimum or later, with its venv module"
	"$python" -c "import sys; sys.exit(sys.version_info[:2] < tuple(map(int, '$minimum'.split('.'))))" ||
		fail "$("$python" --version) is too old: set PYTHON to an interpreter of version $minimum or later"

	rm -rf "$dir"
	if "$python" -m venv "$dir" >/dev/null 2>&1; then
		"$dir/bin/python" -m pip install "${pip[@]}"
		return
	fi

	# On Debian without python3-venv, the environment has no pip. In this case the pip outside of it is used.
	rm -rf "$dir"
	if "$python" -m pip --version >/dev/null 2>&1 && "$python" -m venv --without-pip "$dir"; then
		"$python" -m pip install "${pip[@]}" --target "$("$dir/bin/python" -c \
			'import sysconfig; print(sysconfig.get_path("purelib"))')"
		return
	fi

	rm -rf "$dir"
	apt_install python3-venv || fail "$python cannot make a virtual environment; on Debian and Ubuntu run:
    sudo apt-get install -y python3-venv"
	"$python" -m venv "$dir"
	"$dir/bin/python" -m pip install "${pip[@]}"
}

# apt_install PACKAGE…: installs Debian packages. It fails unless run as root on Debian or a derivative.
apt_install() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
	echo "installing $* with apt-get"
	{
		apt-get update -qq &&
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
	} </dev/null >&2
}

# apt_install_idle PACKAGE…: does the same without an upgrade, and the packages start no services. Debian's do so unless a file forbids it.
apt_install_idle() {
	local policy=/usr/sbin/policy-rc.d ours= status=0
	if [ "$(id -u)" = 0 ] && [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
		ours=yes
	fi
	apt_install --no-upgrade "$@" || status=$?
	if [ -n "$ours" ]; then rm -f "$policy"; fi
	return $status
}

# The first test is for a Python that was moved or upgraded: the environment's interpreter is then broken, although the copy
# of the requirements is current.
has_wheels() { "$1/bin/python" -c '' 2>/dev/null && cmp -s "$2" "$1/pin.txt"; }

ensure_wheels() {
	if ! has_wheels "$1" "$2"; then with_lock "$1.lock" make_wheels "$@"; fi
}

make_wheels() {
	if has_wheels "$1" "$2"; then return 0; fi # by another run, while this one waited
	echo "installing $3 into $1"
	install_wheels "$1" "$2" 3.11
	"$1/bin/python" -c "${4:-}" || fail "$1/bin/python cannot run what was installed"
	cp "$2" "$1/pin.txt"
}
