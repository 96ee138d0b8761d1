package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

// These are the helpers of the kimi_*_test.go files, which use the real kimi to test turns, requests, tools and errors.

// e2eCtx returns a ctx that limits every wait of a test.
func e2eCtx(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// e2eStart starts a session and closes it at the end of the test. Its StopGrace is long enough for a busy machine.
func e2eStart(t testing.TB, ctx context.Context, opts *client.Options) *client.Session {
	t.Helper()
	opts.StopGrace = 30 * time.Second
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// e2eRead reads a turn to its end, and calls each with every message. each may be nil.
func e2eRead(turn *client.Turn, each func(wireproto.Message)) (msgs []wireproto.Message, err error) {
	for msg, err := range turn.Messages() {
		if err != nil {
			return msgs, err
		}
		msgs = append(msgs, msg)
		if each != nil {
			each(msg)
		}
	}
	return msgs, nil
}

// e2eTurn runs a turn. The turn must finish.
func e2eTurn(t testing.TB, ctx context.Context, s *client.Session, text string, each func(wireproto.Message)) []wireproto.Message {
	t.Helper()
	turn, err := s.Prompt(ctx, text)
	if err != nil {
		t.Fatalf("prompt %q: %v", text, err)
	}
	msgs, err := e2eRead(turn, each)
	if err != nil {
		t.Fatalf("turn %q: %v\nafter %v", text, err, e2eTypes(msgs))
	}
	if res, err := turn.Result(); err != nil || res.Status != wireproto.StatusFinished {
		t.Fatalf("turn %q: result %+v, %v, want finished", text, res, err)
	}
	return msgs
}

// e2eText runs a turn. The turn must finish with the text want.
func e2eText(t testing.TB, ctx context.Context, s *client.Session, prompt, want string) {
	t.Helper()
	turn, err := s.Prompt(ctx, prompt)
	if err != nil {
		t.Fatalf("prompt %q: %v", prompt, err)
	}
	res, err := turn.Result()
	if err != nil || res.Text != want {
		t.Fatalf("turn %q: %+v, %v, want the text %q", prompt, res, err, want)
	}
}

func e2eTypes(msgs []wireproto.Message) []string {
	var types []string
	for _, m := range msgs {
		types = append(types, m.MessageType())
	}
	return types
}

// e2eOf returns the messages of one type.
func e2eOf[M wireproto.Message](msgs []wireproto.Message) (found []M) {
	for _, m := range msgs {
		if m, ok := m.(M); ok {
			found = append(found, m)
		}
	}
	return found
}

// e2eResult returns the result of a tool call.
func e2eResult(t testing.TB, msgs []wireproto.Message, id string) wireproto.ToolReturnValue {
	t.Helper()
	for _, r := range e2eOf[*wireproto.ToolResult](msgs) {
		if r.ToolCallID == id {
			return r.ReturnValue
		}
	}
	t.Fatalf("no result of the tool call %s in %v", id, e2eTypes(msgs))
	return wireproto.ToolReturnValue{}
}

// e2eContext returns the files in which kimi has written the model's context of the session.
func e2eContext(t testing.TB, opts *client.Options, s *client.Session) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(opts.ShareDir, "sessions", "*", s.ID(), "context.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("context files: %q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// say joins the lines of a script.
func say(lines ...string) string { return strings.Join(lines, "\n") }

// shell returns the script line of a call of the tool Shell.
func shell(id, command string) string {
	return clienttest.ToolCall(id, "Shell", map[string]string{"command": command})
}

func ptr[T any](v T) *T { return &v }

// e2eSame compares want and got.
func e2eSame(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, unmeasured); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func e2eIs(t testing.TB, what string, err error, want ...error) {
	t.Helper()
	plain(t, err)
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("%s: error %v, want %v", what, err, w)
		}
	}
}

// recv receives a value from a channel. The test fails if ctx ends first.
func recv[T any](t testing.TB, ctx context.Context, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-ctx.Done():
		t.Fatalf("%s: %v", what, context.Cause(ctx))
		panic("unreachable")
	}
}

func TestKimiMethods(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t,
		say("think: let me see", "text: hel", "text: lo", "id: m-1", "usage: input_other=10 output=2 input_cache_read=3"),
		say(shell("w-1", "echo one"), "usage: input_other=20 output=4"),
		say("text: after the steer"),
		say(shell("w-2", "echo two")),
		say("text: the end"),
	)
	outside := make(chan wireproto.Message, 16)
	opts.OnMessage = func(m wireproto.Message) { outside <- m }
	for _, name := range []string{"first_tool", "second-tool"} {
		tool, err := client.NewTool(name, "does nothing", func(context.Context, struct{}) (string, error) { return "", nil })
		if err != nil {
			t.Fatal(err)
		}
		opts.Tools = append(opts.Tools, tool)
	}
	opts.Hooks = []client.Hook{{Event: "Notification", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
		return client.Allow(), nil
	}}}
	s := e2eStart(t, ctx, opts)

	server := s.Server()
	e2eSame(t, "server", wireproto.ServerInfo{Name: "Kimi Code CLI", Version: "1.51.0"}, server.Server)
	e2eSame(t, "protocol", "1.10", server.ProtocolVersion)
	e2eSame(t, "tools", &wireproto.ExternalTools{Accepted: []string{"first_tool", "second-tool"}, Rejected: []wireproto.RejectedTool{}}, server.ExternalTools)
	if server.Hooks == nil || server.Hooks.Configured["Notification"] != 1 || len(server.Hooks.SupportedEvents) != 13 {
		t.Errorf("hooks: %+v, want 13 events and one hook of Notification", server.Hooks)
	}
	if server.Capabilities == nil || !server.Capabilities.SupportsQuestion {
		t.Errorf("capabilities: %+v", server.Capabilities)
	}
	commands := make(map[string]wireproto.SlashCommand)
	for _, c := range server.SlashCommands {
		commands[c.Name] = c
	}
	e2eSame(t, "/clear", wireproto.SlashCommand{Name: "clear", Description: "Clear the context", Aliases: []string{"reset"}}, commands["clear"])
	if _, ok := commands["compact"]; !ok {
		t.Error("no slash command compact")
	}
	if s.PID() <= 0 || s.Model() != "scripted" || s.ID() == "" || s.Err() != nil {
		t.Errorf("PID %d, model %q, id %q, err %v", s.PID(), s.Model(), s.ID(), s.Err())
	}

	// Outside of a turn there is nothing to steer, and a change of plan mode goes to OnMessage.
	e2eIs(t, "steer outside a turn", s.Steer(ctx, "left"), client.ErrNoTurn)
	for _, on := range []bool{true, false} {
		if got, err := s.SetPlanMode(ctx, on); err != nil || got != on {
			t.Errorf("SetPlanMode(%v) = %v, %v", on, got, err)
		}
		m := recv(t, ctx, "StatusUpdate", outside)
		if u, ok := m.(*wireproto.StatusUpdate); !ok || u.PlanMode == nil || *u.PlanMode != on {
			t.Errorf("outside: %#v, want a StatusUpdate with plan mode %v", m, on)
		}
		if got := s.Status().PlanMode; got != on {
			t.Errorf("Status().PlanMode = %v, want %v", got, on)
		}
	}

	// A turn that has only text reports its usage.
	first, err := s.Prompt(ctx, "hello")
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := e2eRead(first, nil)
	if err != nil {
		t.Fatal(err)
	}
	usage := wireproto.TokenUsage{InputOther: 10, Output: 2, InputCacheRead: 3}
	e2eSame(t, "first turn", []wireproto.Message{
		&wireproto.TurnBegin{UserInput: wireproto.Content{Text: "hello"}},
		&wireproto.StepBegin{N: 1},
		&wireproto.ThinkPart{Think: "let me see"},
		&wireproto.TextPart{Text: "hel"},
		&wireproto.TextPart{Text: "lo"},
		&wireproto.StatusUpdate{
			ContextUsage: ptr(0.00013), ContextTokens: ptr(13), MaxContextTokens: ptr(100000),
			TokenUsage: &usage, MessageID: ptr("m-1"), PlanMode: ptr(false),
		},
		&wireproto.TurnEnd{},
	}, msgs)
	for range 2 { // Result returns the same value each time
		res, err := first.Result()
		if err != nil {
			t.Error(err)
		}
		e2eSame(t, "first result", &client.TurnResult{Status: wireproto.StatusFinished, Steps: 1, Usage: usage, Text: "hello"}, res)
	}
	if msgs, err := e2eRead(first, nil); len(msgs) != 0 || err != nil {
		t.Errorf("a second loop over the turn gives %v, %v, want nothing", e2eTypes(msgs), err)
	}

	// While an approval waits, the loop may steer, change plan mode, and call methods that only return an error.
	msgs = e2eTurn(t, ctx, s, "run it", func(m wireproto.Message) {
		a, ok := m.(*client.ApprovalRequest)
		if !ok {
			return
		}
		if err := s.Steer(ctx, "turn left", &wireproto.TextPart{Text: " now"}); err != nil {
			t.Errorf("Steer: %v", err)
		}
		for _, on := range []bool{true, false} {
			// Do not check Status here: kimi may send the status of the step, with the old plan mode, after the answer.
			if got, err := s.SetPlanMode(ctx, on); err != nil || got != on {
				t.Errorf("SetPlanMode(%v) = %v, %v", on, got, err)
			}
		}
		if _, err := s.Prompt(ctx, "me too"); !errors.Is(err, client.ErrBusy) {
			t.Errorf("Prompt in a turn: %v, want ErrBusy", err)
		}
		for m, err := range s.Replay(ctx) {
			if m != nil || !errors.Is(err, client.ErrBusy) {
				t.Errorf("Replay in a turn: %v, %v, want ErrBusy", m, err)
			}
		}
		if err := first.Cancel(ctx); err != nil { // the first turn has ended, so Cancel must not touch this turn
			t.Errorf("Cancel of a turn that is over: %v", err)
		}
		if err := a.Approve(); err != nil {
			t.Errorf("Approve: %v", err)
		}
	})
	steered := e2eOf[*wireproto.SteerInput](msgs)
	want := wireproto.Content{Parts: []wireproto.ContentPart{&wireproto.TextPart{Text: "turn left"}, &wireproto.TextPart{Text: " now"}}}
	e2eSame(t, "steered", []*wireproto.SteerInput{{UserInput: want}}, steered)
	var plan []bool
	for _, u := range e2eOf[*wireproto.StatusUpdate](msgs) {
		if u.TokenUsage == nil && u.PlanMode != nil && u.MessageID == nil {
			plan = append(plan, *u.PlanMode)
		}
	}
	if len(plan) < 2 || !plan[0] || plan[1] {
		t.Errorf("plan mode in the turn's stream: %v, want true, false", plan)
	}
	if out := e2eResult(t, msgs, "w-1"); out.IsError || out.Output.String() != "one\n" {
		t.Errorf("tool: %+v", out)
	}
	if !strings.Contains(e2eContext(t, opts, s), "turn left") {
		t.Error("the model does not read the steer")
	}
	usage.Add(wireproto.TokenUsage{InputOther: 20, Output: 4})
	e2eSame(t, "usage of the session", usage, s.Status().Usage)

	// The next turn is independent: its call has a new id, and its approval is asked again.
	if n := len(e2eOf[*client.ApprovalRequest](e2eTurn(t, ctx, s, "again", approveAll(t)))); n != 1 {
		t.Errorf("%d approvals in the second turn, want 1", n)
	}
	select {
	case m := <-outside:
		t.Errorf("outside: %#v, want nothing more", m)
	default:
	}
}

// approveAll approves every request.
func approveAll(t testing.TB) func(wireproto.Message) {
	return func(m wireproto.Message) {
		if a, ok := m.(*client.ApprovalRequest); ok {
			if err := a.Approve(); err != nil {
				t.Errorf("Approve: %v", err)
			}
		}
	}
}

func TestKimiReplay(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	question := map[string]any{"questions": []any{map[string]any{"question": "Which?", "options": []any{map[string]string{"label": "A"}, map[string]string{"label": "B"}}}}}
	opts := clienttest.Kimi(t,
		say(`text: "one "`, "text: two", `tool_call: {"id":"r-1","name":"Shell","arguments":"{\"comm"}`,
			`tool_call_part: {"arguments_part":"and\":\"ec"}`, `tool_call_part: {"arguments_part":"ho 1\"}"}`, "usage: output=1"),
		say("think: hm", "think: m", clienttest.ToolCall("r-2", "count", map[string]int{"n": 2}), clienttest.ToolCall("r-3", "AskUserQuestion", question)),
		say("text: done"),
		say("text: second turn"),
	)
	calls := 0
	opts.SupportsQuestion = true
	opts.Tools = []client.Tool{mustTool(client.NewTool("count", "", func(_ context.Context, in struct {
		N int `json:"n"`
	}) (string, error) {
		calls++
		return strconv.Itoa(in.N), nil
	}))}
	s := e2eStart(t, ctx, opts)
	for range s.Replay(ctx) {
		t.Error("a new session has history")
	}

	// Run a turn and merge its messages. It makes one call at a time, so that the results have the order of the replay.
	var live []wireproto.Message
	parts := 0
	for _, prompt := range []string{"first", "second"} {
		turn, err := s.Prompt(ctx, prompt)
		if err != nil {
			t.Fatal(err)
		}
		counted := func(yield func(wireproto.Message, error) bool) {
			for m, err := range turn.Messages() {
				if _, ok := m.(*wireproto.ToolCallPart); ok {
					parts++
				}
				if !yield(m, err) {
					return
				}
			}
		}
		for m, err := range client.Merge(counted) {
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *client.ApprovalRequest:
				if err := m.Approve(); err != nil {
					t.Error(err)
				}
			case *wireproto.ApprovalResponse: // kimi stores neither of them
			case *client.QuestionRequest:
				if err := m.Answer(map[string]string{"Which?": "B"}); err != nil {
					t.Error(err)
				}
				live = append(live, &m.QuestionRequest)
			default:
				live = append(live, m)
			}
		}
	}
	if parts != 2 {
		t.Errorf("%d ToolCallParts came, want 2", parts)
	}
	call := e2eOf[*wireproto.ToolCall](live)[0]
	if got := *call.Function.Arguments; got != `{"command":"echo 1"}` {
		t.Errorf("merged arguments: %s", got)
	}
	if got := e2eOf[*wireproto.TextPart](live)[0].Text; got != "one two" {
		t.Errorf("merged text: %q", got)
	}

	var replayed []wireproto.Message
	for m, err := range s.Replay(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		replayed = append(replayed, m)
	}
	e2eSame(t, "replay", live, replayed)
	if len(e2eOf[*wireproto.QuestionRequest](replayed)) != 1 || len(e2eOf[*wireproto.ToolCallRequest](replayed)) != 1 {
		t.Errorf("the replay has no plain requests: %v", e2eTypes(replayed))
	}
	if calls != 1 {
		t.Errorf("the tool ran %d times, want 1: the replay must not run it", calls)
	}

	// A program may leave a replay or cancel it. The session stays usable.
	for range s.Replay(ctx) {
		break
	}
	gone, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var last error
	for _, err := range s.Replay(gone) {
		cancel(errEnough)
		last = err
	}
	if last != nil { // kimi may have sent the whole replay before it read the cancellation
		e2eIs(t, "cancelled replay", last, client.ErrCancelled, errEnough)
	}
	n := 0
	for _, err := range s.Replay(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != len(live) {
		t.Errorf("the last replay has %d messages, want %d", n, len(live))
	}
}

func mustTool(tool client.Tool, err error) client.Tool {
	if err != nil {
		panic(err)
	}
	return tool
}

// One session runs many turns: commands, unusual texts and empty prompts.
func TestKimiManyTurns(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	const turns = 25
	odd := []struct{ name, text string }{
		{"separators", "a\u2028b\u2029c\u0085d"},
		{"nul and controls", "nul\x00 bell\a cr\r tab\t end"},
		{"quotes", `"double" 'single' \back\slash\ \u0041 <html> & more`},
		{"emoji", "👩‍👩‍👧 é e\u0301 \U0010FFFF"},
		{"looks like a surrogate", `\ud800 \udc00 "\ud83d"`},
		{"a broken surrogate", "x\xed\xa0\x80y"},
		{"lines", "one\ntwo\r\nthree\n"},
		{"not a command", " /clear? no"},
	}
	var scripts []string
	for i := range turns {
		scripts = append(scripts, fmt.Sprintf("text: answer %d", i))
	}
	for range odd {
		scripts = append(scripts, clienttest.ToolCall("e-1", "echo", map[string]int{}), "text: ok")
	}
	scripts = append(scripts, "text: summary") // the answer to /compact
	opts := clienttest.Kimi(t, scripts...)
	var output string
	opts.Tools = []client.Tool{mustTool(client.NewTool("echo", "", func(context.Context, struct{}) (string, error) { return output, nil }))}
	opts.SlashCommands = true
	s := e2eStart(t, ctx, opts)

	// A text that is not a prompt gives an error before anything else happens.
	for _, text := range []string{"", " \n"} {
		if _, err := s.Prompt(ctx, text); err == nil || !strings.Contains(err.Error(), "empty prompt") {
			t.Errorf("Prompt(%q): %v", text, err)
		}
	}
	var noCtx context.Context
	if _, err := s.Prompt(noCtx, "x"); err == nil {
		t.Error("Prompt with a nil ctx: no error")
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Prompt(ended, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Prompt with a ctx that has ended: %v", err)
	}
	if _, err := s.Prompt(ctx, "x", &wireproto.UnknownPart{Type: "bogus"}); err == nil {
		t.Error("Prompt with an unknown part: no error, kimi would end")
	}
	e2eText(t, ctx, s, "/compact", "The context is empty.")

	for i := range turns {
		e2eText(t, ctx, s, fmt.Sprintf("turn %d", i), fmt.Sprintf("answer %d", i))
	}
	for _, tt := range odd {
		t.Run(tt.name, func(t *testing.T) {
			output = tt.text
			want := strings.ToValidUTF8(tt.text, "\ufffd\ufffd\ufffd")
			msgs := e2eTurn(t, ctx, s, tt.text, nil)
			e2eSame(t, "prompt", want, e2eOf[*wireproto.TurnBegin](msgs)[0].UserInput.Text)
			// From the second call on, kimi reminds the model that the call is a repetition. It does not do so across
			// turns.
			e2eSame(t, "output", want, e2eResult(t, msgs, "e-1").Output.Text)
		})
	}

	msgs := e2eTurn(t, ctx, s, "/compact", nil)
	e2eSame(t, "/compact", []string{"TurnBegin", "CompactionBegin", "CompactionEnd", "ContentPart", "StatusUpdate", "TurnEnd"}, e2eTypes(msgs))
	e2eText(t, ctx, s, "/clear", "The context has been cleared.")
	if s.Status().ContextTokens != 0 {
		t.Errorf("after /clear: %+v", s.Status())
	}
	e2eText(t, ctx, s, "/nonesuch", `Unknown slash command "/nonesuch".`)
	turn, err := s.Prompt(ctx, "one too many") // no script is left
	if err != nil {
		t.Fatal(err)
	}
	if res, err := turn.Result(); !errors.Is(err, client.ErrProvider) || res == nil {
		t.Errorf("after the last script: %+v, %v, want ErrProvider", res, err)
	}
}

// A text may be larger than the window of the stream, and larger than the text that a result keeps.
func TestKimiBigText(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	big := strings.Repeat("0123456789abcdé\n", 5<<20/17)
	big = strings.ReplaceAll(big, "\n", " ") + "end"
	part := strings.ToValidUTF8(big[:2<<20], "")
	large := "text: " + part
	opts := clienttest.Kimi(t, "text: "+big, large, large, large)
	model := opts.Config.Models["scripted"]
	model.MaxContextSize = 100_000_000 // otherwise kimi would compact the context
	opts.Config.Models["scripted"] = model
	s := e2eStart(t, ctx, opts)
	turn, err := s.Prompt(ctx, "go")
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := e2eRead(turn, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := e2eOf[*wireproto.TextPart](msgs)[0].Text; text != big {
		t.Errorf("a text of %d bytes came, want %d", len(text), len(big))
	}
	res, err := turn.Result()
	if want := strings.ToValidUTF8(big[:4<<20], ""); err != nil || res.Text != want {
		t.Errorf("Result has %d bytes, %v, want the first %d", len(res.Text), err, len(want))
	}
	// A loop calls SetPlanMode while the rest of its replay waits.
	for range 3 {
		e2eTurn(t, ctx, s, "more", nil)
	}
	n, size := 0, 0
	for m, err := range s.Replay(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			<-time.After(500 * time.Millisecond) // kimi writes as much as fits in this time
			short, cancel := context.WithTimeout(ctx, 20*time.Second)
			if _, err := s.SetPlanMode(short, false); err != nil {
				t.Errorf("SetPlanMode in the replay: %v", err)
			}
			cancel()
		}
		if text, ok := m.(*wireproto.TextPart); ok {
			size += len(text.Text)
		}
	}
	if want := len(big) + 3*len(part); size != want {
		t.Errorf("%d bytes of text replayed, want %d", size, want)
	}
}

func TestKimiTwoSessions(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	// Each session waits in its turn until the other session is in its turn, too.
	met := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Add(2)
	go func() { waiting.Wait(); close(met) }()
	var all sync.WaitGroup
	for _, name := range []string{"left", "right"} {
		opts := clienttest.Kimi(t, clienttest.ToolCall("same-id", "meet", map[string]string{}), "text: "+name)
		opts.Tools = []client.Tool{mustTool(client.NewTool("meet", "", func(ctx context.Context, _ struct{}) (string, error) {
			waiting.Done()
			select {
			case <-met:
				return name, nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}))}
		opts.StartTimeout = time.Minute
		all.Go(func() {
			s, err := client.NewSession(ctx, opts)
			if err != nil {
				t.Error(err)
				waiting.Done()
				return
			}
			defer s.Close()
			turn, err := s.Prompt(ctx, "meet")
			if err != nil {
				t.Error(err)
				waiting.Done()
				return
			}
			msgs, err := e2eRead(turn, nil)
			if err != nil {
				t.Error(err)
				return
			}
			res, _ := turn.Result()
			if out := e2eResult(t, msgs, "same-id"); out.Output.Text != name || res.Text != name {
				t.Errorf("%s: tool %q, text %q", name, out.Output.Text, res.Text)
			}
		})
	}
	all.Wait()
}

func TestKimiPrompt(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	for _, opts := range []*client.Options{nil, {}, {Executable: "/nowhere"}} {
		for m, err := range client.Prompt(ctx, "x", opts) {
			if m != nil || !errors.Is(err, client.ErrNoApprover) {
				t.Errorf("Prompt with nobody to approve: %v, %v", m, err)
			}
		}
		if _, err := client.Ask(ctx, "x", opts); !errors.Is(err, client.ErrNoApprover) {
			t.Errorf("Ask with nobody to approve: %v", err)
		}
	}
	if _, err := client.Ask(ctx, "", &client.Options{Yolo: true, Executable: "/nowhere"}); err == nil || !strings.Contains(err.Error(), "empty prompt") {
		t.Errorf("Ask with nothing: %v", err)
	}
	var noCtx context.Context
	if _, err := client.Ask(noCtx, "x", &client.Options{Yolo: true}); err == nil || !strings.Contains(err.Error(), "nil context") {
		t.Errorf("Ask with a nil ctx: %v", err)
	}

	scripts := []string{
		say(`think: "I "`, "think: plan", `text: "Let me "`, "text: look.", shell("p-1", "echo out"), shell("p-2", "exit 3")),
		say(`tool_call: {"id":"p-3","name":"Shell","arguments":"{\"command\":"}`, `tool_call_part: {"arguments_part":"\"echo more\"}"}`),
		say(`text: "All "`, "text: done."),
	}
	t.Run("messages", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		opts := clienttest.Kimi(t, scripts...)
		opts.Yolo, opts.StartTimeout = true, time.Minute
		var got []*client.Message
		for m, err := range client.Prompt(ctx, "go", opts) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m)
		}
		text := func(s string) []wireproto.ContentPart { return []wireproto.ContentPart{&wireproto.TextPart{Text: s}} }
		call := func(id, args string) wireproto.ToolCall {
			return wireproto.ToolCall{Type: "function", ID: id, Function: wireproto.ToolCallFunction{Name: "Shell", Arguments: &args}}
		}
		if len(got) == 6 && got[1].ToolCallID == "p-2" { // each result comes when it is ready
			got[1], got[2] = got[2], got[1]
		}
		e2eSame(t, "messages", []*client.Message{
			{Role: client.RoleAssistant, Content: append([]wireproto.ContentPart{&wireproto.ThinkPart{Think: "I plan"}}, text("Let me look.")...),
				ToolCalls: []wireproto.ToolCall{call("p-1", `{"command":"echo out"}`), call("p-2", `{"command":"exit 3"}`)}},
			{Role: client.RoleTool, Content: text("out\n"), ToolCallID: "p-1"},
			{Role: client.RoleTool, Content: text("Command failed with exit code: 3."), ToolCallID: "p-2"},
			{Role: client.RoleAssistant, ToolCalls: []wireproto.ToolCall{call("p-3", `{"command":"echo more"}`)}},
			{Role: client.RoleTool, Content: text("more\n"), ToolCallID: "p-3"},
			{Role: client.RoleAssistant, Content: text("All done.")},
		}, got)
	})
	t.Run("answer", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		opts := clienttest.Kimi(t, scripts...)
		opts.Approve, opts.StartTimeout = client.ApproveAll, time.Minute
		if got, err := client.Ask(ctx, "go", opts); err != nil || got != "All done." {
			t.Errorf("Ask = %q, %v", got, err)
		}
	})
	t.Run("break", func(t *testing.T) {
		t.Parallel()
		ctx := e2eCtx(t)
		opts := clienttest.Kimi(t, say("text: first", shell("p-1", "sleep 30")), "text: never")
		opts.Approve, opts.StartTimeout = client.RejectAll, time.Minute
		n := 0
		for m, err := range client.Prompt(ctx, "go", opts) {
			if err != nil || m.Text() != "first" {
				t.Errorf("%v, %v", m, err)
			}
			n++
			break
		}
		if n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
	})
}

// kimi reports unsupported content parts of a prompt, to a model that accepts images and to one that does not.
func TestKimiContentParts(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t, say(`image_url: {"url":"data:image/png;base64,iVBORw0KGgo=","id":"out"}`, "text: a picture"), "text: seen", "text: still here")
	opts.Config.Models["blind"] = opts.Config.Models["scripted"]
	model := opts.Config.Models["scripted"]
	model.Capabilities = []config.Capability{"image_in"}
	opts.Config.Models["scripted"] = model
	s := e2eStart(t, ctx, opts)
	image := &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: "data:image/png;base64,iVBORw0KGgo=", ID: ptr("in")}}
	for _, text := range []string{"look", ""} {
		turn, err := s.Prompt(ctx, text, image)
		if err != nil {
			t.Fatal(err)
		}
		msgs, err := e2eRead(turn, nil)
		if err != nil {
			t.Fatal(err)
		}
		var want wireproto.Content
		if text != "" {
			want.Parts = append(want.Parts, &wireproto.TextPart{Text: text})
			e2eSame(t, "image of the model", []*wireproto.ImageURLPart{{ImageURL: wireproto.MediaURL{URL: image.ImageURL.URL, ID: ptr("out")}}}, e2eOf[*wireproto.ImageURLPart](msgs))
		}
		want.Parts = append(want.Parts, image)
		e2eSame(t, "echo", want, e2eOf[*wireproto.TurnBegin](msgs)[0].UserInput)
	}
	e2eIs(t, "video", func() error {
		turn, err := s.Prompt(ctx, "watch", &wireproto.VideoURLPart{VideoURL: wireproto.MediaURL{URL: "data:video/mp4;base64,AA=="}})
		if err != nil {
			return err
		}
		_, err = turn.Result()
		return err
	}(), client.ErrLLMNotSupported)
	e2eText(t, ctx, s, "go on", "still here")
}
