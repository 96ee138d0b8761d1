package client_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// item is what a stream yields.
type item[M any] struct {
	Msg M
	Err error
}

var errStream = errors.New("the stream broke")

// stream yields messages. An error among the items is yielded as an error.
func stream(items ...any) iter.Seq2[wireproto.Message, error] {
	return func(yield func(wireproto.Message, error) bool) {
		for _, it := range items {
			m, _ := it.(wireproto.Message)
			err, _ := it.(error)
			if !yield(m, err) {
				return
			}
		}
	}
}

func collect[M any](seq iter.Seq2[M, error]) (all []item[M]) {
	for m, err := range seq {
		all = append(all, item[M]{m, err})
	}
	return all
}

func wire(items ...any) []item[wireproto.Message] { return collect(stream(items...)) }

func text(s string) *wireproto.TextPart   { return &wireproto.TextPart{Text: s} }
func think(s string) *wireproto.ThinkPart { return &wireproto.ThinkPart{Think: s} }
func signed(s, sign string) *wireproto.ThinkPart {
	return &wireproto.ThinkPart{Think: s, Encrypted: &sign}
}

func toolCall(id string, args ...string) *wireproto.ToolCall {
	c := &wireproto.ToolCall{ID: id, Function: wireproto.ToolCallFunction{Name: "Shell"}}
	if len(args) > 0 {
		c.Function.Arguments = &args[0]
	}
	return c
}

func argsPart(s ...string) *wireproto.ToolCallPart {
	p := new(wireproto.ToolCallPart)
	if len(s) > 0 {
		p.ArgumentsPart = &s[0]
	}
	return p
}

func toolResult(id, output string) *wireproto.ToolResult {
	return &wireproto.ToolResult{ToolCallID: id, ReturnValue: wireproto.ToolReturnValue{Output: wireproto.Content{Text: output}}}
}

func stepBegin(n int) *wireproto.StepBegin { return &wireproto.StepBegin{N: n} }

var byText = cmp.Comparer(func(a, b error) bool { return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error()) })

func TestMerge(t *testing.T) {
	image := &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: "data:x"}}
	for name, test := range map[string]struct{ in, want []any }{
		"nothing":             {nil, nil},
		"one text":            {[]any{text("a")}, []any{text("a")}},
		"texts":               {[]any{text("a"), text(""), text("b"), text("c")}, []any{text("abc")}},
		"thoughts":            {[]any{think("a"), think("b")}, []any{think("ab")}},
		"text and thoughts":   {[]any{think("a"), think("b"), text("c"), text("d"), think("e")}, []any{think("ab"), text("cd"), think("e")}},
		"a signature ends":    {[]any{think("a"), signed("b", "s"), think("c")}, []any{signed("ab", "s"), think("c")}},
		"signature alone":     {[]any{think("a"), signed("", "s")}, []any{signed("a", "s")}},
		"signed and signed":   {[]any{signed("a", "s"), signed("b", "t")}, []any{signed("a", "s"), signed("b", "t")}},
		"an event divides":    {[]any{text("a"), stepBegin(2), text("b")}, []any{text("a"), stepBegin(2), text("b")}},
		"an image divides":    {[]any{text("a"), image, text("b")}, []any{text("a"), image, text("b")}},
		"a call and parts":    {[]any{toolCall("1", `{"a`), argsPart(`":`), argsPart(), argsPart(`1}`)}, []any{toolCall("1", `{"a":1}`)}},
		"a call without args": {[]any{toolCall("1"), argsPart(`{}`)}, []any{toolCall("1", `{}`)}},
		"two calls":           {[]any{toolCall("1", `{`), argsPart(`}`), toolCall("2", `[`), argsPart(`]`)}, []any{toolCall("1", `{}`), toolCall("2", `[]`)}},
		"parts of no call":    {[]any{argsPart(`a`), argsPart(`b`), text("x")}, []any{argsPart(`ab`), text("x")}},
		"text after a call":   {[]any{toolCall("1", `{`), text("x"), argsPart(`}`)}, []any{toolCall("1", `{`), text("x"), argsPart(`}`)}},
		"an error":            {[]any{text("a"), text("b"), errStream}, []any{text("ab"), errStream}},
		"an error alone":      {[]any{errStream}, []any{errStream}},
		"on after an error":   {[]any{text("a"), errStream, text("b"), text("c")}, []any{text("a"), errStream, text("bc")}},
	} {
		t.Run(name, func(t *testing.T) {
			before := wire(test.in...)
			got := collect(client.Merge(stream(test.in...)))
			if diff := cmp.Diff(wire(test.want...), got, byText); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(got, collect(client.Merge(client.Merge(stream(test.in...)))), byText); diff != "" {
				t.Errorf("twice is not the same: %s", diff)
			}
			if diff := cmp.Diff(before, wire(test.in...), byText); diff != "" {
				t.Errorf("the values of the stream were changed: %s", diff)
			}
		})
	}
}

// Merge keeps an error that comes together with a message, although no stream of this package yields both.
func TestMergeBoth(t *testing.T) {
	both := func(yield func(wireproto.Message, error) bool) { yield(text("a"), errStream) }
	if got := collect(client.Merge(both)); len(got) != 1 || got[0].Err != errStream {
		t.Errorf("%v", got)
	}
}

func assistant(parts ...any) *client.Message {
	m := &client.Message{Role: client.RoleAssistant}
	for _, p := range parts {
		switch p := p.(type) {
		case *wireproto.ToolCall:
			m.ToolCalls = append(m.ToolCalls, *p)
		case wireproto.ContentPart:
			m.Content = append(m.Content, p)
		}
	}
	return m
}

func tool(id string, parts ...wireproto.ContentPart) *client.Message {
	return &client.Message{Role: client.RoleTool, ToolCallID: id, Content: parts}
}

func TestAggregate(t *testing.T) {
	begin, end := &wireproto.TurnBegin{}, &wireproto.TurnEnd{}
	image := &wireproto.ImageURLPart{ImageURL: wireproto.MediaURL{URL: "data:x"}}
	for name, test := range map[string]struct {
		in   []any
		want []any // messages, errors
	}{
		"nothing":        {[]any{begin, stepBegin(1), end}, nil},
		"one step":       {[]any{begin, stepBegin(1), think("a"), think("b"), text("c"), text("d"), &wireproto.StatusUpdate{}, end}, []any{assistant(think("ab"), text("cd"))}},
		"no TurnEnd":     {[]any{begin, stepBegin(1), text("a")}, []any{assistant(text("a"))}},
		"no StepBegin":   {[]any{begin, text("a"), end}, []any{assistant(text("a"))}},
		"two steps":      {[]any{stepBegin(1), text("a"), toolCall("1", `{`), argsPart(`}`), toolResult("1", "x"), stepBegin(2), text("b"), end}, []any{assistant(text("a"), toolCall("1", `{}`)), tool("1", text("x")), assistant(text("b"))}},
		"a call alone":   {[]any{stepBegin(1), toolCall("1", `{}`), end}, []any{assistant(toolCall("1", `{}`))}},
		"results behind": {[]any{stepBegin(1), toolCall("1"), toolResult("1", "x"), toolCall("2"), toolResult("2", "y"), end}, []any{assistant(toolCall("1"), toolCall("2")), tool("1", text("x")), tool("2", text("y"))}},
		"a result between a call and its arguments": {[]any{stepBegin(1), toolCall("1", `{}`), toolCall("2", `{`), toolResult("1", "x"), argsPart(`"a":`), &wireproto.Notification{}, argsPart(`1}`), toolResult("2", "y"), end},
			[]any{assistant(toolCall("1", `{}`), toolCall("2", `{"a":1}`)), tool("1", text("x")), tool("2", text("y"))}},
		"arguments of no call":             {[]any{stepBegin(1), argsPart(`{}`), text("a"), end}, []any{assistant(text("a"))}},
		"results of two calls with one id": {[]any{toolCall("1"), toolCall("1"), toolResult("1", "x"), end}, []any{assistant(toolCall("1"), toolCall("1")), tool("1", text("x"))}},
		"a result's parts":                 {[]any{&wireproto.ToolResult{ToolCallID: "1", ReturnValue: wireproto.ToolReturnValue{Output: wireproto.Content{Parts: []wireproto.ContentPart{image, text("x")}}}}}, []any{tool("1", image, text("x"))}},
		"a result's explanation":           {[]any{&wireproto.ToolResult{ToolCallID: "1", ReturnValue: wireproto.ToolReturnValue{IsError: true, Message: "denied"}}}, []any{tool("1", text("denied"))}},
		"an empty result":                  {[]any{toolResult("1", "")}, []any{tool("1")}},
		"a steer divides":                  {[]any{stepBegin(1), text("a"), &wireproto.SteerInput{}, text("b"), end}, []any{assistant(text("a")), assistant(text("b"))}},
		"an attempt that failed":           {[]any{stepBegin(1), text("He"), toolCall("1"), &wireproto.StepRetry{}, text("Hello"), end}, []any{assistant(text("Hello"))}},
		"no subagents":                     {[]any{stepBegin(1), &wireproto.SubagentEvent{Event: text("not me")}, text("a"), end}, []any{assistant(text("a"))}},
		"no requests":                      {[]any{stepBegin(1), text("a"), &wireproto.ApprovalRequest{ID: "1"}, text("b"), end}, []any{assistant(text("a"), text("b"))}},
		"nothing unknown":                  {[]any{&wireproto.UnknownMessage{Type: "New"}, text("a")}, []any{assistant(text("a"))}},
		"unknown parts":                    {[]any{&wireproto.UnknownPart{Type: "smell"}}, []any{assistant(&wireproto.UnknownPart{Type: "smell"})}},
		"an error":                         {[]any{stepBegin(1), text("a"), toolCall("1"), toolResult("1", "x"), errStream}, []any{assistant(text("a"), toolCall("1")), tool("1", text("x")), errStream}},
		"an error alone":                   {[]any{errStream}, []any{errStream}},
		"nothing after an error":           {[]any{errStream, text("a")}, []any{errStream}},
	} {
		t.Run(name, func(t *testing.T) {
			var want []item[*client.Message]
			for _, w := range test.want {
				m, _ := w.(*client.Message)
				err, _ := w.(error)
				want = append(want, item[*client.Message]{m, err})
			}
			before := wire(test.in...)
			if diff := cmp.Diff(want, collect(client.Aggregate(stream(test.in...))), byText); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(want, collect(client.Aggregate(client.Merge(stream(test.in...)))), byText); diff != "" {
				t.Errorf("after Merge: %s", diff)
			}
			if diff := cmp.Diff(before, wire(test.in...), byText); diff != "" {
				t.Errorf("the values of the stream were changed: %s", diff)
			}
		})
	}
}

// A program that leaves a loop, at any message, also ends the stream that the loop reads.
func TestAdaptersLeft(t *testing.T) {
	in := []any{stepBegin(1), text("a"), text("b"), toolCall("1"), toolResult("1", "x"), toolResult("2", "y"), stepBegin(2), text("c"), errStream}
	left := 0
	counted := func(yield func(wireproto.Message, error) bool) {
		defer func() { left++ }()
		stream(in...)(yield)
	}
	whole, all := len(collect(client.Merge(counted))), len(collect(client.Aggregate(counted)))
	for n := 1; n <= whole; n++ {
		left = 0
		got := 0
		for range client.Merge(counted) {
			if got++; got == n {
				break
			}
		}
		if left != 1 || got != n {
			t.Errorf("Merge, left at %d: %d messages, %d streams left", n, got, left)
		}
	}
	for n := 1; n <= all; n++ {
		left = 0
		got := 0
		for range client.Aggregate(counted) {
			if got++; got == n {
				break
			}
		}
		if left != 1 || got != n {
			t.Errorf("Aggregate, left at %d: %d messages, %d streams left", n, got, left)
		}
	}
}

func TestMessageText(t *testing.T) {
	if got := assistant(think("no"), text("a"), &wireproto.ImageURLPart{}, text("b")).Text(); got != "ab" {
		t.Errorf("%q", got)
	}
	if got := assistant().Text(); got != "" {
		t.Errorf("%q", got)
	}
}

// chat is an agent that answers in two steps, fails in the second step, or asks a question. how says which.
func chat(how string) memory {
	return func(a *agent) {
		a.handshake()
		a.begin()
		a.text("one ", "moment")
		a.event(toolCall("1", "{}"))
		a.event(toolResult("1", "x"))
		a.event(stepBegin(2))
		switch how {
		case "asks":
			a.ask("r1")
			a.text(a.answer("r1"))
		case "fails":
			a.text("half a")
			a.event(&wireproto.TurnEnd{})
			a.fail(a.turn, wireproto.CodeChatProviderError, "502")
			a.serve()
		case "dies":
			a.text("half a")
			a.exit(3)
		default:
			a.text("done")
		}
		a.finish("finished")
		a.serve()
	}
}

func TestPromptAndAsk(t *testing.T) {
	rejects := client.Options{Approve: client.RejectAll}
	yolo := client.Options{Yolo: true}
	for name, test := range map[string]struct {
		how  string
		opts client.Options
		last string
		fits func(error) bool
	}{
		"finished": {"", yolo, "done", func(err error) bool { return err == nil }},
		"asks":     {"asks", rejects, `{"request_id":"r1","response":"reject","feedback":"the user does not allow this"}`, func(err error) bool { return err == nil }},
		"fails":    {"fails", yolo, "half a", func(err error) bool { return errors.Is(err, client.ErrProvider) }},
		"dies": {"dies", yolo, "half a", func(err error) bool {
			var process *client.ProcessError
			return errors.As(err, &process) && process.ExitCode == 3
		}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := test.opts
			opts.Transport, opts.WorkDir, opts.ShareDir = chat(test.how), t.TempDir(), t.TempDir()
			all := collect(client.Prompt(limited(t), "hello", &opts))
			if n := len(all); n < 3 || all[0].Msg.Text() != "one moment" || all[1].Msg.Text() != "x" || all[2].Msg.Text() != test.last {
				t.Errorf("Prompt: %v", all)
			} else if !test.fits(all[n-1].Err) {
				t.Errorf("Prompt: %v", all[n-1].Err)
			}
			got, err := client.Ask(limited(t), "hello", &opts)
			if got != test.last || !test.fits(err) {
				t.Errorf("Ask: %q, %v", got, err)
			}
		})
	}
	t.Run("left", func(t *testing.T) {
		noLeaks(t)
		opts := client.Options{Yolo: true, Transport: chat(""), WorkDir: t.TempDir(), ShareDir: t.TempDir()}
		for m, err := range client.Prompt(limited(t), "hello", &opts) {
			if err != nil || m.Text() != "one moment" {
				t.Errorf("%v, %v", m, err)
			}
			break
		}
	})
}

func TestPromptRefuses(t *testing.T) {
	started := failing{errors.New("a session was started")}
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx   context.Context
		text  string
		opts  *client.Options
		parts []wireproto.ContentPart
		want  func(error) bool
	}{
		"nil":             {t.Context(), "hello", nil, nil, func(err error) bool { return err == client.ErrNoApprover }},
		"nobody approves": {t.Context(), "hello", &client.Options{Transport: started}, nil, func(err error) bool { return err == client.ErrNoApprover }},
		"no text":         {t.Context(), " ", &client.Options{Transport: started, Yolo: true}, nil, func(err error) bool { return !errors.Is(err, started.err) }},
		"unknown part":    {t.Context(), "a", &client.Options{Transport: started, Yolo: true}, []wireproto.ContentPart{&wireproto.UnknownPart{Type: "x"}}, func(err error) bool { return !errors.Is(err, started.err) }},
		"nil part":        {t.Context(), "a", &client.Options{Transport: started, Yolo: true}, []wireproto.ContentPart{nil}, func(err error) bool { return !errors.Is(err, started.err) }},
		"nil ctx":         {nil, "a", &client.Options{Transport: started, Yolo: true}, nil, func(err error) bool { return !errors.Is(err, started.err) }},
		"bad options":     {t.Context(), "a", &client.Options{Transport: started, Yolo: true, MaxLine: -1}, nil, func(err error) bool { return !errors.Is(err, started.err) }},
		"ended ctx":       {dead, "a", &client.Options{Executable: "/none", Yolo: true}, nil, func(err error) bool { return err != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			all := collect(client.Prompt(test.ctx, test.text, test.opts, test.parts...))
			if len(all) != 1 || all[0].Msg != nil || all[0].Err == nil || !test.want(all[0].Err) {
				t.Errorf("Prompt: %v", all)
			}
			if got, err := client.Ask(test.ctx, test.text, test.opts, test.parts...); got != "" || err == nil || !test.want(err) {
				t.Errorf("Ask: %q, %v", got, err)
			}
		})
	}
}
