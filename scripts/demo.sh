#!/usr/bin/env bash
# A short guided run of the library's demo command against the real kimi-cli.
#
#   scripts/demo.sh
#
# With KIMI_API_KEY, KIMI_BASE_URL and KIMI_MODEL_NAME set, it asks the real model about this checkout. Without
# them it uses kimi-cli's own scripted model, which needs no key and no network and writes only to a temporary folder.
# At a terminal, it asks you to approve what the agent wants to do. Elsewhere it shows every request; the scripted run
# approves the requests, the real one does not.
#
# It uses $KIMI_PATH, else .kimi/bin/kimi, else kimi on PATH. If there is none, it installs kimi-cli into .kimi. For the
# real model, Kimi Code can be used, too. If this machine has no Python for kimi-cli, it shows the recording
# testdata/tour.jsonl. To make the recording again, set DEMO_FLAGS='--record testdata/tour.jsonl'.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

say() { printf 'demo: %s\n' "$*" >&2; }

recording=testdata/tour.jsonl

tmp=$(mktemp -d)
trap 'rm -rf -- "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Build before HOME changes, so that go finds its caches.
go build -o "$tmp/kimi-go-demo" ./cmd/kimi-go-demo

real=''
if [ -n "${KIMI_API_KEY:-}" ] && [ -n "${KIMI_BASE_URL:-}" ] && [ -n "${KIMI_MODEL_NAME:-}" ]; then
	real=yes
fi

# usable reports whether a program is a kimi that speaks Wire or, for the real model, Kimi Code. It does not use the exit
# status, because the last release of kimi-cli ends every command with a notice and status 0.
usable() {
	local info
	info=$(KIMI_DISABLE_TELEMETRY=1 KIMI_SHARE_DIR=$tmp/probe "$1" info --json </dev/null 2>/dev/null) || info=''
	[[ $info =~ \"wire_protocol_version\":\ *\"[0-9] ]] && return
	[ -n "$real" ] || return 1
	info=$(KIMI_DISABLE_TELEMETRY=1 KIMI_CODE_NO_AUTO_UPDATE=1 KIMI_CODE_HOME=$tmp/probe "$1" --version </dev/null 2>/dev/null) || return 1
	[[ $info =~ ^([2-9]|[1-9][0-9]+)\.[0-9] ]]
}

find_kimi() {
	local candidate status=0
	if [ -n "${KIMI_PATH:-}" ]; then
		if usable "$KIMI_PATH"; then
			return
		fi
		say "KIMI_PATH ($KIMI_PATH) is not a kimi for this demo: looking elsewhere"
	fi
	while IFS= read -r candidate; do
		if [ -x "$candidate" ] && usable "$candidate"; then
			KIMI_PATH=$candidate
			return
		fi
	done < <(printf '%s\n' "$PWD/.kimi/bin/kimi"; type -ap kimi kimi-cli)
	scripts/install-kimi.sh || status=$?
	if [ "$status" -eq 3 ] && [ -f "$recording" ]; then
		say "there is no Python for kimi here: this is a recording of the demo"
		"$tmp/kimi-go-demo" replay "$recording"
		exit
	fi
	[ "$status" -eq 0 ] || exit "$status"
	KIMI_PATH=$PWD/.kimi/bin/kimi
}

find_kimi
export KIMI_PATH KIMI_DISABLE_TELEMETRY=1
say "using $KIMI_PATH"

if [ -n "$real" ]; then
	say "asking $KIMI_MODEL_NAME"
	"$tmp/kimi-go-demo" prompt --work-dir "$PWD" \
		"List the files in the current directory and say what this project is."
	exit
fi

say "playing kimi's scripted model, which says the same whatever you answer"
say "(set KIMI_API_KEY, KIMI_BASE_URL and KIMI_MODEL_NAME to ask a real one)"
mkdir -p "$tmp/home" "$tmp/share" "$tmp/project"
printf 'Hello, world!\nThis line stays.\n' >"$tmp/project/greeting.txt"

cat >"$tmp/config.json" <<JSON
{"default_model": "scripted",
 "telemetry": false,
 "models": {"scripted": {"provider": "scripted", "model": "scripted_echo", "max_context_size": 100000, "capabilities": ["thinking"]}},
 "providers": {"scripted": {"type": "_scripted_echo", "base_url": "", "api_key": "",
  "env": {"KIMI_SCRIPTED_ECHO_SCRIPTS": "$tmp/scripts.json"}}}}
JSON

# Each block is one answer of the model, in kimi's script language. The file contains them as a JSON array of strings.
{
	printf '["'
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/$/\\n/' -e 's/^---\\n$/","/' <<'SCRIPT' | tr -d '\n'
id: tour-1
usage: {"input_other": 1200, "output": 60}
think: The greeting should name Go.
think:  I will make a plan, look at the file, then change one line.
text: I will look at the file first,
text:  then change the greeting.
tool_call: {"id": "tour-todo-1", "name": "SetTodoList"}
tool_call_part: {"arguments_part": {"todos": [{"title": "Look at greeting.txt", "status": "in_progress"}, {"title": "Greet Go programmers", "status": "pending"}]}}
---
id: tour-2
usage: {"input_other": 1300, "output": 30}
tool_call: {"id": "tour-shell", "name": "Shell"}
tool_call_part: {"arguments_part": {"command": "cat greeting.txt"}}
---
id: tour-3
usage: {"input_other": 1400, "output": 50}
think: Only the first line has to change.
text: Now the edit.
tool_call: {"id": "tour-edit", "name": "StrReplaceFile"}
tool_call_part: {"arguments_part": {"path": "greeting.txt", "edit": {"old": "Hello, world!", "new": "Hello, Go!"}}}
---
id: tour-4
usage: {"input_other": 1500, "output": 50}
tool_call: {"id": "tour-todo-2", "name": "SetTodoList"}
tool_call_part: {"arguments_part": {"todos": [{"title": "Look at greeting.txt", "status": "done"}, {"title": "Greet Go programmers", "status": "done"}]}}
---
id: tour-5
usage: {"input_other": 1600, "output": 20}
text: Done: greeting.txt now says
text:  "Hello, Go!".
SCRIPT
	printf '"]\n'
} >"$tmp/scripts.json"

answer=()
if [ ! -t 0 ] || [ ! -t 1 ]; then
	answer=(--answer y)
fi

env -u KIMI_API_KEY -u KIMI_BASE_URL -u KIMI_MODEL_NAME -u KIMI_MODEL_CAPABILITIES -u KIMI_MODEL_MAX_CONTEXT_SIZE \
	HOME="$tmp/home" KIMI_SHARE_DIR="$tmp/share" \
	"$tmp/kimi-go-demo" prompt --config "$tmp/config.json" --work-dir "$tmp/project" ${answer[@]+"${answer[@]}"} ${DEMO_FLAGS:-} \
	"Make greeting.txt greet Go programmers."

say "that was in a temporary folder, which is gone now; next: KIMI_PATH=$(printf %q "$KIMI_PATH") go run ./cmd/kimi-go-demo doctor"
