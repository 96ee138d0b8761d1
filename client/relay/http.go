package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

// ServeHTTP serves the routes that the package documentation lists.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.o.Authorize == nil {
		refuse(w, http.StatusForbidden, errors.New("relay: no one may use this relay; set relay.Options.Authorize to a function that decides who may"))
		return
	}
	if err := r.o.Authorize(req); err != nil {
		refuse(w, http.StatusForbidden, err)
		return
	}
	path := strings.Trim(req.URL.Path, "/")
	id, answers := strings.CutPrefix(path, "answer/")
	var serve func(http.ResponseWriter, *http.Request)
	method := http.MethodPost
	switch {
	case path == "events":
		method, serve = http.MethodGet, r.serveEvents
	case path == "state":
		method, serve = http.MethodGet, func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, r.State()) }
	case path == "prompt":
		serve = func(w http.ResponseWriter, req *http.Request) { r.servePrompt(w, req, r.Prompt) }
	case path == "queue":
		serve = func(w http.ResponseWriter, req *http.Request) { r.servePrompt(w, req, r.Queue) }
	case path == "steer":
		serve = r.serveSteer
	case path == "cancel":
		serve = r.serveCancel
	case answers && id != "" && !strings.Contains(id, "/"):
		serve = func(w http.ResponseWriter, req *http.Request) { r.serveAnswer(w, req, id) }
	default:
		refuse(w, http.StatusNotFound, fmt.Errorf("relay: no such path: %.80q; use events, state, prompt, queue, steer, cancel or answer/{id}, and http.StripPrefix for a prefix", req.URL.Path))
		return
	}
	if req.Method != method {
		h.Set("Allow", method)
		refuse(w, http.StatusMethodNotAllowed, fmt.Errorf("relay: %.20q is the wrong method for %.80q; use %s", req.Method, path, method))
		return
	}
	if method == http.MethodPost {
		if err := r.crossOrigin.Check(req); err != nil {
			refuse(w, http.StatusForbidden, fmt.Errorf("relay: %w; send the request from a page of this origin", err))
			return
		}
		// A form of another site cannot send this type without a preflight request, even in very old browsers.
		if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			refuse(w, http.StatusUnsupportedMediaType, errors.New("relay: the body must be JSON; set Content-Type: application/json"))
			return
		}
	}
	serve(w, req)
}

// said is the body of a request with text and parts for the model.
type said struct {
	Text  string            `json:"text"`
	Parts wireproto.Content `json:"parts"`
}

func (r *Relay) readSaid(w http.ResponseWriter, req *http.Request) (s said, ok bool) {
	if !r.readBody(w, req, &s) {
		return s, false
	}
	if s.Parts.Text != "" {
		refuse(w, http.StatusBadRequest, errors.New("relay: parts must be a list of content parts; put text in text"))
		return s, false
	}
	return s, true
}

func (r *Relay) servePrompt(w http.ResponseWriter, req *http.Request, begin func(context.Context, string, ...wireproto.ContentPart) (int64, error)) {
	s, ok := r.readSaid(w, req)
	if !ok {
		return
	}
	turn, err := begin(r.ctx, s.Text, s.Parts.Parts...) // not the ctx of the HTTP request, because the turn may run longer
	if err != nil {
		refuse(w, status(err), err)
		return
	}
	reply(w, http.StatusAccepted, map[string]int64{"turn": turn})
}

func (r *Relay) serveSteer(w http.ResponseWriter, req *http.Request) {
	if s, ok := r.readSaid(w, req); ok {
		done(w, r.Steer(req.Context(), s.Text, s.Parts.Parts...))
	}
}

func (r *Relay) serveCancel(w http.ResponseWriter, req *http.Request) {
	var body struct {
		Turn int64 `json:"turn"`
	}
	if r.readBody(w, req, &body) {
		done(w, r.Cancel(req.Context(), body.Turn))
	}
}

func (r *Relay) serveAnswer(w http.ResponseWriter, req *http.Request, id string) {
	var body Answer
	if r.readBody(w, req, &body) {
		done(w, r.Answer(id, body))
	}
}

// readBody decodes the body. If it cannot, it refuses the request and returns false.
func (r *Relay) readBody(w http.ResponseWriter, req *http.Request, into any) bool {
	rc := http.NewResponseController(w)
	rc.SetReadDeadline(time.Now().Add(r.o.WriteTimeout)) // an error means that the ResponseWriter has no deadlines
	defer rc.SetReadDeadline(time.Time{})
	dec := json.NewDecoder(http.MaxBytesReader(w, req.Body, r.o.MaxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return true
		}
		if err == nil {
			err = errors.New("more than one value")
		}
	}
	if tooLong, ok := err.(*http.MaxBytesError); ok {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Errorf("relay: the body is longer than %d bytes; send less, or raise Options.MaxBody", tooLong.Limit))
		return false
	}
	refuse(w, http.StatusBadRequest, fmt.Errorf("relay: the body cannot be read: %.200v; send a JSON object as in the documentation of package relay", err))
	return false
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		refuse(w, status(err), err)
		return
	}
	reply(w, http.StatusOK, struct{}{})
}

func status(err error) int {
	var process *client.ProcessError
	var rpc *wireproto.RPCError
	switch {
	case errors.Is(err, client.ErrAnswered), errors.Is(err, client.ErrBusy), errors.Is(err, client.ErrNoTurn):
		return http.StatusConflict
	case errors.Is(err, ErrNoRequest):
		return http.StatusNotFound
	case errors.Is(err, ErrClosed), errors.Is(err, client.ErrClosed), errors.As(err, &process):
		return http.StatusGone
	case errors.Is(err, client.ErrUnsupported):
		return http.StatusNotImplemented
	case errors.As(err, &rpc):
		return http.StatusBadGateway
	}
	return http.StatusBadRequest
}

func refuse(w http.ResponseWriter, status int, err error) { reply(w, status, textOf(err)) }

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // an error means that the client has gone
}
