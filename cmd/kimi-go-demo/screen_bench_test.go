//go:build !windows

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// BenchmarkScreenFlood measures how much of one processor core a chat uses while an agent writes 20,000 parts a second,
// and how long a key then takes to appear. Both values are for the command alone, because no terminal is emulated.
func BenchmarkScreenFlood(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	kimi := filepath.Join(dir, "kimi")
	if err := os.WriteFile(kimi, fmt.Appendf(nil, "#!/bin/sh\n%s=flood exec '%s'\n", programKey, self), 0o700); err != nil {
		b.Fatal(err)
	}
	d := &demo{work: dir}
	d.setenv(map[string]string{"HOME": dir, "KIMI_PATH": kimi, "XDG_STATE_HOME": dir})
	var worst time.Duration
	var used, passed time.Duration
	for b.Loop() {
		cmd := d.command(b, "chat")
		tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 100})
		if err != nil {
			b.Fatal(err)
		}
		news := make(chan string, 1000)
		go func() {
			defer close(news)
			buf := make([]byte, 64<<10)
			for {
				n, err := tty.Read(buf)
				if err != nil {
					return
				}
				news <- string(buf[:n])
			}
		}()
		until := func(want string) bool {
			tail := ""
			for n := range news {
				if tail += n; strings.Contains(tail, want) {
					return true
				}
				tail = tail[max(0, len(tail)-len(want)):]
			}
			return false
		}
		if !until("Enter sends") {
			b.Fatal("the chat does not begin")
		}
		tty.WriteString("go\r")
		begun := time.Now()
		for i := 0; time.Since(begun) < (floodSeconds-1)*time.Second; i++ {
			key := string(rune('A' + i%26))
			typed := time.Now()
			tty.WriteString(key)
			if !until(key) {
				b.Fatal("a key is not shown")
			}
			worst = max(worst, time.Since(typed))
			<-time.After(50 * time.Millisecond)
		}
		if !until("finished after") {
			b.Fatal("the turn does not end")
		}
		tty.WriteString("\x15" + ctrlD)
		for range news {
		}
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		used += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		passed += floodSeconds * time.Second
		tty.Close()
	}
	b.ReportMetric(100*used.Seconds()/passed.Seconds(), "%core")
	b.ReportMetric(float64(worst.Milliseconds()), "ms/worst-key")
}
