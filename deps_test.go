package kimigo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kimi-go/kimi-go"

// allowed are the modules that the packages add to a user's program.
var allowed = []string{
	"github.com/BurntSushi/toml",
	"github.com/creack/pty",
	"github.com/google/jsonschema-go",
	"github.com/gorilla/websocket",
	"github.com/modelcontextprotocol/go-sdk",
	"go.yaml.in/yaml",
	// The MCP SDK needs these.
	"github.com/segmentio/asm",
	"github.com/segmentio/encoding",
	"github.com/yosida95/uritemplate",
	"golang.org/x/oauth2",
	"golang.org/x/sync",
	"golang.org/x/sys",
	"golang.org/x/time",
}

// ofCommand are the modules that only the command needs, for its screen and its flags. No package may need them.
var ofCommand = []string{
	"charm.land/bubbles/v2",
	"charm.land/bubbletea/v2",
	"charm.land/lipgloss/v2",
	"github.com/alecthomas/chroma/v2",
	"github.com/alecthomas/kong",
	"github.com/charmbracelet/x/ansi",
	"github.com/yuin/goldmark",
	"golang.org/x/term",
	"mvdan.cc/sh/v3", // client/rules needs it, too
	// The modules above need these.
	"github.com/atotto/clipboard",
	"github.com/charmbracelet/colorprofile",
	"github.com/charmbracelet/ultraviolet",
	"github.com/charmbracelet/x/term",
	"github.com/charmbracelet/x/termios",
	"github.com/charmbracelet/x/windows",
	"github.com/clipperhouse/displaywidth",
	"github.com/clipperhouse/uax29/v2",
	"github.com/dlclark/regexp2/v2",
	"github.com/lucasb-eyer/go-colorful",
	"github.com/mattn/go-runewidth",
	"github.com/muesli/cancelreader",
	"github.com/rivo/uniseg",
	"github.com/xo/terminfo",
}

// floors are the packages of this module, each with the packages of this module that it may import. No package may
// import one that is above itself.
var floors = map[string][]string{
	"wireproto":                           {},
	"internal/regular":                    {},
	"internal/tempdir":                    {"internal/regular"},
	"config":                              {"internal/regular"},
	"internal/fixture":                    {"wireproto", "config", "internal/regular"},
	"internal/spawn":                      {},
	"internal/jsonfile":                   {"internal/regular"},
	"internal/kimicode/api":               {},
	"internal/kimicode/history":           {"internal/kimicode/api", "wireproto"},
	"internal/kimicode/home":              {"config", "internal/jsonfile", "internal/kimicode/api", "internal/kimicode/history", "internal/kimicode/relay", "internal/regular", "internal/tempdir"},
	"internal/kimicode/relay":             {},
	"internal/kimicode/server":            {"internal/kimicode/api"},
	"internal/kimicode/toolhost":          {"wireproto"},
	"internal/kimicode/bridge/translator": {"internal/kimicode/api", "internal/kimicode/history", "wireproto"},
	// These are for tests.
	"internal/kimicode/bridge/translator/trace": {"internal/kimicode/api", "internal/kimicode/bridge/translator", "wireproto"},
	"internal/kimicode/webtest":                 {"client", "client/clienttest", "internal/kimicode/server"},
	"internal/kimicode/bridge": {"config", "internal/kimicode/api", "internal/kimicode/bridge/translator", "internal/kimicode/home", "internal/kimicode/relay",
		"internal/kimicode/server", "internal/kimicode/toolhost", "internal/regular", "wireproto"},
	"client":            {"config", "internal/jsonfile", "internal/kimicode/bridge", "internal/kimicode/history", "internal/kimicode/home", "internal/fixture", "internal/regular", "internal/spawn", "internal/tempdir", "wireproto"},
	"client/relay":      {"client", "wireproto"},
	"client/clienttest": {"client", "config", "internal/fixture", "internal/spawn", "wireproto"},
	"client/rules":      {"client", "internal/regular", "wireproto"},
}

// list runs go list without test files, for the system on which the test runs.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	return strings.Fields(string(out))
}

func within(path string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") })
}

func TestDependencies(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Setenv("GOOS", system)
		t.Setenv("CGO_ENABLED", "0")
		for _, pkg := range []string{"client", "wireproto", "config"} {
			deps := list(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./"+pkg)
			if !slices.Contains(deps, module+"/"+pkg) {
				t.Fatalf("%s: go list says %q", pkg, deps)
			}
			for _, dep := range deps {
				if !within(dep, append([]string{module}, allowed...)) {
					t.Errorf("%s on %s needs %s", pkg, system, dep)
				}
			}
		}
	}
}

// The command has more dependencies than the packages, but only those in the two lists.
func TestCommandDependencies(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Setenv("GOOS", system)
		t.Setenv("CGO_ENABLED", "0")
		found := false
		for _, dep := range list(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./cmd/kimi-go-demo") {
			found = found || within(dep, ofCommand)
			if !within(dep, slices.Concat([]string{module}, allowed, ofCommand)) {
				t.Errorf("the command on %s needs %s", system, dep)
			}
		}
		if !found {
			t.Fatal("go list names nothing that only the command needs")
		}
	}
}

// Package clienttest works in programs that are not tests, and adds few dependencies to those of client.
func TestKitIsLight(t *testing.T) {
	deps := list(t, "-deps", "-f", `{{if or (not .Standard) (eq .ImportPath "testing")}}{{.ImportPath}}{{end}}`, "./client/clienttest")
	if !slices.Contains(deps, module+"/client/clienttest") {
		t.Fatalf("go list says %q", deps)
	}
	for _, dep := range deps {
		if !within(dep, append([]string{module, "github.com/google/go-cmp"}, allowed...)) {
			t.Errorf("client/clienttest needs %s", dep)
		}
	}
}

// A program without Go tools does not contain the MCP server.
func TestAskIsLight(t *testing.T) {
	contains := func(call, function string) bool {
		t.Helper()
		dir := t.TempDir()
		source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
		code := "package main\nimport (\"context\"; \"" + module + "/client\")\nfunc main() { " + call + "(context.Background(), \"hello\", nil) }\n"
		if err := os.WriteFile(source, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, source).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		out, err := exec.CommandContext(t.Context(), "go", "tool", "nm", program).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), function+"\n")
	}
	const server = "go-sdk/mcp.NewServer"
	if contains("client.Ask", server) || !contains("client.Ask", "client.Ask") {
		t.Error("a program that calls Ask alone contains the MCP server")
	}
	if !contains("client.AskAs[int]", server) {
		t.Error("a program that calls AskAs does not contain the MCP server")
	}
}

// The codec does no input or output and starts no goroutines.
func TestWireprotoIsPure(t *testing.T) {
	imports := list(t, "-f", `{{join .Imports "\n"}}`, "./wireproto")
	if !slices.Contains(imports, "encoding/json") {
		t.Fatalf("go list says %q", imports)
	}
	for _, path := range imports {
		if within(path, []string{"context", "net", "os", "sync", "syscall", "unsafe"}) || strings.Contains(path, ".") {
			t.Errorf("wireproto imports %s", path)
		}
	}
}

// The translator is a state machine: it uses no files, no network and no goroutines, and gets the time from its caller.
func TestTranslatorIsPure(t *testing.T) {
	const dir = "internal/kimicode/bridge/translator"
	imports := list(t, "-f", `{{join .Imports "\n"}}`, "./"+dir)
	if !slices.Contains(imports, "encoding/json") {
		t.Fatalf("go list says %q", imports)
	}
	for _, path := range imports {
		if within(path, []string{"context", "io", "os", "sync", "syscall", "unsafe"}) || within(path, []string{"net"}) && path != "net/url" {
			t.Errorf("the translator imports %s", path)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"time.Now(", "time.After(", "time.NewTimer(", "time.Sleep(", "go func("} {
			if !strings.HasSuffix(file, "_test.go") && strings.Contains(string(text), call) {
				t.Errorf("%s calls %s", file, strings.TrimSuffix(call, "("))
			}
		}
	}
}

// No package imports a package that is above itself.
func TestLayers(t *testing.T) {
	for pkg, below := range floors {
		found := false
		for _, path := range list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./"+pkg) {
			own, ours := strings.CutPrefix(path, module+"/")
			if found = found || own == pkg; ours && own != pkg && !slices.Contains(below, own) {
				t.Errorf("%s imports %s", pkg, own)
			}
		}
		if !found {
			t.Errorf("%s is not there", pkg)
		}
	}
	for _, pkg := range list(t, "./...") {
		own := strings.TrimPrefix(pkg, module+"/")
		if _, known := floors[own]; !known && own != module && !within(own, []string{"cmd", "internal", "scripts", "tools"}) {
			t.Errorf("%s has no floor: add it to floors", own)
		}
	}
}

// Only the rules import the parser for shell scripts. The parser has no dependencies.
func TestRulesAlonePullInTheParser(t *testing.T) {
	const parser = "mvdan.cc/sh/v3"
	for _, pkg := range list(t, "-f", `{{$p := .ImportPath}}{{range .Imports}}{{$p}}={{.}}{{"\n"}}{{end}}`, "./...") {
		importer, imported, _ := strings.Cut(pkg, "=")
		if within(imported, []string{parser}) && importer != module+"/client/rules" {
			t.Errorf("%s imports %s", importer, imported)
		}
	}
	deps := list(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./client/rules")
	if !slices.Contains(deps, parser+"/syntax") {
		t.Fatalf("go list says %q", deps)
	}
	for _, dep := range deps {
		if !within(dep, append([]string{module, parser + "/syntax", parser + "/fileutil"}, allowed...)) {
			t.Errorf("client/rules needs %s", dep)
		}
	}
}
