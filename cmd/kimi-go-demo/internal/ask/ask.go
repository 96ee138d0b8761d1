package ask

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Decision is the answer to an approval request.
type Decision struct {
	Response wireproto.ApprovalDecision
	Feedback string // with [wireproto.Reject]: for the model
}

// Console asks at a terminal, or at any reader and writer.
type Console struct {
	In  *Input
	Out io.Writer
}

// Approval asks whether to allow what has just been shown. With an error it is a rejection: [io.EOF] at
// the end of the input, or the cause of ctx's end when nobody needs the answer any more.
func (c *Console) Approval(ctx context.Context) (Decision, error) {
	defer c.In.claim()()
	for {
		line, err := c.ask(ctx, "  allow? [y]es, [a]lways in this session, [n]o: ")
		if err != nil {
			return Decision{Response: wireproto.Reject}, err
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return Decision{Response: wireproto.Approve}, nil
		case "a", "always":
			return Decision{Response: wireproto.ApproveForSession}, nil
		case "n", "no":
			feedback, err := c.ask(ctx, "  what instead? (Enter alone ends the turn): ")
			return Decision{wireproto.Reject, strings.TrimSpace(feedback)}, err
		}
		fmt.Fprintln(c.Out, "  y, a or n, please")
	}
}

// Questions asks one question after the other. Those without an answer are left out. Its errors are
// those of Approval.
func (c *Console) Questions(ctx context.Context, questions []wireproto.QuestionItem) (map[string]string, error) {
	defer c.In.claim()()
	answers := make(map[string]string)
	for _, q := range questions {
		c.show(q)
		text, err := c.choose(ctx, q)
		if err != nil {
			return nil, err
		}
		if text != "" {
			answers[q.Question] = text
		}
	}
	return answers, nil
}

func (c *Console) show(q wireproto.QuestionItem) {
	var b strings.Builder
	line := func(text string) {
		b.WriteString(strings.TrimRight(render.Clean(text), "\n") + "\n")
	}
	if q.Header != "" {
		line("? " + q.Header + ": " + q.Question)
	} else {
		line("? " + q.Question)
	}
	if q.Body != "" {
		for l := range strings.Lines(q.Body) {
			line("    " + l)
		}
	}
	for i, o := range q.Options {
		text := fmt.Sprintf("  %d  %s", i+1, o.Label)
		if o.Description != "" {
			text += " - " + o.Description
		}
		line(text)
	}
	if q.OtherLabel != "" {
		line("  or " + strings.TrimSuffix(q.OtherLabel+": "+q.OtherDescription, ": "))
	}
	io.WriteString(c.Out, b.String())
}

func (c *Console) choose(ctx context.Context, q wireproto.QuestionItem) (string, error) {
	how := "  number or text (Enter skips): "
	if q.MultiSelect {
		how = "  numbers such as 1,3, or text (Enter skips): "
	}
	for {
		line, err := c.ask(ctx, how)
		if err != nil {
			return "", err
		}
		text, problem := choice(q, strings.TrimSpace(line))
		if problem == "" {
			return text, nil
		}
		fmt.Fprintln(c.Out, "  "+problem)
	}
}

// choice turns what was typed into the answer that the agent wants: labels joined by ", ", or the text
// itself where it is no list of numbers.
func choice(q wireproto.QuestionItem, typed string) (text, problem string) {
	var labels []string
	for field := range strings.FieldsFuncSeq(typed, func(c rune) bool { return c == ',' || c == ' ' }) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return typed, ""
		}
		if n < 1 || n > len(q.Options) {
			return "", fmt.Sprintf("there is no %d; choose from 1 to %d", n, len(q.Options))
		}
		labels = append(labels, q.Options[n-1].Label)
	}
	if len(labels) > 1 && !q.MultiSelect {
		return "", "one number, please"
	}
	return strings.Join(labels, ", "), ""
}

// ask reads the answer to a question. What ends it otherwise leaves its line.
func (c *Console) ask(ctx context.Context, question string) (string, error) {
	io.WriteString(c.Out, question)
	line, err := c.In.line(ctx, true)
	if err != nil {
		fmt.Fprintln(c.Out)
	}
	return line, err
}
