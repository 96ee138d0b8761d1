//go:build unix

package spawn

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const guardedKey = "KIMI_GO_TEST_GUARDED"

// TestMain is also the program of TestGuard, which starts a guarded child.
func TestMain(m *testing.M) {
	dir := os.Getenv(guardedKey)
	if dir == "" {
		os.Exit(m.Run())
	}
	var g Group
	if err := g.Guard("no-such-marker", filepath.Join(dir, "about"), []string{filepath.Join(dir, "removed")}); err != nil {
		panic(err)
	}
	cmd := exec.Command("/bin/sh", "-c", os.Getenv("KIMI_GO_TEST_SCRIPT"))
	cmd.Stdout = os.Stdout
	if err := g.Start(cmd); err != nil {
		panic(err)
	}
	fmt.Println("pid", cmd.Process.Pid)
	cmd.Wait()
}

// When the program is killed, the child's file and folder are removed, and the files of others stay.
func TestGuard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"about", "removed"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), guardedKey+"="+dir, "KIMI_GO_TEST_SCRIPT=trap 'exit 1' TERM; echo ready; while :; do sleep 0.05; done")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	pid, ready := 0, false
	for lines := bufio.NewScanner(out); !(ready && pid > 0) && lines.Scan(); {
		fmt.Sscanf(lines.Text(), "pid %d", &pid)
		ready = ready || strings.Contains(lines.Text(), "ready")
	}
	if pid == 0 || !ready {
		t.Fatal("the child has not started")
	}
	write := func(name string, pid int) {
		text := fmt.Sprintf(`{"server_id":"x","pid":%d,"port":1}`, pid)
		if err := os.WriteFile(filepath.Join(dir, "about", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ours.json", pid)
	write("others.json", os.Getpid())
	write("longer.json", pid*10)
	cmd.Process.Kill()
	cmd.Wait()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left, _ := filepath.Glob(filepath.Join(dir, "*", "*.json"))
		_, err := os.Stat(filepath.Join(dir, "removed"))
		if len(left) == 2 && os.IsNotExist(err) {
			if filepath.Base(left[0]) != "longer.json" || filepath.Base(left[1]) != "others.json" {
				t.Errorf("left %q", left)
			}
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("left %q, %v", left, err)
		}
	}
}
