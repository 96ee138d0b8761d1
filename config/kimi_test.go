package config

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// installKimi runs the program that KIMI_GO_INSTALL_KIMI names, once. The program installs the real kimi.
var installKimi = sync.OnceValue(func() error {
	program := os.Getenv("KIMI_GO_INSTALL_KIMI")
	if program == "" {
		return nil
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
})

// kimiPath finds the real kimi. If there is none, it skips the test or, with KIMI_GO_REQUIRE_KIMI set, fails it.
func kimiPath(t *testing.T) string {
	t.Helper()
	if err := installKimi(); err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("KIMI_PATH")
	for _, p := range []string{"../.kimi/bin/kimi", "../../.kimi/bin/kimi"} {
		if found, err := exec.LookPath(p); path == "" && err == nil {
			path, _ = filepath.Abs(found)
		}
	}
	if path == "" && os.Getenv("KIMI_GO_REQUIRE_KIMI") != "" {
		t.Fatal("KIMI_GO_REQUIRE_KIMI is set, but there is no kimi: set KIMI_PATH")
	} else if path == "" {
		t.Skip("no real kimi: set KIMI_PATH to kimi-cli 1.51.0")
	}
	return path
}

// kimiCommand prepares the real kimi with temporary folders.
func kimiCommand(t *testing.T, path string, env map[string]string, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, append([]string{"--wire", "--work-dir", dir}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "KIMI_SHARE_DIR=" + filepath.Join(dir, "share"), "KIMI_DISABLE_TELEMETRY=1"}
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// verdict asks the real kimi whether it accepts a file. output has its reasons.
func verdict(t *testing.T, kimi, path string) (accepted bool, output string) {
	t.Helper()
	cmd := kimiCommand(t, kimi, nil, "--config-file", path)
	cmd.Stdin = strings.NewReader("") // this makes the input a pipe that is closed at once, not a file
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out.String(), "Invalid")) {
		t.Fatalf("%v: %s", err, &out)
	}
	return err == nil, out.String()
}

// Load and the real kimi agree about good and bad files.
func TestKimiVerdict(t *testing.T) {
	kimi := kimiPath(t)
	full, err := Load("testdata/full.toml")
	if err != nil {
		t.Fatal(err)
	}
	written, err := full.MarshalTOML()
	if err != nil {
		t.Fatal(err)
	}
	const provider = "[providers.p]\ntype='kimi'\nbase_url=''\napi_key=''\n"
	tests := []struct {
		name, file, text string
		good             bool
	}{
		{"written", "c.toml", string(written), true},
		{"converted", "c.toml", "telemetry='Off'\ndefault_yolo=1\n[loop_control]\nmax_steps_per_turn=' 5.0'\nmax_steps_per_run=0\n" +
			"max_retries_per_step=true\nmax_ralph_iterations=2.0\ncompaction_trigger_ratio='0.5'\n[mcp.client]\ntool_call_timeout_ms=-1\n" +
			provider + "[models.m]\nprovider='p'\nmodel=''\nmax_context_size=-5", true},
		{"nulls", "C.JSON", `{"providers":{"p":{"type":"kimi","base_url":"","api_key":"","env":null,"custom_headers":null,"reasoning_key":null,"oauth":null}},
			"models":{"m":{"provider":"p","model":"","max_context_size":0,"capabilities":null,"display_name":null}},"services":{"moonshot_search":null,"moonshot_fetch":null}}`, true},
		{"default_model", "c.toml", "default_model='m'", false},
		{"provider", "c.toml", provider + "[models.m]\nprovider='q'\nmodel=''\nmax_context_size=1", false},
		{"null", "c.json", `{"default_model":null}`, false},
		{"toml syntax", "c.toml", "theme='dark", false},
		{"json by content", "c.toml", "{}", false},
		{"byte order mark", "c.toml", "\ufefftheme='dark'", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), test.file)
			write(t, path, test.text)
			_, err := Load(path)
			accepted, output := verdict(t, kimi, path)
			if accepted != test.good || (err == nil) != test.good {
				t.Errorf("want %v; Load says %v, kimi %v: %s", test.good, err, accepted, output)
			}
		})
	}
	t.Run("all bad", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "c.toml")
		write(t, path, allBad)
		_, err := Load(path)
		_, output := verdict(t, kimi, path)
		// kimi's report has a line "a.b.0" for each key. Load writes a.b[0], and has other quotes.
		var want, got []string
		for line := range strings.Lines(output) {
			if line = strings.TrimRight(line, "\n"); regexp.MustCompile(`^[a-z]\S*$`).MatchString(line) {
				want = append(want, line)
			}
		}
		for _, key := range keysOf(err) {
			if key != "default_model" && key != "models.a.provider" { // kimi checks these only if all other keys are right
				got = append(got, strings.NewReplacer("[", ".", "]", "", `"`, "`").Replace(key))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || len(want) < 30 {
			t.Errorf("%d keys: -kimi +Load %s\n%s", len(want), diff, output)
		}
	})
}

// A call is a request that the fake API got.
type call struct{ Path, Authorization, Model, Custom, Temperature string }

func fakeAPI(t *testing.T) (url string, calls chan call) {
	calls = make(chan call, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Model       string
			Temperature json.Number
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		calls <- call{r.URL.Path, r.Header.Get("Authorization"), body.Model, r.Header.Get("X-Custom"), body.Temperature.String()}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, rest := range []string{`"delta":{"role":"assistant","content":"hi"},"finish_reason":null`, `"delta":{},"finish_reason":"stop"`} {
			_, _ = fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,%s}]}\n\n", rest)
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}))
	t.Cleanup(server.Close)
	return server.URL, calls
}

// prompt runs one turn in the real kimi, and returns the error code of its reply, 0 if there was no error.
func prompt(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(stdin, `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocol_version":"1.10"}}`+"\n"+
		`{"jsonrpc":"2.0","id":"p","method":"prompt","params":{"user_input":"hello"}}`+"\n")
	code, replied := 0, false
	for r := bufio.NewReader(stdout); err == nil; {
		var line []byte
		if line, err = r.ReadBytes('\n'); err != nil {
			break
		}
		var reply struct {
			ID    string
			Error *struct{ Code int }
		}
		if json.Unmarshal(line, &reply) == nil && reply.ID == "p" {
			replied = true
			if reply.Error != nil {
				code = reply.Error.Code
			}
			_ = stdin.Close() // this ends kimi
		}
	}
	if werr := cmd.Wait(); werr != nil || !replied {
		t.Fatalf("no reply: %v, %v: %s", err, werr, &stderr)
	}
	return code
}

// The requests of the real kimi agree with Effective.
func TestKimiEffective(t *testing.T) {
	kimi := kimiPath(t)
	kimiEnv := func(base string) map[string]string {
		return map[string]string{"KIMI_BASE_URL": base + "/env/v1", "KIMI_API_KEY": "env-key", "KIMI_MODEL_NAME": "env-model", "KIMI_MODEL_TEMPERATURE": "0.25",
			"OPENAI_BASE_URL": base + "/openenv/v1", "OPENAI_API_KEY": "openenv-key"}
	}
	keys := map[string]string{"providers.kimi.api_key": "config-key", "providers.open.api_key": "open-key", "KIMI_API_KEY": "env-key", "OPENAI_API_KEY": "openenv-key"}
	tests := []struct {
		name, model string
		noConfig    bool
		env         func(base string) map[string]string
	}{
		{name: "kimi, environment", env: kimiEnv},
		{name: "kimi, variables empty", env: func(string) map[string]string { return map[string]string{"KIMI_BASE_URL": "", "KIMI_API_KEY": ""} }},
		{name: "openai", model: "o"},
		{name: "openai, environment", model: "o", env: kimiEnv},
		{name: "no config, environment", noConfig: true, env: kimiEnv},
		{name: "unknown model", model: "nope", env: func(string) map[string]string { return map[string]string{"KIMI_API_KEY": "env-key"} }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			base, calls := fakeAPI(t)
			env := map[string]string{}
			if test.env != nil {
				env = test.env(base)
			}
			var cfg *Config
			var args []string
			if !test.noConfig {
				cfg = effectiveConfig(base)
				path := filepath.Join(t.TempDir(), "config.toml")
				if err := cfg.Save(path); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--config-file", path)
			}
			if test.model != "" {
				args = append(args, "--model", test.model)
			}
			e := cfg.Effective(test.model, func(k string) string { return env[k] })
			code := prompt(t, kimiCommand(t, kimi, env, args...))
			if e.Problem != "" {
				if code != -32001 || len(calls) > 0 {
					t.Errorf("code %d, %d calls, but %s", code, len(calls), e.Problem)
				}
				return
			}
			if code != 0 || len(calls) == 0 {
				t.Fatalf("code %d, %d calls, want %+v", code, len(calls), e)
			}
			want := call{Path: strings.TrimPrefix(e.BaseURL, base) + "/chat/completions", Authorization: "Bearer " + keys[e.KeySource], Model: e.ModelName}
			if e.Provider != "" {
				want.Custom = cfg.Providers[e.Provider].CustomHeaders["X-Custom"].Reveal()
			}
			if slices.ContainsFunc(e.Overrides, func(o Override) bool { return o.Setting == "temperature" }) {
				want.Temperature = env["KIMI_MODEL_TEMPERATURE"]
			}
			if diff := cmp.Diff(want, <-calls); diff != "" {
				t.Errorf("-Effective +kimi %s", diff)
			}
		})
	}
}
