package client

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const headlessKey = "KIMI_GO_TEST_HEADLESS"

func init() {
	if os.Getenv(headlessKey) != "" {
		headless() // init runs in the first thread of the process
	}
}

// headless is a program whose first thread ends. The program ends by itself if the test is killed before it can end it.
func headless() {
	other := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(other)
		os.Stdout.WriteString("runs\n")
		time.Sleep(100 * time.Second)
		os.Exit(0)
	}()
	<-other
	syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

// A process whose first thread has ended looks like a zombie. killMarked must end it, too.
func TestKillMarkedWithoutFirstThread(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	marker := headlessKey + "=" + newUUID()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), marker)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for !readStat(cmd.Process.Pid).headless() && ctx.Err() == nil {
		runtime.Gosched()
	}
	if err := killMarked(marker); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || ctx.Err() != nil {
		t.Errorf("it is left: %v, %v", err, ctx.Err())
	}
}
