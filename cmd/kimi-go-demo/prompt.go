package main

import (
	"context"
	"regexp"

	"github.com/kimi-go/kimi-go/client"
)

type promptCmd struct {
	runFlags
	Session string   `placeholder:"ID" help:"Id of the session (default: a new one). If the session exists, it is continued."`
	Image   []string `sep:"none" placeholder:"FILE" help:"Add an image to the prompt; may be repeated."`
	Text    []string `arg:"" help:"The prompt; - reads standard input."`
}

func (p *promptCmd) Run(e *env) error {
	text, err := e.words(p.Text)
	if err != nil {
		return err
	}
	parts, err := images(p.Image)
	if err != nil {
		return err
	}
	start := func(ctx context.Context, o *client.Options) (*client.Session, error) {
		o.SessionID = p.Session
		if err := o.Validate(); err != nil {
			return nil, usage("%w", err)
		}
		return client.NewSession(ctx, o)
	}
	return e.converse(&p.runFlags, start, func(c *conversation) error {
		result, err := c.turn(text, parts, nil)
		c.summary(result, err, true)
		return err
	})
}

type resumeCmd struct {
	runFlags
	plainFlag
	Last  bool     `help:"Continue the newest session of the work dir. Do not give an ID together with this flag."`
	Image []string `sep:"none" placeholder:"FILE" help:"Add an image to the prompt; may be repeated."`
	ID    string   `arg:"" optional:"" help:"Id of the session; - means the newest. Without an id, you choose one at the terminal."`
	Text  []string `arg:"" optional:"" help:"A prompt. Without a prompt, the command shows the history and, at a terminal, starts a chat."`
}

// sessionID is the form of ids that kimi makes.
var sessionID = regexp.MustCompile(`^(session_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (r *resumeCmd) Run(e *env) error {
	r.plain = r.Plain
	id, words := r.ID, r.Text
	switch {
	case r.Last && len(words) == 0 && sessionID.MatchString(id):
		return usage("--last continues the newest session; to continue %s, leave --last out", id)
	case r.Last && id != "":
		id, words = "", append([]string{id}, words...)
	case id == "-":
		id = ""
	case id == "" && !r.Last:
		if !e.screenful(&r.runFlags, r.Plain) {
			return usage("which session? give its ID, or - for the newest; %s sessions lists them", program)
		}
		var err error
		if id, err = e.pick(&r.runFlags); err != nil || id == "" {
			return err
		}
	}
	if len(words) == 0 && len(r.Image) > 0 {
		return usage("--image needs a prompt")
	}
	var text string
	var err error
	if len(words) > 0 {
		if text, err = e.words(words); err != nil {
			return err
		}
	}
	parts, err := images(r.Image)
	if err != nil {
		return err
	}
	start := func(ctx context.Context, o *client.Options) (*client.Session, error) {
		o.SlashCommands = r.Slash || text == "" && e.interactive() // the same rule as in chat
		return client.ResumeSession(ctx, id, o)
	}
	if text == "" && e.screenful(&r.runFlags, r.Plain) {
		return e.chatOnScreen(&r.runFlags, start, "", true)
	}
	return e.converse(&r.runFlags, start, func(c *conversation) error {
		if text != "" {
			result, err := c.turn(text, parts, nil)
			c.summary(result, err, true)
			return err
		}
		if err := c.replay(); err != nil || c.prompter == nil {
			return err
		}
		return c.chat()
	})
}

// replay shows the history of the session.
func (c *conversation) replay() error {
	ctx, release := c.e.signals.during(context.Background())
	defer release()
	if c.show != nil {
		live := c.show
		c.show = c.renderer(true)
		defer func() { c.fresh(); c.show = live }()
	}
	for m, err := range c.session.Replay(ctx) {
		if err != nil {
			return err
		}
		if c.lines != nil {
			err = c.lines.Encode(m)
		} else {
			err = c.show.Message(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
