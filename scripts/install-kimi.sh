#!/usr/bin/env bash
# Installs the real kimi-cli, in the version that this module is tested with, into the checkout.
# With --code, it installs Kimi Code instead.
#
#   scripts/install-kimi.sh [--code] [--dir DIR]
#
# The program is then DIR/bin/kimi, or DIR/code/bin/kimi. The default of DIR is .kimi in the checkout.
# pip installs the packages of kimi-requirements.txt and checks their hashes. npm (7 or later) installs those of
# kimi-code/package-lock.json, together with a Node.js that can run Kimi Code. Both use the index or registry that they
# are configured for.
# If the program is installed already, the script returns at once. Two calls at the same time are safe. An incomplete
# install is replaced. It works on Linux and macOS. It tries PYTHON=/path/to/python before all other Pythons.
#
# Exit status: 0 installed, 1 failed, 2 wrong arguments, 3 no usable Python (3.12 to 3.14),
# 4 no usable Node.js or npm.
set -euo pipefail

say() { printf 'install-kimi: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
dir=$here/../.kimi
what=cli

while [ $# -gt 0 ]; do
	case $1 in
	--code) what=code; shift ;;
	--dir) [ -n "${2:-}" ] || { say "--dir needs a folder"; exit 2; }; dir=$2; shift 2 ;;
	--dir=?*) dir=${1#--dir=}; shift ;;
	-h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; exit 0 ;;
	*) say "unknown argument: $1 (see --help)"; exit 2 ;;
	esac
done

# Remove settings of the caller that would install packages elsewhere or load other modules.
unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_REQUIRE_VIRTUALENV PIP_NO_BINARY PIP_ONLY_BINARY \
	PIP_CONSTRAINT PIP_BUILD_CONSTRAINT PIP_REQUIREMENT PYTHONPATH PYTHONHOME PYTHONSTARTUP

# ---- Python ------------------------------------------------------------------------------------

# probe runs one candidate. It prints "ok PATH" if the candidate is usable, and the reason if it is not.
probe() {
	"$1" -I -c '
import sys
v = "is Python %d.%d" % sys.version_info[:2]
if not (3, 12) <= sys.version_info[:2] <= (3, 14):
    sys.exit(print(v))
if sys.implementation.name != "cpython":
    sys.exit(print("is " + sys.implementation.name))
import sysconfig
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit(print(v + " without the GIL"))
for m in "venv", "ensurepip", "ssl", "ctypes", "fcntl":
    try:
        __import__(m)
    except ImportError:
        sys.exit(print(v + " but has no module " + m))
print("ok " + sys.executable)
' </dev/null 2>/dev/null || echo "does not run"
}

# candidates prints programs that may be a usable Python, the best first. kimi-cli needs the fewest packages on 3.13 and
# 3.12. A program on PATH may not work, because pyenv puts shims there even for versions that are not active.
candidates() {
	local name root uv
	[ -z "${PYTHON:-}" ] || command -v -- "$PYTHON" || printf '%s\n' "$PYTHON"
	for name in python3.13 python3.12 python3.14 python3 python; do
		type -ap "$name" || true
	done
	{
		printf '%s\n' "${PYENV_ROOT:-}" "${HOME:+$HOME/.pyenv}"
		if command -v pyenv >/dev/null; then
			# Look in pyenv's own folder, too: with another HOME, `pyenv root` may print a folder that does not exist.
			printf '%s\n' "$(dirname -- "$(dirname -- "$(command -v pyenv)")")"
			pyenv root 2>/dev/null || true
		fi
	} | while IFS= read -r root; do
		[ -z "$root" ] || printf '%s\n' "$root"/versions/{3.13,3.12,3.14,}*/bin/python3
	done
	if uv=$(command -v uv); then
		"$uv" python find --no-project '>=3.12,<3.15' 2>/dev/null || true
	fi
	printf '%s\n' /opt/python*/bin/python3 /opt/python/*/bin/python3 /usr/local/bin/python3{.13,.12,.14,} \
		/opt/homebrew/bin/python3{.13,.12,.14,}
}

# find_python sets python. If only uv can make a virtual environment with it, it sets seeder to the path of uv.
find_python() {
	local candidate answer seen=$'\n' bare='' uv
	python='' seeder=''
	while IFS= read -r candidate; do
		case $seen in *$'\n'"$candidate"$'\n'*) continue ;; esac
		seen+=$candidate$'\n'
		if [ ! -x "$candidate" ]; then
			[ "$candidate" != "${PYTHON:-}" ] || say "skipping $candidate: is not a program"
			continue
		fi
		answer=$(probe "$candidate")
		case $answer in
		'ok '*) python=${answer#ok }; return ;;
		*'no module venv' | *'no module ensurepip') bare=${bare:-$candidate} ;;
		esac
		say "skipping $candidate: ${answer:-does not run}"
	done < <(candidates)

	if uv=$(command -v uv); then
		if [ -z "$bare" ]; then
			say "no Python 3.12 to 3.14 found: letting uv install 3.13"
			"$uv" python install 3.13 >&2 && bare=$("$uv" python find --no-project 3.13) || bare=''
		fi
		if [ -n "$bare" ]; then
			python=$bare seeder=$uv
			return
		fi
	fi

	say "no usable Python: kimi-cli needs CPython 3.12, 3.13 or 3.14 with the modules venv and ensurepip"
	say "install one (python3.13 and python3.13-venv of your system, pyenv install 3.13, or uv), or set PYTHON=/path/to/python3.13, and try again"
	exit 3
}

# ---- kimi-cli ----------------------------------------------------------------------------------

# cli_stamp prints what an install consists of. It includes the folder, because a virtual environment cannot be moved.
cli_stamp() {
	printf 'kimi-cli %s in %s\n' "$version" "$dir"
	cat -- "$here/kimi-requirements.txt" "$here/kimi-build-requirements.txt"
}

cli_installed() {
	[ -x "$dir/bin/kimi" ] && [ -x "$dir/venv/bin/python" ] && [ -f "$dir/stamp" ] &&
		cli_stamp | cmp -s - "$dir/stamp"
}

# run TEXT COMMAND... prints TEXT and runs a command. It shows the output only if the command fails.
run() {
	say "$1"
	shift
	"$@" </dev/null >"$dir/install.log" 2>&1 && return
	tail -n 20 "$dir/install.log" >&2
	return 1
}

install_cli() {
	local info
	version=$(sed -n 's/^kimi-cli==\([^ ;]*\).*/\1/p' "$here/kimi-requirements.txt")
	[ -n "$version" ] || die "scripts/kimi-requirements.txt names no kimi-cli"

	if cli_installed; then
		return
	fi
	find_python

	# The lock on descriptor 9 belongs to this shell. The system removes it when the shell ends in any way.
	exec 9>>"$dir/lock"
	"$python" -I -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("install-kimi: another install is running here: waiting for it", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
' || die "cannot lock $dir/lock"
	if cli_installed; then
		say "the other install has finished it"
		return
	fi

	rm -rf -- "$dir/stamp" "$dir/bin/kimi" "$dir/venv"
	say "using $python"
	if [ -n "$seeder" ]; then
		run "making a virtual environment with uv" "$seeder" venv --no-project --seed --python "$python" "$dir/venv"
	else
		run "making a virtual environment" "$python" -I -m venv "$dir/venv"
	fi || die "the virtual environment could not be made (above); try another Python with PYTHON=/path/to/python3.13"

	# Install only wheels. ripgrepy has none, so it is built with the locked setuptools. --no-deps works because the lock
	# file is complete; without it, old versions of pip fail on extras.
	local pip=("$dir/venv/bin/python" -I -m pip install --no-input --disable-pip-version-check --quiet
		--require-hashes --no-deps --only-binary :all:)
	local hint="the packages could not be installed (above). pip must reach a package index: check the network, or name your mirror in pip's configuration; then try again"
	run "installing the locked build tools" "${pip[@]}" -r "$here/kimi-build-requirements.txt" || die "$hint"
	run "installing kimi-cli $version and what it needs (about a minute)" \
		"${pip[@]}" --no-binary ripgrepy --no-build-isolation -r "$here/kimi-requirements.txt" || die "$hint"

	info=$(KIMI_DISABLE_TELEMETRY=1 KIMI_SHARE_DIR="$dir/check" "$dir/venv/bin/kimi" info --json </dev/null 2>"$dir/install.log") || true
	rm -rf -- "$dir/check"
	case $info in
	*"\"kimi_cli_version\": \"$version\""*) ;;
	*)
		tail -n 20 "$dir/install.log" >&2
		die "the installed kimi does not answer as kimi-cli $version; it said: ${info:0:200}"
		;;
	esac

	mkdir -p -- "$dir/bin"
	ln -sfn ../venv/bin/kimi "$dir/bin/kimi"
	cli_stamp >"$dir/stamp.new"
	mv -f -- "$dir/stamp.new" "$dir/stamp"
	rm -f -- "$dir/install.log"
	say "installed kimi-cli $version: $dir/bin/kimi"
}

# ---- Kimi Code ---------------------------------------------------------------------------------

# code_stamp prints what an install consists of. It includes the system, because the packages differ for each.
code_stamp() {
	uname -sm
	cat -- "$here/kimi-code/package.json" "$here/kimi-code/package-lock.json"
}

code_installed() {
	[ -x "$dir/bin/kimi" ] && [ -f "$dir/$main" ] && [ -f "$dir/stamp" ] && code_stamp | cmp -s - "$dir/stamp"
}

# lock locks descriptor 9 until this shell ends in any way. macOS has no flock, but it has Perl.
lock() {
	local how='exit !flock STDIN, shift'
	if command -v flock >/dev/null; then
		flock -n 9 || {
			say "another install is running here: waiting for it"
			flock 9
		}
	elif command -v perl >/dev/null; then
		perl -e "$how" 6 <&9 || {
			say "another install is running here: waiting for it"
			perl -e "$how" 2 <&9
		}
	else
		die "neither flock nor perl is here to lock $dir/lock with: install one (flock is in util-linux) and try again"
	fi || die "cannot lock $dir/lock"
}

# find_node sets node, the program that the wrapper runs: the installed Node.js, or else the one on PATH.
find_node() {
	local candidate
	for candidate in "$dir"/node_modules/node-*/bin/node "$(type -P node)"; do
		[ -x "$candidate" ] || continue
		if "$candidate" -e 'const [major, minor] = process.versions.node.split(".").map(Number)
			process.exit(major > 22 || (major == 22 && minor >= 19) ? 0 : 1)' </dev/null >/dev/null 2>&1; then
			node=$candidate
			return
		fi
	done
	say "no usable Node.js: Kimi Code needs 22.19 or later, and the package with one does not run here ($(uname -sm))"
	say "install Node.js 22.19 or later, have it on PATH as node, and try again"
	exit 4
}

install_code() {
	local node npm_version info
	main=node_modules/@moonshot-ai/kimi-code/dist/main.mjs
	version=$(sed -n 's/.*"@moonshot-ai\/kimi-code": "\(.*\)".*/\1/p' "$here/kimi-code/package.json")
	[ -n "$version" ] || die "scripts/kimi-code/package.json names no Kimi Code"

	if code_installed; then
		return
	fi
	npm_version=$(npm --version </dev/null 2>/dev/null) || npm_version=''
	case $npm_version in
	'' | [0-6].*)
		say "no usable npm: Kimi Code is installed with npm 7 or later, and the one on PATH is ${npm_version:-missing or broken}"
		say "install Node.js with npm, and try again"
		exit 4
		;;
	esac

	exec 9>>"$dir/lock"
	lock
	if code_installed; then
		say "the other install has finished it"
		return
	fi

	rm -rf -- "$dir/stamp" "$dir/bin" "$dir/node_modules" "$dir/npm" "$dir/check"
	cp -- "$here/kimi-code/package.json" "$here/kimi-code/package-lock.json" "$dir/"
	# --ignore-scripts: Kimi Code runs without the install scripts of its packages. --include=optional: the caller's npm
	# may leave out optional packages, and Node.js is one of them.
	cd -- "$dir"
	run "installing Kimi Code $version and what it needs" npm ci --cache "$dir/npm" --global=false --dry-run=false \
		--include=optional --ignore-scripts --engine-strict=false --no-audit --no-fund --no-update-notifier --loglevel=error ||
		die "the packages could not be installed (above). npm must reach a package registry: check the network, or name your mirror in npm's configuration; then try again"
	rm -rf -- "$dir/npm"

	find_node
	case $node in "$dir"/*) node=\$root${node#"$dir"} ;; esac
	mkdir -- "$dir/bin" "$dir/check"
	cat >"$dir/bin/kimi.new" <<-EOF
		#!/bin/sh
		# Made by install-kimi.sh. It finds its own folder through symbolic links, and does not depend on PATH.
		case \$0 in */*) self=\$0 ;; *) self=./\$0 ;; esac
		while [ -L "\$self" ]; do
			link=\$(PATH=/usr/bin:/bin readlink "\$self")
			case \$link in /*) self=\$link ;; *) self=\${self%/*}/\$link ;; esac
		done
		root=\${self%/*}/..
		exec "$node" "\$root/$main" "\$@"
	EOF
	chmod 0755 "$dir/bin/kimi.new"
	info=$(HOME="$dir/check" KIMI_CODE_HOME="$dir/check" KIMI_DISABLE_TELEMETRY=1 KIMI_CODE_NO_AUTO_UPDATE=1 \
		"$dir/bin/kimi.new" --version </dev/null 2>"$dir/install.log") || true
	rm -rf -- "$dir/check"
	if [ "$info" != "$version" ]; then
		tail -n 20 "$dir/install.log" >&2
		die "the installed kimi does not answer as Kimi Code $version; it said: ${info:0:200}"
	fi

	mv -f -- "$dir/bin/kimi.new" "$dir/bin/kimi"
	code_stamp >"$dir/stamp.new"
	mv -f -- "$dir/stamp.new" "$dir/stamp"
	rm -f -- "$dir/install.log"
	say "installed Kimi Code $version: $dir/bin/kimi"
}

[ "$what" = cli ] || dir=$dir/code
mkdir -p -- "$dir" || die "cannot make the folder $dir"
dir=$(cd -- "$dir" && pwd -P)
"install_$what"
