package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/wireproto"
)

type noInput struct{}

// Go tools can end in each possible way, and can be called in one step.
func TestKimiTools(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	type point struct {
		X int    `json:"x" jsonschema:"how far right"`
		Y *int   `json:"y,omitempty"`
		L string `json:"label,omitempty"`
	}
	image := &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: "data:image/png;base64,AA=="}}
	brief := func(text string) wireproto.DisplayBlocks {
		return wireproto.DisplayBlocks{&wireproto.BriefDisplayBlock{Text: text}}
	}
	text := func(s string) wireproto.ToolReturnValue {
		return wireproto.ToolReturnValue{Output: wireproto.Content{Text: s}}
	}
	failed := func(message string) wireproto.ToolReturnValue {
		return wireproto.ToolReturnValue{IsError: true, Message: message, Display: brief("Error")}
	}
	whole := wireproto.ToolReturnValue{
		IsError: true, Output: wireproto.Content{Text: "out"}, Message: "said so", Display: brief("as it is"),
		Extras: map[string]json.RawMessage{"n": json.RawMessage("1")},
	}
	tests := []struct {
		tool client.Tool
		args any
		want wireproto.ToolReturnValue
	}{
		{mustTool(client.NewTool("a_string", "says what it is told", func(_ context.Context, in struct {
			Say string `json:"say"`
		}) (string, error) {
			return in.Say, nil
		})), map[string]string{"say": "a\u2028b\x00c\r\n\"q\" <&> 👩‍👧"}, text("a\u2028b\x00c\r\n\"q\" <&> 👩‍👧")},
		{mustTool(client.NewTool("a_struct", "", func(_ context.Context, in point) (point, error) {
			in.X++
			return in, nil
		})), map[string]any{"x": 1, "label": "<p>"}, text(`{"x":2,"label":"\u003cp\u003e"}`)},
		{mustTool(client.NewTool("parts", "", func(context.Context, noInput) ([]wireproto.ContentPart, error) {
			return []wireproto.ContentPart{&wireproto.TextPart{Text: "see"}, image}, nil
		})), noInput{}, wireproto.ToolReturnValue{
			Output: wireproto.Content{Parts: []wireproto.ContentPart{&wireproto.TextPart{Text: "see"}, image}},
		}},
		{mustTool(client.NewTool("one_part", "", func(context.Context, noInput) (*wireproto.TextPart, error) {
			return &wireproto.TextPart{Text: "part"}, nil
		})), noInput{}, wireproto.ToolReturnValue{
			Output: wireproto.Content{Parts: []wireproto.ContentPart{&wireproto.TextPart{Text: "part"}}},
		}},
		{mustTool(client.NewTool("whole", "", func(context.Context, noInput) (wireproto.ToolReturnValue, error) { return whole, nil })), noInput{}, whole},
		{mustTool(client.NewTool("a_map", "", func(_ context.Context, in map[string]int) (int, error) { return in["a"] + in["b"], nil })), map[string]int{"a": 1, "b": 2}, text("3")},
		{mustTool(client.NewTool("empty", "", func(context.Context, noInput) (string, error) { return "", nil })), noInput{}, text("")},
		{mustTool(client.NewTool("nothing", "", func(context.Context, noInput) (any, error) { return nil, nil })), noInput{}, text("null")},
		{mustTool(client.NewTool("error", "", func(context.Context, noInput) (string, error) { return "ignored", errors.New("no such thing: \"x\"") })), noInput{}, failed(`no such thing: "x"`)},
		{mustTool(client.NewTool("panics", "", func(context.Context, noInput) (string, error) { panic("oh no") })), noInput{}, failed("panic: oh no")},
		{mustTool(client.NewTool("exits", "", func(context.Context, noInput) (string, error) {
			runtime.Goexit() // t.FailNow in a tool of a test does the same
			return "", nil
		})), noInput{}, failed("runtime.Goexit was called")},
		{mustTool(client.NewTool("unmarshalable", "", func(context.Context, noInput) (any, error) { return func() {}, nil })), noInput{}, failed("json: unsupported type: func()")},
		{mustTool(client.NewTool("unsendable", "", func(context.Context, noInput) ([]wireproto.ContentPart, error) {
			return []wireproto.ContentPart{&wireproto.UnknownPart{Type: "bogus"}}, nil
		})), noInput{}, failed(`wireproto: content part 0 has the unknown type "bogus", which would end kimi`)},
	}
	var calls []string
	opts := clienttest.Kimi(t)
	for _, tt := range tests {
		opts.Tools = append(opts.Tools, tt.tool)
		calls = append(calls, clienttest.ToolCall("id-"+tt.tool.Name(), tt.tool.Name(), tt.args))
	}
	ran := false
	opts.Tools = append(opts.Tools, mustTool(client.NewTool("strict", "", func(context.Context, point) (string, error) {
		ran = true
		return "", nil
	})))
	invalid := map[string]any{
		"wrong type": map[string]any{"x": "one"}, "missing": map[string]any{}, "unknown member": map[string]any{"x": 1, "z": 2},
		"not an object": []int{1}, "null": nil,
	}
	for name, args := range invalid {
		calls = append(calls, clienttest.ToolCall("bad "+name, "strict", args))
	}
	// Each of two calls in one step ends only after the other has begun.
	var begun sync.WaitGroup
	begun.Add(2)
	opts.Tools = append(opts.Tools, mustTool(client.NewTool("pair", "", func(ctx context.Context, in struct {
		N int `json:"n"`
	}) (string, error) {
		begun.Done()
		both := make(chan struct{})
		go func() { begun.Wait(); close(both) }()
		select {
		case <-both:
			return "met", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})))
	pair := []string{clienttest.ToolCall("pair-1", "pair", map[string]int{"n": 1}), clienttest.ToolCall("pair-2", "pair", map[string]int{"n": 2})}

	scripted := clienttest.Kimi(t, say(calls...), say(pair...), "text: done")
	scripted.Tools = opts.Tools
	// The result with an image needs a model that accepts images.
	model := scripted.Config.Models["scripted"]
	model.Capabilities = append(model.Capabilities, "image_in")
	scripted.Config.Models["scripted"] = model
	s := e2eStart(t, ctx, scripted)
	msgs := e2eTurn(t, ctx, s, "call them all", nil)
	for _, tt := range tests {
		e2eSame(t, tt.tool.Name(), tt.want, e2eResult(t, msgs, "id-"+tt.tool.Name()))
	}
	for name := range invalid { // kimi itself also checks them against the same schema
		if r := e2eResult(t, msgs, "bad "+name); !r.IsError || r.Message == "" {
			t.Errorf("arguments that are invalid (%s): %+v", name, r)
		}
	}
	if ran {
		t.Error("a tool ran with invalid arguments")
	}
	for _, id := range []string{"pair-1", "pair-2"} {
		e2eSame(t, id, "met", e2eResult(t, msgs, id).Output.Text)
	}
	read := e2eContext(t, scripted, s)
	for _, want := range []string{"panic: oh no", `no such thing: \"x\"`} {
		if !strings.Contains(read, want) {
			t.Errorf("the model does not read %q", want)
		}
	}
}

// A tool returns late, after its turn was cancelled. Its result is not used as the answer to a call of the next turn
// with the same id.
func TestKimiLateToolResult(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t,
		clienttest.ToolCall("same", "slow", noInput{}),
		clienttest.ToolCall("same", "slow", noInput{}), "text: second",
	)
	var calls atomic.Int32
	started, causes := make(chan int32, 2), make(chan error, 2)
	release := [...]chan struct{}{1: make(chan struct{}), 2: make(chan struct{})}
	returned := make(chan int32, 2)
	opts.Tools = []client.Tool{mustTool(client.NewTool("slow", "", func(ctx context.Context, _ noInput) (string, error) {
		n := calls.Add(1)
		started <- n
		<-release[n]
		if n == 1 {
			causes <- context.Cause(ctx)
		}
		defer func() { returned <- n }()
		return map[int32]string{1: "stale", 2: "fresh"}[n], nil
	}))}
	s := e2eStart(t, ctx, opts)
	first, err := s.Prompt(ctx, "first")
	if err != nil {
		t.Fatal(err)
	}
	recv(t, ctx, "the first call", started)
	if err := first.Cancel(ctx); err != nil {
		t.Fatal(err)
	}
	second, err := s.Prompt(ctx, "second")
	if err != nil {
		t.Fatal(err)
	}
	recv(t, ctx, "the second call", started)
	close(release[1]) // both calls with the same id are open; the call of the cancelled turn returns now
	recv(t, ctx, "the first return", returned)
	e2eIs(t, "cause", recv(t, ctx, "cause", causes), client.ErrCancelled)
	// kimi has handled every earlier line when it answers set_plan_mode, so a late result would have arrived by then.
	if _, err := s.SetPlanMode(ctx, false); err != nil {
		t.Error(err)
	}
	close(release[2])
	msgs, err := e2eRead(second, nil)
	if err != nil {
		t.Fatal(err)
	}
	e2eSame(t, "result", "fresh", e2eResult(t, msgs, "same").Output.Text)
	if _, err := first.Result(); !errors.Is(err, client.ErrCancelled) {
		t.Errorf("the first turn: %v", err)
	}
}

// If kimi does not accept a tool or a hook, NewSession returns an error.
func TestKimiRejectsDeclarations(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t, "text: never")
	opts.StartTimeout = time.Minute
	for _, name := range []string{"Shell", "mine"} {
		opts.Tools = append(opts.Tools, mustTool(client.NewTool(name, "", func(context.Context, noInput) (string, error) { return "", nil })))
	}
	allow := func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) { return client.Allow(), nil }
	opts.Hooks = []client.Hook{{Event: "PreToolUse", Handle: allow}, {Event: "BeforeLunch", Handle: allow}}
	s, err := client.NewSession(ctx, opts)
	if err == nil {
		s.Close()
		t.Fatal("no error")
	}
	for _, want := range []string{`"Shell"`, "conflicts with builtin tool", "rename", `"BeforeLunch"`, "PreToolUse, PostToolUse"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "mine") {
		t.Errorf("error %q names the tool that is taken", err)
	}
	e2eIs(t, "unknown event", err, client.ErrUnsupported)
}

// A hook allows an action, or blocks it in each possible way.
func TestKimiHooks(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	seen := make(chan *wireproto.HookRequest, 100)
	var stops atomic.Int32
	var blockStop atomic.Bool
	const timeout = 200 * time.Millisecond
	decide := func(d client.HookDecision, err error) func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
		return func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) { return d, err }
	}
	type handle = func(context.Context, *wireproto.HookRequest) (client.HookDecision, error)
	guards := []struct {
		tool   string
		handle handle
		want   string // the reason of the block, "" if the action is allowed
	}{
		{"g_allow", decide(client.Allow(), nil), ""},
		{"g_block", decide(client.Block("not on \"Mondays\""), nil), `not on "Mondays"`},
		{"g_no_reason", decide(client.Block(""), nil), "blocked by a hook of the program"},
		{"g_zero", decide(client.HookDecision{}, nil), "blocked by a hook of the program"},
		{"g_error", decide(client.Allow(), errors.New("cannot tell")), "the hook failed: cannot tell"},
		{"g_panic", func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) { panic("oh") }, "the hook failed: panic: oh"},
		{"g_timeout", func(ctx context.Context, _ *wireproto.HookRequest) (client.HookDecision, error) {
			<-ctx.Done()
			return client.Allow(), nil
		}, "the hook did not decide: context deadline exceeded"},
		{"g_deaf", func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
			<-t.Context().Done() // after its time limit and after the end of the turn
			return client.Allow(), nil
		}, "the hook did not decide: context deadline exceeded"},
		{"g_exit", func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
			runtime.Goexit()
			return client.Allow(), nil
		}, "the hook failed"},
	}
	var tools []client.Tool
	var calls []string
	var mu sync.Mutex
	called := make(map[string]bool)
	hooks := []client.Hook{
		{ID: "never", Event: "PreToolUse", Matcher: "^Shell$", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
			t.Error("a hook whose matcher does not match is asked")
			return client.Block(""), nil
		}},
		{Event: "PostToolUse", Matcher: "^g_", Handle: func(_ context.Context, r *wireproto.HookRequest) (client.HookDecision, error) {
			seen <- r
			return client.Allow(), nil
		}},
		{Event: "UserPromptSubmit", Matcher: "secret", Handle: decide(client.Block("no secrets here"), nil)},
		{Event: "Stop", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
			if stops.Add(1); blockStop.Load() {
				return client.Block("once more, with feeling"), nil
			}
			return client.Allow(), nil
		}},
	}
	for _, g := range guards {
		tools = append(tools, mustTool(client.NewTool(g.tool, "", func(context.Context, noInput) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			called[g.tool] = true
			return "ran", nil
		})))
		hook := client.Hook{Event: "PreToolUse", Matcher: "^" + g.tool + "$", Handle: g.handle}
		if g.tool != "g_exit" { // g_exit ends at once
			hook.Timeout = timeout
		}
		hooks = append(hooks, hook)
		calls = append(calls, clienttest.ToolCall("id-"+g.tool, g.tool, noInput{}))
	}
	opts := clienttest.Kimi(t, say(calls...), "text: done", "text: first", "text: second")
	opts.Tools, opts.Hooks = tools, hooks
	s := e2eStart(t, ctx, opts)
	if got := s.Server().Hooks.Configured; got["PreToolUse"] != len(guards)+1 || got["Stop"] != 1 || got["PostToolUse"] != 1 {
		t.Errorf("configured %v", got)
	}

	begin := time.Now()
	msgs := e2eTurn(t, ctx, s, "call them all", nil)
	if took := time.Since(begin); took < timeout {
		t.Errorf("the turn took %v, less than the hooks' Timeout", took)
	}
	for _, g := range guards {
		r := e2eResult(t, msgs, "id-"+g.tool)
		mu.Lock()
		ran := called[g.tool]
		mu.Unlock()
		if g.want == "" {
			if !ran || r.IsError || r.Output.Text != "ran" {
				t.Errorf("%s: ran %v, %+v, want it allowed", g.tool, ran, r)
			}
			continue
		}
		if ran || !r.IsError || !strings.HasPrefix(r.Message, g.want) {
			t.Errorf("%s: ran %v, %+v, want it blocked: %s", g.tool, ran, r, g.want)
		}
	}
	if !strings.Contains(e2eContext(t, opts, s), `not on \"Mondays\"`) {
		t.Error("the model does not read the reason")
	}
	resolved := make(map[string]wireproto.HookAction)
	for _, r := range e2eOf[*wireproto.HookResolved](msgs) {
		resolved[r.Event+" "+r.Target] = r.Action
	}
	if resolved["PreToolUse g_allow"] != wireproto.HookAllow || resolved["PreToolUse g_block"] != wireproto.HookBlock || resolved["Stop "] != wireproto.HookAllow {
		t.Errorf("resolved %v", resolved)
	}
	post := recv(t, ctx, "PostToolUse", seen)
	if post.Event != "PostToolUse" || post.Target != "g_allow" || !strings.Contains(string(post.InputData["tool_output"]), "ran") {
		t.Errorf("PostToolUse %+v", post)
	}
	var sessionID string
	if err := json.Unmarshal(post.InputData["session_id"], &sessionID); err != nil || sessionID != s.ID() {
		t.Errorf("session id in the hook %q, %v, want %q", sessionID, err, s.ID())
	}
	if len(seen) != 0 {
		t.Error("PostToolUse of a call that was blocked")
	}

	// If a hook blocks a prompt, the reason comes as the answer.
	stops.Store(0)
	msgs = e2eTurn(t, ctx, s, "tell the secret", nil)
	e2eSame(t, "blocked prompt", []string{"HookTriggered", "HookRequest", "HookResolved", "TurnBegin", "ContentPart", "TurnEnd"}, e2eTypes(msgs))
	e2eSame(t, "blocked prompt", "no secrets here", e2eOf[*wireproto.TextPart](msgs)[0].Text)
	if strings.Contains(e2eContext(t, opts, s), "tell the secret") {
		t.Error("the model reads the blocked prompt")
	}

	// If a Stop hook blocks, one more round runs, for which the hook is not asked.
	blockStop.Store(true)
	turn, err := s.Prompt(ctx, "round")
	if err != nil {
		t.Fatal(err)
	}
	msgs, err = e2eRead(turn, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, _ := turn.Result()
	e2eSame(t, "result", &client.TurnResult{Status: wireproto.StatusFinished, Steps: 2, Text: "second"}, res)
	e2eSame(t, "steps", []*wireproto.StepBegin{{N: 1}, {N: 1}}, e2eOf[*wireproto.StepBegin](msgs))
	if got := stops.Load(); got != 1 {
		t.Errorf("the Stop hook was asked %d times, want 1", got)
	}
	if !strings.Contains(e2eContext(t, opts, s), "once more, with feeling") {
		t.Error("the model does not read the Stop hook's reason")
	}
}

// Close while a hook decides: the guarded call does not run, although kimi allows the action if a hook gives no answer.
func TestKimiHookAtClose(t *testing.T) {
	t.Parallel()
	ctx := e2eCtx(t)
	opts := clienttest.Kimi(t, touch("c", "guarded"), "text: never")
	opts.Yolo, opts.StartTimeout, opts.StopGrace = true, time.Minute, 30*time.Second
	running := make(chan struct{})
	opts.Hooks = []client.Hook{{Event: "PreToolUse", Handle: func(ctx context.Context, _ *wireproto.HookRequest) (client.HookDecision, error) {
		close(running)
		<-ctx.Done()
		return client.Allow(), context.Cause(ctx)
	}}}
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	turn, err := s.Prompt(ctx, "touch")
	if err != nil {
		s.Close()
		t.Fatal(err)
	}
	recv(t, ctx, "the hook", running)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := turn.Result(); !errors.Is(err, client.ErrClosed) {
		t.Errorf("the turn: %v, want ErrClosed", err)
	}
	if wasRun(t, opts, "guarded") {
		t.Error("what the hook had not allowed is carried out")
	}
}
