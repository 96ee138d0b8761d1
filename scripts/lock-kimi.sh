#!/usr/bin/env bash
# Makes scripts/kimi-requirements.txt and scripts/kimi-build-requirements.txt again, with hashes for all platforms, from
# the .in files next to them. It needs uv (`pip install uv`) and Python 3.12 or later. It keeps the versions in the .txt
# files, unless a .in file excludes them. `scripts/lock-kimi.sh --upgrade` uses the newest versions.
#
# `scripts/lock-kimi.sh --code` makes scripts/kimi-code/package-lock.json again instead, from the package.json next to
# it. It needs npm and node.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

if [ "${1:-}" = --code ]; then
	cd kimi-code
	# The lock file must contain neither a registry host nor addresses for funding.
	npm install --package-lock-only --ignore-scripts --engine-strict=false --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error
	node -e '
		const lock = JSON.parse(fs.readFileSync("package-lock.json"))
		for (const pkg of Object.values(lock.packages)) delete pkg.funding
		fs.writeFileSync("package-lock.json", JSON.stringify(lock, null, 2) + "\n")'
	if grep -n '://\|"resolved"' package-lock.json >&2; then
		echo "lock-kimi: kimi-code/package-lock.json would name a host (above)" >&2
		exit 1
	fi
	echo "lock-kimi: wrote scripts/kimi-code/package-lock.json" >&2
	exit
fi

command -v uv >/dev/null || { echo "lock-kimi: uv is not on PATH; install it with: pip install uv" >&2; exit 1; }

tmp=$(mktemp -d)
trap 'rm -rf -- "$tmp"' EXIT

for name in kimi-requirements kimi-build-requirements; do
	[ ! -f "$name.txt" ] || cp "$name.txt" "$tmp/$name.txt"
	# The lock file must not contain an index host, because users may have their own index or mirror.
	uv pip compile --quiet --generate-hashes --universal --python-version 3.12 \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		"$@" -o "$tmp/$name.txt" "$name.in"
	if grep -qE '://|^--' "$tmp/$name.txt"; then
		echo "lock-kimi: $name.txt would name a host or carry an option:" >&2
		grep -nE '://|^--' "$tmp/$name.txt" >&2
		exit 1
	fi
	{
		echo "# Generated from $name.in by scripts/lock-kimi.sh. Do not edit."
		echo "# Holds for Linux and macOS on x86_64 and arm64, Python 3.12 to 3.14."
		grep -v '^#' "$tmp/$name.txt"
	} >"$tmp/out"
	mv -f "$tmp/out" "$name.txt"
	chmod 0644 "$name.txt"
	echo "lock-kimi: wrote scripts/$name.txt" >&2
done
