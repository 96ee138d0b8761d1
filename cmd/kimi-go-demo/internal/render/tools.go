package render

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// These limit what is shown. They do not apply to an approval, which must show everything.
const (
	maxSummary = 100 // the runes of a call's arguments
	maxOutput  = 6   // the lines of a result
	maxDiff    = 60  // the lines of a change
)

// toolCall shows the name of a call at once, because the arguments may come later.
func (r *Renderer) toolCall(s *stream, m *wireproto.ToolCall) {
	c := r.calls[m.ID]
	r.fresh(s)
	r.put(s, screen.Cyan, c.head())
	s.kind, s.call = callHead, c
}

func (c *call) head() string { return "• " + screen.Line(oneLine(c.name, maxSummary)) }

// settle completes the line of a call whose arguments are complete.
func (r *Renderer) settle(s *stream) {
	c := s.call
	if c == nil {
		return
	}
	s.call = nil
	if r.last != s || s.kind != callHead || !r.open {
		r.fresh(s)
		r.put(s, screen.Cyan, c.head())
	}
	r.put(s, screen.Plain, strings.TrimRight(" "+screen.Line(Arguments(c.args.String())), " "))
	r.newline()
	s.kind, s.above = block, c
}

// mainKeys are the arguments that describe a call best. The first one that a call has is shown.
var mainKeys = []string{"command", "path", "file_path", "pattern", "query", "url", "description", "question", "task_id", "name"}

// Arguments returns a summary of a call's arguments, which are JSON, in one line.
func Arguments(raw string) string {
	var args map[string]any
	if json.Unmarshal([]byte(raw), &args) != nil {
		return oneLine(raw, maxSummary)
	}
	var list []string
	if asked := questions(args["questions"]); asked != nil {
		list = append(list, oneLine(strings.Join(asked, " / "), maxSummary))
		delete(args, "questions")
	}
	for _, key := range mainKeys {
		if v, ok := args[key].(string); ok {
			list = append(list, oneLine(v, maxSummary))
			delete(args, key)
			break
		}
	}
	for _, key := range slices.Sorted(maps.Keys(args)) {
		list = append(list, key+"="+value(args[key]))
	}
	return oneLine(strings.Join(list, "  "), maxSummary)
}

// questions returns the questions of a call that asks the person, or nil.
func questions(v any) (list []string) {
	all, _ := v.([]any)
	for _, q := range all {
		fields, _ := q.(map[string]any)
		text, ok := fields["question"].(string)
		if !ok {
			return nil
		}
		list = append(list, text)
	}
	return list
}

// Answers returns the answers in the result of a call that asked the person, by question. ok is false if the result has
// another form.
func Answers(name string, v *wireproto.ToolReturnValue) (answers map[string]string, ok bool) {
	var said struct{ Answers map[string]string }
	if name != "AskUserQuestion" || json.Unmarshal([]byte(Said(v.Output)), &said) != nil || said.Answers == nil {
		return nil, false
	}
	return said.Answers, true
}

func value(v any) string {
	switch v := v.(type) {
	case string:
		return `"` + oneLine(v, 30) + `"`
	case []any:
		return "[" + screen.Count(len(v), "item") + "]"
	case map[string]any:
		return "{" + strings.Join(slices.Sorted(maps.Keys(v)), ", ") + "}"
	case nil:
		return "null"
	case float64:
		return fmt.Sprintf("%.10g", v)
	}
	return fmt.Sprint(v)
}

func (r *Renderer) toolResult(s *stream, m *wireproto.ToolResult) {
	c := r.calls[m.ToolCallID]
	name := ""
	if c != nil {
		name = oneLine(c.name, maxSummary)
	}
	head := "  └ "
	if name != "" && (c != s.above || r.last != s) {
		head += name + ": "
	}
	v := m.ReturnValue
	st := screen.Dim
	if v.IsError {
		st = screen.Red
	}
	arguments := ""
	if c != nil {
		arguments = c.args.String()
	}
	for i, l := range cut(ResultLines(name, arguments, &v), maxOutput) {
		if i > 0 {
			head = "    "
		}
		r.line(s, st, head+l)
	}
	for _, b := range v.Display {
		switch b.(type) {
		case *wireproto.DiffDisplayBlock:
			if r.shown[m.ToolCallID] {
				continue
			}
		case *wireproto.ShellDisplayBlock: // the call has shown it
			continue
		}
		r.display(s, b)
	}
	delete(r.shown, m.ToolCallID)
}

// ResultLines returns the important part of a result: a short text about what happened and, for a command, also its
// output. For questions, these are the answers.
func ResultLines(name, arguments string, v *wireproto.ToolReturnValue) []string {
	var brief strings.Builder
	for _, b := range v.Display {
		switch b := b.(type) {
		case *wireproto.BriefDisplayBlock:
			brief.WriteString(b.Text + "\n")
		case *wireproto.TodoDisplayBlock:
			return nil // the list on the screen shows it
		}
	}
	output := Said(v.Output)
	if answers, ok := Answers(name, v); ok {
		if len(answers) == 0 {
			why := strings.TrimSpace(brief.String())
			if !strings.Contains(why, "afk") {
				return []string{"not answered"}
			}
			return []string{"not answered: " + oneLine(why, maxSummary)}
		}
		var args map[string]any
		json.Unmarshal([]byte(arguments), &args)
		asked := questions(args["questions"])
		for _, q := range slices.Sorted(maps.Keys(answers)) {
			if !slices.Contains(asked, q) {
				asked = append(asked, q)
			}
		}
		var list []string
		for _, q := range asked {
			list = append(list, oneLine(q, maxSummary)+" → "+cmp.Or(oneLine(answers[q], maxSummary), "no answer"))
		}
		return list
	}
	if name == "Agent" {
		if _, rest, ok := strings.Cut(output, "[summary]\n"); ok {
			output = rest
		}
	}
	t := v.Message
	switch {
	case strings.TrimSpace(brief.String()) != "":
		t = brief.String()
	case strings.TrimSpace(output) != "" && (name == "Shell" && !v.IsError || t == ""):
		t = output
	}
	if t = strings.Trim(t, "\n"); strings.TrimSpace(t) == "" {
		return []string{map[bool]string{true: "failed", false: "done"}[v.IsError]}
	}
	return strings.Split(t, "\n")
}

// FullResult returns the lines of a result with everything that ResultLines leaves out.
func FullResult(name, arguments string, v *wireproto.ToolReturnValue) []string {
	picked := ResultLines(name, arguments, v)
	var all []string
	for _, t := range []string{Said(v.Output), v.Message} {
		if t = strings.Trim(t, "\n"); t != "" && !strings.Contains(strings.Join(all, "\n"), t) {
			all = append(all, strings.Split(t, "\n")...)
		}
	}
	if !strings.Contains(strings.Join(all, "\n"), strings.Join(picked, "\n")) {
		all = append(picked, all...)
	}
	return all
}

// cut leaves out what is more than n lines.
func cut(lines []string, n int) []string {
	if len(lines) <= n {
		return lines
	}
	return append(lines[:n-1:n-1], "… "+screen.Count(len(lines)-n+1, "more line"))
}
