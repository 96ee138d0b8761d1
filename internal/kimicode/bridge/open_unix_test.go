//go:build unix

package bridge_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kimi-go/kimi-go/internal/kimicode/bridge"
)

// Only a running server gets the token of a home. After the end of a server, its file may still be there, and another
// program may have its port.
func TestOpenInEndedServer(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		pid   int
		asked bool
	}{"it runs": {os.Getpid(), true}, "it has ended": {ended.Process.Pid, false}} {
		t.Run(name, func(t *testing.T) {
			asked := false
			port := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = true
				w.Write([]byte(`{"code":0,"data":{"busy":true}}`))
			}))
			defer port.Close()
			dir := t.TempDir()
			instances := filepath.Join(dir, "server", "instances")
			if err := os.MkdirAll(instances, 0o700); err != nil {
				t.Fatal(err)
			}
			_, number, _ := strings.Cut(strings.TrimPrefix(port.URL, "http://"), ":")
			about := fmt.Sprintf(`{"pid":%d,"host":"127.0.0.1","port":%s,"heartbeat_at":%d}`, test.pid, number, time.Now().UnixMilli())
			for file, text := range map[string]string{filepath.Join(instances, "a.json"): about, filepath.Join(dir, "server.token"): "secret"} {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if pid := bridge.OpenIn(dir, "session_x"); asked != test.asked || (pid != 0) != test.asked {
				t.Errorf("asked: %v, process %d", asked, pid)
			}
		})
	}
}
