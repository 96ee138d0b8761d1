package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/kimi-go/kimi-go/wireproto"
)

// storedSession is a session in the files of a back end.
type storedSession interface {
	io.Closer
	history(l *launch) iter.Seq2[wireproto.Message, error]
	fork(ctx context.Context, turns int, title string) (string, error)
	title() string
	rename(title string) error
	remove() error
	// hold keeps the session from programs of this library. It fails with ErrInUse if one of them has it, or if a program
	// that can be asked says that it has.
	hold() (*os.File, error)
}

// stored opens a session of the work dir. Unlike in ResumeSession, "" is none.
func (l *launch) stored(id string) (storedSession, error) {
	if err := validSessionID(id); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSessionNotFound, err)
	}
	candidates := l.candidates()
	for _, b := range candidates {
		s, err := b.stored(l, id)
		if err != nil {
			return nil, err
		}
		if s != nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: %q in the work dir %s (share dir %s)", ErrSessionNotFound, id, l.workDir, candidates[0].home(l))
}

// about says what failed with a session.
func about(what, id string, err error) error {
	if err == nil || strings.HasPrefix(err.Error(), "client: ") {
		return err
	}
	remedy := ""
	if errors.As(err, new(*fs.PathError)) {
		remedy = "; look at its folder in the share dir"
	}
	return fmt.Errorf("client: %s session %q: %w%s", what, id, err, remedy)
}

// History gives the messages of a stored session of the work dir, the oldest first, as [Session.Replay] does, but from its
// files: it starts nothing, and kimi may be working on the session. Leaving the loop early closes the files.
//
// It reads a file while the loop runs and holds little of it. What is not whole, such as a last line that kimi is about to
// write, it leaves out, as kimi does. It differs from Replay in two things: a message of a newer kimi-cli is kept, as a
// [*wireproto.UnknownMessage]; and a session of an old kimi-cli without messages of Wire is told from what the model was sent.
// A session that is not there gives [ErrSessionNotFound].
func History(id string, opts *Options) iter.Seq2[wireproto.Message, error] {
	return func(yield func(wireproto.Message, error) bool) {
		l, err := newLaunch(opts)
		if err != nil {
			yield(nil, err)
			return
		}
		s, err := l.stored(id)
		if err != nil {
			yield(nil, about("read", id, err))
			return
		}
		defer s.Close()
		for m, err := range s.history(l) {
			if !yield(m, about("read", id, err)) {
				return
			}
		}
	}
}

// ForkSession makes a new session of the first turns of one of the work dir, -1 for all of them, and returns its id for
// [ResumeSession]. It copies files and starts nothing; the session that is forked stays as it is, and may be open. A turn that
// runs meanwhile is kept as far as it has come. Files that the agent has changed are not what they were then.
//
// What approves for the session, tasks that run and plans are not taken along. With fewer turns than asked for it fails, and with
// [ErrUnsupported] where the context of that time is not known any more.
func ForkSession(ctx context.Context, id string, turns int, opts *Options) (newID string, err error) {
	if ctx == nil {
		return "", errNilContext
	}
	if turns == 0 || turns < -1 {
		return "", errors.New("client: fork: keep at least 1 turn; pass -1 for all, or start a new session with NewSession")
	}
	l, err := newLaunch(opts)
	if err != nil {
		return "", err
	}
	s, err := l.stored(id)
	if err != nil {
		return "", about("fork", id, err)
	}
	defer s.Close()
	newID, err = s.fork(ctx, turns, strings.TrimSuffix("Fork: "+unmarked(s.title()), ": "))
	if err != nil {
		return "", about("fork", id, err)
	}
	return newID, nil
}

// RenameSession gives a session of the work dir a title, which ListSessions and kimi show from then on. [ErrInUse] says that the
// session is open, as far as that can be known: in a program of this library, or in a "kimi web" of Kimi Code.
func RenameSession(id, title string, opts *Options) error {
	title = strings.Join(strings.Fields(title), " ")
	if title == "" || !utf8.ValidString(title) {
		return errors.New("client: rename: the title is empty or not UTF-8; pass one of a few words")
	}
	return change("rename", id, opts, func(s storedSession) error { return s.rename(title) })
}

// DeleteSession removes a session of the work dir with its history: its folder, and what Kimi Code has of it in its index and
// among the events of its server. It follows no links out of the share dir. [ErrInUse] says that the session is open, as for
// [RenameSession].
func DeleteSession(id string, opts *Options) error {
	return change("delete", id, opts, storedSession.remove)
}

func change(what, id string, opts *Options, do func(storedSession) error) error {
	l, err := newLaunch(opts)
	if err != nil {
		return err
	}
	s, err := l.stored(id)
	if err != nil {
		return about(what, id, err)
	}
	defer s.Close()
	held, err := s.hold()
	if err != nil {
		return about(what, id, err)
	}
	defer held.Close() // of a nil file, too
	return about(what, id, do(s))
}
