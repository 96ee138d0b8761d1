package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/config"
)

// Rig is the real kimi with which a scenario is recorded. It has a scripted model of its own. Its work dir, share dir
// and home are in one temporary folder.
type Rig struct {
	Options *client.Options
	Root    string          // the temporary folder
	Done    context.Context // ends when the recording ends
	servers []*http.Server
	model   *clienttest.Model // the model of Kimi Code
}

// NewRig prepares one recording with the kimi at path. root is a folder that exists.
func NewRig(ctx context.Context, s *Scenario, path, root string) (*Rig, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	r := &Rig{Root: root, Done: ctx}
	for _, dir := range []string{"work", "share", "home", "tmp"} {
		if err := os.Mkdir(r.path(dir), 0o700); err != nil {
			return nil, err
		}
	}
	env := map[string]string{"HOME": r.path("home"), "TMPDIR": r.path("tmp"), "KIMI_DISABLE_TELEMETRY": "1", "USER": "user", "LOGNAME": "user"}
	for _, entry := range os.Environ() {
		key, _, _ := strings.Cut(entry, "=")
		if _, set := env[key]; !set && (strings.HasPrefix(key, "KIMI_") || strings.HasPrefix(key, "OPENAI_")) {
			env[key] = "" // the variables of this machine's user must not change the recording
		}
	}
	if s.KimiCode {
		env["KIMI_CODE_NO_AUTO_UPDATE"] = "1"
		r.model = clienttest.NewModel(nil, s.Scripts...)
		maps.Copy(env, r.model.Env())
		r.Options = &client.Options{Executable: os.Getenv(KimiCodeKey), WorkDir: r.path("work"), ShareDir: r.path("share"), Env: env}
		if r.Options.Executable == "" {
			r.Close()
			return nil, ErrNoKimiCode
		}
		return r.prepared(ctx, s)
	}
	cfg := &config.Config{DefaultModel: "scripted", Providers: map[string]config.Provider{}, Models: map[string]config.Model{}}
	r.Options = &client.Options{Executable: path, WorkDir: r.path("work"), ShareDir: r.path("share"), Env: env, Config: cfg}
	for name, scripts := range map[string][]string{"scripted": s.Scripts, "sub": s.Sub} {
		if err := r.script(name, scripts); err != nil {
			return nil, err
		}
	}
	return r.prepared(ctx, s)
}

func (r *Rig) prepared(ctx context.Context, s *Scenario) (*Rig, error) {
	if s.Prepare != nil {
		if err := s.Prepare(ctx, r); err != nil {
			r.Close()
			return nil, fmt.Errorf("prepare: %w", err)
		}
	}
	return r, nil
}

func (r *Rig) path(name string) string { return filepath.Join(r.Root, name) }

// script adds a scripted model with this name and its own list of scripts.
func (r *Rig) script(name string, scripts []string) error {
	data, err := json.Marshal(append([]string{}, scripts...))
	if err != nil {
		return err
	}
	file := r.path(name + ".json")
	r.Options.Config.Providers[name] = config.Provider{
		Type: "_scripted_echo", Env: map[string]config.Secret{"KIMI_SCRIPTED_ECHO_SCRIPTS": config.Secret(file)},
	}
	r.Options.Config.Models[name] = config.Model{Provider: name, Model: "scripted_echo", MaxContextSize: 100000}
	return os.WriteFile(file, data, 0o600)
}

// sees makes the scripted model accept images and videos.
func (r *Rig) sees() {
	m := r.Options.Config.Models["scripted"]
	m.Capabilities = []config.Capability{config.CapabilityImageIn, config.CapabilityVideoIn}
	r.Options.Config.Models["scripted"] = m
}

// Write writes a file into the work dir.
func (r *Rig) Write(name, text string) error {
	return os.WriteFile(filepath.Join(r.Options.WorkDir, name), []byte(text), 0o600)
}

// Model replaces the scripted model by an HTTP server on loopback with the API of kimi's own models.
func (r *Rig) Model(provider config.Provider, serve http.HandlerFunc) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: serve}
	r.servers = append(r.servers, server)
	go server.Serve(l)
	provider.Type, provider.BaseURL = config.ProviderKimi, "http://"+l.Addr().String()+"/v1"
	r.Options.Config.Providers["http"] = provider
	r.Options.Config.Models["http"] = config.Model{Provider: "http", Model: "k", MaxContextSize: 100000}
	r.Options.Config.DefaultModel = "http"
	return nil
}

// Close ends the servers of the rig.
func (r *Rig) Close() {
	for _, s := range r.servers {
		s.Close()
	}
	if r.model != nil {
		r.model.Close()
	}
}

// stream answers a model call with text, in the format of a streaming API. Each string becomes one chunk.
func stream(w http.ResponseWriter, chunks ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, text := range chunks {
		event(w, map[string]any{"content": text}, nil)
	}
}

// finish ends an answer that stream has begun.
func finish(w http.ResponseWriter) {
	event(w, map[string]any{}, "stop")
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func event(w http.ResponseWriter, delta map[string]any, reason any) {
	data, _ := json.Marshal(map[string]any{
		"id": "http-1", "object": "chat.completion.chunk", "created": 1, "model": "k",
		"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": reason}},
	})
	fmt.Fprintf(w, "data: %s\n\n", data)
	w.(http.Flusher).Flush()
}

// call returns the script line of a tool call.
func call(id, name string, args any) string {
	return "tool_call: " + toJSON(map[string]string{"id": id, "name": name, "arguments": toJSON(args)})
}

// shell returns the script line of a call of the tool Shell.
func shell(id, command string) string {
	return call(id, "Shell", map[string]string{"command": command})
}

func lines(list ...string) string { return strings.Join(list, "\n") }

// toJSON returns the JSON of a value of the scenarios. All of these values can be encoded.
func toJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
