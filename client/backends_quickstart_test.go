//go:build unix

package client_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/config"
	"github.com/kimi-go/kimi-go/wireproto"
)

func init() {
	for name, program := range map[string]func(context.Context) error{
		"quickstart-prompt": quickstartPrompt, "quickstart-session": quickstartSession, "quickstart-config": quickstartConfig,
	} {
		programs[name] = func() {
			if err := program(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
}

// These are the programs of the quickstart as it prints them, except for an address. They do not depend on this test or
// on which kimi runs.

func quickstartPrompt(ctx context.Context) error {
	for msg, err := range client.Prompt(ctx, "Write a hello world program", &client.Options{Yolo: true}) {
		if err != nil {
			return err
		}
		fmt.Print(msg.Text())
	}
	return nil
}

func quickstartSession(ctx context.Context) error {
	s, err := client.NewSession(ctx, &client.Options{WorkDir: "."})
	if err != nil {
		return err
	}
	defer s.Close()
	turn, err := s.Prompt(ctx, "List files in current directory")
	if err != nil {
		return err
	}
	for msg, err := range turn.Messages() {
		if err != nil {
			return err
		}
		switch m := msg.(type) {
		case *wireproto.TextPart:
			fmt.Print(m.Text)
		case *client.ApprovalRequest:
			m.Approve()
		}
	}
	return nil
}

func quickstartConfig(ctx context.Context) error {
	key := "sk-quickstart"
	cfg := &config.Config{
		DefaultModel: "kimi-k2-thinking-turbo",
		Providers: map[string]config.Provider{"kimi": {
			Type: config.ProviderKimi, BaseURL: os.Getenv("TEST_ADDRESS"), APIKey: config.Secret(key)}},
		Models: map[string]config.Model{"kimi-k2-thinking-turbo": {
			Provider: "kimi", Model: "kimi-k2-thinking-turbo", MaxContextSize: 262144}},
	}
	answer, err := client.Ask(ctx, "Hello, world!", &client.Options{Config: cfg, Yolo: true})
	fmt.Print(answer)
	return err
}

func TestBackendsQuickstart(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		for _, tt := range []struct {
			program string
			scripts []string
			env     func(url string) map[string]string // without the variables for kimi's path and its share dir
			begins  string                             // the output begins with it
			ends    string
			made    string // a file that the agent has made
			reads   string // a text in the last request to the model
		}{
			{
				program: "prompt", scripts: []string{say("text: I write it.", b.run("q", "echo hello, world > hello")), "text: There it is."},
				env: quickstartEnv, begins: "I write it.", ends: "There it is.", made: "hello", reads: "Write a hello world program",
			},
			{
				program: "session", scripts: []string{say("text: I look.", b.run("q", "ls")), "text: That is all."},
				env: quickstartEnv, begins: "I look.That is all.", reads: "a-file-of-the-test",
			},
			{
				program: "config", scripts: []string{"text: Hello, you."},
				env:    func(url string) map[string]string { return map[string]string{"TEST_ADDRESS": url} },
				begins: "Hello, you.", reads: `"model":"kimi-k2-thinking-turbo"`,
			},
		} {
			t.Run(tt.program, func(t *testing.T) {
				opts, model := b.model(t, tt.scripts...)
				write(t, filepath.Join(opts.WorkDir, "a-file-of-the-test"), "", 0o600)
				exe, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				env := withoutModel(opts)
				maps.Copy(env, tt.env(model.URL()))
				env["KIMI_PATH"], env["KIMI_SHARE_DIR"], env[programKey] = opts.Executable, opts.ShareDir, "quickstart-"+tt.program
				cmd := exec.CommandContext(ctx, exe)
				cmd.Dir = opts.WorkDir
				for _, entry := range os.Environ() {
					if key, _, _ := strings.Cut(entry, "="); env[key] == "" && !strings.HasPrefix(key, "KIMI_") {
						cmd.Env = append(cmd.Env, entry)
					}
				}
				for key, value := range env {
					if value != "" {
						cmd.Env = append(cmd.Env, key+"="+value)
					}
				}
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil || !strings.HasPrefix(string(out), tt.begins) || !strings.HasSuffix(string(out), tt.ends) {
					t.Fatalf("%v, printed %q, want %q to %q\n%s", err, out, tt.begins, tt.ends, &stderr)
				}
				if tt.made != "" && !wasRun(t, opts, tt.made) {
					t.Errorf("%s was not made", tt.made)
				}
				requests := model.Requests()
				if last := string(requests[len(requests)-1]); len(requests) != len(tt.scripts) || !strings.Contains(last, tt.reads) {
					t.Errorf("%d calls of the model, want %d with %q in the last: %.2000s", len(requests), len(tt.scripts), tt.reads, last)
				}
			})
		}
	})
}

// quickstartEnv returns the environment that the quickstart exports.
func quickstartEnv(url string) map[string]string {
	return map[string]string{"KIMI_API_KEY": "sk-exported", "KIMI_BASE_URL": url, "KIMI_MODEL_NAME": "kimi-k2-exported"}
}

// withoutModel returns the environment of the options without the variables that name a model.
func withoutModel(opts *client.Options) map[string]string {
	env := maps.Clone(opts.Env)
	maps.DeleteFunc(env, func(key, _ string) bool { return strings.HasPrefix(key, "KIMI_MODEL_") })
	return env
}

// The environment of the quickstart also works in Options.Env, without any configuration file.
func TestBackendsEnvironment(t *testing.T) {
	onBackends(t, func(t *testing.T, ctx context.Context, b *backend) {
		api := newModelAPI(t, nil)
		opts := b.at(t, api.url)
		opts.Config, opts.Env, opts.Yolo = nil, withoutModel(opts), true
		maps.Copy(opts.Env, quickstartEnv(api.url))
		answer, err := client.Ask(ctx, "hi", opts)
		if err != nil || answer != "hello" {
			t.Fatalf("%q, %v", answer, err)
		}
		r := api.asked()[0]
		if r.body.Model != "kimi-k2-exported" || r.header.Get("Authorization") != "Bearer sk-exported" {
			t.Errorf("asked for the model %q with %q", r.body.Model, r.header.Get("Authorization"))
		}
	})
}
