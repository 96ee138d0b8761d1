package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/cmd/kimi-go-demo/internal/screen"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/internal/kimicode/home"
	"github.com/kimi-go/kimi-go/internal/regular"
)

// lacking lists the features that Kimi Code does not support.
const lacking = "audio in a prompt, prompts of more than 1 MiB of text, ralph iterations, the agent okabe"

// codeConfig has the values that doctor reads from Kimi Code's config.toml, whose format differs from kimi-cli's.
type codeConfig struct {
	DefaultModel string `toml:"default_model"`
	DefaultMode  string `toml:"default_permission_mode"`
	Telemetry    *bool  `toml:"telemetry"`
	Models       map[string]struct {
		Provider       string `toml:"provider"`
		Model          string `toml:"model"`
		MaxContextSize int    `toml:"max_context_size"`
	} `toml:"models"`
	Providers map[string]codeProvider `toml:"providers"`
}

type codeProvider struct {
	Type    string            `toml:"type"`
	BaseURL string            `toml:"base_url"`
	APIKey  config.Secret     `toml:"api_key"`
	Env     map[string]string `toml:"env"`
	OAuth   *struct {
		Storage string `toml:"storage"`
		Key     string `toml:"key"`
	} `toml:"oauth"`
}

// kimiCode checks Kimi Code with its own files and variables. It does not read the files of kimi-cli.
func (d *doctor) kimiCode(info *client.Info) {
	d.ok("Kimi Code %s at %s, driven through its server (Wire protocol %s by a bridge)", info.Version, info.Path, info.WireVersion)
	d.found(info)
	d.others()
	d.newer(info)
	d.starts(info)
	d.note("it cannot do these: %s", lacking)
	d.todo("if you need one of them, use kimi-cli 1.51.0 with --kimi PATH or KIMI_PATH")

	if d.share = info.ShareDir; d.share == "" {
		d.fail("set HOME or KIMI_CODE_HOME", "Kimi Code has no home")
		return
	}
	switch cfg := d.codeConfig(); {
	case d.flags.Config != "":
		d.namedConfig(info)
	case os.Getenv("KIMI_MODEL_NAME") != "" && d.flags.Model == "":
		d.codeVariables()
		d.codeTelemetry(cfg)
	case cfg != nil:
		d.codeModel(cfg)
		d.codeTelemetry(cfg)
	}
	d.codeEnvironment()
	d.home()
	d.codeMCP()
	d.sessions()
}

// codeMCP checks mcp.json. If one entry is bad, Kimi Code silently uses none of the servers.
func (d *doctor) codeMCP() {
	servers, err := home.MCPServers(d.share)
	switch {
	case err != nil:
		d.fail("fix or remove the file", "MCP servers: %v", err)
	case len(servers) > 0:
		d.ok("%s in %s", screen.Count(len(servers), "MCP server"), filepath.Join(d.share, "mcp.json"))
	}
}

// codeConfig reads Kimi Code's own configuration. It returns nil if the file cannot be read.
func (d *doctor) codeConfig() *codeConfig {
	cfg := new(codeConfig)
	path := filepath.Join(d.share, "config.toml")
	data, err := regular.Read(path, 4<<20)
	if err == nil {
		_, err = toml.Decode(string(data), cfg)
	}
	var syntax toml.ParseError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.note("configuration %s: none yet; kimi makes one at the first login", path)
	case errors.As(err, &syntax):
		d.fail("fix the file", "configuration %s is not TOML: line %d", path, syntax.Position.Line) // the line only, because the text may have a key
		return nil
	case err != nil && errors.As(err, new(*fs.PathError)):
		d.fail("make it a file that can be read", "configuration %s cannot be read", path)
		return nil
	case err != nil:
		d.note("configuration %s has values of unexpected types; kimi doctor checks it", path)
		return nil
	default:
		d.ok("configuration %s can be read; kimi doctor checks it", path)
		if cfg.DefaultMode == "yolo" || cfg.DefaultMode == "auto" {
			d.note("default_permission_mode is %s: it has no effect here: --yolo and --afk decide", cfg.DefaultMode)
		}
	}
	return cfg
}

// codeVariables checks the model that the environment names.
func (d *doctor) codeVariables() {
	key, url := "KIMI_MODEL_API_KEY", os.Getenv("KIMI_MODEL_BASE_URL")
	if os.Getenv(key) == "" {
		if key = "KIMI_API_KEY"; url == "" { // the bridge passes these on
			url = os.Getenv("KIMI_BASE_URL")
		}
	}
	if os.Getenv(key) == "" {
		d.fail("set KIMI_API_KEY and KIMI_BASE_URL, or unset KIMI_MODEL_NAME", "model: KIMI_MODEL_NAME is set, and no key for it")
		return
	}
	kind := os.Getenv("KIMI_MODEL_PROVIDER_TYPE")
	if kind == "" {
		kind = "kimi"
	}
	d.ok("model %s, provider type %s%s, from the environment", os.Getenv("KIMI_MODEL_NAME"), kind, at(shownURL(url)))
	d.ok("API key from %s", key)
}

// codeModel checks the model that the configuration names.
func (d *doctor) codeModel(cfg *codeConfig) {
	name := d.flags.Model
	if name == "" {
		name = cfg.DefaultModel
	}
	if name == "" {
		d.fail(loginHint, "model: no model is set")
		return
	}
	m, ok := cfg.Models[name]
	if !ok {
		d.fail("name one of "+have(cfg.Models), "model: there is no %s in the configuration", name)
		return
	}
	p, ok := cfg.Providers[m.Provider]
	if !ok {
		d.fail("name one of "+have(cfg.Providers), "model: %s names the provider %s, which is not in the configuration", name, m.Provider)
		return
	}
	size := ""
	if m.MaxContextSize > 0 {
		size = ", " + screen.Number(m.MaxContextSize) + " tokens of context"
	}
	d.ok("model %s (%s), provider type %s%s%s", name, m.Model, p.Type, at(shownURL(p.BaseURL)), size)
	switch {
	case p.OAuth != nil:
		d.codeLogin(p)
	case p.APIKey != "":
		d.ok("API key from the configuration")
	case len(p.Env) > 0:
		d.note("API key: from a variable that the provider names, if it is set")
	default:
		d.note("no API key is set; only servers that need none accept that")
		d.todo(loginHint)
	}
}

// codeLogin checks the credentials that "kimi login" writes.
func (d *doctor) codeLogin(p codeProvider) {
	if p.OAuth.Storage == string(config.OAuthKeyring) {
		d.note("login: in the system's keyring, which doctor does not read")
		return
	}
	name := strings.TrimPrefix(p.OAuth.Key, "oauth/")
	if name == "" {
		name = "kimi-code"
	}
	path := filepath.Join(d.share, "credentials", filepath.Base(name)+".json")
	data, err := regular.Read(path, 1<<20)
	if err != nil {
		d.fail(`run "kimi login"`, "login: none; %s is not there, or cannot be read", path)
		return
	}
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	switch err := json.Unmarshal(data, &tokens); {
	case err != nil:
		d.fail(`run "kimi login"`, "login: %s holds no tokens", path)
	case tokens.Access == "" && tokens.Refresh == "": // Kimi Code leaves such a file when a login is no longer valid
		d.fail(`run "kimi login"`, "login: it has expired; the tokens of %s are empty", path)
	default:
		d.ok("login: %s is there; the first prompt shows whether it is still valid", path)
	}
}

// namedConfig checks a configuration in the format of kimi-cli, which the bridge passes on to Kimi Code.
func (d *doctor) namedConfig(info *client.Info) {
	path := d.flags.Config
	cfg, err := config.Load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fail("name a file that exists", "configuration %s: no such file", path)
		return
	case err != nil:
		d.invalid(path, err)
		return
	}
	if err := takes(info, path); err != nil {
		line, _ := explain(err)
		d.fail("leave out what it names, or use kimi-cli 1.51.0", "configuration %s: %s", path, strings.TrimPrefix(line, "this agent cannot do that: "))
		return
	}
	d.ok("configuration %s is valid, and Kimi Code gets all of it", path)
	model := cfg.Effective(d.flags.Model, os.Getenv)
	if model.Problem != "" {
		d.fail(loginHint, "model: %s", model.Problem)
		return
	}
	d.ok("model %s, provider type %s%s", model.ModelName, model.Type, at(model.BaseURL))
	if model.KeySource == "" {
		d.fail(loginHint, "model: it has no API key; Kimi Code needs one")
		return
	}
	d.ok("API key from %s", model.KeySource)
}

// takes returns the error about keys of a configuration that Kimi Code does not support. It starts nothing, because the
// command line is checked before a start.
func takes(info *client.Info, path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	conn, err := client.KimiCode(nil).Start(context.Background(), &client.Command{
		Path: info.Path, Args: []string{"--wire", "--config-file", abs}, Env: os.Environ(), Dir: dir,
	})
	if err != nil {
		return err
	}
	return conn.Close()
}

func (d *doctor) codeTelemetry(cfg *codeConfig) {
	if cfg != nil {
		d.telemetry(&config.Config{Telemetry: cfg.Telemetry})
	}
}

// codeEnvironment says which variables, other than those of the model, have an effect. It shows no values.
func (d *doctor) codeEnvironment() {
	for _, v := range ownVariables {
		if os.Getenv(v.name) != "" {
			d.note("environment: %s %s", v.name, v.does)
		}
	}
	if os.Getenv("KIMI_CODE_HOME") == "" {
		return
	}
	if os.Getenv("KIMI_SHARE_DIR") != "" || d.flags.ShareDir != "" {
		d.note("environment: KIMI_CODE_HOME is set and has no effect: KIMI_SHARE_DIR or --share-dir chooses the home")
		return
	}
	d.note("environment: KIMI_CODE_HOME chooses the home")
}

// shownURL returns an address without the secrets that it may have.
func shownURL(url string) string {
	cfg := &config.Config{
		Models:    map[string]config.Model{"m": {Provider: "p", Model: "m"}},
		Providers: map[string]config.Provider{"p": {Type: config.ProviderKimi, BaseURL: url}},
	}
	return cfg.Effective("m", func(string) string { return "" }).BaseURL
}

// have lists the names of a table in the configuration.
func have[V any](table map[string]V) string {
	names := slices.Sorted(maps.Keys(table))
	if len(names) == 0 {
		return "the configuration, which has none yet"
	}
	return strings.Join(names[:min(len(names), 10)], ", ")
}
