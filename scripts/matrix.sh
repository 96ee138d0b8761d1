#!/usr/bin/env bash
# Drives old releases of kimi-cli with TestMatrix and prints the rows of the table in docs/kimi-code.md.
#
#   scripts/matrix.sh [VERSION…]
#
# They are installed below .kimi/matrix, without a lock: this is run by hand, not by CI.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

if [ $# -eq 0 ]; then
	set -- 1.51.0 1.35.0 1.24.0 1.14.0 1.7.0 1.0
fi
scripts/install-kimi.sh
python=$(dirname -- "$(readlink -f .kimi/bin/kimi)")/python
tests=$(mktemp)
trap 'rm -f -- "$tests"' EXIT
go test -c -o "$tests" ./client

status=0
rows=()
for version in "$@"; do
	dir=.kimi/matrix/$version
	if ! [ -x "$dir/bin/kimi" ]; then
		printf 'matrix: installing kimi-cli %s\n' "$version" >&2
		rm -rf -- "$dir"
		"$python" -m venv "$dir"
		"$dir/bin/python" -m pip install --quiet --disable-pip-version-check "kimi-cli==$version"
	fi
	out=$(cd client && KIMI_PATH="$PWD/../$dir/bin/kimi" KIMI_GO_REQUIRE_KIMI=1 KIMI_GO_MATRIX=1 "$tests" -test.run '^TestMatrix$' -test.v -test.timeout 5m 2>&1) || {
		status=1
		printf '%s\n' "$out" >&2
	}
	rows+=("$(sed -n 's/.*matrix: //p' <<<"$out")")
done
printf '| kimi | prompt | approval | cancel | steer | plan mode | replay | resume | Go tools | hooks |\n|---|---|---|---|---|---|---|---|---|---|\n'
printf '%s\n' "${rows[@]}"
exit $status
