package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/ask"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/grant"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/slash"
	"github.com/kimi-go/kimi-go/wireproto"
)

// errResolved ends a question that needs no answer any more.
var errResolved = errors.New("resolved otherwise")

// prompter asks a person. ctx ends when no answer is needed now.
type prompter interface {
	Approval(ctx context.Context, rest ask.Pages, always []string, silence string) (ask.Decision, error)
	Questions(ctx context.Context, questions []wireproto.QuestionItem) (map[string]string, error)
	Again() bool // writes the question that waits once more, and reports whether one waits
}

// conversation is a session and how it is shown and answered.
type conversation struct {
	e        *env
	flags    *runFlags
	session  *client.Session
	opts     *client.Options // of the session
	grants   *grant.Book
	show     *render.Renderer // nil with --json
	lines    *json.Encoder    // nil without --json
	prompter prompter         // nil if no one can be asked

	over    atomic.Bool // nothing is asked any more
	unasked atomic.Bool // a request was rejected, or a question dismissed, because there was no one to ask
	mu      sync.Mutex  // guards the terminal: one message or question at a time
	mark    string      // what a chat that waits for a prompt has written; "" if it does not wait
	steered []*steering // what was typed during the turn and the turn does not have yet
	pasted  string      // what was pasted during the turn, before the Enter that sends it
}

// converse calls start, which starts or resumes a session, and then do. At the end it closes the session.
func (e *env) converse(f *runFlags, start func(context.Context, *client.Options) (*client.Session, error), do func(*conversation) error) error {
	c := &conversation{e: e, flags: f}
	if f.JSON {
		c.lines = json.NewEncoder(e.stdout.JSON())
		c.lines.SetEscapeHTML(false)
	} else {
		c.show = c.renderer(false)
		if e.interactive() {
			c.prompter = &ask.Console{In: e.input, Out: e.asking()}
		}
	}
	if c.prompter != nil {
		defer onContinue(c.again)()
	}
	opts, err := f.options(c.prompter != nil)
	if err != nil {
		return err
	}
	opts.OnMessage, c.opts = c.outside, opts
	if c.grants, err = f.grants(e, opts); err != nil {
		return err
	}
	if f.Record != "" {
		file, err := createRecording(f.Record)
		if err != nil {
			return err
		}
		defer file.Close()
		opts.Record = file
	}
	if err := opts.Validate(); err != nil {
		return usage("%w", err)
	}
	ctx, release := e.signals.during(context.Background())
	c.session, err = start(ctx, opts)
	release()
	if err != nil {
		return flagged{err, f}
	}
	e.signals.closes(c.session)
	err = do(c)
	c.over.Store(true)
	if closeErr := c.session.Close(); closeErr != nil && e.signals.stopped() == 0 {
		err = errors.Join(err, closeErr)
	}
	if err == nil && c.unasked.Load() {
		return errUnasked
	}
	return err
}

func (c *conversation) renderer(inputs bool) *render.Renderer {
	return render.New(c.e.stdout, render.Options{Quiet: c.flags.Quiet, Inputs: inputs})
}

// turn runs a turn to its end. meanwhile, if not nil, runs at the same time.
func (c *conversation) turn(text string, parts []wireproto.ContentPart, meanwhile func(context.Context)) (*client.TurnResult, error) {
	ctx, release := c.e.signals.during(context.Background())
	defer release()
	turn, err := c.session.Prompt(ctx, text, parts...)
	if err != nil {
		return nil, err
	}
	if meanwhile != nil {
		var others sync.WaitGroup
		over, stop := context.WithCancel(ctx)
		others.Go(func() { meanwhile(over) })
		defer others.Wait()
		defer stop()
	}
	var broken error // why standard output cannot be written
	for m, err := range turn.Messages() {
		if err != nil {
			break // Result returns it too
		}
		if _, cut := m.(*wireproto.StepInterrupted); cut && c.lines == nil {
			continue // the end of the turn says more
		}
		if broken = c.message(ctx, m); broken != nil {
			break
		}
	}
	result, err := turn.Result()
	c.fresh()
	if broken != nil {
		err = hinted{fmt.Errorf("standard output: %w", broken), "the turn was cancelled, the session is kept"}
	}
	return result, err
}

// message shows a message and answers a request. Its error says why standard output cannot be written.
func (c *conversation) message(ctx context.Context, m wireproto.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines != nil {
		if err := c.lines.Encode(m); err != nil {
			return err
		}
	}
	switch m := m.(type) {
	case *client.ApprovalRequest:
		name, arguments := m.Call()
		if said, _ := c.grants.Answer(ctx, m, name, arguments); said != "" {
			return c.ruled(m, name, arguments, said)
		}
		rest, err := c.showApproval(m)
		if err != nil {
			return err
		}
		c.approve(ctx, m, rest)
	case *client.QuestionRequest:
		c.answer(ctx, m)
	case *wireproto.SteerInput:
		i := slices.IndexFunc(c.steered, func(s *steering) bool { return !s.command && s.text == m.UserInput.Text })
		if i < 0 {
			i = slices.IndexFunc(c.steered, func(s *steering) bool { return !s.command })
		}
		if i >= 0 {
			c.steered = slices.Delete(c.steered, i, i+1)
		}
		return c.print(m)
	case *wireproto.BtwBegin:
		c.steered = slices.DeleteFunc(c.steered, func(s *steering) bool { return slash.Aside(s.text) == m.Question })
		return c.print(m)
	default:
		return c.print(m)
	}
	return nil
}

func (c *conversation) print(m wireproto.Message) error {
	if c.show == nil {
		return nil
	}
	return c.show.Message(m)
}

// showApproval shows what is to be approved. If no person is asked, it shows everything. Otherwise it shows as much as
// there is room for on the screen, and returns the rest.
func (c *conversation) showApproval(m *client.ApprovalRequest) (rest *render.Pages, err error) {
	if c.show == nil {
		return nil, nil
	}
	name, arguments := m.Call()
	asked := c.prompter != nil && c.flags.Answer == ""
	if !c.flags.Quiet {
		size := render.Size{}
		if asked && c.e.outTerminal {
			size = c.e.size()
		}
		rest, err = c.show.Approval(&m.ApprovalRequest, name, arguments, size)
	}
	if asked && (c.flags.Quiet || !c.e.outTerminal) && err == nil {
		if err = c.show.Fresh(); err == nil {
			rest, err = render.New(c.e.asking(), render.Options{}).Approval(&m.ApprovalRequest, name, arguments, c.e.size())
		}
	}
	return rest, err
}

// ruled shows a request that a rule answered.
func (c *conversation) ruled(m *client.ApprovalRequest, name string, arguments json.RawMessage, said string) error {
	if c.show == nil || c.flags.Quiet {
		return nil
	}
	if _, err := c.show.Approval(&m.ApprovalRequest, name, arguments, render.Size{}); err != nil {
		return err
	}
	c.show.Line("  %s", said)
	return nil
}

func words(offers []grant.Offer) []string {
	var list []string
	for _, o := range offers {
		list = append(list, o.Words)
	}
	return list
}

// approve answers an approval request: by --answer, by asking, or by rejecting.
func (c *conversation) approve(ctx context.Context, m *client.ApprovalRequest, rest *render.Pages) {
	var d ask.Decision
	var err error
	by := "--answer"
	name, arguments := m.Call()
	var offers []grant.Offer
	switch {
	case c.flags.Answer == "y":
		d.Response = wireproto.Approve
	case c.flags.Answer == "a":
		d.Response = wireproto.ApproveForSession
	case c.flags.Answer == "n":
		d.Response = wireproto.Reject
	case c.prompter != nil:
		asked, stop := until(ctx, m.Done())
		code := c.session.Server().Bridge != nil
		silence := "the agent goes on without it"
		if !code && m.AgentID == nil { // after a rejection, a subagent of kimi-cli goes on, too
			silence = "ends the turn"
		}
		offers = c.grants.Offers(m, name, arguments, code)
		d, err = c.prompter.Approval(asked, rest, words(offers), silence)
		stop()
		by = ""
	default:
		why := "there is no terminal to ask at"
		if c.lines != nil {
			why = "--json asks no one"
		}
		fmt.Fprintf(c.e.stderr, "%s: rejected, because %s: %s wants to %s; --answer y or --yolo would allow it\n", program, why, screen.Line(m.Sender), screen.Line(render.Action(m.Action)))
		c.unasked.Store(true)
		m.Reject("")
		return
	}
	switch {
	case errors.Is(err, errResolved):
		c.unneeded()
		return
	case err != nil && !errors.Is(err, io.EOF):
		return // the turn is being cancelled
	}
	switch d.Response {
	case wireproto.Approve:
		err = m.Approve()
	case wireproto.ApproveForSession:
		if offers == nil {
			err = m.ApproveForSession()
		} else if err = c.grants.Approve(m, offers[d.Always]); err == nil {
			if failed := c.grants.Keep(offers[d.Always]); failed != nil {
				fmt.Fprintf(c.e.stderr, "%s: %v\n", program, failed)
			}
		}
	default:
		err = m.Reject(d.Feedback)
	}
	if c.show == nil || c.flags.Quiet {
		return
	}
	if errors.Is(err, client.ErrAnswered) {
		c.unneeded()
	} else if by != "" {
		c.show.Line("  %s by %s", map[bool]string{true: "rejected", false: "allowed"}[d.Response == wireproto.Reject], by)
	}
}

// answer answers a question, or dismisses it if there is no one to ask.
func (c *conversation) answer(ctx context.Context, m *client.QuestionRequest) {
	if c.prompter == nil {
		fmt.Fprintf(c.e.stderr, "%s: a question was dismissed, because there is no one to ask\n", program)
		c.unasked.Store(true)
		m.Dismiss()
		return
	}
	c.show.Fresh()
	asked, stop := until(ctx, m.Done())
	answers, err := c.prompter.Questions(asked, m.Questions)
	stop()
	switch {
	case errors.Is(err, errResolved):
		c.unneeded()
	case errors.Is(err, io.EOF):
		m.Dismiss()
	case err == nil:
		m.Answer(answers)
	}
}

// unneeded says that a request needs no answer any more.
func (c *conversation) unneeded() {
	const text = "  (no answer is needed now)"
	if c.flags.Quiet {
		fmt.Fprintln(c.e.asking(), text)
	} else {
		c.show.Line(text)
	}
}

// until returns a ctx that also ends with done, with the cause errResolved.
func until(ctx context.Context, done <-chan struct{}) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-done:
			cancel(errResolved)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// outside receives what comes while no turn runs, such as requests of a background agent.
func (c *conversation) outside(m wireproto.Message) {
	if c.over.Load() {
		return // the client rejects what is left unanswered
	}
	if c.message(context.Background(), m) == nil && c.prompter != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.mark != "" {
			c.fresh()
			io.WriteString(c.e.asking(), c.mark)
		}
	}
}

// again writes once more what the conversation waits at.
func (c *conversation) again() {
	if c.prompter.Again() || !c.mu.TryLock() { // a message is being written: nothing waits
		return
	}
	defer c.mu.Unlock()
	io.WriteString(c.e.asking(), c.mark)
}

func (c *conversation) fresh() {
	if c.show != nil {
		c.show.Fresh()
	}
}

// summary says on standard error how a turn ended.
func (c *conversation) summary(result *client.TurnResult, err error, full bool) {
	if result == nil {
		return
	}
	how := "finished"
	switch {
	case errors.Is(err, client.ErrMaxSteps):
		how = "stopped at the limit of steps"
	case errors.Is(err, client.ErrCancelled), errors.Is(err, client.ErrClosed):
		how = "cancelled"
	case err != nil:
		how = "failed"
	}
	u := result.Usage
	in := u.InputOther + u.InputCacheRead + u.InputCacheCreation
	text := fmt.Sprintf("%s: %s", how, screen.Count(result.Steps, "step"))
	if u.Total() > 0 {
		text += fmt.Sprintf(", %s (%s in, %s out)", screen.Count(u.Total(), "token"), screen.Number(in), screen.Number(u.Output))
	} else {
		text += ", no token count"
	}
	if usage := c.session.Status().ContextUsage; usage > 0 && !full {
		text += fmt.Sprintf(", context %.0f%%", usage*100)
	}
	if spent := c.flags.cost.String(); spent != "" {
		text += ", " + spent
	}
	if full {
		text += fmt.Sprintf(", session %s; go on with: %s", c.session.ID(), c.flags.resumeCommand(c.session))
	}
	c.note(text)
}

// note writes a line of this program to standard error, dimmed where that can be seen.
func (c *conversation) note(text string) { c.e.note(text) }

func (e *env) note(text string) {
	e.stderr.Print(screen.Span{Style: screen.Dim, Text: screen.Line(strings.TrimRight(text, "\n"))}, screen.Span{Text: "\n"})
}
