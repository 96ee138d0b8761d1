#!/usr/bin/env bash
# Tests releases other than the pinned ones. For each release, it prints a row for a table in docs/kimi-code.md: the
# result of TestMatrix for a kimi-cli, or the number of tests that pass for a Kimi Code.
#
#   scripts/matrix.sh [VERSION…]      a version of kimi-cli, or "code-" and a version of Kimi Code
#
# It installs the releases in .kimi/matrix, without lock files. Run it by hand; CI does not run it.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

if [ $# -eq 0 ]; then
	set -- 1.51.0 1.35.0 1.24.0 1.14.0 1.7.0 1.0 code-2.0.2 code-0.43.1
fi
scripts/install-kimi.sh
scripts/install-kimi.sh --code
root=$PWD
python=$(dirname -- "$(readlink -f .kimi/bin/kimi)")/python
tests=$(mktemp)
trap 'rm -f -- "$tests"' EXIT
go test -c -o "$tests" ./client
export KIMI_GO_REQUIRE_KIMI=1 KIMI_DISABLE_TELEMETRY=1

# cli VERSION adds the row of TestMatrix for a kimi-cli to clis.
cli() {
	local dir=.kimi/matrix/$1
	if ! [ -x "$dir/bin/kimi" ]; then
		printf 'matrix: installing kimi-cli %s\n' "$1" >&2
		rm -rf -- "$dir"
		"$python" -m venv "$dir"
		"$dir/bin/python" -m pip install --quiet --disable-pip-version-check "kimi-cli==$1"
	fi
	(cd client && KIMI_PATH="$root/$dir/bin/kimi" KIMI_GO_MATRIX=1 "$tests" -test.run '^TestMatrix$' -test.v -test.timeout 5m) >"$dir/log" 2>&1 || {
		status=1
		cat "$dir/log" >&2
	}
	clis+=("$(sed -n 's/.*matrix: //p' "$dir/log")")
}

# code VERSION runs the tests of Kimi Code in a copy of this tree, whose .kimi has that version. It adds a row to codes.
code() {
	local dir=.kimi/matrix/code-$1
	if ! [ -x "$dir/.kimi/code/bin/kimi" ]; then
		printf 'matrix: installing Kimi Code %s\n' "$1" >&2
		rm -rf -- "$dir"
		mkdir -p -- "$dir/.kimi/code/bin"
		npm install --prefix "$dir/.kimi/code" --global=false --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error "@moonshot-ai/kimi-code@$1" >&2
		for node in .kimi/code/node_modules/node-*; do # the Node.js of the pinned version, if npm has installed one
			[ -e "$dir/$node" ] || ln -s -- "$root/$node" "$dir/$node"
		done
		cp -- .kimi/code/bin/kimi "$dir/.kimi/code/bin/kimi"
	fi
	git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$dir"
	ln -sfn "$root/.kimi/bin" "$dir/.kimi/bin"
	(cd "$dir/client" && "$tests" -test.run 'TestKimiCode|TestBackends.*/Kimi_Code' -test.parallel 2 -test.v -test.timeout 60m) >"$dir/log" 2>&1 || true
	codes+=("| $1 | $(grep -c '^--- PASS' "$dir/log") | $(sed -n 's/^--- FAIL: \([^ ]*\).*/\1/p' "$dir/log" | paste -sd ' ' -) |")
}

status=0
clis=() codes=()
for version in "$@"; do
	case $version in
	code-*) code "${version#code-}" ;;
	*) cli "$version" ;;
	esac
done
if [ ${#clis[@]} -gt 0 ]; then
	printf '| kimi | prompt | approval | cancel | steer | plan mode | replay | resume | Go tools | hooks |\n|---|---|---|---|---|---|---|---|---|---|\n'
	printf '%s\n' "${clis[@]}"
fi
if [ ${#codes[@]} -gt 0 ]; then
	printf '| Kimi Code | tests that pass | tests that fail |\n|---|---|---|\n'
	printf '%s\n' "${codes[@]}"
fi
exit $status
