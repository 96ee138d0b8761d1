package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// restoreTime is how long the server may take to restore a session from the archive.
const restoreTime = 5 * time.Second

// CloseSession ends everything that a session runs: its turn and its tasks with their processes. The server then
// forgets the session. The server has no route for this, but it closes a session when it archives it. So CloseSession
// archives the session and restores it, unless it is archived already.
func (s *Server) CloseSession(ctx context.Context, id string) error {
	was, err := s.Session(ctx, id)
	if err != nil {
		return gone(err)
	}
	if err := s.Call(ctx, http.MethodPost, "/sessions/"+id+":archive", struct{}{}, nil); err != nil {
		return gone(err)
	}
	if was.Archived {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTime)
	defer cancel()
	return s.call(ctx, http.MethodPost, "/api/v2/sessions:restore", map[string][]string{"ids": {id}}, nil)
}

// DeleteSession deletes a session.
func (s *Server) DeleteSession(ctx context.Context, id string) error {
	return gone(s.Call(ctx, http.MethodPost, "/sessions/"+id+":delete", struct{}{}, nil))
}

// Session returns a session.
func (s *Server) Session(ctx context.Context, id string) (*api.Session, error) {
	session := new(api.Session)
	return session, s.Call(ctx, http.MethodGet, "/sessions/"+url.PathEscape(id), nil, session)
}

// AbortSession ends the turn of a session, if there is one.
func (s *Server) AbortSession(ctx context.Context, id string) error {
	return gone(s.Call(ctx, http.MethodPost, "/sessions/"+id+":abort", struct{}{}, nil))
}

// LoadSession makes the server load a stored session. The server keeps events only of loaded sessions.
func (s *Server) LoadSession(ctx context.Context, id string) error {
	return s.Call(ctx, http.MethodGet, "/sessions/"+id+"/status", nil, nil)
}

// FindSession returns the server's id of a session of the work dir: id itself, or the id of the session that a client
// knows as id. For "", it returns the newest session that has had a turn. It returns "" if there is no such session.
func (s *Server) FindSession(ctx context.Context, workDir, id string) (string, error) {
	if id != "" {
		switch found, err := s.Session(ctx, id); {
		case err == nil && found.ID == id && found.Metadata.CWD == workDir:
			return id, nil
		case gone(err) != nil:
			return "", err
		}
	}
	query := url.Values{"page_size": {"100"}, "include_archive": {"true"}}
	if id == "" {
		query.Set("exclude_empty", "true")
	}
	for {
		var list api.SessionList
		if err := s.Call(ctx, http.MethodGet, "/sessions?"+query.Encode(), nil, &list); err != nil {
			return "", err
		}
		for _, found := range list.Items {
			if found.Metadata.CWD == workDir && (id == "" || found.Metadata.ID == id) {
				return found.ID, nil
			}
		}
		if !list.HasMore || len(list.Items) == 0 {
			return "", nil
		}
		query.Set("before_id", list.Items[len(list.Items)-1].ID)
	}
}

// gone turns the error for a missing session into a success.
func gone(err error) error {
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodeNoSession {
		return nil
	}
	return err
}
