package client_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/client/clienttest"
	"github.com/kimi-go/kimi-go/internal/kimicode/api"
	"github.com/kimi-go/kimi-go/internal/kimicode/server"
	"github.com/kimi-go/kimi-go/internal/kimicode/webtest"
	"github.com/kimi-go/kimi-go/wireproto"
)

// far is a real server of Kimi Code. Its home and work dir exist only in the server's own view of the file system.
type far struct {
	*webtest.Process
	*server.Server
	model   *clienttest.Model
	hidden  string // the folder that looks empty to the test
	workDir string
	env     []string
	exe     string
}

// newFar starts a far server. The end of the test ends it.
func newFar(t testing.TB) *far {
	t.Helper()
	opts := clienttest.KimiCode(t)
	f := &far{model: clienttest.NewModel(t), hidden: filepath.Join(t.TempDir(), "hidden"), exe: opts.Executable, env: os.Environ()}
	for key, value := range opts.Env {
		f.env = append(f.env, key+"="+value)
	}
	for key, value := range f.model.Env() {
		f.env = append(f.env, key+"="+value)
	}
	f.workDir = filepath.Join(f.hidden, "work")
	f.env = append(f.env, "HOME="+f.hidden, "KIMI_CODE_HOME="+filepath.Join(f.hidden, "home"), "HIDDEN="+f.hidden, "KIMI="+f.exe)
	if err := os.Mkdir(f.hidden, 0o755); err != nil {
		t.Fatal(err)
	}
	f.start(t, "0")
	if entries, err := os.ReadDir(f.hidden); err != nil || len(entries) > 0 {
		t.Fatalf("the server's files can be seen from here: %v, %v", entries, err)
	}
	return f
}

func (f *far) start(t testing.TB, port string) {
	t.Helper()
	unshare := []string{"--mount"}
	if os.Getuid() != 0 {
		unshare = append(unshare, "--map-root-user")
	}
	script := `mount -t tmpfs none "$HIDDEN" && mkdir "$HIDDEN/work" && cd "$HIDDEN/work" && exec "$KIMI" web --no-open --host 0.0.0.0 --port ` + port
	cmd := exec.Command("unshare", append(unshare, "sh", "-c", script)...)
	cmd.Env = f.env
	cmd.Stderr = os.Stderr
	f.Process = webtest.SpawnCmd(t, cmd)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var err error
	if f.Server, err = server.Start(ctx, f.Process); err != nil {
		t.Fatalf("start the server: %v", err)
	}
	t.Cleanup(f.CloseIdle)
}

// options returns options for a session of the server.
func (f *far) options() *client.Options {
	return &client.Options{Server: &client.Server{URL: f.URL(), Token: f.Token()}, WorkDir: f.workDir, Approve: client.ApproveAll}
}

func init() { programs["elsewhere"] = elsewhereProgram }

// elsewhereSays is what the program reports about its sessions.
type elsewhereSays struct {
	ID, Again, Newest, Version, Model string
	Texts                             []string
	Approved, Replayed                int
	Err                               string
}

// elsewhereProgram uses a server of which it knows only the URL and the token.
func elsewhereProgram() {
	var says elsewhereSays
	err := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		opts := &client.Options{
			Server: &client.Server{URL: os.Getenv("FAR_URL"), Token: os.Getenv("FAR_TOKEN")}, WorkDir: os.Getenv("FAR_DIR"),
			Approve: func(_ context.Context, r *client.ApprovalRequest) error {
				says.Approved++
				return r.Approve()
			},
		}
		info, err := client.Inspect(ctx, opts)
		if err != nil {
			return err
		}
		says.Version = info.Version
		turn := func(s *client.Session, text string) error {
			turn, err := s.Prompt(ctx, text)
			if err != nil {
				return err
			}
			result, err := turn.Result()
			says.Texts = append(says.Texts, result.Text)
			return err
		}
		s, err := client.NewSession(ctx, opts)
		if err != nil {
			return err
		}
		defer s.Close()
		says.ID, says.Model = s.ID(), s.Model()
		if err := turn(s, "first"); err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
		again, err := client.ResumeSession(ctx, says.ID, opts)
		if err != nil {
			return err
		}
		defer again.Close()
		says.Again = again.ID()
		if err := turn(again, "second"); err != nil {
			return err
		}
		for m, err := range again.Replay(ctx) {
			if err != nil {
				return err
			}
			if m, ok := m.(*wireproto.TurnBegin); ok {
				says.Replayed++
				says.Texts = append(says.Texts, m.UserInput.String())
			}
		}
		if err := again.Close(); err != nil {
			return err
		}
		newest, err := client.ResumeSession(ctx, "", opts)
		if err != nil {
			return err
		}
		says.Newest = newest.ID()
		return newest.Close()
	}()
	if err != nil {
		says.Err = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(says)
}

// A session works with a server, over TLS, whose machine the program cannot see. No program is started, and no home of
// Kimi Code is made or read on this machine.
func TestKimiCodeElsewhere(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	target, err := url.Parse(f.URL())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	defer front.Close()
	home := t.TempDir()
	certs := filepath.Join(t.TempDir(), "certs.pem")
	if err := os.WriteFile(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	f.model.Add("text: I write.\n"+clienttest.ToolCall("w", "Write", map[string]string{"path": "/etc/kimi-go-no-such/x", "content": "x"}), "text: one", "text: two")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = []string{
		programKey + "=elsewhere", "HOME=" + home, "SSL_CERT_FILE=" + certs, "SSL_CERT_DIR=/nonexistent", "TMPDIR=" + home, "PATH=/nonexistent",
		"FAR_URL=" + front.URL, "FAR_TOKEN=" + f.Token(), "FAR_DIR=" + f.workDir,
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var says elsewhereSays
	if json.Unmarshal(out, &says) != nil || says.Err != "" {
		t.Fatalf("%v: %s", err, out)
	}
	want := []string{"I write.one", "two", "first", "second"}
	if !slices.Equal(says.Texts, want) && !slices.Equal(says.Texts, append([]string{"one"}, want[1:]...)) || says.Approved != 1 || says.Replayed != 2 {
		t.Errorf("%+v", says)
	}
	if says.ID == "" || says.Again != says.ID || says.Newest != says.ID || says.Version == "" || says.Model == "" {
		t.Errorf("%+v", says)
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) > 0 {
		t.Errorf("files in the program's home: %v, %v", entries, err)
	}
	if err := f.Call(t.Context(), "GET", "/healthz", nil, nil); err != nil {
		t.Errorf("the server after the sessions: %v", err)
	}
}

// If the server refuses the value of an option, the error names the option.
func TestKimiCodeElsewhereOptions(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	f := newFar(t)
	for _, tt := range []struct {
		option, reason string
		set            func(*client.Options)
	}{
		{"WorkDir", "/nowhere does not exist", func(o *client.Options) { o.WorkDir = "/nowhere" }},
		{"AddDirs", "/nowhere does not exist", func(o *client.Options) { o.AddDirs = []string{"/nowhere"} }},
		{"Model", `no model "nope"; it has __kimi_env_model__`, func(o *client.Options) { o.Model = "nope" }},
		{"Effort", `"nope": the model "__kimi_env_model__" thinks with "on" instead`, func(o *client.Options) { o.Effort = "nope" }},
	} {
		opts := f.options()
		tt.set(opts)
		s, err := client.NewSession(ctx, opts)
		if err == nil {
			s.Close()
		}
		var bad *client.OptionError
		if !errors.As(err, &bad) || bad.Option != tt.option || !strings.Contains(bad.Reason, tt.reason) || strings.Contains(err.Error(), "/api/") {
			t.Errorf("%s: %v", tt.option, err)
		}
	}
}

// A turn continues after its connection was lost. A session that is closed cancels its turn. A session that was not
// used is removed from the server.
func TestKimiCodeElsewhereLost(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	f := newFar(t)
	p := webtest.NewProxy(t, f.URL(), f.Token(), webtest.Hooks{})
	opts := f.options()
	opts.Server.URL = p.URL
	s := liveSession(t, ctx, opts)
	f.model.Add("text: one,\nwait: 500ms\ntext:  two,\nwait: 3s\ntext:  three")
	turn := prompt(t, ctx, s)
	var text strings.Builder
	cut := false
	for m, err := range turn.Messages() {
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := m.(*wireproto.TextPart); ok {
			text.WriteString(m.Text)
			if !cut {
				cut = true
				p.Cut()
			}
		}
	}
	if text.String() != "one, two, three" {
		t.Errorf("the text is %q", text.String())
	}

	id := s.ID()
	f.model.Add("text: waiting\nhang:")
	turn = prompt(t, ctx, s)
	for m, err := range turn.Messages() {
		if _, ok := m.(*wireproto.TextPart); ok || err != nil {
			break
		}
	}
	f.model.Add("text: waiting\nhang:")
	turn, err := s.Prompt(ctx, "once more")
	if err != nil {
		t.Fatal(err)
	}
	var status struct {
		Busy bool `json:"busy"`
	}
	eventually(t, time.Minute, func() bool {
		return f.Call(ctx, "GET", "/sessions/"+id+"/status", nil, &status) == nil && status.Busy
	}, func() string { return "no turn runs" })
	closed(t, s)
	if err := f.Call(ctx, "GET", "/sessions/"+id+"/status", nil, &status); err != nil || status.Busy {
		t.Errorf("after Close the session is busy: %t, %v", status.Busy, err)
	}
	if _, err := turn.Result(); !errors.Is(err, client.ErrClosed) {
		t.Errorf("the turn: %v", err)
	}
	unused := liveSession(t, ctx, opts)
	closed(t, unused)
	if err := f.Call(ctx, "GET", "/sessions/"+unused.ID(), nil, nil); err == nil {
		t.Error("the session that was not used is there")
	}
}

// Options that cannot be used with a server elsewhere give an error that names them. Errors say what to do, and contain
// no token.
func TestElsewhereRefused(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	const token = "no-token-of-any-server"
	base := func() *client.Options {
		return &client.Options{Server: &client.Server{URL: "http://127.0.0.1:1", Token: token}, WorkDir: "/work"}
	}
	check := func(what string, err error, option string, is error) {
		t.Helper()
		var o *client.OptionError
		if !errors.As(err, &o) || o.Option != option || is != nil && !errors.Is(err, is) {
			t.Errorf("%s: %v; want an OptionError for %s", what, err, option)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), token) {
			t.Errorf("%s: the token is in the error", what)
		}
	}
	n := 1
	for name, set := range map[string]func(*client.Options){
		"Executable": func(o *client.Options) { o.Executable = "kimi" }, "ExtraArgs": func(o *client.Options) { o.ExtraArgs = []string{"--debug"} },
		"Env": func(o *client.Options) { o.Env = map[string]string{"A": "b"} }, "ModifyCmd": func(o *client.Options) { o.ModifyCmd = func(*exec.Cmd) {} },
		"Transport": func(o *client.Options) { o.Transport = clienttest.NewAgent(t) }, "ShareDir": func(o *client.Options) { o.ShareDir = "/x" },
		"Config": func(o *client.Options) { o.Config = kimiConfig("http://127.0.0.1:1") }, "ConfigFile": func(o *client.Options) { o.ConfigFile = "/x" },
		"Agent": func(o *client.Options) { o.Agent = "default" }, "AgentFile": func(o *client.Options) { o.AgentFile = "/x" },
		"MCPConfigFiles":     func(o *client.Options) { o.MCPConfigFiles = []string{"/x"} },
		"SkillsDirs":         func(o *client.Options) { o.SkillsDirs = []string{"/x"} },
		"MaxStepsPerTurn":    func(o *client.Options) { o.MaxStepsPerTurn = 1 },
		"MaxRetriesPerStep":  func(o *client.Options) { o.MaxRetriesPerStep = 1 },
		"MaxRalphIterations": func(o *client.Options) { o.MaxRalphIterations = &n },
		"Stderr":             func(o *client.Options) { o.Stderr = io.Discard },
		"Tools": func(o *client.Options) {
			o.Tools = []client.Tool{mustTool(client.NewTool("t", "", func(context.Context, noInput) (string, error) { return "", nil }))}
		},
		"Hooks": func(o *client.Options) {
			o.Hooks = []client.Hook{{Event: "PreToolUse", Handle: func(context.Context, *wireproto.HookRequest) (client.HookDecision, error) {
				return client.Allow(), nil
			}}}
		},
	} {
		opts := base()
		set(opts)
		_, err := client.NewSession(ctx, opts)
		check(name, err, name, client.ErrUnsupported)
	}
	for what, set := range map[string]func(*client.Options){
		"no URL": func(o *client.Options) { o.Server.URL = "" }, "ftp": func(o *client.Options) { o.Server.URL = "ftp://x" },
		"banner": func(o *client.Options) { o.Server.URL = "http://127.0.0.1:1/#token=" + token }, "user": func(o *client.Options) { o.Server.URL = "http://" + token + "@x" },
		"no token": func(o *client.Options) { o.Server.Token = "" }, "a line": func(o *client.Options) { o.Server.Token = token + "\n" },
		"nothing listens": func(*client.Options) {},
	} {
		opts := base()
		set(opts)
		_, err := client.NewSession(ctx, opts)
		check(what, err, "Server", nil)
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if s := fmt.Sprintf(format, opts) + fmt.Sprintf(format, *opts.Server) + fmt.Sprintf(format, opts.Server); strings.Contains(s, token) {
				t.Errorf("%s: the token shows: %s", what, s)
			}
		}
		raw, err := json.Marshal(map[string]any{"o": opts, "s": opts.Server, "v": *opts.Server})
		if err != nil || strings.Contains(string(raw), token) {
			t.Errorf("%s: the token shows: %s, %v", what, raw, err)
		}
	}
	for _, dir := range []string{"", "work", "."} {
		opts := base()
		opts.WorkDir = dir
		_, err := client.NewSession(ctx, opts)
		check("work dir "+dir, err, "WorkDir", nil)
	}
	_, err := client.ListSessions(base())
	check("ListSessions", err, "Server", client.ErrUnsupported)
	for _, err := range client.History("id", base()) {
		check("History", err, "Server", client.ErrUnsupported)
	}
	_, err = client.ForkSession(ctx, "id", -1, base())
	check("ForkSession", err, "Server", client.ErrUnsupported)
	check("RenameSession", client.RenameSession("id", "title", base()), "Server", client.ErrUnsupported)
	check("DeleteSession", client.DeleteSession("id", base()), "Server", client.ErrUnsupported)

	for what, handler := range map[string]func(*[]string) *httptest.Server{
		"wrong token": func(*[]string) *httptest.Server {
			k := webtest.NewFake(t)
			return httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				u, _ := url.Parse(k.URL)
				r.SetURL(u)
			}})
		},
		"a redirect": redirecting,
		"a web site": func(*[]string) *httptest.Server { return httptest.NewServer(textHandler("hello")) },
	} {
		var tokens []string
		server := handler(&tokens)
		opts := base()
		opts.Server.URL = server.URL
		_, err := client.NewSession(ctx, opts)
		check(what, err, "Server", nil)
		if what == "wrong token" && !strings.Contains(fmt.Sprint(err), "token") {
			t.Errorf("%s: %v", what, err)
		}
		if len(tokens) > 0 {
			t.Errorf("%s: the token was sent on: %q", what, tokens)
		}
		server.Close()
	}
}

// textHandler returns a handler that answers every request with a text.
func textHandler(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
}

// redirecting is a server that redirects to another server. The other server stores the tokens that it gets.
func redirecting(tokens *[]string) *httptest.Server {
	var second *httptest.Server
	second = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			*tokens = append(*tokens, r.Header.Get("Authorization"))
			return
		}
		http.Redirect(w, r, second.URL+"/there", http.StatusTemporaryRedirect)
	}))
	return second
}

// The server restarts between two turns, as a container does. The session continues.
func TestKimiCodeElsewhereRestarted(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	k := webtest.NewKimi(t)
	s := liveSession(t, ctx, &client.Options{Server: &client.Server{URL: k.URL, Token: k.Token}, WorkDir: k.Options.WorkDir, Yolo: true})
	k.Model.Add("text: one")
	finished(t, ctx, s, "remember me", "one")
	eventually(t, time.Minute, func() bool { // the server must have written the turn before it is killed
		said := false
		filepath.WalkDir(k.Options.ShareDir, func(path string, d fs.DirEntry, _ error) error {
			if filepath.Base(path) == "wire.jsonl" {
				data, _ := os.ReadFile(path)
				said = said || strings.Contains(string(data), "\"turn.ended\"")
			}
			return nil
		})
		return said
	}, func() string { return "the first turn is not in the session's files" })
	k.Process.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(k.URL, "http://"), ":")
	again, err := server.Start(ctx, webtest.Spawn(t, k.Options, "web", "--no-open", "--port", port))
	if err != nil || again.URL() != k.URL || again.Token() != k.Token {
		t.Fatalf("the second server: %v, %v", again, err)
	}
	defer again.CloseIdle()
	k.Model.Add("text: two", "text: two", "text: two")
	// If a turn begins before the connection is restored, its end may be lost.
	if _, _, err := playTurn(t, ctx, s, "go on"); err != nil && !errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("the first turn: %v", err)
	}
	finished(t, ctx, s, "go on", "two")
	requests := k.Model.Requests()
	if last := string(requests[len(requests)-1]); !strings.Contains(last, "remember me") {
		t.Errorf("what was said is forgotten, in %d requests: %s", len(requests), last[max(0, len(last)-2000):])
	}
	closed(t, s)
}

// A pool works with a server elsewhere.
func TestKimiCodeElsewherePool(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	f := newFar(t)
	opts := f.options()
	opts.WorkDir = f.workDir
	p := pooled(t, opts, client.PoolOptions{Max: 2, Warm: 1})
	f.model.Add("text: one", "text: two")
	finished(t, ctx, taken(t, ctx, p), "1", "one")
	finished(t, ctx, taken(t, ctx, p), "2", "two")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Call(ctx, "GET", "/meta", nil, nil); err != nil {
		t.Errorf("the server after the pool: %v", err)
	}
}

// A start that is ended by force leaves no session on the server.
func TestElsewhereForcedStart(t *testing.T) {
	t.Parallel()
	ctx := withinCtx(t)
	f := newFar(t)
	sessions := func() int {
		var list api.SessionList
		if err := f.Call(ctx, http.MethodGet, "/sessions?page_size=100", nil, &list); err != nil {
			t.Error(err)
		}
		return len(list.Items)
	}
	enough := errors.New("enough")
	short, cancel := context.WithCancelCause(ctx)
	started := make(chan error, 1)
	go func() {
		s, err := client.NewSession(short, f.options())
		if err == nil {
			s.Close()
		}
		started <- err
	}()
	eventually(t, time.Minute, func() bool { return sessions() > 0 }, func() string { return "no session is begun" })
	cancel(enough)
	if err := recv(t, ctx, "the start's end", started); err != nil {
		e2eIs(t, "the start", err, enough)
	}
	if n := sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
