# `make` or `make help` lists the targets.

KIMI := $(abspath .kimi/bin/kimi)
KIMI_CODE := $(abspath .kimi/code/bin/kimi)
DEMO := ./scripts/demo.sh

# Tests run with the race detector if it can be built, which needs cgo and a C compiler. RACE= turns the detector off.
RACE       = $(shell go build -race runtime/cgo >/dev/null 2>&1 && echo -race)
TESTFLAGS ?=

FUZZTIME ?= 1m

# With these settings, a test that needs a real kimi installs it if it is missing.
WITH_KIMI = KIMI_PATH='$(KIMI)' KIMI_GO_REQUIRE_KIMI=1 KIMI_GO_INSTALL_KIMI='$(abspath scripts/install-kimi.sh)' KIMI_DISABLE_TELEMETRY=1

.DEFAULT_GOAL := help
.PHONY: help demo test test-windows check check-static lint vuln bench fixtures screenshots matrix fuzz soak kimi clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a short conversation with kimi: with the real model if a key is set, otherwise with a scripted one
	@$(DEMO)

# All tests together need kimi-cli and Kimi Code, so both are installed first. Tests that -run selects may need neither.
test: $(if $(findstring run,$(TESTFLAGS)),,kimi) ## all tests, also those with the real kimi (TESTFLAGS='-run Steer -v' runs some; RACE= leaves out -race)
	@$(if $(RACE),:,$(if $(filter file,$(origin RACE)),echo 'no race detector: it needs cgo and a C compiler' >&2,:))
	@$(if $(wildcard $(KIMI)),:,echo 'no kimi is installed: the first test that needs it installs it, which takes minutes' >&2)
	for module in $$(cat scripts/modules); do (cd $$module && $(WITH_KIMI) go test $(RACE) -shuffle=on -timeout 60m $(TESTFLAGS) ./...) || exit 1; done
	$(WITH_KIMI) go test $(RACE) -shuffle=on -timeout 60m $(TESTFLAGS) ./...

test-windows: ## the tests that need no kimi, built for Windows and run under wine (needs wine64 and mingw-w64)
	go run ./scripts/test-windows $(TESTFLAGS)

check: RACE = -race
check: check-static test ## everything that must hold before a change is merged

check-static: ## all of check except the tests: format, vet, staticcheck, other systems, modules, scripts
	@./scripts/check.sh

lint: ## format, vet, go fix and staticcheck for this system only
	@./scripts/check.sh lint

vuln: ## known vulnerabilities in the code that the modules call (asks the Go vulnerability database)
	govulncheck=$$(go tool -n -modfile=tools/go.mod govulncheck) && for module in . $$(cat scripts/modules); do (cd $$module && $$govulncheck ./...) || exit 1; done

bench: kimi ## all benchmarks, those of docs/performance.md included
	$(WITH_KIMI) go test -run '^$$' -bench . -benchmem ./...

fuzz: ## run each fuzz test for a minute (FUZZTIME=… for another time)
	@for t in $$(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sed 's|/[^/]*:func |:|'); do \
		echo "$$t"; go test -run '^$$' -fuzz "^$${t#*:}\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $${t%:*} || exit 1; done

soak: ## 1,000 random runs with agents that misbehave and programs that call anything at any time (SOAKFLAGS=-soak.seed=N)
	go test -race -run '^TestSoak$$' -v -timeout 60m ./client -args -soak.schedules=1000 $(SOAKFLAGS)
	$(WITH_KIMI) go test -race -run 'LostSocket|Faults|Killed' -v -timeout 60m ./internal/kimicode/bridge -args -soak.schedules=300 -soak.kimi

fixtures: kimi ## record testdata/fixtures again and print what has changed (NAMES="hello mcp" for some of them)
	$(WITH_KIMI) KIMI_CODE_PATH='$(KIMI_CODE)' go run ./scripts/record-fixtures $(NAMES)

screenshots: kimi ## record the terminal casts in docs/pictures again, and draw the pictures
	$(WITH_KIMI) go test -count=1 -run '^TestPictures$$' ./cmd/kimi-go-demo -pictures

matrix: ## test older releases of kimi-cli and Kimi Code, and print their rows for docs/kimi-code.md
	@./scripts/matrix.sh

kimi: ## install the real kimi-cli and Kimi Code into .kimi (returns at once if they are there)
	@./scripts/install-kimi.sh
	@./scripts/install-kimi.sh --code

clean: ## remove the files that the other targets have made
	rm -rf .kimi bin
	find . -type f \( -name '*.test' -o -name '*.prof' \) -not -path './.git/*' -delete
