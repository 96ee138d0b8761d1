package main

import (
	"context"
	"errors"
	"os"
	"runtime"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/render"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/tui"
	"github.com/kimi-go/kimi-go/wireproto"
)

// plainFlag is the flag of the commands that show a chat.
type plainFlag struct {
	Plain bool `help:"Show plain lines that never change, for a screen reader. ACCESSIBLE=1 does the same. Without a terminal, lines are always plain."`
}

// screenful reports whether a chat can have its own screen.
func (e *env) screenful(f *runFlags, plain bool) bool {
	term := os.Getenv("TERM")
	return e.inTerminal && e.outTerminal && !plain && !f.JSON && !f.Quiet && os.Getenv("ACCESSIBLE") == "" &&
		term != "dumb" && (term != "" || runtime.GOOS == "windows")
}

// chatOnScreen runs a chat with separate places for what is typed and for what the agent does. wanted is the id that the
// person gave, or "".
func (e *env) chatOnScreen(f *runFlags, begin func(context.Context, *client.Options) (*client.Session, error), wanted string, replay bool) error {
	opts, err := f.options(true)
	if err != nil {
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
	grants, err := f.grants(e, opts)
	if err != nil {
		return err
	}
	dir := f.WorkDir
	if dir == "" {
		dir = "."
	}
	cfg := tui.Config{
		In: os.Stdin, Out: os.Stdout, Colour: e.stdout.Colour(), WorkDir: dir, History: tui.HistoryFile(dir),
		Answer: f.Answer, Effort: f.Effort, Replay: replay, Grants: grants, Cost: f.cost.String, Images: images,
		Explain: func(err error) (line, hint string) { return explain(flagged{err, f}) },
	}
	switch {
	case f.Yolo:
		cfg.Mode = "yolo"
	case f.AFK:
		cfg.Mode = "afk"
	}
	cfg.Start = func(ctx context.Context) (*client.Session, error) {
		s, err := begin(ctx, opts)
		if err == nil {
			e.signals.closes(s)
		}
		return s, err
	}
	cfg.Missing = func(s *client.Session) string { return missing(s, wanted, opts) }
	cfg.Reopen = func(ctx context.Context, id, model, effort, mode string) (*client.Session, error) {
		opts.SessionID, opts.Effort, opts.Plan = id, effort, false
		opts.Yolo, opts.AFK = mode == "yolo", mode == "afk"
		opts.SupportsQuestion = !opts.AFK
		opts.SupportsPlanMode = opts.SupportsQuestion
		if model != "" {
			opts.Model = model
		}
		s, err := client.NewSession(ctx, opts)
		if err == nil {
			e.signals.closes(s)
		}
		return s, err
	}
	cfg.Fork = func(ctx context.Context, id string, turns int) (string, error) {
		return client.ForkSession(ctx, id, turns, opts)
	}
	cfg.Prompts = func(id string) ([]string, error) { return prompts(id, opts) }
	chat := tui.New(cfg)
	opts.OnMessage = chat.Outside
	if err := opts.Validate(); err != nil {
		return usage("%w", err)
	}
	ctx, release := e.signals.during(context.Background())
	r := chat.Run(ctx)
	release()
	if r.Session != nil && (r.Turns > 0 || replay) {
		if r.Model != "" && r.Session.Server().Bridge == nil { // kimi-cli does not store it
			f.Model = r.Model
		}
		f.leave(e, r.Session)
	}
	if err = e.left(r.Err); err != nil {
		err = flagged{err, f}
	}
	if r.Session != nil {
		if closeErr := r.Session.Close(); closeErr != nil && e.signals.stopped() == 0 {
			err = errors.Join(err, closeErr)
		}
	}
	return err
}

// pick lets the person choose a session of the work dir. It returns "" if there is none.
func (e *env) pick(f *runFlags) (id string, err error) {
	list, err := client.ListSessions(f.where.options())
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		noSessions(e)
		return "", nil
	}
	id, err = tui.Pick(os.Stdin, os.Stdout, e.stdout.Colour(), list, age)
	return id, e.left(err)
}

// left treats Ctrl-C that came as a key like Ctrl-C that came as a signal.
func (e *env) left(err error) error {
	if errors.Is(err, tui.ErrInterrupted) {
		e.signals.typed()
		return errInterrupted
	}
	return err
}

// prompts returns the prompts of a session's turns, the oldest first.
func prompts(id string, opts *client.Options) (list []string, err error) {
	for m, err := range client.History(id, opts) {
		if err != nil {
			return nil, err
		}
		if turn, ok := m.(*wireproto.TurnBegin); ok {
			list = append(list, render.Said(turn.UserInput))
		}
	}
	return list, nil
}

// missing returns the id wanted if s is a new session in its place, and "" otherwise. Kimi Code gives each session an id
// of its own, so the id does not tell.
func missing(s *client.Session, wanted string, opts *client.Options) string {
	if wanted == "" || s.ID() == wanted {
		return ""
	}
	if list, err := prompts(s.ID(), opts); err != nil || len(list) > 0 {
		return ""
	}
	return wanted
}
