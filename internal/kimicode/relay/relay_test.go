package relay_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kimi-go/kimi-go/internal/kimicode/relay"
)

// run runs the command of the hook as Kimi Code does. It returns the exit status and the text for the model.
func run(t *testing.T, command, input string) (int, string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

func start(t *testing.T, calls func(*relay.Call)) (*relay.Relay, string) {
	t.Helper()
	r, err := relay.Start(calls)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	script := filepath.Join(t.TempDir(), "it's a hook.sh")
	if err := os.WriteFile(script, r.Script(), 0o600); err != nil {
		t.Fatal(err)
	}
	return r, relay.Command(script)
}

const input = `{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"echo 'ü 🎉' \"x\"\n"}}`

func TestDecisions(t *testing.T) {
	_, command := start(t, func(c *relay.Call) {
		var tool string
		if c.Event == "PreToolUse" {
			tool = string(c.Data["tool_name"])
		}
		switch {
		case tool == `"Bash"` && strings.Contains(string(c.Data["tool_input"]), "ü 🎉"):
			c.Block("not that:\nuse 'rm -i'")
		default:
			c.Allow()
		}
	})
	if status, reason := run(t, command, input); status != 2 || reason != "not that:\nuse 'rm -i'" {
		t.Errorf("block: status %d, reason %q", status, reason)
	}
	large := `{"hook_event_name":"Stop","x":"` + strings.Repeat("ä", 150_000) + `"}`
	if status, reason := run(t, command, large); status != 0 || reason != "" {
		t.Errorf("allow: status %d, reason %q", status, reason)
	}
}

// The script blocks whenever something goes wrong.
func TestFailsClosed(t *testing.T) {
	hang := make(chan *relay.Call, 10)
	r, command := start(t, func(c *relay.Call) { hang <- c })
	for _, bad := range []string{"", "no JSON", `{"no":"event"}`} {
		if status, _ := run(t, command, bad); status != 2 {
			t.Errorf("input %q: status %d, want 2", bad, status)
		}
	}
	if status, _ := run(t, relay.Command(filepath.Join(t.TempDir(), "missing.sh")), input); status != 2 {
		t.Errorf("a missing script: status %d, want 2", status)
	}
	if status, _ := run(t, "PATH=/nowhere; "+command, input); status != 2 {
		t.Errorf("no bash: status %d, want 2", status)
	}
	done := make(chan int, 1)
	go func() {
		status, _ := run(t, command, input)
		done <- status
	}()
	<-hang // the script waits for the program
	r.Close()
	if status := <-done; status != 2 {
		t.Errorf("closed while it waits: status %d, want 2", status)
	}
	if status, _ := run(t, command, input); status != 2 {
		t.Errorf("closed before: status %d, want 2", status)
	}
}

// The program ignores a script with another token. The script blocks if the listener does not know the secret.
func TestSecrets(t *testing.T) {
	heard := make(chan *relay.Call, 1)
	a, _ := start(t, func(c *relay.Call) { heard <- c; c.Allow() })
	b, _ := start(t, func(c *relay.Call) { c.Allow() })
	port := func(r *relay.Relay) string {
		_, rest, _ := strings.Cut(string(r.Script()), "/dev/tcp/127.0.0.1/")
		port, _, _ := strings.Cut(rest, " ")
		return port
	}
	script := filepath.Join(t.TempDir(), "mixed.sh")
	mixed := strings.ReplaceAll(string(b.Script()), port(b), port(a))
	if err := os.WriteFile(script, []byte(mixed), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _ := run(t, relay.Command(script), input); status != 2 {
		t.Errorf("status %d, want 2", status)
	}
	select {
	case c := <-heard:
		t.Errorf("a call without the token was heard: %s", c.Event)
	default:
	}
}

// When the script is killed, Done of its call is closed.
func TestGone(t *testing.T) {
	calls := make(chan *relay.Call, 1)
	_, command := start(t, func(c *relay.Call) { calls <- c })
	cmd := exec.Command("/bin/sh", "-c", "exec "+strings.TrimSuffix(command, " || exit 2"))
	cmd.Stdin = strings.NewReader(input)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := <-calls
	cmd.Process.Kill()
	cmd.Wait()
	<-c.Done
}
