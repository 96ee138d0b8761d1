package server

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/kimi-go/kimi-go/internal/kimicode/api"
)

// missing returns the routes of this module that the description of the server does not contain.
func (s *Server) missing(ctx context.Context) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/openapi.json", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, &api.Error{Method: http.MethodGet, Path: "/openapi.json", Code: api.CodeConnectionError, Msg: "no answer", Err: err}
	}
	defer resp.Body.Close()
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&doc) != nil || len(doc.Paths) == 0 {
		return []string{"/openapi.json"}, nil
	}
	var missing []string
	for path, method := range routes {
		if s.far && path == shutdown { // the server offers this route only to clients on its own machine
			continue
		}
		if _, ok := doc.Paths[path][method]; !ok {
			missing = append(missing, method+" "+path)
		}
	}
	slices.Sort(missing)
	return missing, nil
}
