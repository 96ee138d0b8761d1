package ask

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Decision is the answer to an approval request.
type Decision struct {
	Response wireproto.ApprovalDecision
	Feedback string // with [wireproto.Reject]: words for the model
	Always   int    // with [wireproto.ApproveForSession]: the index of the choice
}

// Console asks at a terminal, or at any reader and writer.
type Console struct {
	In  *Input
	Out io.Writer

	mu    sync.Mutex
	asked string // what was written last for the question that waits; "" if none waits
}

// refuse names the key that refuses. After it, the person is asked for words.
const refuse = "[n]o (then say what instead)"

// Pages is the part of a request that has not been shown yet.
type Pages interface {
	Hidden() int // how many lines have not been shown
	More() error // shows the next page
}

// Approval asks whether to allow the call that was just shown. rest is the part of the call that was not shown. always
// says in words what "always" can cover. silence says what the agent does after a rejection without words. The error is
// [io.EOF] at the end of the input, or the cause of ctx's end when the answer is no longer needed. With an error, the
// answer is a rejection.
func (c *Console) Approval(ctx context.Context, rest Pages, always []string, silence string) (Decision, error) {
	defer c.In.claim()()
	covers := "choose what"
	if len(always) == 1 {
		covers = screen.Line(always[0])
	}
	for {
		hidden := rest.Hidden()
		how, keys := "  allow? [y]es, "+refuse+", [a]lways ("+covers+"): ", "y, a or n"
		if hidden > 0 {
			how, keys = fmt.Sprintf("  NOT SHOWN YET: %s\n  allow? [m]ore of it first, or "+refuse+": ", lines(hidden)), "m or n"
		}
		line, err := c.ask(ctx, how)
		if err != nil {
			return Decision{Response: wireproto.Reject}, err
		}
		key := strings.ToLower(strings.TrimSpace(line))
		if hidden > 0 && slices.Contains([]string{"m", "more", "y", "yes", "a", "always"}, key) {
			if err := rest.More(); err != nil {
				return Decision{Response: wireproto.Reject}, err
			}
			continue
		}
		switch key {
		case "y", "yes":
			return Decision{Response: wireproto.Approve}, nil
		case "a", "always":
			which, err := c.always(ctx, always)
			if err != nil {
				return Decision{Response: wireproto.Reject}, err
			}
			if which < 0 {
				continue
			}
			return Decision{Response: wireproto.ApproveForSession, Always: which}, nil
		case "n", "no":
			feedback, err := c.words(ctx, "  what instead? (Enter alone: "+silence+"): ")
			return Decision{Response: wireproto.Reject, Feedback: strings.TrimSpace(feedback)}, err
		}
		fmt.Fprintln(c.Out, "  "+keys+", please")
	}
}

// always asks which entry of list is always allowed. It returns -1 if the person chooses none.
func (c *Console) always(ctx context.Context, list []string) (int, error) {
	if len(list) == 1 {
		return 0, nil
	}
	for i, words := range list {
		fmt.Fprintf(c.Out, "  %d  %s\n", i+1, screen.Line(words))
	}
	for {
		line, err := c.ask(ctx, "  always allow what? number (Enter goes back): ")
		if err != nil {
			return -1, err
		}
		line = strings.TrimSpace(line)
		if line == "" {
			return -1, nil
		}
		if n, err := strconv.Atoi(line); err == nil && n >= 1 && n <= len(list) {
			return n - 1, nil
		}
		fmt.Fprintf(c.Out, "  a number from 1 to %d, please\n", len(list))
	}
}

func lines(n int) string {
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", n)
}

// Questions asks one question after the other. The result leaves out questions without an answer. The errors are the
// same as those of Approval.
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
	row := func(mark, text string) []screen.Row { return []screen.Row{{Mark: mark, Text: text}} }
	head := q.Question
	if q.Header != "" {
		head = q.Header + ": " + q.Question
	}
	list := screen.Rows(screen.Plain, "? ", "  ", head)
	if q.Body != "" {
		list = append(list, screen.Rows(screen.Plain, "    ", "    ", strings.TrimRight(q.Body, "\n"))...)
	}
	for i, o := range q.Options {
		text := o.Label
		if o.Description != "" {
			text += " - " + o.Description
		}
		list = append(list, row(fmt.Sprintf("  %d  ", i+1), text)...)
	}
	if q.OtherLabel != "" {
		list = append(list, row("  or ", strings.TrimSuffix(q.OtherLabel+": "+q.OtherDescription, ": "))...)
	}
	var b strings.Builder
	for _, r := range screen.Layout(list, 0) {
		b.WriteString(strings.TrimRight(r.String(), " ") + "\n")
	}
	io.WriteString(c.Out, b.String())
}

func (c *Console) choose(ctx context.Context, q wireproto.QuestionItem) (string, error) {
	how := "  number or text (Enter skips): "
	if q.MultiSelect {
		how = `  numbers such as 1,3, or text such as "none of them" (Enter skips): `
	}
	for {
		line, err := c.words(ctx, how)
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

// several turns a list of numbers and own words, with commas between them, into the answer for the agent.
func several(q wireproto.QuestionItem, typed string) (text, problem string) {
	var list []string
	for field := range strings.SplitSeq(typed, ",") {
		field = strings.TrimSpace(field)
		n, err := strconv.Atoi(field)
		switch {
		case err != nil && field != "":
			list = append(list, field)
		case err != nil:
		case n < 1 || n > len(q.Options):
			return "", fmt.Sprintf("there is no %d; choose from 1 to %d", n, len(q.Options))
		default:
			list = append(list, q.Options[n-1].Label)
		}
	}
	return strings.Join(list, ", "), ""
}

// choice turns what was typed into the answer for the agent: labels joined by ", ", or the text itself if it is not a
// list of numbers.
func choice(q wireproto.QuestionItem, typed string) (text, problem string) {
	if q.MultiSelect && strings.Contains(typed, ",") { // numbers, and perhaps own words
		return several(q, typed)
	}
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

// ask shows a question and reads a line. If there is no answer, ask ends the line on the screen.
func (c *Console) ask(ctx context.Context, question string) (string, error) {
	return c.read(ctx, question, func() (string, error) { return c.In.line(ctx, true) })
}

// words is like ask, but lines that are pasted together are one answer.
func (c *Console) words(ctx context.Context, question string) (string, error) {
	return c.read(ctx, question, func() (string, error) {
		return c.In.lines(ctx, true, "", func(notice string) { c.say("  " + notice + " ") })
	})
}

func (c *Console) read(ctx context.Context, question string, answer func() (string, error)) (string, error) {
	if err := c.In.discard(ctx); err != nil {
		return "", err
	}
	c.say(question)
	text, err := answer()
	c.mu.Lock()
	c.asked = ""
	c.mu.Unlock()
	if err != nil {
		fmt.Fprintln(c.Out)
		return "", err
	}
	return text, nil
}

func (c *Console) say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = text
	io.WriteString(c.Out, text)
}

// Again writes the question that waits once more. It reports whether one waits.
func (c *Console) Again() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	io.WriteString(c.Out, c.asked)
	return c.asked != ""
}
