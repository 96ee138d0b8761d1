package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

var (
	edit  = clienttest.ToolCall("t1", "StrReplaceFile", map[string]any{"path": "a.txt", "edit": map[string]string{"old": "Hello", "new": "Bye"}})
	shell = clienttest.ToolCall("t2", "Shell", map[string]any{"command": "echo from the shell"})
)

// One turn runs, the session is listed, its history is shown, and a second turn runs in the same session.
func TestPromptAndResume(t *testing.T) {
	t.Parallel()
	d := newDemo(t,
		"think: Let me see.\ntext: I change it.\nusage: {\"input_other\": 1000, \"output\": 20}\n"+edit, shell, "text: Done.",
		"text: Again.")
	if err := os.WriteFile(filepath.Join(d.work, "a.txt"), []byte("Hello\nworld\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := d.run(t, "", "prompt", "--config", d.config, "--session", "my-id", "--answer", "y", "Change", "it")
	r.check(t, 0,
		[]string{"(thinking) Let me see.\nI change it.\n• StrReplaceFile a.txt", "? StrReplaceFile wants to edit a file", "- Hello", "+ Bye", "  world",
			"allowed by --answer", "• Shell echo from the shell", "$ echo from the shell", "└ from the shell", "Done.\n"},
		[]string{"finished: 3 steps, 1,020 tokens (1,000 in, 20 out), session my-id; go on with: " + program + " resume --config " + d.config + " my-id\n"})
	if got, _ := os.ReadFile(filepath.Join(d.work, "a.txt")); string(got) != "Bye\nworld\n" {
		t.Errorf("a.txt is %q", got)
	}
	if strings.Contains(r.stdout, "\x1b") {
		t.Errorf("styles without a terminal: %q", r.stdout)
	}

	r = d.run(t, "", "sessions")
	r.check(t, 0, []string{"ID     AGE  TURNS  TITLE\n", "my-id  now  1      Change it\n"}, nil)
	r = d.run(t, "", "sessions", "--json")
	var list []struct{ ID, Title, WorkDir string }
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || len(list) != 1 || list[0].ID != "my-id" || list[0].Title != "Change it" {
		t.Errorf("sessions --json: %v\n%s", err, r.stdout)
	}

	r = d.run(t, "", "resume", "my-id", "--config", d.config)
	r.check(t, 0, []string{"> Change it\n", "I change it.", "• StrReplaceFile a.txt", "+ Bye", "Done.\n"}, nil)
	r = d.run(t, "", "resume", "--config", d.config, "--last", "Once", "more")
	// In a new process, the scripts begin again with the first.
	r.check(t, 4, []string{"I change it."}, []string{"rejected", "there is no terminal", "--answer y", "finished", "session my-id"})
}

// A session that keeps yolo mode is not continued without --yolo. The hint is the whole command that continues it.
func TestResumeKeptMode(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "text: one")
	where := []string{"--config", d.config, "--work-dir", d.work, "--share-dir", d.share}
	d.run(t, "", append([]string{"prompt", "--slash", "--session", "my-id", "/yolo"}, where...)...).check(t, 0, nil, []string{"finished"})
	r := d.run(t, "", append([]string{"resume", "--plain", "my-id", "hello"}, where...)...)
	r.check(t, 1, nil, []string{"the session keeps yolo mode", "hint: to continue it: " + program + " resume --yolo --plain --work-dir " + d.work + " --share-dir " + d.share + " --config " + d.config + " my-id; in the chat"})
}

// With --json, standard output has only messages, including the requests of the agent.
func TestJSON(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "text: <Hi> & \"you\"\n"+shell, "text: Done.")
	image := filepath.Join(d.work, "dot.png")
	if err := os.WriteFile(image, []byte("\x89PNG\x0D\x0A\x1A\x0A and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := d.run(t, "from\nstdin\n", "prompt", "--config", d.config, "--json", "--answer", "y", "--image", image, "-")
	r.check(t, 0, []string{"<Hi> &"}, []string{"finished: 2 steps"})
	var kinds []string
	for line := range strings.Lines(r.stdout) {
		m, err := wireproto.UnmarshalMessage([]byte(line))
		if err != nil {
			t.Fatalf("not a message: %s: %v", line, err)
		}
		kinds = append(kinds, m.MessageType())
		switch m := m.(type) {
		case *wireproto.UnknownMessage:
			t.Errorf("unknown message %s", line)
		case *wireproto.TurnBegin:
			if m.UserInput.String() != "from\nstdin" || len(m.UserInput.Parts) != 2 || !strings.HasPrefix(m.UserInput.Parts[1].(*wireproto.ImageURLPart).ImageURL.URL, "data:image/png;base64,") {
				t.Errorf("input %s", line)
			}
		case *wireproto.ApprovalRequest:
			if m.Sender != "Shell" || len(m.Display) != 1 {
				t.Errorf("request %s", line)
			}
		}
	}
	if got := strings.Join(kinds, " "); !regexp.MustCompile("^TurnBegin StepBegin .*ApprovalRequest .*ToolResult .*TurnEnd$").MatchString(got) {
		t.Errorf("messages: %s", got)
	}
	if !strings.Contains(r.stdout, `"output":"from the shell\n"`) {
		t.Errorf("the shell has not run:\n%s", r.stdout)
	}
}

// If no one can be asked, nothing is allowed.
func TestRejected(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args           []string
		code           int
		stdout, stderr []string
	}{
		"no terminal": {nil, 4, []string{"Rejected by user"}, []string{"rejected, because there is no terminal", "finished: 1 step"}},
		"json":        {[]string{"--json"}, 4, []string{`"reject"`}, []string{"rejected, because --json", "finished: 1 step"}},
		"answer n":    {[]string{"--answer", "n"}, 0, []string{"rejected by --answer"}, []string{"finished: 1 step"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDemo(t, shell, "text: not reached")
			r := d.run(t, "", append([]string{"prompt", "--config", d.config, "x"}, tt.args...)...)
			r.check(t, tt.code, tt.stdout, tt.stderr)
			if strings.Contains(r.stderr, "hint: ") {
				t.Errorf("it is told twice:\n%s", r.stderr)
			}
			if strings.Contains(r.stdout, "not reached") {
				t.Errorf("the turn went on:\n%s", r.stdout)
			}
		})
	}
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		scripts []string
		args    []string
		code    int
		stdout  string
		stderr  []string
	}{
		"yolo quiet": {[]string{"text: one\n" + shell, "text: two"}, []string{"--yolo", "-q"}, 0, "one\ntwo\n", []string{"finished: 2 steps"}},
		"max steps":  {[]string{"text: one\n" + shell, "text: two"}, []string{"--yolo", "-q", "--max-steps", "1"}, 3, "one\n", []string{"stopped at the limit of steps", "limit of steps\nhint: raise --max-steps"}},
		"provider":   {[]string{"error: 401 bad key"}, []string{"-q"}, 1, "", []string{"failed: 1 step", "the model's provider failed", "bad key", "hint: "}},
		"no config":  {nil, []string{"--config", "nope.toml"}, 1, "", []string{"--config: ", "nope.toml", "hint: "}},
		"no session": {nil, nil, 1, "", []string{"no such session", "hint: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDemo(t, tt.scripts...)
			args := append([]string{"prompt", "--config", d.config, "x"}, tt.args...)
			if name == "no session" {
				args = []string{"resume", "nope"}
			}
			r := d.run(t, "", args...)
			r.check(t, tt.code, nil, tt.stderr)
			if r.stdout != tt.stdout {
				t.Errorf("stdout %q, want %q", r.stdout, tt.stdout)
			}
			if tt.code != 0 {
				r.errorLine(t)
			}
		})
	}
}

func TestImages(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	write := func(name string, size int64, head string) string {
		path := filepath.Join(d.work, name)
		if err := os.WriteFile(path, []byte(head), 0o600); err != nil {
			t.Fatal(err)
		}
		if size > 0 {
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	for name, tt := range map[string]struct{ path, want string }{
		"missing":   {filepath.Join(d.work, "nope.png"), "nope.png: "},
		"directory": {d.work, "is a directory"},
		"text":      {write("a.png", 0, "hello"), "is not an image but text/plain"},
		"empty":     {write("b.png", 0, ""), "is empty"},
		"large":     {write("c.png", maxImage+1, "\x89PNG\x0D\x0A\x1A\x0A"), "has more than 20 MB"},
	} {
		r := d.run(t, "", "prompt", "--image", tt.path, "x")
		t.Run(name, func(t *testing.T) {
			r.check(t, 1, nil, []string{"--image", tt.want, "hint: "})
			r.errorLine(t)
		})
	}
	big := write("d.png", maxImage, "\x89PNG\x0D\x0A\x1A\x0A")
	if _, err := images([]string{big, big, big, big}); err == nil || !strings.Contains(err.Error(), "together") {
		t.Errorf("four large images: %v", err)
	}
}

// A chat without a terminal runs a turn for each line. It exits with the status of the last turn.
func TestChatPiped(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "text: first answer", "error: 400 bad", "text: third answer", "error: 400 worse")
	r := d.run(t, "one\n\ntwo\nthree\nfour", "chat", "--config", d.config)
	r.check(t, 1, []string{"first answer\n", "third answer\n"},
		[]string{"finished: 1 step", "failed: 1 step", "the model's provider failed", "hint: ", "finished: 1 step", "failed", "worse", "go on with:", program + " resume"})
}
