package ask

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kimi-go/kimi-go/wireproto"
)

// pages are the numbers of lines of the pages that are still to come.
type pages []int

func (p *pages) Hidden() int {
	n := 0
	for _, lines := range *p {
		n += lines
	}
	return n
}

func (p *pages) More() error {
	*p = (*p)[1:]
	return nil
}

var (
	all     = new(pages)
	session = []string{"all in this session"}
)

// The question says how many lines have not been shown yet, and shows them page by page. Nothing can be allowed before
// all lines have been shown.
func TestApprovalPages(t *testing.T) {
	var out bytes.Buffer
	c := &Console{In: NewInput(strings.NewReader("\ny\na\nm\n\ny\n"), false), Out: &out}
	got, err := c.Approval(t.Context(), &pages{20, 1}, session, "stops")
	if err != nil || got.Response != wireproto.Approve {
		t.Errorf("Approval = %v, %v", got, err)
	}
	const (
		some = "  allow? [m]ore of it first, or [n]o (then say what instead): "
		none = "  allow? [y]es, [n]o (then say what instead), [a]lways (all in this session): "
	)
	want := "  NOT SHOWN YET: 21 lines\n" + some + "  m or n, please\n" + "  NOT SHOWN YET: 21 lines\n" + some +
		"  NOT SHOWN YET: 1 line\n" + some + none + strings.Repeat("  y, a or n, please\n"+none, 2)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestApproval(t *testing.T) {
	for _, tt := range []struct {
		name, typed string
		want        Decision
		err         error
	}{
		{"once", "y\n", Decision{Response: wireproto.Approve}, nil},
		{"spelled out", " YES \n", Decision{Response: wireproto.Approve}, nil},
		{"session", "a\n", Decision{Response: wireproto.ApproveForSession}, nil},
		{"no", "n\n\n", Decision{Response: wireproto.Reject}, nil},
		{"no with feedback", "n\nuse sed\r\n", Decision{Response: wireproto.Reject, Feedback: "use sed"}, nil},
		{"asks again", "\nwhat\ny\n", Decision{Response: wireproto.Approve}, nil},
		{"last line without its end", "y", Decision{Response: wireproto.Approve}, nil},
		{"end", "", Decision{Response: wireproto.Reject}, io.EOF},
		{"end before the feedback", "n\n", Decision{Response: wireproto.Reject}, io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Console{In: NewInput(strings.NewReader(tt.typed), false), Out: io.Discard}
			got, err := c.Approval(t.Context(), all, session, "stops")
			if !errors.Is(err, tt.err) {
				t.Errorf("err = %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The question says that "no" asks for words next. The next question says what happens without words.
func TestApprovalNo(t *testing.T) {
	for _, silence := range []string{"ends the turn", "the agent goes on"} {
		var out bytes.Buffer
		c := &Console{In: NewInput(strings.NewReader("n\n\n"), false), Out: &out}
		if got, err := c.Approval(t.Context(), all, session, silence); err != nil || got != (Decision{Response: wireproto.Reject}) {
			t.Errorf("Approval = %+v, %v", got, err)
		}
		want := "  allow? [y]es, [n]o (then say what instead), [a]lways (all in this session): " +
			"  what instead? (Enter alone: " + silence + "): "
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// The person chooses from a list what is always allowed.
func TestApprovalAlways(t *testing.T) {
	var out bytes.Buffer
	c := &Console{In: NewInput(strings.NewReader("a\n\na\n3\nx\n2\n"), false), Out: &out}
	got, err := c.Approval(t.Context(), all, []string{"this", "that\nand more"}, "stops")
	if want := (Decision{Response: wireproto.ApproveForSession, Always: 1}); err != nil || got != want {
		t.Errorf("Approval = %v, %v, want %v", got, err, want)
	}
	const (
		once  = "  allow? [y]es, [n]o (then say what instead), [a]lways (choose what): "
		list  = "  1  this\n  2  that⏎and more\n"
		which = "  always allow what? number (Enter goes back): "
		again = "  a number from 1 to 2, please\n"
	)
	if diff := cmp.Diff(once+list+which+once+list+which+again+which+again+which, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestQuestions(t *testing.T) {
	colour := wireproto.QuestionItem{
		Question: "Which?", Header: "Colour", Body: "Some\nbody", MultiSelect: true, OtherLabel: "Other", OtherDescription: "your own",
		Options: []wireproto.QuestionOption{{Label: "Red", Description: "warm"}, {Label: "Blue\x1b[2J"}, {Label: "Green"}},
	}
	size := wireproto.QuestionItem{Question: "Size?", Options: []wireproto.QuestionOption{{Label: "S"}, {Label: "L"}}}
	for _, tt := range []struct {
		name, typed string
		want        map[string]string
		err         error
	}{
		{"numbers", "1,3\n2\n", map[string]string{"Which?": "Red, Green", "Size?": "L"}, nil},
		{"spaces", " 3  1 \n1\n", map[string]string{"Which?": "Green, Red", "Size?": "S"}, nil},
		{"numbers and words", "1, 3, kiwi\n2\n", map[string]string{"Which?": "Red, Green, kiwi", "Size?": "L"}, nil},
		{"text", "none, of 2\nhuge\n", map[string]string{"Which?": "none, of 2", "Size?": "huge"}, nil},
		{"skipped", "\n1\n", map[string]string{"Size?": "S"}, nil},
		{"out of range", "4\n0\n1\n1,2\n2\n", map[string]string{"Which?": "Red", "Size?": "L"}, nil},
		{"end", "1\n", nil, io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			c := &Console{In: NewInput(strings.NewReader(tt.typed), false), Out: &out}
			got, err := c.Questions(t.Context(), []wireproto.QuestionItem{colour, size})
			if !errors.Is(err, tt.err) {
				t.Errorf("err = %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			const shown = "? Colour: Which?\n    Some\n    body\n  1  Red - warm\n  2  Blue^[[2J\n  3  Green\n  or Other: your own\n"
			if !strings.HasPrefix(out.String(), shown) {
				t.Errorf("shown %q, want %q first", out.String(), shown)
			}
			if !strings.Contains(out.String(), `numbers such as 1,3, or text such as "none of them" (Enter skips): `) {
				t.Errorf("the question does not say how to choose nothing: %q", out.String())
			}
		})
	}
}

var errOver = errors.New("over")

// A question ends with its ctx. A line that comes later answers the next question.
func TestQuestionEnds(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	c := &Console{In: NewInput(r, false), Out: io.Discard}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, err := c.Approval(ctx, all, session, "stops")
		ended <- err
	}()
	io.WriteString(w, "maybe\n") // when this line is read, the question is being asked
	cancel(errOver)
	if err := <-ended; !errors.Is(err, errOver) {
		t.Fatalf("Approval = %v, want %v", err, errOver)
	}
	go io.WriteString(w, "y\n")
	if got, err := c.Approval(t.Context(), all, session, "stops"); err != nil || got.Response != wireproto.Approve {
		t.Errorf("Approval = %v, %v", got, err)
	}
	if _, err := c.Approval(ctx, all, session, "stops"); !errors.Is(err, errOver) {
		t.Errorf("Approval after the end of ctx = %v, want %v", err, errOver)
	}
}

// While a question is asked, typed lines answer it. They do not go to the prompt that waits at the same time.
func TestQuestionFirst(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	in := NewInput(r, true)
	c := &Console{In: in, Out: io.Discard}
	prompt := make(chan string, 2)
	go func() {
		for range 2 {
			line, _ := in.Line(t.Context())
			prompt <- line
		}
	}()
	io.WriteString(w, "early\n")
	if got := <-prompt; got != "early" {
		t.Fatalf("the prompt got %q", got)
	}
	decided := make(chan Decision)
	asked := make(signal, 9)
	c.Out = asked
	go func() {
		d, _ := c.Approval(t.Context(), all, session, "stops")
		decided <- d
	}()
	<-asked
	for _, line := range []string{"what?\n", "n\n"} {
		io.WriteString(w, line)
		<-asked
	}
	<-asked // after the message about "what?"
	io.WriteString(w, "stop\n")
	if got := <-decided; got != (Decision{Response: wireproto.Reject, Feedback: "stop"}) {
		t.Errorf("decided %+v", got)
	}
	io.WriteString(w, "next\n")
	if got := <-prompt; got != "next" {
		t.Errorf("the prompt got %q, want next", got)
	}
}

// A caller that begins to wait for a prompt while a question is open does not get the answer to the question.
func TestPromptDuringQuestion(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	in := NewInput(r, true)
	asked := make(signal, 9)
	c := &Console{In: in, Out: asked}
	decided := make(chan Decision)
	go func() {
		d, _ := c.Approval(t.Context(), all, session, "stops")
		decided <- d
	}()
	<-asked
	prompt := make(chan string)
	go func() {
		line, _ := in.Line(t.Context())
		prompt <- line
	}()
	for waiting := 0; waiting < 2; runtime.Gosched() {
		in.mu.Lock()
		waiting = len(in.waiting)
		in.mu.Unlock()
	}
	io.WriteString(w, "y\nnext\n")
	if got := <-decided; got.Response != wireproto.Approve {
		t.Errorf("decided %+v", got)
	}
	if got := <-prompt; got != "next" {
		t.Errorf("the prompt got %q, want next", got)
	}
}

// signal is a writer that tells of each write.
type signal chan struct{}

func (s signal) Write(p []byte) (int, error) {
	s <- struct{}{}
	return len(p), nil
}

// Lines that were typed before a question appeared do not answer it. Neither do lines that were typed for the previous
// one.
func TestTypedTooEarly(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	in := NewInput(r, true)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, err := in.Line(ctx)
		ended <- err
	}()
	io.WriteString(w, "for the prompt\n")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	cancel(errOver)
	io.WriteString(w, "y\n")
	io.WriteString(w, "y") // this is read only after the line before it has been put aside
	asked := make(signal, 9)
	c := &Console{In: in, Out: asked}
	go func() {
		<-asked
		io.WriteString(w, "es?\n") // the line is "yes?": discard drops only complete lines of a pipe
		<-asked
		<-asked
		io.WriteString(w, "n\n")
		<-asked
		io.WriteString(w, "no\n")
	}()
	if got, err := c.Approval(t.Context(), all, session, "stops"); err != nil || got != (Decision{Response: wireproto.Reject, Feedback: "no"}) {
		t.Errorf("Approval = %+v, %v", got, err)
	}
}

// A terminal can have more input after Ctrl-D. Any other input is over at its end.
func TestEnd(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		in := NewInput(&ends{lines: []string{"a\n", "", "b\n"}}, terminal)
		want := []string{"a", "EOF", "EOF", "EOF"}
		if terminal {
			want = []string{"a", "EOF", "b", "EOF"}
		}
		var got []string
		for range want {
			line, err := in.Line(t.Context())
			if err != nil {
				line = err.Error()
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("terminal %v (-want +got):\n%s", terminal, diff)
		}
	}
}

// ends is a reader that ends at each empty line and goes on afterwards.
type ends struct{ lines []string }

func (e *ends) Read(p []byte) (int, error) {
	if len(e.lines) == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.lines[0])
	e.lines = e.lines[1:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
