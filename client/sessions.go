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
	Backend  Backend   `json:"backend"`             // the program that the session belongs to
	Title    string    `json:"title"`               // the title of the session, or the start of the first prompt; "" if there is neither
	Created  time.Time `json:"created_at,omitzero"` // zero if the files do not say
	Updated  time.Time `json:"updated_at"`          // the last change of its context
	Turns    int       `json:"turns"`               // the number of turns in History
	Archived bool      `json:"archived"`
}

// listing says which sessions to list, and with what data.
type listing struct {
	everywhere bool // list the sessions of all work dirs
	turns      bool // count the turns, which needs the whole files
}

// ListSessions lists the sessions of the work dir, newest first. It reads the files of the kimi that would run: those
// of kimi-cli (kimi_cli/session.py, 1.51.0) or of Kimi Code (sessions/ in its home). If it cannot know which of the two
// would run, or if there is no kimi, it reads the files of both. It starts nothing. If the work dir has no sessions,
// the list is empty.
//
// As in kimi, a session belongs to the text of the work dir's path. ListSessions reads each session completely, to
// count its turns.
func ListSessions(opts *Options) ([]SessionInfo, error) {
	return listSessions(opts, listing{turns: true})
}

// ListAllSessions lists the sessions of all work dirs, as [ListSessions] does for one. To read or continue one of
// them, set Options.WorkDir to its work dir.
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

// findSession checks that kimi will find the session. Otherwise kimi would start another session and overwrite the
// files. The id "" means the newest session. findSession returns the id, and the backend that the session belongs to.
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
