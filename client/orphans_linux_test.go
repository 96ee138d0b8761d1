package client_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kimi-go/kimi-go/client"
	"github.com/kimi-go/kimi-go/wireproto"
)

func init() { programs["out of descriptors"] = outOfDescriptors }

// outOfDescriptors is a program that cannot open any more files when its agent ends and leaves a process in a process
// session of its own. It prints the id of that process and the error of Close.
func outOfDescriptors() {
	os.Unsetenv(programKey)
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	s, err := client.NewSession(context.Background(), &client.Options{
		Executable: exe, ShareDir: os.Getenv("KIMI_SHARE_DIR"),
		Env: map[string]string{programKey: "agent", agentKey: leavesLater, argKey: "own session"},
	})
	if err != nil {
		panic(err)
	}
	turn, err := s.Prompt(context.Background(), "hello")
	if err != nil {
		panic(err)
	}
	for m := range turn.Messages() {
		text, ok := m.(*wireproto.TextPart)
		if !ok {
			continue
		}
		fmt.Println(text.Text)
		// The limit is lower than the number of open descriptors, so no file can be opened, even after others are
		// closed.
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: 3}); err != nil {
			panic(err)
		}
		if err := s.Steer(context.Background(), "die"); err == nil {
			panic("the agent lives")
		}
	}
	<-s.Done()
	fmt.Println(s.Close())
}

var leavesLater = script("leaves a process, then dies", func(a *agent) {
	a.handshake()
	a.begin()
	a.text(strconv.Itoa(a.leave()))
	a.call(wireproto.MethodSteer)
	a.exit(3)
})

// If a process may be left, Close says so and says how to find it.
func TestCloseOutOfDescriptors(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(limited(t), exe)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), programKey+"=out of descriptors", "KIMI_SHARE_DIR="+t.TempDir())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	pid, said, _ := strings.Cut(string(out), "\n")
	id, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	left, err := os.FindProcess(id)
	if err != nil {
		t.Fatal(err)
	}
	defer left.Release()
	if !runs(left) {
		t.Error("nothing is left: this shows nothing")
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", id))
	if err != nil {
		t.Error(err)
	}
	left.Kill()
	_, marker, ok := strings.Cut(said, "may be left, with ")
	marker, _, _ = strings.Cut(marker, " ")
	if !ok || !strings.Contains(said, "too many open files") || marker == "" || !strings.Contains(string(env), marker) {
		t.Errorf("Close: %s", said)
	}
}
