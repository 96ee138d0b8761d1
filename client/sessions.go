package client

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SessionInfo describes a session that can be continued.
type SessionInfo struct {
	ID        string    `json:"id"`
	WorkDir   string    `json:"work_dir"`
	Title     string    `json:"title"`      // its own, or the head of the first prompt; "" where there is neither
	UpdatedAt time.Time `json:"updated_at"` // of the last change of its context
	Archived  bool      `json:"archived"`
}

// ListSessions lists the sessions of the work dir, newest first, from the files of the kimi that
// would run: kimi-cli's (kimi_cli/session.py, 1.51.0) or Kimi Code's (sessions/ in its home), or both
// where its own files do not tell which it is. It starts nothing. A work dir without any gives an empty list.
// As in kimi, a session belongs to its work dir by the spelling of the path.
func ListSessions(opts *Options) ([]SessionInfo, error) {
	l, err := newLaunch(opts)
	if err != nil {
		return nil, err
	}
	return l.listSessions()
}

func (l *launch) listSessions() ([]SessionInfo, error) {
	var list []SessionInfo
	for _, b := range l.candidates() {
		own, err := b.sessions(l)
		if err != nil {
			return nil, err
		}
		list = append(list, own...)
	}
	for i := range list {
		list[i].Title = unmarked(list[i].Title)
	}
	slices.SortFunc(list, func(a, b SessionInfo) int {
		return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// findSession checks that kimi will find the session, since it would begin one that it
// does not find anew, over its files. The id "" stands for the newest. It returns the id and whose session it is.
func (l *launch) findSession(id string) (string, backend, error) {
	if id == "" {
		list, err := l.listSessions()
		if err != nil {
			return "", nil, err
		}
		if len(list) == 0 {
			return "", nil, fmt.Errorf("%w: %s has none", ErrSessionNotFound, l.workDir)
		}
		id = list[0].ID
	}
	if err := validSessionID(id); err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrSessionNotFound, err)
	}
	candidates := l.candidates()
	for _, b := range candidates {
		if found, err := b.finds(l, id); found || err != nil {
			return id, b, err
		}
	}
	return "", nil, fmt.Errorf("%w: %q in the work dir %s (share dir %s)", ErrSessionNotFound, id, l.workDir, candidates[0].home(l))
}
