package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/slash"
)

const prompt = "> "

type chatCmd struct {
	runFlags
	plainFlag
	Session string `placeholder:"ID" help:"Id of the session (default: a new one). If the session exists, it is continued."`
}

func (f *chatCmd) Run(e *env) error {
	f.plain = f.Plain
	start := func(ctx context.Context, o *client.Options) (*client.Session, error) {
		o.SessionID = f.Session
		o.SlashCommands = f.Slash || e.interactive() // the user types the prompts
		if err := o.Validate(); err != nil {
			return nil, usage("%w", err)
		}
		return client.NewSession(ctx, o)
	}
	if e.screenful(&f.runFlags, f.Plain) {
		return e.chatOnScreen(&f.runFlags, start, f.Session, false)
	}
	return e.converse(&f.runFlags, start, func(c *conversation) error {
		if id := missing(c.session, f.Session, c.opts); id != "" {
			c.note("there is no session " + id + ": this is a new one")
		}
		return c.chat()
	})
}

const chatHelp = `/help or ?  this, and the agent's own commands
/plan       plan mode: on or off; without a word, switch it
/exit       leave; Ctrl-D does the same
A line that ends in \ continues on the next line.
Lines that are pasted together are one message, which the next Enter sends.
What is typed while the agent works steers it. Ctrl-C cancels the turn.`

// chat runs a turn for each line of the input. At a terminal, it shows the error of a turn and goes on. Elsewhere it
// ends with the error of the last turn.
func (c *conversation) chat() error {
	live := c.prompter != nil
	if live {
		model := c.session.Model()
		if model != "" {
			model = ", model " + model
		}
		c.note("session " + c.session.ID() + model + "; ? tells more, Ctrl-D leaves")
	}
	turns := 0
	defer func() {
		if turns > 0 {
			c.flags.leave(c.e, c.session)
		}
	}()
	var last error
	var early []*steering // what was typed too late to steer a turn; these are the next prompts
	for {
		text, err := c.next(&early)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if live {
			if done, known := c.command(text); done {
				break
			} else if known {
				continue
			}
			wrong := slash.Wrong(c.session, text)
			if wrong == "" {
				text, wrong = slash.Send(c.session, text)
			}
			if wrong != "" {
				c.note(wrong)
				continue
			}
		}
		var steer func(context.Context)
		if live {
			steer = c.steer
		}
		result, err := c.turn(text, nil, steer)
		turns++
		c.summary(result, err, false)
		if c.session.Err() != nil || c.e.signals.closed() {
			c.unsent(append(early, c.steered...))
			return cmp.Or(err, c.session.Err())
		}
		early, c.steered = append(early, c.steered...), nil
		if err != nil {
			c.unsent(early)
			early, c.pasted = nil, ""
		}
		last = err
		if live {
			last = nil
			if !errors.Is(err, client.ErrCancelled) {
				report(c.e, err)
			}
			c.e.signals.forget()
		} else if err != nil {
			if c.e.signals.stopped() != 0 {
				break
			}
			report(c.e, err)
		}
	}
	if last != nil {
		return toldError{last}
	}
	return nil
}

// next returns the next prompt: what was typed too late to steer, or what is typed now.
func (c *conversation) next(early *[]*steering) (string, error) {
	if len(*early) > 0 {
		text := (*early)[0].text
		*early = (*early)[1:]
		return text, nil
	}
	warned := false
	text, mark := "", prompt
	for {
		if c.pasted == "" {
			c.wait(mark)
		}
		ctx, release := c.e.signals.during(context.Background())
		ctx, stop := until(ctx, c.session.Done())
		line, err := c.e.input.Lines(ctx, c.pasted, func(notice string) { c.wait("  " + notice + " ") })
		if cause := context.Cause(ctx); err == nil && errors.Is(cause, errInterrupted) { // Ctrl-C just after Enter
			err = cause
		}
		stop()
		release()
		c.pasted = ""
		c.mu.Lock()
		c.mark = ""
		c.mu.Unlock()
		switch {
		case errors.Is(err, errResolved):
			return "", c.session.Err()
		case errors.Is(err, errInterrupted):
			if warned || c.prompter == nil || c.e.signals.closed() {
				if c.prompter != nil {
					fmt.Fprintln(c.e.asking())
				}
				return "", err
			}
			if strings.TrimSpace(line) != "" {
				fmt.Fprintln(c.e.asking())
				c.note("not sent: " + line)
			}
			fmt.Fprintln(c.e.asking(), "\n(Ctrl-C again, or Ctrl-D, leaves)")
			warned, text, mark = true, "", prompt
			c.e.signals.forget()
			continue
		case err != nil:
			if c.prompter != nil {
				fmt.Fprintln(c.e.asking())
			}
			if text += line; strings.TrimSpace(text) != "" {
				c.note("not sent: " + text)
			}
			return "", err
		}
		if head, more := strings.CutSuffix(line, `\`); more && c.prompter != nil {
			text, mark = text+head+"\n", "… "
			continue
		}
		if text += line; strings.TrimSpace(text) != "" {
			return text, nil
		}
		text, mark = "", prompt
	}
}

func (c *conversation) wait(mark string) {
	if c.prompter == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark = mark
	io.WriteString(c.e.asking(), mark)
}

// unsent says what a turn that was cancelled, or that failed, has not read.
func (c *conversation) unsent(list []*steering) {
	for _, s := range list {
		if s.sent {
			c.note("sent, but the agent has not read it: " + s.text)
		} else {
			c.note("not sent: " + s.text)
		}
	}
	if c.pasted != "" {
		c.note("not sent: " + c.pasted)
	}
}

// steering is a text that was typed while a turn ran.
type steering struct {
	text    string
	command bool // it waits for the end of the turn, in which it would be only text
	sent    bool // to the turn
}

// steer sends what is typed while a turn runs. Text that the turn does not use stays in c.steered.
func (c *conversation) steer(ctx context.Context) {
	for {
		text, err := c.e.input.Lines(ctx, c.pasted, c.tell)
		c.pasted = ""
		switch {
		case errors.Is(err, io.EOF): // Ctrl-D leaves only at the prompt
			if text != "" {
				c.tell("not sent: " + text)
			}
			continue
		case err != nil:
			c.pasted = text
			return
		case strings.TrimSpace(text) == "":
			continue
		}
		if wrong := slash.Wrong(c.session, text); wrong != "" && !own(text) {
			c.tell(wrong)
			continue
		}
		s := &steering{text: text, command: own(text) || slash.Waits(c.session, text)}
		c.mu.Lock()
		c.steered = append(c.steered, s)
		c.mu.Unlock()
		if s.command {
			c.tell("(kept until the turn is over)")
			continue
		}
		// Only a SteerInput says that the turn has the text.
		switch err := c.session.Steer(context.WithoutCancel(ctx), text); {
		case err == nil:
			s.sent = true
			c.mu.Lock()
			if slices.Contains(c.steered, s) {
				c.show.Line("(sent to the turn)")
			}
			c.mu.Unlock()
		case errors.Is(err, client.ErrUnsupported):
			c.tell("(kept for the next prompt: this kimi takes no input while it works)")
		}
	}
}

// tell shows a line of the chat itself among the messages of a turn.
func (c *conversation) tell(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.show.Line("%s", text)
}

// own reports whether a text is a command of the plain chat.
func own(text string) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return slices.Contains([]string{"?", "/help", "/plan", "/exit", "/quit"}, word)
}

// command runs a command of the chat itself. known is false if the text is for kimi. done says that the person leaves.
func (c *conversation) command(text string) (done, known bool) {
	word, arg, _ := strings.Cut(strings.TrimSpace(text), " ")
	arg = strings.TrimSpace(arg)
	switch {
	case word == "/exit" || word == "/quit":
		return true, true
	case word == "/help", word == "?" && arg == "":
		out := c.e.asking()
		fmt.Fprintln(out, chatHelp)
		heading := "kimi's own commands:\n"
		for _, cmd := range c.session.Server().SlashCommands {
			if own("/" + cmd.Name) {
				continue
			}
			fmt.Fprintf(out, "%s/%-10s %s\n", heading, screen.Line(cmd.Name), screen.Line(oneLine(cmd.Description)))
			heading = ""
		}
	case word == "/plan" && (arg == "" || arg == "on" || arg == "off"):
		ctx, release := c.e.signals.during(context.Background())
		defer release()
		if _, err := c.session.SetPlanMode(ctx, arg == "on" || arg == "" && !c.session.Status().PlanMode); err != nil {
			report(c.e, err)
		}
	default:
		return false, false
	}
	return false, true
}
