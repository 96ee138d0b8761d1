package client

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

type noTransport struct{}

func (noTransport) Start(context.Context, *Command) (Conn, error) { return nil, errors.New("none") }

func testTool(t *testing.T, name string) Tool {
	t.Helper()
	tool, err := NewTool(name, "looks", func(context.Context, struct{}) (string, error) { return "", nil })
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

func allow(context.Context, *wireproto.HookRequest) (HookDecision, error) { return Allow(), nil }

func answer(context.Context, *QuestionRequest) error { return nil }

// Validate names each contradiction, and accepts options without one.
func TestValidate(t *testing.T) {
	minus2 := -2
	for name, test := range map[string]struct {
		opts *Options
		want []string // texts of the lines of the error, in order
	}{
		"nil":  {nil, nil},
		"zero": {&Options{}, nil},
		"all that goes together": {&Options{
			Executable: "kimi", ExtraArgs: []string{"--debug", "-"}, Env: map[string]string{"A": "b", "UNSET": ""},
			ModifyCmd: func(*exec.Cmd) {}, WorkDir: ".", AddDirs: []string{"."}, ShareDir: ".", SessionID: "s1",
			ConfigFile: "c.toml", Model: "m", Thinking: new(bool), Plan: true, Agent: "okabe",
			MCPConfigFiles: []string{"m.json"}, MCPServers: map[string]config.MCPServer{"s": {Command: "true"}}, SkillsDirs: []string{"."},
			MaxStepsPerTurn: 1, MaxRetriesPerStep: 1, MaxRalphIterations: new(int),
			Approve: ApproveAll, Answer: answer, SupportsQuestion: true, SupportsPlanMode: true,
			Tools: []Tool{testTool(t, "a"), testTool(t, "b")}, Hooks: []Hook{{Event: "Stop", Handle: allow}, {Event: "Stop", Handle: allow}},
			OnMessage: func(wireproto.Message) {}, StartTimeout: 1, IdleTimeout: 1, StopGrace: 1, MaxLine: 1,
		}, nil},
		"Config and ConfigFile":     {&Options{Config: &config.Config{}, ConfigFile: "c.toml"}, []string{"Config and ConfigFile together"}},
		"Agent and AgentFile":       {&Options{Agent: "okabe", AgentFile: "a.yaml"}, []string{"Agent and AgentFile together"}},
		"Yolo and Approve":          {&Options{Yolo: true, Approve: ApproveAll}, []string{"Yolo and Approve together"}},
		"AFK and the rest":          {&Options{AFK: true, Approve: ApproveAll, Answer: answer, SupportsQuestion: true}, []string{"AFK and Answer together", "AFK and Approve together", "AFK and SupportsQuestion together"}},
		"Transport and ModifyCmd":   {&Options{Transport: noTransport{}, ModifyCmd: func(*exec.Cmd) {}}, []string{"Transport and ModifyCmd together"}},
		"plan mode alone":           {&Options{SupportsPlanMode: true}, []string{"SupportsPlanMode needs Answer or SupportsQuestion"}},
		"plan mode and Answer":      {&Options{SupportsPlanMode: true, Answer: answer}, nil},
		"Config":                    {&Options{Config: &config.Config{DefaultModel: "none"}}, []string{"Config: "}},
		"SessionID":                 {&Options{SessionID: "../x"}, []string{"SessionID: "}},
		"Model":                     {&Options{Model: "--yolo"}, []string{`Model "--yolo" starts with a dash`}},
		"Env":                       {&Options{Env: map[string]string{"": "x", "A=B": "x", "C\x00": "x", "D": "\x00", "E": "fine"}}, []string{`"" cannot`, `"A=B" cannot`, `"C\x00" cannot`, `"D" cannot`}},
		"ExtraArgs":                 {&Options{ExtraArgs: []string{"--session=x", "-S", "--print"}}, []string{"--print cannot be used here; use Prompt", "--session cannot be used here; use Options.SessionID", "-S cannot be used here"}},
		"ExtraArgs, joined":         {&Options{ExtraArgs: []string{"-Sabc", "-w/tmp", "-y"}}, []string{"-S cannot be used here", "-w cannot be used here", "-y cannot be used here; use Options.Yolo"}},
		"ExtraArgs, unasked":        {&Options{ExtraArgs: []string{"--yolo", "--yes", "--auto-approve", "--afk"}}, []string{"--afk cannot be used here; use Options.AFK", "--auto-approve cannot", "--yes cannot", "--yolo cannot be used here; use Options.Yolo"}},
		"Config.DefaultYolo":        {&Options{Config: &config.Config{DefaultYolo: true}, Approve: ApproveAll}, []string{"Config.DefaultYolo and Approve together: nothing would be asked"}},
		"Config.DefaultYolo alone":  {&Options{Config: &config.Config{DefaultYolo: true}}, nil},
		"MCPServers":                {&Options{MCPServers: map[string]config.MCPServer{"s": {}}}, []string{"MCPServers: "}},
		"Tools":                     {&Options{Tools: []Tool{{}, testTool(t, "a"), testTool(t, "a")}}, []string{`two have the name "a"`, "Tools[0] was not made by NewTool"}},
		"Hooks":                     {&Options{Hooks: []Hook{{}, {Handle: allow}, {Event: "SessionEnd", Handle: allow}, {Event: "Stop", Handle: allow, Timeout: -1}}}, []string{"Hooks[0] has no Handle", "Hooks[1] has no Event", "Hooks[2]: kimi never sends SessionEnd", "Hooks[3] has a negative Timeout"}},
		"Hooks with one ID":         {&Options{Hooks: []Hook{{ID: "x", Event: "Stop", Handle: allow}, {ID: "x", Event: "Stop", Handle: allow}}}, []string{`two have the ID "x"`}},
		"Hooks with a made-up ID":   {&Options{Hooks: []Hook{{ID: "hook-1", Event: "Stop", Handle: allow}, {Event: "Stop", Handle: allow}}}, []string{`two have the ID "hook-1"`}},
		"Hooks with a matcher":      {&Options{Hooks: []Hook{{Event: "Stop", Handle: allow, Matcher: "*"}, {Event: "Stop", Handle: allow, Matcher: "Shell|*"}, {Event: "Stop", Handle: allow, Matcher: "(?!Shell)"}, {Event: "Stop", Handle: allow, Matcher: `^\pL|$`}}}, []string{`Hooks[0]: the Matcher "*" is not a regular expression of Go: `, `Hooks[1]: the Matcher "Shell|*" is`, `Hooks[2]: the Matcher "(?!Shell)" is`}},
		"negative numbers":          {&Options{MaxStepsPerTurn: -1, MaxRetriesPerStep: -1, StartTimeout: -1, IdleTimeout: -1, StopGrace: -1, MaxLine: -1}, []string{"IdleTimeout is", "MaxLine is", "MaxRetriesPerStep is", "MaxStepsPerTurn is", "StartTimeout is", "StopGrace is"}},
		"MaxRalphIterations":        {&Options{MaxRalphIterations: &minus2}, []string{"MaxRalphIterations is below -1"}},
		"many things, each by name": {&Options{Yolo: true, Approve: ApproveAll, Model: "-", MaxLine: -5}, []string{"MaxLine", "Model", "Yolo"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.opts.Validate()
			if test.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Errorf("%d lines instead of %d:\n%v", len(lines), len(test.want), err)
			}
			for i, want := range test.want[:min(len(lines), len(test.want))] {
				if !strings.HasPrefix(lines[i], "client: options: ") || !strings.Contains(lines[i], want) {
					t.Errorf("line %d: %s", i, lines[i])
				}
			}
			for entry, start := range map[string]func() error{
				"NewSession":    func() error { _, err := NewSession(t.Context(), test.opts); return err },
				"ResumeSession": func() error { _, err := ResumeSession(t.Context(), "", test.opts); return err },
				"ListSessions":  func() error { _, err := ListSessions(test.opts); return err },
				"Inspect":       func() error { _, err := Inspect(t.Context(), test.opts); return err },
			} {
				if got := start(); got == nil || got.Error() != err.Error() {
					t.Errorf("%s: %v", entry, got)
				}
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	given := &Options{StopGrace: 1, Tools: []Tool{testTool(t, "a")}, Hooks: []Hook{{Event: "Stop", Handle: allow}}, Env: map[string]string{"A": "b"}}
	got, err := given.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if got.StartTimeout != 2*time.Minute || got.StopGrace != 1 || got.IdleTimeout != 0 || got.MaxLine != 100<<20 || got.Logger == nil {
		t.Errorf("%+v", got)
	}
	if given.Logger != nil || given.StartTimeout != 0 {
		t.Error("the caller's Options were changed")
	}
	given.Tools[0], given.Hooks[0] = Tool{}, Hook{} // the caller changes its own slices
	if got.Tools[0].name != "a" || got.Hooks[0].Event != "Stop" {
		t.Error("the session would see what the caller changes later")
	}
	var none *Options
	if got, err := none.withDefaults(); err != nil || got.StopGrace != 5*time.Second {
		t.Errorf("nil: %+v, %v", got, err)
	}
}

func TestSessionID(t *testing.T) {
	for id, ok := range map[string]bool{
		"my-id": true, "a": true, "0b5c9f6e-5b0a-4f0e-8d8e-3f8d2b7f8a11": true, "Größe": true, "a b": true, "a.b": true,
		strings.Repeat("x", 128): true, strings.Repeat("x", 129): false,
		"": false, " ": false, " a": false, "a ": false, ".": false, "..": false, ".a": false, "-a": false, "--yolo": false,
		"a/b": false, "/a": false, "a/": false, `a\b`: false, "../a": false, "a\nb": false, "a\x00b": false, "a\x7fb": false, "\xff": false,
	} {
		if err := validSessionID(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		} else if err != nil && len(err.Error()) > 300 {
			t.Errorf("%q: a long error: %v", id, err)
		}
	}
	seen := make(map[string]bool)
	for range 1000 {
		id := newUUID()
		if seen[id] || validSessionID(id) != nil || len(id) != 36 || id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) {
			t.Fatalf("not a new UUID, version 4: %s", id)
		}
		seen[id] = true
	}
}

// launched returns the launch of options with a new work dir and a new share dir.
func launched(t *testing.T, o *Options) *launch {
	t.Helper()
	if o.WorkDir == "" {
		o.WorkDir = t.TempDir()
	}
	if o.ShareDir == "" {
		o.ShareDir = t.TempDir()
	}
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLaunch(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.secrets.remove(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestArgs(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	yes, no, forever := true, false, -1
	for name, test := range map[string]struct {
		opts Options
		want []string // the arguments after the work dir
	}{
		"none":           {Options{}, nil},
		"AddDirs":        {Options{AddDirs: []string{absolute("/a"), "b"}}, []string{"--add-dir", absolute("/a"), "--add-dir", filepath.Join(wd, "b")}},
		"ConfigFile":     {Options{ConfigFile: "c.json"}, []string{"--config-file", filepath.Join(wd, "c.json")}},
		"Model":          {Options{Model: "m"}, []string{"--model", "m"}},
		"thinking":       {Options{Thinking: &yes}, []string{"--thinking"}},
		"no thinking":    {Options{Thinking: &no}, []string{"--no-thinking"}},
		"run modes":      {Options{Yolo: true, AFK: true, Plan: true}, []string{"--yolo", "--afk", "--plan"}},
		"Agent":          {Options{Agent: "okabe"}, []string{"--agent", "okabe"}},
		"AgentFile":      {Options{AgentFile: "a.yaml"}, []string{"--agent-file", filepath.Join(wd, "a.yaml")}},
		"MCPConfigFiles": {Options{MCPConfigFiles: []string{absolute("/m.json"), "n.json"}}, []string{"--mcp-config-file", absolute("/m.json"), "--mcp-config-file", filepath.Join(wd, "n.json")}},
		"SkillsDirs":     {Options{SkillsDirs: []string{absolute("/s"), "t"}}, []string{"--skills-dir", absolute("/s"), "--skills-dir", filepath.Join(wd, "t")}},
		"loop control": {Options{MaxStepsPerTurn: 1, MaxRetriesPerStep: 2, MaxRalphIterations: &forever},
			[]string{"--max-steps-per-turn", "1", "--max-retries-per-step", "2", "--max-ralph-iterations", "-1"}},
		"ExtraArgs": {Options{Yolo: true, ExtraArgs: []string{"--debug"}}, []string{"--yolo", "--debug"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := launched(t, &test.opts)
			got, err := l.args("s1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{"--wire", "--session", "s1", "--work-dir", l.workDir}, test.want...), got); diff != "" {
				t.Error(diff)
			}
			if l.secrets.dir != nil {
				t.Errorf("a temporary directory for nothing: %s", l.secrets.dir.Path)
			}
		})
	}
}

// Values that may hold a secret are written to files that only this user can read.
func TestArgsSecrets(t *testing.T) {
	const key = "sk-very-secret"
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TMP", os.Getenv("TMPDIR")) // the name of the variable on Windows
	l := launched(t, &Options{
		Config: &config.Config{
			DefaultModel: "m",
			Providers:    map[string]config.Provider{"p": {Type: config.ProviderKimi, BaseURL: "https://example.com", APIKey: key}},
			Models:       map[string]config.Model{"m": {Provider: "p", Model: "m", MaxContextSize: 1000}},
		},
		MCPServers: map[string]config.MCPServer{"s": {URL: "https://example.com/mcp", Auth: key}},
	})
	own := filepath.Join(l.shareDir, "mcp.json")
	if err := os.WriteFile(own, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	args, err := l.args("s1")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"--config-file", filepath.Join(l.secrets.dir.Path, "config.toml"), "--mcp-config-file", own, "--mcp-config-file", filepath.Join(l.secrets.dir.Path, "mcp.json")}
	if diff := cmp.Diff(want, args[5:]); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(strings.Join(args, " "), key) {
		t.Error("a secret is in the arguments")
	}
	for _, path := range []string{args[6], args[10]} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), key) {
			t.Errorf("%s: %s", path, data)
		}
		for _, p := range []string{path, filepath.Dir(path)} {
			if info, err := os.Stat(p); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v, %v", p, info.Mode(), err)
			}
		}
	}
	for range 2 {
		if err := l.secrets.remove(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// The files with secrets are also removed if the start fails.
func TestSecretsGone(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TMP", os.Getenv("TMPDIR")) // the name of the variable on Windows
	for name, transport := range map[string]Transport{"refuses": noTransport{}, "panics": panics{}} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := recover(); (v != nil) != (name == "panics") {
					t.Errorf("panic: %v", v)
				}
				if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) != 0 {
					t.Errorf("left: %v", left)
				}
			}()
			s, err := NewSession(t.Context(), &Options{Transport: transport, WorkDir: ".", ShareDir: ".", Config: &config.Config{}})
			if s != nil || err == nil {
				t.Errorf("%v, %v", s, err)
			}
		})
	}
}

type panics struct{}

func (panics) Start(context.Context, *Command) (Conn, error) { panic("oops") }

func TestEnv(t *testing.T) {
	t.Setenv("KEPT", "kept")
	t.Setenv("CHANGED", "old")
	t.Setenv("UNSET", "old")
	t.Setenv("PWD", "/elsewhere")
	t.Setenv("KIMI_SHARE_DIR", "/inherited")
	o := &Options{Env: map[string]string{"CHANGED": "new", "UNSET": "", "ADDED": "x=y", "NEVER": ""}, ShareDir: "share"}
	l := launched(t, o)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, entry := range l.env {
		key, value, _ := strings.Cut(entry, "=")
		if _, twice := got[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		got[key] = value
	}
	for key, want := range map[string]string{"KEPT": "kept", "CHANGED": "new", "ADDED": "x=y", "PWD": l.workDir, "KIMI_SHARE_DIR": filepath.Join(wd, "share")} {
		if got[key] != want || l.getenv(key) != want {
			t.Errorf("%s: %q, %q by getenv", key, got[key], l.getenv(key))
		}
	}
	for _, key := range []string{"UNSET", "NEVER"} {
		if value, ok := got[key]; ok || l.getenv(key) != "" {
			t.Errorf("%s is there: %q", key, value)
		}
	}
	if l.shareDir != filepath.Join(wd, "share") {
		t.Errorf("shareDir: %s", l.shareDir)
	}
}

func TestShareDir(t *testing.T) {
	t.Setenv("KIMI_SHARE_DIR", "/inherited")
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"inherited": {nil, "/inherited"},
		"Env":       {map[string]string{"KIMI_SHARE_DIR": "/mine"}, "/mine"},
		"unset":     {map[string]string{"KIMI_SHARE_DIR": "", "HOME": "/home/me", "USERPROFILE": "/home/me"}, filepath.FromSlash("/home/me/.kimi")},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := newLaunch(&Options{Env: test.env})
			if err != nil {
				t.Fatal(err)
			}
			if l.shareDir != test.want {
				t.Errorf("%s", l.shareDir)
			}
		})
	}
}

// A relative work dir is resolved against the physical current directory. An absolute one is not changed.
func TestWorkDir(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.MkdirAll(filepath.Join(dir, "real", "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Skip("no symbolic links:", err)
	}
	if _, err := os.Readlink(link); err != nil {
		t.Skip("a symbolic link cannot be read")
	}
	t.Chdir(link)
	for given, want := range map[string]string{
		"": dir + "/real", ".": dir + "/real", "sub": dir + "/real/sub", "./sub/..": dir + "/real",
		link: link, link + "/sub/": link + "/sub", link + "/./sub/..": link,
	} {
		l, err := newLaunch(&Options{WorkDir: given})
		if err != nil {
			t.Fatal(err)
		}
		if l.workDir != filepath.FromSlash(want) {
			t.Errorf("%q: %s", given, l.workDir)
		}
	}
}

// Missing files and directories are reported before kimi is started.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	if err := launched(t, &Options{WorkDir: dir, AddDirs: []string{dir}, SkillsDirs: []string{dir}, ConfigFile: file, AgentFile: file, MCPConfigFiles: []string{file}}).check(); err != nil {
		t.Error(err)
	}
	err := launched(t, &Options{WorkDir: none, AddDirs: []string{dir, file}, SkillsDirs: []string{none}, ConfigFile: none, AgentFile: dir, MCPConfigFiles: []string{file, none}}).check()
	if err == nil {
		t.Fatal("no error")
	}
	var got []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		got = append(got, strings.Join(strings.SplitN(line, ":", 3)[:2], ":"))
	}
	want := []string{"client: Options.WorkDir", "client: Options.AddDirs", "client: Options.SkillsDirs", "client: Options.ConfigFile", "client: Options.AgentFile", "client: Options.MCPConfigFiles"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Error("not ErrNotExist")
	}
}

func TestOverlay(t *testing.T) {
	got := overlay([]string{"A=1", "B=2", "A=3", "=C:=C:\\", "EMPTY="}, map[string]string{"A": "4", "D": "5", "B": "", "NONE": ""})
	slices.Sort(got)
	if diff := cmp.Diff([]string{"=C:=C:\\", "A=4", "D=5", "EMPTY="}, got); diff != "" {
		t.Error(diff)
	}
}
