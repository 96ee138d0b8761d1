package client_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/client"
)

// spawn returns options that run a script as a child process. The end of the test checks that no goroutine, no
// descriptor and no process of the child is left.
func spawn(t *testing.T, name, arg string) *client.Options {
	t.Helper()
	noLeaks(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	token := rand.Text()
	before := openFiles()
	t.Cleanup(func() {
		eventually(t, 5*time.Second, func() bool { return len(openFiles()) <= len(before) }, func() string {
			return fmt.Sprintf("descriptors left: before %q, now %q", before, openFiles())
		})
		eventually(t, 5*time.Second, func() bool { return len(marked(token)) == 0 }, func() string {
			return fmt.Sprintf("processes left: %v", marked(token))
		})
	})
	return &client.Options{
		Executable: exe, WorkDir: t.TempDir(), ShareDir: t.TempDir(),
		Env: map[string]string{programKey: "agent", agentKey: name, argKey: arg, tokenKey: token, "GORACE": "atexit_sleep_ms=0"},
	}
}

// warm opens the descriptors that the Go runtime opens with its first pipe and then keeps open.
var warm = sync.OnceFunc(func() {
	if r, w, err := os.Pipe(); err == nil {
		r.SetReadDeadline(time.Now().Add(time.Hour))
		r.Close()
		w.Close()
	}
})

// openFiles lists the open descriptors of this process. Without /proc it returns an empty list.
func openFiles() []string {
	warm()
	links, _ := filepath.Glob("/proc/self/fd/*")
	var open []string
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil { // Glob has closed the directory that it read
			open = append(open, target)
		}
	}
	return open
}

// marked lists the live processes whose environment has the token. Without /proc it returns an empty list.
func marked(token string) []string {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	var pids []string
	for _, f := range files {
		if env, err := os.ReadFile(f); err == nil && strings.Contains(string(env), tokenKey+"="+token) {
			pids = append(pids, filepath.Base(filepath.Dir(f)))
		}
	}
	return pids
}

// start starts a session and closes it at the end of the test.
func start(t testing.TB, opts *client.Options) *client.Session {
	t.Helper()
	s, err := client.NewSession(limited(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func (a *agent) line(format string, args ...any) { a.raw(fmt.Sprintf(format, args...) + "\n") }

// script registers an agent.
func script(name string, run func(*agent)) string {
	if scripts[name] != nil {
		panic("two scripts " + name)
	}
	scripts[name] = run
	return name
}
