package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// tool makes a tool of a function. It panics if it cannot, which does not happen with the functions of the scenarios.
func tool[In, Out any](name string, fn func(context.Context, In) (Out, error)) client.Tool {
	t, err := client.NewTool(name, "a tool of the program: "+name, fn)
	if err != nil {
		panic(err)
	}
	return t
}

type word struct {
	Word string `json:"word" jsonschema:"what to work on"`
}

func goToolScenarios() []Scenario {
	return []Scenario{
		{
			Name: "go-tools", Shows: "Go tools that return a string, JSON, content parts and an error; a call with bad arguments",
			Scripts: []string{
				call("g1", "upper", word{"gopher"}), call("g2", "count", word{"gopher"}), call("g3", "draw", word{"gopher"}),
				call("g4", "fail", word{"gopher"}), call("g5", "upper", map[string]int{"word": 1}), "text: Done."},
			Options: func(p *Play) {
				p.Options.Tools = []client.Tool{
					tool("upper", func(_ context.Context, in word) (string, error) { return strings.ToUpper(in.Word), nil }),
					tool("count", func(_ context.Context, in word) (map[string]int, error) {
						return map[string]int{in.Word: len(in.Word)}, nil
					}),
					tool("draw", func(_ context.Context, in word) ([]wireproto.ContentPart, error) {
						return []wireproto.ContentPart{&wireproto.TextPart{Text: in.Word + odd}, &wireproto.AudioURLPart{AudioURL: wireproto.MediaURL{URL: "https://example.com/g.mp3"}}}, nil
					}),
					tool("fail", func(context.Context, word) (string, error) { return "", errors.New("out of gophers") }),
				}
			},
			Run: func(p *Play) {
				p.Check(len(p.Session.Server().ExternalTools.Accepted) == 4, "tools accepted", p.Session.Server().ExternalTools)
				list := p.Turn("Use my tools", nil)
				p.Order(list, "ToolCall ToolCallRequest ToolResult StepBegin ToolCall ToolCallRequest ToolResult")
				p.Result(list, "g1", false, "GOPHER")
				p.Result(list, "g2", false, `{"gopher":6}`)
				p.Check(len(p.Result(list, "g3", false, odd).Output.Parts) == 2, "parts")
				p.Result(list, "g4", true, "out of gophers")
				p.Result(list, "g5", true, "is not of type")
			},
		},
		{
			Name: "go-tools-parallel", Shows: "two calls of a Go tool at the same time; the second call is answered first",
			Scripts: []string{lines(call("a", "meet", word{"first"}), call("b", "meet", word{"second"})), "text: Met."},
			Options: func(p *Play) {
				second := make(chan struct{})
				p.Options.Tools = []client.Tool{tool("meet", func(ctx context.Context, in word) (string, error) {
					if in.Word == "second" {
						close(second)
						return in.Word, nil
					}
					select {
					case <-second:
						return in.Word, nil
					case <-ctx.Done():
						return "", context.Cause(ctx)
					}
				})}
			},
			Run: func(p *Play) {
				list := p.Turn("Both", nil)
				p.Result(list, "a", false, "first")
				p.Result(list, "b", false, "second")
			},
		},
		{
			Name: "go-tool-display", Shows: "a result of a Go tool with every kind of display block, with an unknown kind, and with extras",
			Scripts: []string{call("d1", "show", word{"all"}), "text: Shown."},
			Options: func(p *Play) {
				p.Options.Tools = []client.Tool{tool("show", func(context.Context, word) (*wireproto.ToolReturnValue, error) {
					return &wireproto.ToolReturnValue{
						Output: wireproto.Content{Text: "shown"}, Message: "see there",
						Extras: map[string]json.RawMessage{"took": json.RawMessage("7")},
						Display: wireproto.DisplayBlocks{
							&wireproto.BriefDisplayBlock{Text: "brief"},
							&wireproto.DiffDisplayBlock{Path: "a.go", OldText: "a", NewText: "b", OldStart: 1, NewStart: 1},
							&wireproto.TodoDisplayBlock{Items: []wireproto.TodoItem{{Title: "test", Status: "done"}}},
							&wireproto.ShellDisplayBlock{Language: "bash", Command: "ls"},
							&wireproto.BackgroundTaskDisplayBlock{TaskID: "b-1", Kind: "bash", Status: "running", Description: "tests"},
							&wireproto.UnknownDisplayBlock{Type: "chart", Raw: json.RawMessage(`{"type":"chart","points":[1,2]}`)},
						},
					}, nil
				})}
			},
			Run: func(p *Play) {
				v := p.Result(p.Turn("Show", nil), "d1", false, "shown")
				var types []string
				for _, b := range v.Display {
					types = append(types, b.BlockType())
				}
				p.Check(strings.Join(types, " ") == "brief diff todo shell background_task chart", "blocks", types)
				unknown, ok := v.Display[len(v.Display)-1].(*wireproto.UnknownDisplayBlock)
				p.Check(ok && strings.Contains(string(unknown.Raw), `"data"`), "kimi moves the members of an unknown block", unknown)
			},
		},
		{
			Name: "go-tool-rejected", Shows: "a Go tool that has the name of one of kimi's own tools: kimi rejects it in the handshake",
			Options: func(p *Play) {
				p.Options.Tools = []client.Tool{tool("Shell", func(context.Context, word) (string, error) { return "", nil })}
			},
			Refused: func(err error) error {
				if !strings.Contains(err.Error(), "conflicts with builtin tool") {
					return err
				}
				return nil
			},
		},
		{
			Name: "steer", Shows: "text that steers a running turn: the answer to steer, then SteerInput",
			Scripts: []string{call("w1", "wait", word{"on"}), "text: Changed."},
			Options: func(p *Play) { p.Options.Tools = []client.Tool{p.waiting()} },
			Run: func(p *Play) {
				list := p.Turn("Work", func(m wireproto.Message) {
					if _, ok := m.(*wireproto.ToolCallRequest); ok {
						p.NoError(p.Session.Steer(p.Ctx, "Do it differently"))
						p.release()
					}
				})
				p.Order(list, "ToolCallRequest ToolResult SteerInput StepBegin ContentPart TurnEnd")
				p.Check(one[wireproto.SteerInput](p, list).UserInput.String() == "Do it differently", "the input comes back")
			},
		},
	}
}
