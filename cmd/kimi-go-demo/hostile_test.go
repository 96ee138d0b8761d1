package main

import (
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/wireproto"
)

// evil is a text that fills the clipboard, clears the screen, reverses text, hides text, and imitates a line of this
// program.
const evil = "\x1b]52;c;eA\x07\u009b2J\u202e\u200b\u2028\u2029\ufeff\U000e0041\x7f\r\n" + program + ": forged\nhint: forged"

// hidden matches parts of evil that an output must not have.
var hidden = regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f-\u009f\u200b\u2028\u2029\u202e\ufeff\U000e0041]|(?m)^(" + program + "|hint): forged")

func harmless(t *testing.T, what, out string) {
	t.Helper()
	if !strings.Contains(out, "52;c;eA") {
		t.Errorf("%s does not show what came:\n%s", what, out)
	}
	if found := hidden.FindString(out); found != "" || !utf8.ValidString(out) {
		t.Errorf("%s has %q in it:\n%q", what, found, out)
	}
}

// hostile is a kimi whose every text is evil. The prompt says what it does.
func hostile() {
	dec, enc := wireproto.NewDecoder(os.Stdin), wireproto.NewEncoder(os.Stdout)
	event := func(m wireproto.Message) { enc.Encode(&wireproto.Frame{Method: wireproto.MethodEvent, Message: m}) }
	evil, one, prompt := evil, "1", ""
	for {
		f, err := dec.Decode()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			panic(err)
		case f.Method == wireproto.MethodInitialize:
			result, _ := json.Marshal(wireproto.InitializeResult{
				ProtocolVersion: "1.10", Server: wireproto.ServerInfo{Name: evil, Version: evil},
				SlashCommands: []wireproto.SlashCommand{{Name: evil, Description: evil, Aliases: []string{evil}}},
			})
			enc.Encode(&wireproto.Frame{ID: f.ID, Result: result})
		case f.Method == wireproto.MethodPrompt:
			var p wireproto.PromptParams
			json.Unmarshal(f.Params, &p)
			event(&wireproto.TurnBegin{UserInput: p.UserInput})
			event(&wireproto.StepBegin{N: 1})
			switch what := p.UserInput.String(); what {
			case "fail":
				enc.Encode(&wireproto.Frame{ID: f.ID, Error: &wireproto.RPCError{Code: -32003, Message: evil}})
				continue
			case "die":
				fmt.Fprint(os.Stderr, evil+"\x9b")
				os.Exit(3)
			case "babble":
				for _, m := range []wireproto.Message{
					&wireproto.SubagentEvent{ParentToolCallID: &evil, AgentID: &evil, SubagentType: &evil, Event: &wireproto.TextPart{Text: evil}},
					&wireproto.Notification{Severity: evil, Title: evil, Body: evil}, &wireproto.HookResolved{Event: evil, Target: evil, Action: wireproto.HookBlock, Reason: evil},
					&wireproto.BtwBegin{Question: evil}, &wireproto.PlanDisplay{FilePath: evil}, &wireproto.StepRetry{ErrorType: evil},
					&wireproto.ToolCall{ID: "2", Function: wireproto.ToolCallFunction{Name: evil, Arguments: &evil}},
					&wireproto.ToolResult{ToolCallID: "2", ReturnValue: wireproto.ToolReturnValue{Message: evil, Display: wireproto.DisplayBlocks{
						&wireproto.DiffDisplayBlock{Path: evil, NewText: "x"}, &wireproto.DiffDisplayBlock{Path: evil, OldText: evil, NewText: evil, IsSummary: true},
						&wireproto.BackgroundTaskDisplayBlock{TaskID: evil, Status: evil, Description: evil},
						&wireproto.TodoDisplayBlock{Items: []wireproto.TodoItem{{Title: evil}}}, &wireproto.UnknownDisplayBlock{Type: evil},
					}}},
					&wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: evil}}, &wireproto.UnknownMessage{Type: evil, Payload: json.RawMessage("{}")},
				} {
					event(m)
				}
			}
			prompt = f.ID
			args := os.Getenv("HOSTILE_ARGUMENTS")
			event(&wireproto.ToolCall{ID: one, Function: wireproto.ToolCallFunction{Name: "sql_query", Arguments: &args}})
			m := &wireproto.ApprovalRequest{ID: "r", ToolCallID: one, Sender: "sql_query", Action: "query" + evil, Description: "Call MCP tool", SubagentType: &evil}
			enc.Encode(&wireproto.Frame{Method: wireproto.MethodRequest, ID: "r", Message: m})
		case f.ID == "r":
			var a wireproto.ApprovalAnswer
			json.Unmarshal(f.Result, &a)
			event(&wireproto.TextPart{Text: "answered " + string(a.Response)})
			event(&wireproto.TurnEnd{})
			enc.Encode(&wireproto.Frame{ID: prompt, Result: json.RawMessage(`{"status":"finished"}`)})
		}
	}
}

func hostileDemo(t *testing.T, arguments string) *demo {
	d := bareDemo(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.fake(t, fmt.Sprintf("%s=hostile exec '%s'", programKey, self))
	d.setenv(map[string]string{"HOSTILE_ARGUMENTS": arguments})
	return d
}

// The text of an agent never controls the terminal, wherever the text is on the screen.
func TestHostileAgent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		stderr bool // stderr has some of the text, and stdout has none
	}{
		{"rejected", []string{"prompt", "--quiet", "x"}, 0, true},
		{"provider", []string{"prompt", "fail"}, 1, true},
		{"dying", []string{"prompt", "die"}, 1, true},
		{"babble", []string{"prompt", "--answer", "n", "babble"}, 0, false},
		{"babble in JSON", []string{"prompt", "--json", "--answer", "n", "babble"}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := hostileDemo(t, `{}`).run(t, "", tt.args...)
			r.check(t, r.code, nil, nil)
			if tt.code == 1 && r.code != 1 {
				t.Errorf("exit status %d", r.code)
			}
			if tt.stderr {
				harmless(t, "stderr", r.stderr)
				r.stdout += "52;c;eA"
			}
			harmless(t, "stdout", r.stdout)
		})
	}
}

// The command's own messages about arguments and files do not control the terminal.
func TestHostileArguments(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	evil := evil + "\x9b"
	d.writeConfig(t, "default_model = \"m\"\n[models.m]\nprovider = \"p\"\nmodel = "+fmt.Sprintf("%q", "52;c;eA\u202e\u200b\u0085\n"+program+": forged")+"\nmax_context_size = 1\n[providers.p]\ntype = \"kimi\"\napi_key = \"k\"\nbase_url = \"http://h\"\n")
	for i, args := range [][]string{
		{"--" + evil}, {evil}, {"prompt", "--" + evil, "x"}, {"prompt", "--max-steps", evil, "x"}, {"prompt", "--answer", evil, "x"}, {"prompt", "--session", evil, "x"},
		{"prompt", "--image", evil, "x"}, {"prompt", "--work-dir", evil, "x"}, {"prompt", "--config", evil, "x"}, {"prompt", "--kimi", evil, "x"}, {"prompt", "--record", "nope/" + evil, "x"},
		{"resume", evil}, {"replay", evil}, {"proxy", "--", evil}, {"doctor"}, {"doctor", "--config", evil}, {"doctor", "--kimi", evil},
		{"doctor", "--work-dir", evil}, {"doctor", "--share-dir", evil}, {"doctor", "--model", evil},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			r := d.run(t, "", args...)
			if r.code == 0 {
				t.Error("exit status 0")
			}
			harmless(t, "the output", r.stdout+r.stderr)
		})
	}
}

// A list of sessions has one line for each session.
func TestHostileSessions(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	work, err := filepath.EvalSymlinks(d.work)
	if err != nil {
		t.Fatal(err)
	}
	d.work = work
	dir := sessionsDir(d.share, work)
	const id = "a\u202e\u200b52;c;eA"
	title, _ := json.Marshal(map[string]string{"custom_title": evil})
	for name, data := range map[string]string{
		filepath.Join(d.share, "kimi.json"):         fmt.Sprintf(`{"work_dirs":[{"path":%q,"kaos":"local"}]}`, work),
		filepath.Join(dir, id, "context.jsonl"):     `{"role":"user"}` + "\n",
		filepath.Join(dir, id, "state.json"):        string(title),
		filepath.Join(dir, "good", "context.jsonl"): `{"role":"user"}` + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := d.run(t, "", "sessions")
	harmless(t, "the list", r.stdout)
	if n := strings.Count(r.stdout, "\n"); n != 3 {
		t.Errorf("%d lines, want 3:\n%s", n, r.stdout)
	}
	r = d.run(t, "", "sessions", "--json")
	harmless(t, "the JSON", r.stdout)
	var list []struct{ ID string }
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || len(list) != 2 || list[0].ID != id && list[1].ID != id {
		t.Errorf("%v: %s", err, r.stdout)
	}
}

// A hostile recording is shown safely. As JSON, it has the same content as before.
func TestHostileReplay(t *testing.T) {
	t.Parallel()
	d := bareDemo(t)
	r := hostileDemo(t, `{"a":"b"}`)
	r.work = d.work
	path := filepath.Join(d.work, "rec.jsonl")
	live := r.run(t, "", "prompt", "--json", "--answer", "y", "--record", path, "babble")
	live.check(t, 0, nil, nil)
	harmless(t, "stdout", live.stdout)
	harmless(t, "replay", d.run(t, "", "replay", path).stdout)
	again := d.run(t, "", "replay", "--json", path)
	harmless(t, "replay --json", again.stdout)
	messages := func(out string) (list []wireproto.Message) {
		for line := range strings.Lines(out) {
			m, err := wireproto.UnmarshalMessage([]byte(line))
			if err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if a, ok := m.(*wireproto.SubagentEvent); ok && *a.AgentID != evil {
				t.Errorf("an id has become %q", *a.AgentID)
			}
			list = append(list, m)
		}
		return list
	}
	if diff := cmp.Diff(messages(live.stdout), messages(again.stdout)); diff != "" {
		t.Errorf("replay --json (-live +replay):\n%s", diff)
	}
}

// sessionsDir returns the folder in which kimi-cli keeps the sessions of a work dir.
func sessionsDir(share, work string) string {
	return filepath.Join(share, "sessions", fmt.Sprintf("%x", md5.Sum([]byte(work))))
}
