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

// storedSession is a session in the files of a backend.
type storedSession interface {
	io.Closer
	history(l *launch) iter.Seq2[wireproto.SessionRecord, error]
	fork(ctx context.Context, turns int, title string) (string, error)
	title() string
	rename(title string) error
	remove() error
	// hold locks the session against other programs that use this library. It fails with ErrInUse if one of them has the
	// session open, or if another program that can be asked has it open.
	hold() (*os.File, error)
}

// stored opens a session of the work dir. An id of "" does not mean the newest session here.
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

// about adds to an error what failed and with which session.
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

// History yields the messages of a stored session of the work dir, the oldest first. It yields the same messages as
// [Session.Replay], but reads the files of the session and starts nothing. kimi may use the session at the same time.
// Leaving the loop early closes the files.
//
// History reads the files while the loop runs, and keeps little of them in memory. As kimi does, it leaves out
// incomplete lines, such as a last line that kimi is still writing. It differs from Replay in three ways. It keeps a
// message of a newer kimi-cli, as a [*wireproto.UnknownMessage]. For a session of an old kimi-cli without Wire
// messages, it makes messages from the text that was sent to the model. And for a session of Kimi Code, it has a
// [*wireproto.StatusUpdate] with the tokens of each step, unless the model did not report them. If there is no such
// session, the error is [ErrSessionNotFound].
func History(id string, opts *Options) iter.Seq2[wireproto.Message, error] {
	return func(yield func(wireproto.Message, error) bool) {
		for rec, err := range HistoryRecords(id, opts) {
			if !yield(rec.Message, err) {
				return
			}
		}
	}
}

// HistoryRecords yields the messages of [History] with the times at which kimi has recorded them. A text that came in
// parts is one record, with the time at which it was complete. The end of a turn of Kimi Code has the time of the last
// record before it. Time is zero if the files have no time, as for sessions of an old kimi-cli. ProtocolVersion is ""
// if the files do not have it.
func HistoryRecords(id string, opts *Options) iter.Seq2[wireproto.SessionRecord, error] {
	return func(yield func(wireproto.SessionRecord, error) bool) {
		l, err := newLaunch(opts)
		if err != nil {
			yield(wireproto.SessionRecord{}, err)
			return
		}
		s, err := l.stored(id)
		if err != nil {
			yield(wireproto.SessionRecord{}, about("read", id, err))
			return
		}
		defer s.Close()
		for rec, err := range s.history(l) {
			if !yield(rec, about("read", id, err)) {
				return
			}
		}
	}
}

// ForkSession copies the first turns of a session of the work dir to a new session, and returns its id for
// [ResumeSession]. turns is how many turns to keep; -1 means all. ForkSession copies files and starts nothing. The
// original session is not changed and may be open. If a turn is running, the copy has the part of it that is stored at
// that time. Files that the agent has changed are not changed back.
//
// The copy does not have approvals for the session, running tasks or plans. If the session has fewer turns, the error
// is a [*TurnsError]. If kimi no longer has the context as it was after those turns, the error is [ErrUnsupported].
func ForkSession(ctx context.Context, id string, turns int, opts *Options) (newID string, err error) {
	if ctx == nil {
		return "", errNilContext
	}
	if turns == 0 || turns < -1 {
		return "", errors.New("client: fork: keep at least 1 turn; pass -1 for all turns, or start a new session with NewSession")
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

// RenameSession gives a title to a session of the work dir. [ListSessions] and kimi then show the title. If the session
// is open, the error is [ErrInUse]. RenameSession can see that only for programs that use this library, and for a "kimi
// web" of Kimi Code.
func RenameSession(id, title string, opts *Options) error {
	title = strings.Join(strings.Fields(title), " ")
	if title == "" || !utf8.ValidString(title) {
		return errors.New("client: rename: the title is empty or not UTF-8; pass a title of a few words")
	}
	return change("rename", id, opts, func(s storedSession) error { return s.rename(title) })
}

// DeleteSession removes a session of the work dir: its folder with the history, and Kimi Code's index entries for it.
// It follows no links out of the share dir. If the session is open, the error is [ErrInUse], as for [RenameSession].
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
	defer held.Close() // held may be nil; Close of a nil file is harmless
	return about(what, id, do(s))
}
