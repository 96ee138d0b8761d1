package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// programKey names the variable that makes the test binary run as the command, or as a kimi that misbehaves.
const programKey = "KIMI_GO_DEMO_TEST_PROGRAM"

// playKey names the variable that says what the test binary does if its name is kimi.
const playKey = "KIMI_GO_DEMO_TEST_KIMI"

// lackKey names the variable with the routes that a server must not have.
const lackKey = "KIMI_GO_DEMO_TEST_LACK"

// without removes routes from a server's description of itself.
func without(routes string) webtest.Hooks {
	return webtest.Hooks{Answer: func(_, path string, body []byte) []byte {
		if path != "/openapi.json" || routes == "" {
			return body
		}
		for route := range strings.SplitSeq(routes, " ") {
			body = bytes.ReplaceAll(body, []byte(`"`+route+`"`), []byte(`"/new`+route+`"`))
		}
		return body
	}}
}

// inFront is a proxy before the real server of Kimi Code, whose path is in realKey. It changes what [without] changes.
func inFront() {
	cmd := exec.Command(os.Getenv(realKey), os.Args[1:]...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		panic(err)
	}
	var ends cleanups
	s, err := server.Start(context.Background(), outOnly{Reader: out})
	if err != nil {
		panic(err)
	}
	p := webtest.NewProxy(&ends, s.URL(), s.Token(), without(os.Getenv(lackKey)))
	fmt.Printf("  Local:    %s/#token=%s\n", p.URL, p.Token)
	cmd.Wait()
	for _, end := range ends {
		end()
	}
}

// outOnly is a child process of which only the output is used.
type outOnly struct {
	io.Reader
	server.Child
}

func (o outOnly) Read(b []byte) (int, error) { return o.Reader.Read(b) }

// realKey names the variable with the path of the real kimi.
const realKey = "KIMI_GO_DEMO_TEST_REAL"

// plays are the kimis that the test binary can be, by name. They need no shell.
var plays = map[string]func(){
	"echo": func() {
		io.Copy(os.Stdout, os.Stdin)
		fmt.Fprint(os.Stderr, "err\n")
		os.Exit(7)
	},
	"fails": func() {
		switch os.Args[1] {
		case "--version":
			fmt.Println("2.3.4")
			os.Exit(0)
		case "web":
			fmt.Fprint(os.Stderr, "oops\n")
			os.Exit(7)
		}
		fmt.Fprint(os.Stderr, "error: unknown option '--json'\n")
		os.Exit(1)
	},
}

func TestMain(m *testing.M) {
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "kimi" {
		plays[os.Getenv(playKey)]()
		os.Exit(0)
	}
	switch os.Getenv(programKey) {
	case "":
		os.Exit(m.Run())
	case "demo":
		main()
	case "stubborn":
		stubborn()
	case "hostile":
		hostile()
	case "server":
		serve()
	case "in front":
		inFront()
	case "flood":
		flood()
	}
}

// serve is a server of Kimi Code that plays a recording. It does not have the routes in lackKey.
func serve() {
	var ends cleanups
	f := webtest.NewFake(&ends)
	p := webtest.NewProxy(&ends, f.URL, f.Token, without(os.Getenv(lackKey)))
	child := f.Use(p.Child())
	fmt.Printf("  Local:    %s/#token=%s\n", p.URL, p.Token)
	<-child.Done()
	for _, end := range ends {
		end()
	}
}

type cleanups []func()

func (c *cleanups) Cleanup(f func()) { *c = append(*c, f) }

// stubborn is a kimi that begins a turn and never ends it. When its input is closed, it writes a file in its work dir,
// which shows that it was not killed.
func stubborn() {
	dec, enc := wireproto.NewDecoder(os.Stdin), wireproto.NewEncoder(os.Stdout)
	for {
		f, err := dec.Decode()
		switch {
		case errors.Is(err, io.EOF):
			os.WriteFile("closed", nil, 0o600)
			return
		case err != nil:
			panic(err)
		case f.Method == wireproto.MethodInitialize:
			enc.Encode(&wireproto.Frame{ID: f.ID, Result: json.RawMessage(`{"protocol_version":"1.10","server":{"name":"stubborn","version":"0"},"slash_commands":[]}`)})
		case f.Method == wireproto.MethodPrompt:
			enc.Encode(&wireproto.Frame{Method: wireproto.MethodEvent, Message: &wireproto.TextPart{Text: "I will never end"}})
		}
	}
}

// limit is the time limit for a command that takes a second on an idle machine.
const limit = 2 * time.Minute

// demo is the command together with a kimi of its own.
type demo struct {
	work, share, config string
	env                 []string
}

// newDemo sets up the real kimi with scripts; see [clienttest.Kimi].
func newDemo(t *testing.T, scripts ...string) *demo {
	t.Helper()
	opts := clienttest.Kimi(t, scripts...)
	m := opts.Config.Models["scripted"]
	m.Capabilities = append(m.Capabilities, "image_in", "thinking")
	opts.Config.Models["scripted"] = m
	d := &demo{work: opts.WorkDir, share: opts.ShareDir, config: filepath.Join(filepath.Dir(opts.WorkDir), "config.toml")}
	if err := opts.Config.Save(d.config); err != nil {
		t.Fatal(err)
	}
	d.setenv(opts.Env)
	d.setenv(map[string]string{"KIMI_PATH": opts.Executable, "KIMI_SHARE_DIR": opts.ShareDir})
	return d
}

// bareDemo sets up the command without a kimi.
func bareDemo(t *testing.T) *demo {
	t.Helper()
	dir := t.TempDir()
	d := &demo{work: dir, share: filepath.Join(dir, "share"), config: filepath.Join(dir, "config.toml")}
	d.setenv(map[string]string{"HOME": dir, "USERPROFILE": dir, "PATH": dir, "KIMI_SHARE_DIR": d.share, "KIMI_DISABLE_TELEMETRY": "1"})
	return d
}

// setenv sets the environment of the command: these variables, and the variables of this machine except KIMI_ and
// OPENAI_ ones.
func (d *demo) setenv(over map[string]string) {
	if d.env == nil {
		for _, entry := range os.Environ() {
			if !strings.HasPrefix(entry, "KIMI_") && !strings.HasPrefix(entry, "OPENAI_") && !strings.HasPrefix(entry, "NO_COLOR=") {
				d.env = append(d.env, entry)
			}
		}
		d.env = append(d.env, programKey+"=demo", "TERM=xterm")
	}
	for key, value := range over {
		if value != "" {
			d.env = append(d.env, key+"="+value)
		}
	}
}

// fake writes a shell script as the kimi.
func (d *demo) fake(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	path := filepath.Join(d.work, "kimi")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.setenv(map[string]string{"KIMI_PATH": path})
}

// plays uses the test binary as the kimi, in the role of that name.
func (d *demo) plays(t *testing.T, name string) (kimi string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		kimi = filepath.Join(d.work, "kimi")
		err = os.Symlink(self, kimi)
	} else if data, readErr := os.ReadFile(self); readErr != nil {
		err = readErr
	} else {
		kimi = filepath.Join(d.work, "kimi.exe")
		err = os.WriteFile(kimi, data, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.setenv(map[string]string{"KIMI_PATH": kimi, playKey: name})
	return kimi
}

func (d *demo) command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env, cmd.Dir = d.env, d.work
	return cmd
}

type result struct {
	stdout, stderr string
	code           int
}

// run runs the command to its end, without a terminal.
func (d *demo) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd := d.command(t, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	return finish(t, cmd, cmd.Run(), &stdout, &stderr)
}

func finish(t *testing.T, cmd *exec.Cmd, err error, stdout, stderr fmt.Stringer) result {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("%v: %v\nstdout:\n%s\nstderr:\n%s", cmd.Args[1:], err, stdout, stderr)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// check compares the exit status, and checks that the outputs have these texts in this order.
func (r result) check(t *testing.T, code int, stdout, stderr []string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit status %d, want %d", r.code, code)
	}
	contains := func(what, s string, want []string) {
		for _, w := range want {
			head, tail, found := strings.Cut(s, w)
			_ = head
			if !found {
				t.Errorf("%s lacks %q, or has it in another order", what, w)
			}
			s = tail
		}
	}
	contains("stdout", r.stdout, stdout)
	contains("stderr", r.stderr, stderr)
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	}
}

// errorLine checks that an error has one line and a hint.
func (r result) errorLine(t *testing.T) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	n := len(lines)
	if n < 2 || !strings.HasPrefix(lines[n-2], program+": ") || !strings.HasPrefix(lines[n-1], "hint: ") {
		t.Errorf("stderr does not end with an error in a line and a hint:\n%s", r.stderr)
	}
	if strings.Contains(r.stderr, "client:") || strings.Contains(r.stderr, "Options.") {
		t.Errorf("stderr speaks to Go programs:\n%s", r.stderr)
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	r := d.run(t, "", "--version")
	r.check(t, 0, []string{program + " " + client.Version + " (Wire protocol " + wireproto.ProtocolVersion + ")\n"}, nil)
	r = d.run(t, "", "--help")
	r.check(t, 0, []string{"Usage: " + program, "prompt", "chat", "sessions", "resume", "doctor", "Exit status"}, nil)
	for _, cmd := range []string{"prompt", "chat", "sessions", "resume", "doctor"} {
		r := d.run(t, "", cmd, "--help")
		r.check(t, 0, []string{"Usage: " + program + " " + cmd, "--work-dir"}, nil)
	}
}

// Without arguments, the command shows its help as an error. A mistake after a command shows how to get its help.
func TestUsageHelp(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	help := d.run(t, "", "--help").stdout
	if bare := d.run(t, ""); bare != (result{"", help, 2}) || help == "" {
		t.Errorf("without arguments: %+v", bare)
	}
	for hint, args := range map[string][]string{
		"kimi-go-demo --help":        {"bogus"},
		"kimi-go-demo prompt --help": {"prompt", "--answer", "maybe", "x"},
		"kimi-go-demo chat --help":   {"chat", "words"},
	} {
		d.run(t, "", args...).check(t, 2, nil, []string{"\nhint: " + hint + "\n"})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	for _, args := range [][]string{
		{"bogus"}, {"prompt"}, {"prompt", ""}, {"prompt", "-"}, {"prompt", "--bogus", "x"}, {"prompt", "--answer", "maybe", "x"},
		{"prompt", "--max-steps", "-1", "x"}, {"prompt", "--max-steps", "many", "x"}, {"prompt", "--idle-timeout", "-1s", "x"},
		{"prompt", "--session", "../evil", "x"}, {"prompt", "--model=-x", "x"}, {"prompt", "--json", "--quiet", "x"},
		{"prompt", "--work-dir", "w\xff", "x"}, {"prompt", "\xff"}, {"resume"}, {"resume", "--image", "a.png", "id"}, {"chat", "words"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			if runtime.GOOS == "windows" && !utf8.ValidString(strings.Join(args, "")) {
				t.Skip("arguments are always Unicode there")
			}
			r := d.run(t, "", args...)
			r.check(t, 2, nil, nil)
			r.errorLine(t)
			if r.stdout != "" {
				t.Errorf("stdout: %s", r.stdout)
			}
		})
	}
}
