package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/internal/kimicode/history"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/wireproto"
)

// codeStored is a session in the home of Kimi Code.
type codeStored struct {
	*home.Stored
	home string
}

func (b kimiCode) stored(l *launch, id string) (storedSession, error) {
	s, err := home.Find(b.home(l), l.workDir, id)
	if s == nil || err != nil {
		return nil, err
	}
	return codeStored{s, b.home(l)}, nil
}

func (s codeStored) title() string             { return s.Title() }
func (s codeStored) rename(title string) error { return s.Rename(title) }
func (s codeStored) remove() error             { return s.Delete() }

func (s codeStored) fork(ctx context.Context, turns int, title string) (string, error) {
	id, err := s.Fork(ctx, turns, title)
	if errors.As(err, new(*history.VersionError)) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	var few *history.TurnsError
	if errors.As(err, &few) {
		err = &TurnsError{Turns: few.Want, Available: few.Turns}
	}
	return id, err
}

func (s codeStored) hold() (*os.File, error) {
	held, err := holdSession(s.Dir, true)
	if err != nil {
		return nil, err
	}
	if pid := bridge.OpenIn(s.home, s.ID); pid != 0 {
		held.Close() // held may be nil; Close of a nil file is harmless
		return nil, fmt.Errorf("%w: the \"kimi web\" with the process id %d has it open", ErrInUse, pid)
	}
	return held, nil
}

func (s codeStored) history(l *launch) iter.Seq2[wireproto.SessionRecord, error] {
	return func(yield func(wireproto.SessionRecord, error) bool) {
		teller := history.Teller{ToolName: l.toolName}
		emit := func(m wireproto.Message) bool {
			return yield(wireproto.SessionRecord{Time: teller.At, Message: m}, nil)
		}
		going := true
		for m, err := range s.Journal("main").Messages() {
			if err != nil {
				yield(wireproto.SessionRecord{}, err)
				return
			}
			if going = teller.Tell(m, emit); !going {
				return
			}
		}
		teller.End(emit)
	}
}

// toolName returns the name that the options use for a Go tool.
func (l *launch) toolName(name string) string {
	own, ok := strings.CutPrefix(name, bridge.ToolPrefix)
	for _, t := range l.opts.Tools {
		if ok && t.name == own {
			return own
		}
	}
	return name
}
