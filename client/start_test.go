//go:build unix

package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

func kind(b *backend) client.Backend {
	if b.name == "kimi-cli" {
		return client.BackendWire
	}
	return client.BackendServer
}

// shellScript writes a shell script and returns its path.
func shellScript(t testing.TB, path, text string) string {
	t.Helper()
	return write(t, path, "#!/bin/sh\n"+text+"\n", 0o700)
}

// If a program has not answered in time, the error says only that it is slow, and makes no guess about what it is.
func TestInspectGivenUp(t *testing.T) {
	gone := errors.New("the user left")
	for name, test := range map[string]struct {
		hangs  string // the command that the program does not answer
		before string // the answers to the commands before it
		cancel bool
	}{
		"info":        {hangs: "info", before: ":"},
		"info, ctx":   {hangs: "info", before: ":", cancel: true},
		"--version":   {hangs: "--version", before: `echo "error: unknown option '--json'" >&2; exit 1`},
		"--wire":      {hangs: "--wire", before: "exit 3"},
		"--wire, ctx": {hangs: "--wire", before: "exit 3", cancel: true},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			dir := t.TempDir()
			fifo := filepath.Join(dir, "asked")
			if out, err := exec.Command("mkfifo", fifo).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			opts := &client.Options{
				Executable: shellScript(t, filepath.Join(dir, "kimi"), fmt.Sprintf("if test \"$1\" != %s; then\n%s\nfi\necho thinking >&2\nif test -n \"$FIFO\"; then : >\"$FIFO\"; fi\nexec sleep %s", test.hangs, test.before, uniqueSleep(300))),
				WorkDir:    dir, ShareDir: dir,
			}
			ctx, cancel := context.WithCancelCause(limited(t))
			defer cancel(nil)
			want := context.DeadlineExceeded
			if test.cancel {
				want = gone
				opts.Env = map[string]string{"FIFO": fifo}
				go func() {
					if f, err := os.Open(fifo); err == nil {
						io.ReadAll(f)
						f.Close()
					}
					cancel(gone)
				}()
			} else {
				opts.StartTimeout = 500 * time.Millisecond
			}
			info, err := client.Inspect(ctx, opts)
			var start *client.StartError
			if !errors.As(err, &start) || !errors.Is(err, want) || start.Path != opts.Executable {
				t.Fatalf("got %+v, %v", info, err)
			}
			plain(t, err)
			if errors.As(err, new(*client.IncompatibleError)) || strings.Contains(err.Error(), "not kimi") {
				t.Errorf("a verdict: %v", err)
			}
			if !test.cancel && (start.Limit != opts.StartTimeout || !strings.Contains(err.Error(), "start fewer at once, or raise Options.StartTimeout (500ms)")) {
				t.Errorf("got %v", err)
			}
			if test.cancel && !strings.Contains(err.Error(), "the user left: it ran, used ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// If a start was given up, the error says what the child did until then.
func TestStartGivenUpTells(t *testing.T) {
	opts := spawn(t, serves, "")
	opts.Executable = shellScript(t, filepath.Join(t.TempDir(), "busy"), "echo 'loading skills' >&2\nwhile :; do :; done")
	gone := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(limited(t))
	opts.Stderr = onWrite(func(string) { cancel(gone) })
	err := fails(t, ctx, opts)
	var process *client.ProcessError
	var start *client.StartError
	if !errors.As(err, &start) || !errors.As(err, &process) || !errors.Is(err, gone) {
		t.Fatalf("got %v", err)
	}
	if process.CPU <= 0 || process.CPU > time.Minute {
		t.Errorf("processor time %v", process.CPU)
	}
	want := fmt.Sprintf("client: start %s: the user left: it ran, used %v of processor time and said: loading skills", opts.Executable, process.CPU.Round(10*time.Millisecond))
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

// A version manager or a shell may print text before or after the answer.
func TestInspectBanner(t *testing.T) {
	t.Parallel()
	const answer = `{"kimi_cli_version": "1.51.0", "agent_spec_versions": ["1"], "wire_protocol_version": "1.10", "python_version": "3.13.0"}`
	for name, said := range map[string]string{
		"alone":          answer,
		"a banner":       `mise WARN {"tool":"node"} 22.19.0 activated\n` + answer,
		"a line after":   answer + `\nbye {}`,
		"a BOM":          `\357\273\277` + answer,
		"a title":        `\033]0;kimi\007` + answer,
		"CR":             answer + `\r`,
		"several lines":  strings.ReplaceAll(answer, ", ", `,\n  `),
		"another object": `{"level":"info"}\n` + answer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := shellScript(t, filepath.Join(t.TempDir(), "kimi"), "printf '"+said+"\\n'")
			info, err := client.Inspect(limited(t), &client.Options{Executable: path})
			if err != nil || info.Version != "1.51.0" || info.WireVersion != "1.10" || info.PythonVersion != "3.13.0" || info.Backend != client.BackendWire {
				t.Errorf("got %+v, %v", info, err)
			}
		})
	}
	for name, said := range map[string]string{
		"a version":               `2.1.0`,
		"a version, a banner":     `mise 2025.11.2\n2.1.0`,
		"a version, a BOM":        `\357\273\2772.1.0`,
		"a version, a title":      `\033]0;node 1.2\0072.1.0`,
		"a version, in words":     `kimi, version v2.1.0`,
		"a version, a line after": `2.1.0\nbye`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := shellScript(t, filepath.Join(t.TempDir(), "kimi"), "test \"$1\" = --version && printf '"+said+"\\n' && exit\necho \"error: unknown option '$2'\" >&2\nexit 1")
			info, err := client.Inspect(limited(t), &client.Options{Executable: path})
			if err != nil || info.Version != "2.1.0" || info.Backend != client.BackendServer {
				t.Errorf("got %+v, %v", info, err)
			}
		})
	}
}

// Both kimis are found and run through a script that prints a text first.
func TestBackendsBanner(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		opts := b.options(t, "text: hello")
		opts.Executable = shellScript(t, filepath.Join(root(opts), "kimi"), fmt.Sprintf("printf 'mise 2025.11.2: node@22.19.0\\n'\nexec '%s' \"$@\"", opts.Executable))
		info, err := client.Inspect(ctx, opts)
		if err != nil || info.Backend != kind(b) || info.Newer() != "" || info.FoundBy != "Options.Executable" {
			t.Fatalf("Inspect: %+v, %v", info, err)
		}
		e2eText(t, ctx, e2eStart(t, ctx, opts), "hi", "hello")
	})
}

// Inspect accepts every program that NewSession accepts: if a program does not say what it is, the handshake does.
func TestBackendsInspectAgrees(t *testing.T) {
	onBackends(t, func(t *testing.T, _ context.Context, b *backend) {
		for name, says := range map[string]string{
			"no version":              "kimi, a friend",
			"none that can be driven": `{"kimi_cli_version":"0.40"}` + "\n1.9.0",
		} {
			t.Run(name, func(t *testing.T) {
				ctx, opts := withinCtx(t), b.options(t, "text: hello")
				real := opts.Executable
				opts.Executable = shellScript(t, filepath.Join(root(opts), "kimi"), fmt.Sprintf("case $1 in info|--version) echo '%s'; exit;; esac\nexec '%s' \"$@\"", says, real))
				info, err := client.Inspect(ctx, opts)
				if err != nil {
					t.Fatal(err)
				}
				s := e2eStart(t, ctx, opts)
				server := s.Server()
				want := &client.Info{Path: opts.Executable, Version: server.Server.Version, WireVersion: server.ProtocolVersion, Backend: kind(b), ShareDir: info.ShareDir, FoundBy: "Options.Executable"}
				if diff := cmp.Diff(want, info); diff != "" {
					t.Error(diff)
				}
				if info.ShareDir == "" || strings.Contains(info.ShareDir, "kimi-go-inspect") {
					t.Errorf("share dir %s", info.ShareDir)
				}
			})
		}
	})
}

// A kimi that is newer than the tested ones runs, and the log says so.
func TestNewer(t *testing.T) {
	for version, newer := range map[string]bool{
		`"protocol_version":"1.10","server":{"name":"k","version":"1.51.0"}`: false,
		`"protocol_version":"1.9","server":{"name":"k","version":"1.35.0"}`:  false,
		`"protocol_version":"1.10","server":{"name":"k","version":"1.60.0"}`: true,
		`"protocol_version":"2.0","server":{"name":"k","version":"1.51.0"}`:  true,
		`"protocol_version":"","server":{"name":"k","version":""}`:           false,
	} {
		t.Run(version, func(t *testing.T) {
			var log bytes.Buffer
			opts := spawn(t, initializes, `"result":{`+version+`,"slash_commands":[]}`)
			opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
			s := start(t, opts)
			works(t, s)
			if got := strings.Contains(log.String(), "newer than the newest that was tested"); got != newer {
				t.Errorf("logged:\n%s", log.String())
			}
		})
	}
}

// unwritable returns a directory in which no file can be made, also not by root.
func unwritable(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	if os.Geteuid() != 0 {
		return dir
	}
	if runtime.GOOS != "linux" {
		t.Skip("root can write everywhere")
	}
	return "/sys/kernel"
}

// If kimi cannot keep its files in a folder, the error names the folder and says what to do.
func TestBackendsObstacles(t *testing.T) {
	onBackends(t, func(t *testing.T, _ context.Context, b *backend) {
		for name, test := range map[string]struct {
			prepare func(t *testing.T, o *client.Options)
			reason  string // %s stands for the share dir
			remedy  string
		}{
			"sessions is a file": {func(t *testing.T, o *client.Options) { write(t, filepath.Join(o.ShareDir, "sessions"), "", 0o600) }, "%s/sessions is not a directory", "move it away"},
			"home is a file": {func(t *testing.T, o *client.Options) {
				o.ShareDir = write(t, filepath.Join(root(o), "file"), "", 0o600)
			}, "%s is not a directory", "move it away"},
			"home below a file": {func(t *testing.T, o *client.Options) {
				o.ShareDir = filepath.Join(write(t, filepath.Join(root(o), "file"), "", 0o600), "home")
			}, "%s: not a directory", "KIMI_SHARE_DIR"},
			"home cannot be written": {func(t *testing.T, o *client.Options) { o.ShareDir = unwritable(t) }, "%s cannot be written", "make it writable"},
			"home cannot be made":    {func(t *testing.T, o *client.Options) { o.ShareDir = filepath.Join(unwritable(t), "home") }, "home cannot be made: /", "make it writable"},
			"sessions leads elsewhere": {func(t *testing.T, o *client.Options) {
				symlink(t, unwritable(t), filepath.Join(o.ShareDir, "sessions"))
			}, "%s/sessions cannot be written", "make it writable"},
		} {
			t.Run(name, func(t *testing.T) {
				opts := b.options(t, "text: never")
				test.prepare(t, opts)
				_, err := client.NewSession(withinCtx(t), opts)
				plain(t, err)
				var start *client.StartError
				if !errors.As(err, &start) {
					t.Fatalf("got %v", err)
				}
				reason := strings.ReplaceAll(test.reason, "%s", opts.ShareDir)
				if start.Path != opts.Executable || !strings.Contains(start.Reason, reason) || !strings.Contains(start.Remedy, test.remedy) {
					t.Errorf("got %v; want %q and %q", err, reason, test.remedy)
				}
				if start.Unwrap() == nil {
					t.Error("the error does not say how the process ended")
				}
			})
		}
	})
}

func symlink(t testing.TB, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// nodeOld is the last output of Node.js 20 that runs Kimi Code 2.1.0.
const nodeOld = `file:///k/main.mjs:20
import zlib, { createZstdDecompress, gzip } from "node:zlib";
               ^^^^^^^^^^^^^^^^^^^^
SyntaxError: The requested module 'node:zlib' does not provide an export named 'createZstdDecompress'
    at ModuleJob._instantiate (node:internal/modules/esm/module_job:213:21)

Node.js v20.20.2`

// oldNode returns a folder with a Node.js that is too old: that of this machine, or a script that prints its output.
func oldNode(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("node"); err == nil {
		out, _ := exec.Command(path, "--version").Output()
		version, err := wireproto.ParseVersion(strings.TrimPrefix(strings.TrimSpace(string(out)), "v"))
		if err == nil && version.Compare(wireproto.Version{Major: 22, Minor: 19}) < 0 {
			return filepath.Dir(path)
		}
	}
	dir := t.TempDir()
	shellScript(t, filepath.Join(dir, "node"), "cat >&2 <<'EOF'\n"+nodeOld+"\nEOF\nexit 1")
	return dir
}

// If the interpreter of a program is missing or too old, the error names the interpreter.
func TestInterpreters(t *testing.T) {
	t.Parallel()
	kimiCode := func(t *testing.T) string { // the script for Node.js that npm installs
		opts := clienttest.KimiCode(t)
		path := filepath.Join(filepath.Dir(opts.Executable), "..", "node_modules", "@moonshot-ai", "kimi-code", "dist", "main.mjs")
		if _, err := os.Stat(path); err != nil {
			t.Skipf("needs Kimi Code as npm installs it: %v", err)
		}
		return filepath.Clean(path)
	}
	script := func(text string) func(*testing.T) string {
		return func(t *testing.T) string { return write(t, filepath.Join(t.TempDir(), "kimi"), text, 0o700) }
	}
	empty := func(t testing.TB) string { return t.TempDir() }
	for name, test := range map[string]struct {
		program        func(*testing.T) string
		path           func(testing.TB) string // the folders on PATH
		reason, remedy string
	}{
		"Kimi Code, no Node.js":     {kimiCode, empty, "there is no node on PATH to run it", "put Node.js 22.19 or later on PATH"},
		"Kimi Code, an old Node.js": {kimiCode, oldNode, "it needs Node.js 22.19 or later and ran in ", "put Node.js 22.19 or later on PATH"},
		"env, another":              {script("#!/usr/bin/env python3.12\n"), empty, "there is no python3.12 on PATH to run it", "put python3.12 on PATH"},
		"Kimi Code, slow to end": {script("#!/bin/sh\n# @moonshot-ai/kimi-code\nexec >&-\nsleep 0.3\necho \"env: 'node': No such file or directory\" >&2\nexit 127\n"),
			func(testing.TB) string { return os.Getenv("PATH") }, "there is no node on PATH to run it", "put Node.js 22.19 or later on PATH"},
		"sh, node":  {script("#!/bin/sh\nexec node x \"$@\"\n"), empty, "there is no node on PATH to run it", "put Node.js 22.19 or later on PATH"},
		"gone":      {script("#!/gone/venv/bin/python\nimport kimi_cli\n"), empty, "its interpreter /gone/venv/bin/python is not there", "install the program again"},
		"node gone": {script("#!/gone/bin/node\n// @moonshot-ai/kimi-code\n"), empty, "its interpreter /gone/bin/node is not there", "put Node.js 22.19 or later on PATH"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := &client.Options{Executable: test.program(t), WorkDir: t.TempDir(), ShareDir: t.TempDir(), Env: map[string]string{"PATH": test.path(t)}}
			_, inspectErr := client.Inspect(withinCtx(t), opts)
			_, startErr := client.NewSession(withinCtx(t), opts)
			for by, err := range map[string]error{"NewSession": startErr, "Inspect": inspectErr} {
				var start *client.StartError
				if !errors.As(err, &start) {
					t.Errorf("%s: %v", by, err)
					continue
				}
				plain(t, err)
				if start.Path != opts.Executable || !strings.HasPrefix(start.Reason, test.reason) || start.Remedy != test.remedy || start.Err == nil {
					t.Errorf("%s: %v; want %q and %q", by, err, test.reason, test.remedy)
				}
			}
		})
	}
}

// A path that kimi could not write as JSON is refused before anything starts.
func TestNotUTF8(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "w\xff\xfe")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skipf("this file system takes no such name: %v", err)
	}
	file := filepath.Join(dir, "agent.yaml")
	for option, set := range map[string]func(*client.Options){
		"WorkDir":        func(o *client.Options) { o.WorkDir = dir },
		"AddDirs":        func(o *client.Options) { o.AddDirs = []string{dir} },
		"SkillsDirs":     func(o *client.Options) { o.SkillsDirs = []string{dir} },
		"ConfigFile":     func(o *client.Options) { o.ConfigFile = file },
		"AgentFile":      func(o *client.Options) { o.AgentFile = file },
		"MCPConfigFiles": func(o *client.Options) { o.MCPConfigFiles = []string{file} },
		"ShareDir":       func(o *client.Options) { o.ShareDir = dir },
	} {
		opts := spawn(t, serves, "")
		set(opts)
		err := fails(t, limited(t), opts)
		var bad *client.OptionError
		if !errors.As(err, &bad) || bad.Option != option || !strings.Contains(err.Error(), `w\xff\xfe`) || !strings.Contains(err.Error(), "is not UTF-8; rename it") {
			t.Errorf("%s: %v", option, err)
		}
	}
}
