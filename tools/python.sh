# shellcheck shell=bash
# Sourced by the scripts that install from Python wheels.
#
#   install_wheels DIR REQUIREMENTS [MINIMUM]
#
# makes DIR a virtual environment that holds what the requirements file pins, each file checked against its hash.
# MINIMUM is the oldest Python that will do, such as 3.11. $PYTHON names another interpreter than python3.

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

fail() {
	echo "error: $*" >&2
	exit 1
}

# with_lock FILE COMMAND…: two makes in one work tree must not install over each other.
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

	# Debian without python3-venv: the environment comes without its own pip, so use the one outside, if there is one.
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

# apt_install PACKAGE…: as root on Debian and its kin; elsewhere it just fails.
apt_install() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
	echo "installing $* with apt-get"
	{
		apt-get update -qq &&
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
	} </dev/null >&2
}
