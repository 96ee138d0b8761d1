package scenarios

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

func yolo(p *Play) { p.Options.Yolo = true }

func toolScenarios() []Scenario {
	return []Scenario{
		{
			Name: "tool-stream", Shows: "a tool call that has extras and whose arguments come in ToolCallParts; a todo list",
			Scripts: []string{
				lines(`text: I plan. `, `tool_call: {"id":"t1","name":"SetTodoList","arguments":"{\"todos\": [{\"title\": \"read\", ","extras":{"signature":"c2ln"}}`,
					`tool_call_part: {"arguments_part":"\"status\": \"done\"}, {\"title\": \"write\", \"status\": \"in_progress\"}, "}`,
					`tool_call_part: {"arguments_part":"{\"title\": \"test\", \"status\": \"pending\"}]}"}`),
				"text: Planned."},
			Run: func(p *Play) {
				list := p.Turn("Plan the work", nil)
				p.Order(list, "StepBegin ContentPart ToolCall ToolCallPart ToolCallPart ToolResult StepBegin ContentPart TurnEnd")
				v := p.Result(list, "t1", false, "")
				p.Check(string(one[wireproto.ToolCall](p, list).Extras["signature"]) == `"c2ln"`, "extras")
				var statuses []string
				for _, b := range v.Display {
					if todo, ok := b.(*wireproto.TodoDisplayBlock); ok {
						for _, item := range todo.Items {
							statuses = append(statuses, item.Status)
						}
					}
				}
				p.Check(strings.Join(statuses, " ") == "done in_progress pending", "todo list", statuses)
			},
		},
		{
			Name: "files", Shows: "files that are read, written and edited: diff blocks in approvals and in results; one block is a summary of a huge file",
			Scripts: []string{
				call("r1", "ReadFile", map[string]string{"path": "old.txt"}),
				call("w1", "WriteFile", map[string]string{"path": "new.txt", "content": "one\ntwo\n"}),
				call("e1", "StrReplaceFile", map[string]any{"path": "old.txt", "edit": map[string]string{"old": "beta", "new": "BETA"}}),
				call("e2", "StrReplaceFile", map[string]any{"path": "huge.txt", "edit": map[string]string{"old": "line 7\n", "new": "line seven\n"}}),
				"text: Done."},
			Prepare: func(_ context.Context, r *Rig) error {
				var huge strings.Builder
				for n := range 10001 {
					huge.WriteString("line " + strconv.Itoa(n) + "\n")
				}
				if err := r.Write("huge.txt", huge.String()); err != nil {
					return err
				}
				return r.Write("old.txt", "alpha\nbeta\ngamma\n")
			},
			Run: func(p *Play) {
				list := p.Turn("Edit files", func(m wireproto.Message) {
					if a, ok := m.(*client.ApprovalRequest); ok {
						p.NoError(a.Approve())
					}
				})
				p.Check(len(only[*client.ApprovalRequest](list)) == 3, "three approvals", list.types())
				p.Result(list, "r1", false, "beta")
				p.Result(list, "w1", false, "")
				diff, ok := p.Result(list, "e1", false, "").Display[0].(*wireproto.DiffDisplayBlock)
				p.Check(ok && strings.Contains(diff.NewText, "BETA") && !diff.IsSummary, "diff", diff)
				diff, ok = p.Result(list, "e2", false, "").Display[0].(*wireproto.DiffDisplayBlock)
				p.Check(ok && diff.IsSummary, "summary", diff)
			},
		},
		{
			Name: "shell", Shows: "shell commands without approval (yolo): output, a failure, a tool that does not exist, and a call without arguments",
			Scripts: []string{
				lines("text: Running. ", shell("s1", "echo out; echo err >&2"), shell("s2", "exit 3"), call("s3", "NoSuchTool", map[string]string{}),
					`tool_call: {"id":"s4","name":"SetTodoList"}`),
				"text: Done."},
			Options: yolo,
			Run: func(p *Play) {
				list := p.Turn("Run things", nil)
				p.Without(list, "ApprovalRequest")
				p.Result(list, "s1", false, "out")
				v := p.Result(list, "s2", true, "exit code: 3")
				p.Check(len(v.Display) == 1, "a brief", v.Display)
				p.Result(list, "s3", true, "NoSuchTool")
				p.Result(list, "s4", false, "")
			},
		},
		{
			Name: "media-file", Shows: "an image that one of kimi's tools reads",
			Scripts: []string{call("m1", "ReadMediaFile", map[string]string{"path": "p.png"}), "text: A dot."},
			Prepare: func(_ context.Context, r *Rig) error {
				r.sees()
				_, data, _ := strings.Cut(pixel, ",")
				png, err := base64.StdEncoding.DecodeString(data)
				if err != nil {
					return err
				}
				return r.Write("p.png", string(png))
			},
			Run: func(p *Play) {
				list := p.Turn("Look at p.png", nil)
				v := p.Result(list, "m1", false, "")
				images := 0
				for _, part := range v.Output.Parts {
					if is[*wireproto.ImageURLPart](part) {
						images++
					}
				}
				p.Check(images == 1, "an image", v.Output)
				p.Says(list, "A dot.")
			},
		},
	}
}
