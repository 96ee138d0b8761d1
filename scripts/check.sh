#!/usr/bin/env bash
# Runs all checks that are not tests. `scripts/check.sh lint` leaves out the checks for other systems, for the module
# files and for the scripts. If a check fails, the script shows its output, continues, and fails at the end.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

failed=''

# step TITLE COMMAND... passes if the command succeeds and prints nothing on stdout.
step() {
	local title=$1 out status=0
	shift
	printf '== %s\n' "$title"
	out=$("$@" 2>"$tmp/stderr") || status=$?
	if [ "$status" -ne 0 ] || [ -n "$out" ]; then
		[ -z "$out" ] || printf '%s\n' "$out"
		cat -- "$tmp/stderr"
		printf -- '-- failed: %s\n' "$title"
		failed+="${failed:+, }$title"
	fi
}

tmp=$(mktemp -d)
trap 'rm -rf -- "$tmp"' EXIT

format() { find . -name '*.go' -not -path './.*' -exec gofmt -l -s {} +; }
on() { # on OS ARCH COMMAND... runs a command for another system, without cgo
	GOOS=$1 GOARCH=$2 CGO_ENABLED=0 "${@:3}"
}
within() { (cd "$1" && "${@:2}"); } # within MODULE COMMAND... runs a command in the folder of a module
scripts_parse() { local f; for f in scripts/*.sh .ci/run; do bash -n "$f" || return 1; done; }

printf '== %s\n' "$(go version)"
# Build staticcheck for this machine first. It can then check the code for other systems, too.
staticcheck=$(go tool -n -modfile=tools/go.mod staticcheck)

step "gofmt" format
step "go vet" go vet ./...
step "go fix" go fix -diff ./...
step "staticcheck" "$staticcheck" ./...
mapfile -t modules <scripts/modules # the other modules with tests
for module in "${modules[@]}"; do
	step "go vet in $module" go -C "$module" vet ./...
	step "go fix in $module" go -C "$module" fix -diff ./...
	step "staticcheck in $module" within "$module" "$staticcheck" ./...
done

if [ "${1:-}" != lint ]; then
	for os in linux darwin windows; do
		for arch in amd64 arm64; do
			step "build $os/$arch" on "$os" "$arch" go build ./...
			step "vet $os/$arch" on "$os" "$arch" go vet ./...
			for module in "${modules[@]}"; do
				step "vet $os/$arch in $module" on "$os" "$arch" go -C "$module" vet ./...
			done
		done
		step "staticcheck $os" on "$os" amd64 "$staticcheck" ./...
	done
	step "go mod verify" bash -c 'go mod verify >&2'
	step "go mod tidy" go mod tidy -diff
	step "go mod tidy in tools" go -C tools mod tidy -diff
	for module in "${modules[@]}"; do
		step "go mod verify in $module" within "$module" bash -c 'go mod verify >&2'
		step "go mod tidy in $module" go -C "$module" mod tidy -diff
	done
	step "scripts parse" scripts_parse
	if command -v shellcheck >/dev/null; then
		step "shellcheck" shellcheck scripts/*.sh .ci/run
	else
		printf '== shellcheck is not installed: left out\n'
	fi
fi

if [ -n "$failed" ]; then
	printf 'failed: %s\n' "$failed" >&2
	exit 1
fi
printf 'all static checks passed\n'
