package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/regular"
	"github.com/kimi-go/kimi-go/wireproto"
)

type doctorCmd struct {
	which
	files
}

// errNotUsable is the error with which doctor ends after it has printed what is wrong.
var errNotUsable = errors.New("kimi cannot be used with this setup")

// doctor prints its findings, section by section.
type doctor struct {
	e      *env
	flags  *which
	given  *files
	share  string
	failed int
}

func (f *doctorCmd) Run(e *env) error {
	d := &doctor{e: e, flags: &f.which, given: &f.files, share: f.ShareDir}
	if d.share == "" {
		d.share = config.ShareDir()
	}
	if abs, err := filepath.Abs(d.share); err == nil {
		d.share = abs
	}
	if info := d.kimi(); info != nil && info.Backend == client.BackendServer {
		d.kimiCode(info)
	} else {
		if info == nil {
			d.note("no kimi runs, so these are the files of kimi-cli")
		}
		d.configuration()
		d.files()
	}
	d.named()
	if d.failed > 0 {
		fmt.Fprintf(e.stdout, "\nnot usable: %s to fix\n", screen.Count(d.failed, "thing"))
		return errNotUsable
	}
	fmt.Fprintln(e.stdout, "\nusable")
	return nil
}

// These print a finding: all is well, a note, or a failure.
func (d *doctor) ok(format string, args ...any)   { d.finding("ok  ", format, args...) }
func (d *doctor) note(format string, args ...any) { d.finding("note", format, args...) }
func (d *doctor) fail(do, format string, args ...any) {
	d.failed++
	d.finding("FAIL", format, args...)
	d.todo(do)
}
func (d *doctor) todo(what string) { fmt.Fprintf(d.e.stdout, "      -> %s\n", screen.Line(what)) }
func (d *doctor) finding(mark, format string, args ...any) {
	fmt.Fprintf(d.e.stdout, "%s  %s\n", mark, screen.Line(oneLine(fmt.Sprintf(format, args...))))
}

// kimi finds the program that would run. It returns nil if none can run.
func (d *doctor) kimi() *client.Info {
	ctx, release := d.e.signals.during(context.Background())
	defer release()
	info, err := client.Inspect(ctx, &client.Options{Executable: d.flags.Kimi, ShareDir: d.flags.ShareDir})
	if err != nil {
		line, hint := explain(err)
		d.fail(hint, "%s", line)
		d.others()
		return nil
	}
	if info.Backend == client.BackendServer {
		return info
	}
	python := ""
	if info.PythonVersion != "" && info.PythonVersion != "n/a" {
		python = ", Python " + info.PythonVersion
	}
	d.ok("kimi %s at %s (Wire protocol %s%s)", info.Version, info.Path, info.WireVersion, python)
	d.found(info)
	d.others()
	wire, err := wireproto.ParseVersion(info.WireVersion)
	ours, _ := wireproto.ParseVersion(wireproto.ProtocolVersion)
	switch {
	case err != nil:
		d.note("it does not say its version of the protocol, so it has only the first version")
		d.todo("install the last one: uv tool install --python 3.13 kimi-cli==1.51.0")
	case wire.Compare(ours) < 0:
		d.note("it speaks an older protocol than this client's %s and lacks later features", wireproto.ProtocolVersion)
		d.todo("install the last one: uv tool install --python 3.13 kimi-cli==1.51.0")
	}
	d.newer(info)
	d.starts(info)
	return info
}

// starts makes the handshake, which shows whether kimi can be driven. It uses temporary folders, so it does not change
// the user's folders.
func (d *doctor) starts(info *client.Info) {
	dir, err := os.MkdirTemp("", "kimi-go-doctor-")
	if err != nil {
		d.fail("set TMPDIR to a directory that can be written", "temporary files: %v", err)
		return
	}
	defer os.RemoveAll(dir)
	ctx, release := d.e.signals.during(context.Background())
	defer release()
	began := time.Now()
	opts := &client.Options{Executable: info.Path, WorkDir: dir, ShareDir: dir}
	if file := d.given.AgentFile; unreadable(file) == nil {
		opts.AgentFile = file
	}
	s, err := client.NewSession(ctx, opts)
	if err != nil {
		line, hint := explain(err)
		var incompatible *client.IncompatibleError
		if errors.As(err, &incompatible) {
			hint = incompatible.Hint()
		}
		d.fail(hint, "%s", line)
		return
	}
	took := time.Since(began)
	s.Close()
	d.ok("it starts, and answered after %.1f s", took.Seconds())
}

// found says where the kimi was found, if it is not on PATH.
func (d *doctor) found(info *client.Info) {
	switch info.FoundBy {
	case "Options.Executable", "KIMI_PATH", "PATH":
		return
	}
	by := info.FoundBy
	if !filepath.IsAbs(by) {
		by = by + "'s folder of programs"
	}
	d.note("it is not on PATH; it was found in %s", by)
	d.todo("to use another one, set KIMI_PATH to it")
}

// others lists every other kimi, and why it is not used.
func (d *doctor) others() {
	list, err := client.Candidates(&client.Options{Executable: d.flags.Kimi, ShareDir: d.flags.ShareDir})
	if err != nil {
		return // the error was reported before
	}
	for _, c := range list {
		if c.Reason != "" {
			d.note("passed over: %s: %s", c.Path, strings.ReplaceAll(c.Reason, "Options.Executable", "--kimi"))
		}
	}
}

// newer prints a note about a kimi that is newer than the tested ones.
func (d *doctor) newer(info *client.Info) {
	if than := info.Newer(); than != "" {
		d.note("it is newer than %s, the newest that this client was tested with: it can be used, but its new kinds of messages are shown only by their names", than)
	}
}

// configuration checks the configuration file, and what the file and the environment together give.
func (d *doctor) configuration() {
	path := d.flags.Config
	load := config.Load
	if path == "" {
		path = filepath.Join(d.share, "config.toml")
		load = func(string) (*config.Config, error) { return config.LoadDir(d.share) }
	}
	cfg, err := load(path)
	_, statErr := os.Stat(path)
	switch {
	case err != nil && errors.Is(err, fs.ErrNotExist):
		d.fail("name a file that exists", "configuration %s: no such file", path)
		return
	case err != nil:
		d.invalid(path, err)
		d.environment(nil)
		return
	case errors.Is(statErr, fs.ErrNotExist):
		d.note("configuration %s: none yet; kimi makes one when it starts", path)
	default:
		d.ok("configuration %s is valid", path)
	}

	model := cfg.Effective(d.flags.Model, os.Getenv)
	name := model.ModelName
	if model.Model != "" {
		name = model.Model + " (" + model.ModelName + ")"
	}
	if model.Problem != "" {
		d.fail(loginHint, "model: %s", model.Problem)
	} else {
		d.ok("model %s, provider type %s%s, %s tokens of context", name, model.Type, at(model.BaseURL), screen.Number(model.MaxContextSize))
		d.key(cfg, model)
	}
	if cfg.DefaultYolo {
		d.note("default_yolo is set: kimi does everything without asking, even without --yolo")
		d.todo("to be asked, remove it from the configuration")
	}
	d.environment(&model)
	d.telemetry(cfg)
}

// invalid lists all errors in a configuration.
func (d *doctor) invalid(path string, err error) {
	d.fail("fix these, so that kimi can start", "configuration %s is not valid", path)
	for _, one := range split(err) {
		d.todo(oneLine(strings.TrimPrefix(strings.TrimPrefix(one.Error(), "config: "), path+": ")))
	}
}

// key says which API key or login is used.
func (d *doctor) key(cfg *config.Config, model config.Effective) {
	login := filepath.Join(d.share, "credentials", "kimi-code.json")
	provider := cfg.Providers[model.Provider]
	_, err := os.Stat(login)
	switch {
	case provider.OAuth != nil && provider.OAuth.Storage == config.OAuthKeyring:
		d.note("login: in the system's keyring, which doctor does not read")
	case provider.OAuth != nil && err == nil:
		d.ok("login: %s is there (doctor does not read it)", login)
	case provider.OAuth != nil && provider.APIKey == "":
		d.fail(`run "kimi login"`, "login: none; %s is not there", login)
	case provider.OAuth != nil:
		d.note("login: none; kimi falls back to the API key of the configuration")
	case model.KeySource != "":
		d.ok("API key from %s", model.KeySource)
	case strings.HasPrefix(string(model.Type), "_"):
		d.note("provider type %s is for tests: no key, no real model", model.Type)
	default:
		d.note("no API key is set; only servers that need none accept that")
		d.todo(loginHint)
	}
	if provider.OAuth == nil && err == nil {
		d.note("login: %s is there, but this model does not use it", login)
	}
}

// ownVariables have an effect whatever the model is.
var ownVariables = []struct{ name, does string }{
	{"KIMI_PATH", "chooses the kimi, unless --kimi does"},
	{"KIMI_SHARE_DIR", "chooses the share dir, unless --share-dir does"},
	{"KIMI_DISABLE_TELEMETRY", "decides about telemetry"},
	{"NO_COLOR", "turns colours off"},
}

// environment says which variables have an effect, and which are set but have no effect. It shows no values.
func (d *doctor) environment(model *config.Effective) {
	acts := make(map[string]bool)
	if model != nil {
		for _, o := range model.Overrides {
			acts[o.Variable] = true
			d.note("environment: %s", o)
		}
	}
	for _, v := range ownVariables {
		if os.Getenv(v.name) != "" {
			acts[v.name] = true
			d.note("environment: %s %s", v.name, v.does)
		}
	}
	if model == nil {
		return
	}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		vain := strings.HasPrefix(name, "KIMI_MODEL_") || name == "KIMI_BASE_URL" || name == "KIMI_API_KEY" ||
			name == "OPENAI_BASE_URL" || name == "OPENAI_API_KEY"
		if vain && value != "" && !acts[name] {
			d.note("environment: %s is set and has no effect with provider type %s", name, model.Type)
		}
	}
}

func (d *doctor) telemetry(cfg *config.Config) {
	switch v := strings.ToLower(strings.TrimSpace(os.Getenv("KIMI_DISABLE_TELEMETRY"))); {
	case v == "1" || v == "true" || v == "t" || v == "yes" || v == "y":
		d.ok("telemetry of kimi is off (KIMI_DISABLE_TELEMETRY)")
	case cfg.Telemetry != nil && !*cfg.Telemetry:
		d.ok("telemetry of kimi is off (telemetry = false)")
	default:
		d.note("telemetry of kimi is on")
		d.todo("to turn it off, set KIMI_DISABLE_TELEMETRY=1, or telemetry = false in the configuration")
	}
}

// files checks the share dir, the MCP servers and the sessions of the work dir.
func (d *doctor) files() {
	d.home()
	mcp := filepath.Join(d.share, "mcp.json")
	servers, err := config.LoadMCP(mcp)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.fail("fix or remove the file", "MCP servers: %s", strings.TrimPrefix(err.Error(), "config: "))
	default:
		d.ok("%s in %s", screen.Count(len(servers), "MCP server"), mcp)
	}
	d.sessions()
}

// named checks the files and folders that are named by flags.
func (d *doctor) named() {
	bad := func(flag, path, cure string, err error) {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		d.fail(cure, "%s %s: %v", flag, path, err)
	}
	if file := d.given.AgentFile; file != "" {
		if err := unreadable(file); err != nil {
			bad("--agent-file", file, "name a file that can be read", err)
		} else {
			d.ok("--agent-file %s can be read", file)
		}
	}
	for _, file := range d.given.MCPConfigFile {
		servers, err := config.LoadMCP(file)
		switch {
		case errors.As(err, new(*fs.PathError)):
			bad("--mcp-config-file", file, "name a file that can be read", err)
		case err != nil:
			d.fail("fix the file", "--mcp-config-file: %s", strings.TrimPrefix(err.Error(), "config: "))
		default:
			d.ok("%s in %s", screen.Count(len(servers), "MCP server"), file)
		}
	}
	for _, dir := range d.given.SkillsDir {
		switch info, err := os.Stat(dir); {
		case err != nil:
			bad("--skills-dir", dir, "name a directory that exists", err)
		case !info.IsDir():
			bad("--skills-dir", dir, "name a directory", errors.New("it is not a directory"))
		default:
			d.ok("--skills-dir %s is there", dir)
		}
	}
}

// unreadable returns the error of reading a file, nil if it can be read.
func unreadable(path string) error {
	f, err := regular.Open(path)
	if err == nil {
		f.Close()
	}
	return err
}

// home checks the share dir.
func (d *doctor) home() {
	switch made, err := writable(d.share); {
	case err != nil:
		d.fail("make it writable, or choose another with KIMI_SHARE_DIR or --share-dir", "share dir %s: %v", d.share, err)
	case !made:
		d.note("share dir %s: not there yet; kimi makes it", d.share)
	default:
		d.ok("share dir %s is writable", d.share)
	}
}

// sessions checks the work dir and lists its sessions.
func (d *doctor) sessions() {
	if dir := d.flags.WorkDir; dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			d.fail("name a directory that exists", "work dir %s is not a directory", dir)
			return
		}
	}
	opts := d.flags.where.options()
	list, err := client.ListSessions(opts)
	if err != nil {
		line, _ := explain(err)
		d.fail("fix or remove the file, so that kimi can start", "%s", line)
		return
	}
	d.ok("%s in this work dir", screen.Count(len(list), "session"))
}

// writable tries to write in a directory. made is false if the directory does not exist but can be made.
func writable(dir string) (made bool, err error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		parent := filepath.Dir(dir)
		if parent == dir {
			return false, err
		}
		_, err = writable(parent)
		return false, err
	}
	if err != nil {
		return false, err
	}
	if !info.IsDir() {
		return true, errors.New("is not a directory")
	}
	f, err := os.CreateTemp(dir, ".kimi-go-doctor-*")
	if err != nil {
		return true, errors.New("cannot be written")
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil && runtime.GOOS != "windows" { // on Windows a virus scanner may have the file open
		return true, err
	}
	return true, nil
}

// split returns the errors that are joined in err.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func at(url string) string {
	if url == "" {
		return ""
	}
	return " at " + url
}
