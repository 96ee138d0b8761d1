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
	ID       string    `json:"id"`
	WorkDir  string    `json:"work_dir"`
	Backend  Backend   `json:"backend"`             // whose it is
	Title    string    `json:"title"`               // its own, or the head of the first prompt; "" where there is neither
	Created  time.Time `json:"created_at,omitzero"` // zero where the files do not tell
	Updated  time.Time `json:"updated_at"`          // of the last change of its context
	Turns    int       `json:"turns"`               // as many as History begins
	Archived bool      `json:"archived"`
}

// listing says which sessions are listed, and what for.
type listing struct {
	everywhere bool // of all work dirs
	turns      bool // count the turns, for which all of the files is read
}

// ListSessions lists the sessions of the work dir, newest first, from the files of the kimi that
// would run: kimi-cli's (kimi_cli/session.py, 1.51.0) or Kimi Code's (sessions/ in its home), or both
// where its own files do not tell which it is. It starts nothing. A work dir without any gives an empty list.
// As in kimi, a session belongs to its work dir by the spelling of the path. Where there is no kimi,
// it lists what is left of both. It reads all of each session to count its turns.
func ListSessions(opts *Options) ([]SessionInfo, error) {
	return listSessions(opts, listing{turns: true})
}

// ListAllSessions lists the sessions of all work dirs, as [ListSessions] does of one. To read or continue one of them, set
// Options.WorkDir to its work dir.
func ListAllSessions(opts *Options) ([]SessionInfo, error) {
	return listSessions(opts, listing{everywhere: true, turns: true})
}

func listSessions(opts *Options, which listing) ([]SessionInfo, error) {
	l, err := newLaunch(opts)
	if err != nil {
		return nil, err
	}
	return l.listSessions(which)
}

func (l *launch) listSessions(which listing) ([]SessionInfo, error) {
	var list []SessionInfo
	for _, b := range l.candidates() {
		own, err := b.sessions(l, which)
		if err != nil {
			return nil, err
		}
		for i := range own {
			own[i].Backend = b.kind()
		}
		list = append(list, own...)
	}
	for i := range list {
		list[i].Title = unmarked(list[i].Title)
	}
	slices.SortFunc(list, func(a, b SessionInfo) int {
		return cmp.Or(b.Updated.Compare(a.Updated), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// findSession checks that kimi will find the session, since it would begin one that it
// does not find again, over its files. The id "" stands for the newest. It returns the id and whose session it is.
func (l *launch) findSession(id string) (string, backend, error) {
	if id == "" {
		list, err := l.listSessions(listing{})
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
