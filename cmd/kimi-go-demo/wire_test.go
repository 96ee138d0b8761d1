//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// codeDemo sets up the real Kimi Code with scripts, and the command under the name kimi-wire.
func codeDemo(t *testing.T, scripts ...string) (d *demo, kimiWire string) {
	t.Helper()
	opts := clienttest.KimiCode(t, scripts...)
	d = &demo{work: opts.WorkDir, share: opts.ShareDir}
	d.setenv(opts.Env)
	d.setenv(map[string]string{"KIMI_PATH": opts.Executable, "KIMI_SHARE_DIR": opts.ShareDir})
	return d, d.link(t, wireProgram)
}

// link makes a symbolic link to the command.
func (d *demo) link(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(filepath.Dir(d.work), "bin")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// as runs the command under another name.
func (d *demo) as(t *testing.T, path string, args ...string) result {
	t.Helper()
	cmd := d.command(t, args...)
	cmd.Path, cmd.Args[0] = path, path
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	return finish(t, cmd, cmd.Run(), &stdout, &stderr)
}

// wireClient is a simple Wire client: it writes lines and reads frames.
type wireClient struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.Closer
	dec    *wireproto.Decoder
	stderr bytes.Buffer
}

// startWire starts the command as a Wire client would.
func startWire(t *testing.T, d *demo, args ...string) *wireClient {
	t.Helper()
	c := &wireClient{t: t, cmd: d.command(t, args...)}
	c.cmd.Stderr = &c.stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill() })
	c.stdin, c.stdout, c.dec = stdin, stdout, wireproto.NewDecoder(stdout)
	return c
}

func (c *wireClient) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next frame. At the end of the output it returns nil.
func (c *wireClient) next() *wireproto.Frame {
	c.t.Helper()
	f, err := c.dec.Decode()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		c.t.Fatalf("%v\n%s", err, &c.stderr)
	}
	return f
}

// answer reads up to the answer to a call. It approves every request that comes before.
func (c *wireClient) answer(id string) (f *wireproto.Frame, before []string) {
	c.t.Helper()
	for {
		f := c.next()
		switch {
		case f == nil:
			c.t.Fatalf("it ended before the answer to %s\n%s", id, &c.stderr)
		case f.Method == "" && f.ID == id:
			return f, before
		case f.Method == wireproto.MethodRequest:
			c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"request_id":%q,"response":"approve"}}`, f.ID, f.ID))
		}
		before = append(before, strings.TrimPrefix(fmt.Sprintf("%T", f.Message), "*wireproto."))
	}
}

func (c *wireClient) initialize() wireproto.InitializeResult {
	c.t.Helper()
	c.send(`{"jsonrpc":"2.0","id":"1","method":"initialize","params":{"protocol_version":"1.10"}}`)
	f, _ := c.answer("1")
	var result wireproto.InitializeResult
	if err := json.Unmarshal(f.Result, &result); err != nil {
		c.t.Fatalf("initialize: %v, %v", f.Error, err)
	}
	return result
}

func (c *wireClient) prompt(id, text string) {
	c.t.Helper()
	c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"prompt","params":{"user_input":%q}}`, id, text))
}

// end reads the rest of the output, and returns how the command ended.
func (c *wireClient) end() string {
	c.t.Helper()
	for c.next() != nil {
	}
	err := c.cmd.Wait()
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// kimi returns the process id of the kimi that the command runs.
func (c *wireClient) kimi() int {
	c.t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,comm=").Output()
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == strconv.Itoa(c.cmd.Process.Pid) && f[2] != "sh" { // the shell is the one that watches the command
			pid, _ := strconv.Atoi(f[0])
			return pid
		}
	}
	c.t.Fatal("it has no child")
	return 0
}

// waitFor waits for a state that no event reports.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func running(pid int) bool { return syscall.Kill(pid, 0) == nil }

// sleeper returns a script with a shell command that writes its process id to a file and does not end.
func sleeper() (script string) {
	return clienttest.ToolCall("s1", "Bash", map[string]string{"command": "echo $$ > pid.new; mv pid.new pid; sleep 600; true"})
}

// asleep waits for the command of sleeper and returns its process id.
func asleep(t *testing.T, d *demo) (pid int) {
	t.Helper()
	waitFor(t, "the command was not run", func() bool {
		data, err := os.ReadFile(filepath.Join(d.work, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil
	})
	return pid
}

func TestWireTurn(t *testing.T) {
	t.Parallel()
	d, _ := codeDemo(t, clienttest.ToolCall("c1", "Bash", map[string]string{"command": "echo made > file"}), "think: hm\ntext: done", "text: again")
	c := startWire(t, d, "wire", "--wire", "--session", "3f2b8a2e-5d0c-4c5e-9d3e-0123456789ab", "--work-dir", d.work, "--no-thinking")
	hello := c.initialize()
	if hello.ProtocolVersion != wireproto.ProtocolVersion || hello.Bridge == nil || !strings.HasPrefix(hello.Bridge.Backend, "Kimi Code 2.") {
		t.Errorf("initialize: %+v", hello)
	}
	c.prompt("2", "go")
	f, before := c.answer("2")
	if string(f.Result) != `{"status":"finished"}` {
		t.Errorf("prompt: %s, %v", f.Result, f.Error)
	}
	if got := strings.Join(before, " "); !strings.HasPrefix(got, "TurnBegin StepBegin ToolCall ") || !strings.Contains(got, " ApprovalRequest ") || !strings.HasSuffix(got, " TurnEnd") {
		t.Error(got)
	}
	if _, err := os.Stat(filepath.Join(d.work, "file")); err != nil {
		t.Error(err)
	}
	kimi := c.kimi()
	c.stdin.Close()
	if got := c.end(); got != "exit status 0" || running(kimi) {
		t.Errorf("%s, kimi runs on: %v\n%s", got, running(kimi), &c.stderr)
	}

	// The id that the client has chosen continues the session.
	c = startWire(t, d, "wire", "--session", "3f2b8a2e-5d0c-4c5e-9d3e-0123456789ab")
	if again := c.initialize(); again.Bridge == nil || again.Bridge.SessionID != hello.Bridge.SessionID {
		t.Errorf("resumed %+v, want %+v", again.Bridge, hello.Bridge)
	}
	c.send(`{"jsonrpc":"2.0","id":"2","method":"replay"}`)
	if _, before := c.answer("2"); !strings.HasPrefix(strings.Join(before, " "), "TurnBegin StepBegin ToolCall ToolResult ") {
		t.Error(before)
	}
	c.stdin.Close()
	c.end()
}

// As with kimi-cli, lines after the end of the input get no answer.
func TestWireEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		act  func(c *wireClient, kimi int)
		want string
	}{
		{"input closed", func(c *wireClient, _ int) { c.stdin.Close() }, "exit status 0"},
		{"SIGTERM", func(c *wireClient, _ int) { c.cmd.Process.Signal(syscall.SIGTERM) }, "signal: terminated"},
		{"SIGHUP", func(c *wireClient, _ int) { c.cmd.Process.Signal(syscall.SIGHUP) }, "signal: hangup"},
		{"SIGINT", func(c *wireClient, _ int) { c.cmd.Process.Signal(syscall.SIGINT) }, "exit status 0"},
		{"kimi killed", func(_ *wireClient, kimi int) { syscall.Kill(kimi, syscall.SIGKILL) }, "signal: killed"},
		{"killed", func(c *wireClient, _ int) { c.cmd.Process.Kill() }, "signal: killed"},
		{"SIGTERM, kimi stopped", func(c *wireClient, kimi int) {
			syscall.Kill(kimi, syscall.SIGSTOP)
			c.cmd.Process.Signal(syscall.SIGTERM)
		}, "signal: terminated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, _ := codeDemo(t, sleeper())
			c := startWire(t, d, "wire", "--yolo")
			c.initialize()
			kimi := c.kimi()
			c.prompt("2", "sleep")
			bash := asleep(t, d)
			tt.act(c, kimi)
			if got := c.end(); got != tt.want {
				t.Errorf("%s, want %s\n%s", got, tt.want, &c.stderr)
			}
			if tt.name != "killed" && running(kimi) {
				t.Error("kimi runs on")
			}
			waitFor(t, "kimi runs on", func() bool { return !running(kimi) })
			waitFor(t, "its command runs on", func() bool { return !running(bash) })
		})
	}
}

// If the client no longer reads the output, the command ends.
func TestWireNobodyReads(t *testing.T) {
	t.Parallel()
	d, _ := codeDemo(t, "text: hello\nhang:")
	c := startWire(t, d, "wire")
	c.initialize()
	kimi := c.kimi()
	c.stdout.Close()
	c.prompt("2", "hi")
	if err := c.cmd.Wait(); err != nil || running(kimi) {
		t.Errorf("%v, kimi runs on: %v", err, running(kimi))
	}
}

func TestWireInfo(t *testing.T) {
	t.Parallel()
	d, kimiWire := codeDemo(t)
	want := map[string]any{"kimi_cli_version": "2.1.0", "wire_protocol_version": "1.10", "agent_spec_versions": []any{}, "python_version": "n/a"}
	for name, r := range map[string]result{
		"wire info": d.run(t, "", "wire", "info", "--json"), "kimi-wire info": d.as(t, kimiWire, "info", "--json"),
	} {
		var got map[string]any
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	d.as(t, kimiWire, "info").check(t, 0, []string{"kimi-cli version: 2.1.0\n", "wire protocol: 1.10\n"}, nil)
	d.as(t, kimiWire, "-V").check(t, 0, []string{"kimi, version 2.1.0\n"}, nil)
	d.as(t, kimiWire, "--help").check(t, 0, []string{"Usage: kimi-wire"}, nil)
	d.as(t, kimiWire, "login", "--help").check(t, 0, []string{"Usage: kimi login"}, nil)
}

// The answer of info has the members of kimi-cli's. If kimi is kimi-cli, the command runs it unchanged.
func TestWireBeforeKimiCLI(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "text: hello")
	kimiWire := d.link(t, wireProgram)
	d.as(t, kimiWire, "info", "--json").check(t, 0, []string{`{"kimi_cli_version": "1.51.0", "agent_spec_versions": ["1"], "wire_protocol_version": "1.10", "python_version": "3.`}, nil)
	d.as(t, kimiWire, "--version").check(t, 0, []string{"kimi, version 1.51.0\n"}, nil)
	c := startWire(t, d, "wire", "--config-file", d.config)
	if hello := c.initialize(); hello.Bridge != nil || hello.Server.Version != "1.51.0" {
		t.Errorf("%+v", hello)
	}
	c.prompt("2", "hi")
	if f, before := c.answer("2"); f.Error != nil || !strings.Contains(strings.Join(before, " "), "TextPart") {
		t.Errorf("%v, %v", f.Error, before)
	}
	c.stdin.Close()
	if got := c.end(); got != "exit status 0" {
		t.Error(got)
	}
}

func TestWireRefuses(t *testing.T) {
	t.Parallel()
	d, kimiWire := codeDemo(t)
	for args, want := range map[string]string{
		"--wire --agent okabe": "--agent",
		"--print":              "print",
		"--config {":           "config",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			r := d.as(t, kimiWire, strings.Fields(args)...)
			r.check(t, 2, nil, []string{wireProgram + ": ", want, "\nhint: "})
			if r.stdout != "" || strings.Count(r.stderr, "\n") != 2 || strings.Contains(r.stderr, "client:") {
				t.Errorf("%q", r)
			}
		})
	}
}

// Programs that lead back to this one are skipped. If there is no other program, the error says so.
func TestWireFindsAnother(t *testing.T) {
	t.Parallel()
	d, kimiWire := codeDemo(t)
	code := ""
	for _, entry := range d.env {
		if path, ok := strings.CutPrefix(entry, "KIMI_PATH="); ok {
			code = path
		}
	}
	bin := filepath.Dir(kimiWire)
	d.link(t, "kimi")
	script := filepath.Join(bin, "kimi-cli")
	if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\nexec '%s' \"$@\"\n", kimiWire), 0o700); err != nil {
		t.Fatal(err)
	}
	system := "/usr/bin:/bin"
	for name, tt := range map[string]struct {
		path, named string
		want        string
	}{
		"named itself":   {path: filepath.Dir(code) + ":" + system, named: kimiWire},
		"named a script": {path: filepath.Dir(code) + ":" + system, named: script},
		"first on PATH":  {path: bin + ":" + filepath.Dir(code) + ":" + system},
		"nothing else":   {path: bin + ":" + system, named: script, want: "kimi was not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &demo{work: d.work, env: append(d.env[:len(d.env):len(d.env)], "PATH="+tt.path, "KIMI_PATH="+tt.named)}
			r := d.as(t, kimiWire, "--version")
			if tt.want != "" {
				r.check(t, 1, nil, []string{wireProgram + ": " + tt.want, "hint: ", "KIMI_PATH"})
				return
			}
			r.check(t, 0, []string{"kimi, version 2.1.0\n"}, nil)
		})
	}
	t.Run("at home", func(t *testing.T) {
		home := t.TempDir()
		local := filepath.Join(home, ".local", "bin")
		if err := os.MkdirAll(local, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(script, filepath.Join(local, "kimi")); err != nil {
			t.Fatal(err)
		}
		d := &demo{work: d.work, env: append(d.env[:len(d.env):len(d.env)], "PATH="+system, "KIMI_PATH=", "HOME="+home)}
		d.as(t, kimiWire).check(t, 1, nil, []string{filepath.Join(local, "kimi") + " is " + wireProgram + " itself", "hint: ", "KIMI_PATH"})
	})
}

// For this module's own client, kimi-wire is a kimi like any other.
func TestWireUnderClient(t *testing.T) {
	t.Parallel()
	opts := clienttest.KimiCode(t, clienttest.ToolCall("c1", "Bash", map[string]string{"command": "echo 1"}), "text: done", "text: more")
	d := &demo{work: opts.WorkDir}
	opts.Env["KIMI_PATH"], opts.Env[programKey] = opts.Executable, "demo"
	opts.Executable = d.link(t, wireProgram)
	info, err := client.Inspect(t.Context(), opts)
	if err != nil || info.Version != "2.1.0" || info.WireVersion != wireproto.ProtocolVersion {
		t.Fatalf("%+v, %v", info, err)
	}
	s, err := client.NewSession(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	turn, err := s.Prompt(t.Context(), "go")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for m, err := range turn.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := m.(*client.ApprovalRequest); ok {
			asked++
			a.Approve()
		}
	}
	if r, err := turn.Result(); err != nil || r.Text != "done" || asked != 1 {
		t.Errorf("%+v, %v, %d approvals", r, err, asked)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
