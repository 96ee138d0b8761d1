package clienttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/spawn"
)

// RequireKimi names an environment variable. If it is set, a test that needs the real kimi and finds none fails.
// Otherwise the test is skipped.
const RequireKimi = "KIMI_GO_REQUIRE_KIMI"

// Kimi returns options that run the real kimi-cli with its own scripted model. They need no key and no network. Each
// script is what the model says in one call. Its lines begin with text:, think:, usage:, tool_call:, error: and others
// (kosong/chat_provider/echo/dsl.py in kimi-cli 1.51.0). [Text], [Think], [ToolCall] and [Error] write such lines with
// any text in them, and [Reply] joins lines to a script. The work dir, the share dir and the home directory are
// temporary. The configuration is an object, which may be changed before use.
//
// These are the lines of a script. At least one must be text, thinking or a tool call:
//
//	text: some text
//	think: some thinking
//	tool_call: {"id": "c1", "name": "Shell", "arguments": "{\"command\": \"ls\"}"}
//	tool_call_part: {"arguments_part": "more of the arguments"}
//	usage: {"input_other": 10, "output": 2}
//	error: 429 slow down
//
// A script of one error: line is a failed call. The line gives a status, "connection" or "timeout". After 429 and 5xx,
// kimi tries again, each time with the next script. Each process begins with the first script, also when it resumes a
// session. Scripts that are left over do not fail the test. A call for which no script is left fails with an error of
// the provider.
//
// kimi-cli's own model cannot say line breaks, and does not know the lines that [NewModel] adds. If a script needs
// these, all scripts come from a server like that of [KimiCode]. All processes then share the scripts. Before kimi-cli
// tries a failed call again, its HTTP client tries it twice more, each time with the next script.
//
// Kimi uses the kimi that KIMI_PATH names. Without KIMI_PATH, it looks for .kimi/bin/kimi in the working directory and
// in the directories above it, and then as Options.Executable describes. If it finds no kimi with Wire mode, the test
// is skipped; with KIMI_GO_REQUIRE_KIMI set, it fails. If there is a kimi that does not start or does not answer in
// time, the test fails. If KIMI_GO_INSTALL_KIMI names a program, the program runs first, once: without arguments for
// Kimi, with --code for KimiCode.
func Kimi(t TB, scripts ...string) *client.Options {
	t = report(t)
	t.Helper()
	opts := isolated(t, findKimi)
	opts.Config = &config.Config{
		DefaultModel: "scripted",
		Providers:    map[string]config.Provider{"scripted": scripted(t, opts, scripts)},
		Models:       map[string]config.Model{"scripted": {Provider: "scripted", Model: "scripted_echo", MaxContextSize: 100000}},
	}
	return opts
}

// scripted returns a provider with the scripts: kimi-cli's own if it can play them, otherwise a server.
func scripted(t TB, opts *client.Options, scripts []string) config.Provider {
	if needsServer(scripts) {
		opts.Env["NO_PROXY"], opts.Env["no_proxy"] = "127.0.0.1", "127.0.0.1"
		return config.Provider{Type: config.ProviderKimi, BaseURL: NewModel(t, scripts...).URL(), APIKey: "scripted"}
	}
	file := filepath.Join(filepath.Dir(opts.WorkDir), "scripts.json")
	data, err := json.Marshal(append([]string{}, scripts...))
	if err != nil {
		t.Fatalf("clienttest: %v", err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatalf("clienttest: %v", err)
	}
	return config.Provider{
		Type: "_scripted_echo",
		Env:  map[string]config.Secret{"KIMI_SCRIPTED_ECHO_SCRIPTS": config.Secret(file)},
	}
}

// KimiCode returns options that run the real Kimi Code with the scripts in a model of [NewModel]. They need no key and
// no network. The work dir, the share dir and the home directory are temporary. Unlike with [Kimi], all processes share
// the model: after a resume, the scripts continue.
//
// The model calls a Go tool as mcp__program__NAME, and the shell as Bash. KimiCode looks for .kimi/code/bin/kimi in the
// working directory and in the directories above it, and then as Options.Executable describes. If it finds no Kimi
// Code, the test is skipped; with KIMI_GO_REQUIRE_KIMI set, it fails.
func KimiCode(t TB, scripts ...string) *client.Options {
	t = report(t)
	t.Helper()
	opts := isolated(t, findKimiCode)
	opts.Env["KIMI_CODE_NO_AUTO_UPDATE"] = "1"
	maps.Copy(opts.Env, NewModel(t, scripts...).Env())
	return opts
}

// isolated returns options for the kimi that find finds. They use no file of the user of this machine. The directory
// above the WorkDir also belongs to the test.
func isolated(t TB, find func() (string, error)) *client.Options {
	t.Helper()
	path, err := find()
	switch {
	case err == nil:
	case !errors.Is(err, errNoKimi):
		t.Fatalf("clienttest: %v", err)
	case os.Getenv(RequireKimi) != "":
		t.Fatalf("clienttest: %v, and %s is set", err, RequireKimi)
	default:
		t.Skipf("clienttest: needs the real kimi: %v", err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatalf("clienttest: %v", err)
	}
	work, share, home := filepath.Join(dir, "work"), filepath.Join(dir, "share"), filepath.Join(dir, "home")
	for _, d := range []string{work, share, home} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatalf("clienttest: %v", err)
		}
	}
	env := map[string]string{"HOME": home, "KIMI_DISABLE_TELEMETRY": "1"}
	for _, entry := range os.Environ() {
		key, _, _ := strings.Cut(entry, "=")
		if _, set := env[key]; !set && (strings.HasPrefix(key, "KIMI_") || strings.HasPrefix(key, "OPENAI_")) {
			env[key] = "" // the test must not depend on the variables of this machine's user
		}
	}
	return &client.Options{Executable: path, WorkDir: work, ShareDir: share, Env: env}
}

// installKimi names the environment variable that holds the path of a program. The program installs kimi-cli or, with
// --code, Kimi Code.
const installKimi = "KIMI_GO_INSTALL_KIMI"

// install runs the program that KIMI_GO_INSTALL_KIMI names, if it is set.
func install(args ...string) error {
	program := os.Getenv(installKimi)
	if program == "" {
		return nil
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", installKimi, err, bytes.TrimSpace(out[max(0, len(out)-200):]))
	}
	return nil
}

// findKimi finds a kimi with Wire mode, once for all tests.
var findKimi = sync.OnceValues(func() (string, error) {
	if err := install(); err != nil {
		return "", err
	}
	opts := new(client.Options)
	if os.Getenv("KIMI_PATH") == "" {
		opts.Executable = findAbove(filepath.Join(".kimi", "bin", "kimi"))
	}
	return inspect(opts, client.BackendWire, "kimi-cli", filepath.Join(".kimi", "bin", "kimi"))
})

// findKimiCode finds Kimi Code, once for all tests.
var findKimiCode = sync.OnceValues(func() (string, error) {
	if err := install("--code"); err != nil {
		return "", err
	}
	if path := findAbove(filepath.Join(".kimi", "code", "bin", "kimi")); path != "" {
		return path, nil
	}
	return inspect(new(client.Options), client.BackendServer, "Kimi Code 2.x", filepath.Join(".kimi", "code", "bin", "kimi"))
})

// errNoKimi says that there is no kimi, or none with the back end. The test is then skipped. A kimi that does not
// start, or does not answer in time, gives another error, which fails the test.
var errNoKimi = errors.New("no kimi for this test")

// inspect returns the path of the kimi that the options find, if that kimi has the back end. place is the path,
// relative to this directory or one above it, where the test also looks for the program.
func inspect(opts *client.Options, backend client.Backend, name, place string) (string, error) {
	info, err := client.Inspect(context.Background(), opts)
	switch {
	case errors.As(err, new(*client.NotFoundError)), errors.As(err, new(*client.IncompatibleError)):
		return "", fmt.Errorf("%w: %w", errNoKimi, err)
	case err != nil:
		return "", err
	case info.Backend != backend:
		return "", fmt.Errorf("%w: %s %s is not %s; set KIMI_PATH to one, or install one as %s in this folder or above it",
			errNoKimi, info.Path, info.Version, name, place)
	}
	return info.Path, nil
}

// findAbove returns the path of a program with this relative name in the working directory or in a directory above it.
// It returns "" if there is none.
func findAbove(name string) string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if path, ok := spawn.Find(filepath.Join(dir, name)); ok {
			return path
		}
	}
	return ""
}
