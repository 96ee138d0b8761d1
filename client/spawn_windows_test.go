package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// shim makes the start script of npm for a package. The test binary is the node.exe next to it.
func shim(t *testing.T, dir, pkg string) (path, script string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "internal", "spawn", "testdata", "npm-cmd-shim-9.0.2.cmd"))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "kimi.cmd")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), `@moonshot-ai\kimi-code`, pkg)), 0o700); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	node, err := os.Create(filepath.Join(dir, "node.exe"))
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	if _, err := io.Copy(node, from); err != nil {
		t.Fatal(err)
	}
	return path, filepath.Join(dir, "node_modules", pkg, "dist", "main.mjs")
}

var tellsArguments = script("tells its arguments", func(a *agent) {
	a.handshake()
	a.begin()
	dir, _ := os.Getwd()
	told, _ := json.Marshal(append(os.Args[1:], dir))
	a.text(string(told))
	a.finish("finished")
	a.serve()
})

// No argument goes through cmd.exe, which would run commands and expand variables in it.
func TestShimArguments(t *testing.T) {
	path, main := shim(t, t.TempDir(), "wire-kimi")
	for _, named := range []string{path, strings.TrimSuffix(path, ".cmd"), strings.ToUpper(path)} {
		opts := spawn(t, tellsArguments, "")
		ran := filepath.Join(opts.ShareDir, "ran.txt")
		opts.Executable = named
		opts.WorkDir = filepath.Join(opts.WorkDir, "%PATH% & ^(x) %USERNAME%")
		opts.Model = `m"&echo X>` + ran + `&rem "`
		if err := os.Mkdir(opts.WorkDir, 0o700); err != nil {
			t.Fatal(err)
		}
		s := start(t, opts)
		turn := prompt(t, limited(t), s)
		if _, err := read(t, turn); err != nil {
			t.Error(err)
		}
		r, _ := turn.Result()
		var got []string
		if err := json.Unmarshal([]byte(r.Text), &got); err != nil {
			t.Fatalf("%v: %s", err, r.Text)
		}
		if !strings.EqualFold(got[0], main) || !slices.Contains(got, opts.Model) || got[len(got)-1] != opts.WorkDir || got[slices.Index(got, "--work-dir")+1] != opts.WorkDir {
			t.Errorf("%s: %q", named, got)
		}
		if _, err := os.Stat(ran); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the command in the model's name ran: %v", err)
		}
		shut(t, s)
	}
}

func TestShimInspect(t *testing.T) {
	dir := t.TempDir()
	path, _ := shim(t, dir, `@moonshot-ai\kimi-code`)
	opts := spawn(t, serves, "")
	opts.Env[programKey] = "node"
	opts.Env["PATH"] = dir
	opts.Env["KIMI_PATH"] = ""
	opts.Executable = ""
	info, err := client.Inspect(limited(t), opts)
	if err != nil || !strings.EqualFold(info.Path, path) || info.Version != "2.1.0" || info.Backend != client.BackendServer {
		t.Errorf("Inspect: %+v, %v", info, err)
	}
}

// A batch file that npm or pnpm has not made is refused, and does not run.
func TestBatchRefused(t *testing.T) {
	for _, name := range []string{"kimi.cmd", "kimi.bat"} {
		dir := t.TempDir()
		path, ran := filepath.Join(dir, name), filepath.Join(dir, "ran.txt")
		if err := os.WriteFile(path, []byte("@echo X>\"%~dp0ran.txt\"\r\n@volta run %~n0 %*\r\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		opts := spawn(t, serves, "")
		opts.Executable = path
		_, inspectErr := client.Inspect(limited(t), opts)
		startErr := fails(t, limited(t), opts)
		opts = spawn(t, serves, "")
		opts.ModifyCmd = func(cmd *exec.Cmd) { cmd.Path = path }
		for _, err := range []error{inspectErr, startErr, fails(t, limited(t), opts)} {
			var bad *client.IncompatibleError
			if !errors.As(err, &bad) || bad.Path != path || !strings.Contains(err.Error(), "Options.Executable") {
				t.Errorf("%v", err)
			}
		}
		if _, err := os.Stat(ran); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it ran: %v", err)
		}
	}
}

func init() {
	programs["is killed"] = func() {
		os.Unsetenv(programKey)
		exe, err := os.Executable()
		if err != nil {
			panic(err)
		}
		s, err := client.NewSession(context.Background(), &client.Options{
			Executable: exe, ShareDir: os.Getenv("KIMI_SHARE_DIR"),
			Env: map[string]string{programKey: "agent", agentKey: leavesAndHangs, argKey: "own group"},
		})
		if err != nil {
			panic(err)
		}
		turn, err := s.Prompt(context.Background(), "hello")
		if err != nil {
			panic(err)
		}
		fmt.Println(s.PID())
		for m := range turn.Messages() {
			if text, ok := m.(*wireproto.TextPart); ok {
				fmt.Println(text.Text)
			}
		}
	}
}

var leavesAndHangs = script("leaves a process and hangs", func(a *agent) {
	a.handshake()
	a.begin()
	a.text(strconv.Itoa(a.leave()))
	a.hang()
})

// The agent and all processes that it has started end with the program, although they do not read their input.
func TestProgramKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(limited(t), exe)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), programKey+"=is killed", "KIMI_SHARE_DIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var children []*os.Process
	for lines := bufio.NewScanner(out); len(children) < 2 && lines.Scan(); {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		children = append(children, p)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if len(children) != 2 {
		t.Errorf("%d processes", len(children))
	}
	for _, p := range children {
		if runs(p) {
			t.Errorf("process %d is left", p.Pid)
			p.Kill()
		}
	}
}
