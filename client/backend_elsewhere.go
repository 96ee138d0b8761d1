package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"unicode"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
	"github.com/kimi-go/kimi-go/wireproto"
)

// Server is a server of Kimi Code 2.x ("kimi web") that runs elsewhere: in a container, on another machine, or at the
// end of a tunnel or a proxy. Printing or marshalling a Server leaves out its token.
type Server struct {
	// URL is the address of the server, such as "https://kimi.example.com" or "http://127.0.0.1:58627". With http,
	// others on the network can read the token and the conversation. Use http only on this machine, in a tunnel or in
	// your own network. The client does not follow redirects.
	URL string
	// Token is what the server prints after "#token=" when it starts. It gives access to everything that the server
	// can do.
	Token string
}

// String returns the URL.
func (s Server) String() string { return "{URL:" + s.address() + " Token:***}" }

// Format implements [fmt.Formatter]: every verb prints [Server.String].
func (s Server) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText implements [encoding.TextMarshaler] with [Server.String]. encoding/json uses it, too.
func (s Server) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer] with [Server.String].
func (s Server) LogValue() slog.Value { return slog.StringValue(s.String()) }

// address returns the URL if the URL has no place for a secret.
func (s Server) address() string {
	if u, err := s.parse(); err == nil {
		return u.String()
	}
	return "***"
}

func (s Server) parse() (*url.URL, error) {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the URL must begin with http:// or https://, such as https://kimi.example.com:58627")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s.URL, "?#"):
		return nil, errors.New("the URL has more than a host, a port and a path; what the server prints after #token= goes into Token")
	}
	return u, nil
}

// hereOnly returns the names of the options that are set and need a program or files on this machine.
func (o *Options) hereOnly() (names []string) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Executable", o.Executable != ""}, {"ExtraArgs", len(o.ExtraArgs) > 0}, {"Env", len(o.Env) > 0}, {"ModifyCmd", o.ModifyCmd != nil},
		{"Transport", o.Transport != nil}, {"ShareDir", o.ShareDir != ""}, {"Config", o.Config != nil}, {"ConfigFile", o.ConfigFile != ""},
		{"Agent", o.Agent != ""}, {"AgentFile", o.AgentFile != ""}, {"MCPConfigFiles", len(o.MCPConfigFiles) > 0},
		{"MCPServers", len(o.MCPServers) > 0}, {"SkillsDirs", len(o.SkillsDirs) > 0}, {"MaxStepsPerTurn", o.MaxStepsPerTurn != 0},
		{"MaxRetriesPerStep", o.MaxRetriesPerStep != 0}, {"MaxRalphIterations", o.MaxRalphIterations != nil},
		{"Tools", len(o.Tools) > 0}, {"Hooks", len(o.Hooks) > 0}, {"Stderr", o.Stderr != nil}, {"Restart", o.Restart},
	} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

// validateServer says what is wrong with Server, and which options cannot be used with it.
func (o *Options) validateServer() (errs []error) {
	bad := func(option, reason, remedy string, err error) {
		errs = append(errs, &OptionError{Option: option, Reason: reason, Remedy: remedy, Err: err})
	}
	if _, err := o.Server.parse(); err != nil {
		bad("Server", err.Error(), "use the URL that kimi web prints", nil)
	}
	if o.Server.Token == "" || strings.ContainsFunc(o.Server.Token, func(r rune) bool { return r <= ' ' || r > unicode.MaxASCII || r == 0x7f }) {
		bad("Server", "the token is empty or has characters that are not allowed in a token", "use what kimi web prints after #token=", nil)
	}
	for _, name := range o.hereOnly() {
		remedy := "set it up where the server runs, or leave Server out"
		if name == "Tools" || name == "Hooks" {
			remedy = "the server does not reach this program; leave it out, or leave Server out"
		}
		bad(name, "it cannot be used with a server that runs elsewhere (Options.Server)", remedy, ErrUnsupported)
	}
	for _, dir := range append([]string{o.WorkDir}, o.AddDirs...) {
		if !absoluteThere(dir) {
			option := "AddDirs"
			if dir == o.WorkDir {
				option = "WorkDir"
			}
			bad(option, fmt.Sprintf("%.150q is not an absolute path", dir), "name a directory of the server's machine", nil)
		}
	}
	return errs
}

// absoluteThere reports whether a path is absolute on the server's machine, whatever that is.
func absoluteThere(path string) bool {
	if len(path) > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/') {
		return true
	}
	return strings.HasPrefix(path, "/") || strings.HasPrefix(path, `\\`)
}

// elsewhere is a Kimi Code with a server on another machine. It embeds no other backend, so it cannot inherit a method
// that reads local files.
type elsewhere struct{}

func (elsewhere) kind() Backend                      { return kimiCode{}.kind() }
func (elsewhere) tested() string                     { return kimiCode{}.tested() }
func (elsewhere) owns(string, []byte) bool           { return false }
func (elsewhere) home(*launch) string                { return "" }
func (elsewhere) folders(*launch) []string           { return nil }
func (elsewhere) model(l *launch) string             { return l.opts.Model }
func (elsewhere) flags(o *Options) ([]string, error) { return kimiCode{}.flags(o) }
func (elsewhere) newID() string                      { return kimiCode{}.newID() }
func (elsewhere) discard(*Session)                   {} // the bridge removes it
func (elsewhere) wholeCalls() bool                   { return kimiCode{}.wholeCalls() }
func (elsewhere) endsSteps() bool                    { return kimiCode{}.endsSteps() }
func (elsewhere) subagentModels() bool               { return kimiCode{}.subagentModels() }
func (elsewhere) keepsActions() bool                 { return kimiCode{}.keepsActions() }

func (elsewhere) ownTurns() bool { return kimiCode{}.ownTurns() }

func (elsewhere) models(ctx context.Context, s *Session) ([]Model, error) {
	return kimiCode{}.models(ctx, s)
}

func (elsewhere) setModel(s *Session, name string, done func(error)) {
	kimiCode{}.setModel(s, name, done)
}

func (elsewhere) words(c wireproto.Content) (wireproto.Content, bool) { return kimiCode{}.words(c) }

func (elsewhere) adopt(s *Session) error {
	s.adoptTold()
	return nil
}

func (elsewhere) commanded(_ *Session, _ string, _ bool, before Approvals) Approvals { return before }

func (elsewhere) mayResume(*launch, string) (Approvals, error) { return Approvals{}, errElsewhere }
func (elsewhere) holdAgain(*Session) error                     { return nil }

func (elsewhere) start(ctx context.Context, l *launch, _ *processTransport, id string) (*Session, error) {
	return l.connect(ctx, farTransport{l}, id, l.opts.byOptions())
}

func (elsewhere) probe(ctx context.Context, l *launch) (*Info, error) {
	version, err := l.server().Version(ctx)
	if err != nil {
		return nil, l.serverError(ctx, err)
	}
	return &Info{Version: version, WireVersion: wireproto.ProtocolVersion, Backend: BackendServer, FoundBy: "Options.Server"}, nil
}

func (elsewhere) explain(_ context.Context, _ *launch, f *failure) error { return f.err }

func (elsewhere) sessions(*launch, listing) ([]SessionInfo, error) { return nil, errElsewhere }

func (elsewhere) finds(*launch, string) (bool, error) { return false, errElsewhere }

func (elsewhere) stored(*launch, string) (storedSession, error) { return nil, errElsewhere }

// errElsewhere is the error of the functions that read files of sessions.
var errElsewhere error = &OptionError{
	Option: "Server", Reason: "this reads the files of sessions, which are on the server's machine",
	Remedy: "call it there; ResumeSession with an id, or with \"\" for the newest one, asks the server", Err: ErrUnsupported,
}

func (l *launch) server() *bridge.Elsewhere {
	return &bridge.Elsewhere{URL: strings.TrimSuffix(l.opts.Server.URL, "/"), Token: l.opts.Server.Token}
}

// findElsewhere does what findSession does, for a server elsewhere.
func (l *launch) findElsewhere(ctx context.Context, id string) (string, backend, error) {
	if id != "" {
		if err := validSessionID(id); err != nil {
			return "", nil, fmt.Errorf("%w: %w", ErrSessionNotFound, err)
		}
	}
	ctx, stop := l.limit(ctx)
	defer stop()
	found, err := l.server().Find(ctx, l.workDir, id)
	switch {
	case err != nil:
		return "", nil, l.serverError(ctx, err)
	case found == "" && id == "":
		return "", nil, fmt.Errorf("%w: %s has none on the server", ErrSessionNotFound, l.workDir)
	case found == "":
		return "", nil, fmt.Errorf("%w: %q in the work dir %s of the server", ErrSessionNotFound, id, l.workDir)
	}
	return found, elsewhere{}, nil
}

// serverError adds to an error of a server elsewhere what the user can do about it.
func (l *launch) serverError(ctx context.Context, err error) error {
	address := l.opts.Server.address()
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		return fmt.Errorf("client: connect to %s: %w", address, err)
	}
	kind := err
	remedy := "read what the server prints"
	switch {
	case errors.Is(err, bridge.ErrToken):
		remedy = "use what kimi web prints after #token=, or the file server.token in its home"
	case errors.Is(err, bridge.ErrNotKimi):
		remedy = "name the server of \"kimi web\" of Kimi Code 2.1.0 or later, without a redirect before it"
	case errors.Is(err, bridge.ErrOld):
		kind, remedy = errors.Join(ErrUnsupported, err), "run Kimi Code "+kimiCode{}.tested()+" there"
	case errors.Is(err, bridge.ErrNoAnswer):
		remedy = "check that the server runs and can be reached from this machine"
	}
	return &OptionError{Option: "Server", Reason: address + ": " + err.Error(), Remedy: remedy, Err: kind}
}

// farTransport connects to a server elsewhere.
type farTransport struct{ launch *launch }

func (t farTransport) Start(ctx context.Context, c *Command) (Conn, error) {
	conn, err := t.launch.server().Start(ctx, (*bridge.Command)(c))
	if err != nil {
		return nil, t.launch.serverError(ctx, err)
	}
	return farConn{conn, t.launch}, nil
}

// farConn is a connection to a server elsewhere. It reports the end of a session with the errors of this package.
type farConn struct {
	*bridge.Conn
	launch *launch
}

// Wait waits for the end of the session.
func (c farConn) Wait() error {
	if err := c.Conn.Wait(); err != nil {
		return fmt.Errorf("client: %w; continue with ResumeSession once it can be reached", err)
	}
	return nil
}
