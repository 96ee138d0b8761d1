package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/kimi-go/kimi-go/client"
)

// wireGrace is how long kimi may take to end after this program was asked to end. After that, kimi is killed. Wire
// clients wait three seconds or more before they kill this program.
const wireGrace = 2 * time.Second

// serve connects the bridge with standard input and output until kimi ends. It returns the exit status.
func (w *wire) serve(kimi string) int {
	dir, err := os.Getwd()
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir) // as kimi does, because a session belongs to the text of the path
	}
	if err != nil {
		return w.report(err)
	}
	conn, err := client.KimiCode(w.stderr).Start(context.Background(), &client.Command{Path: kimi, Args: w.args, Env: os.Environ(), Dir: dir})
	if err != nil {
		return w.report(err)
	}
	caught := make(chan os.Signal, 8)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // a signal that is ignored, as with nohup, stays ignored
			signal.Notify(caught, s)
		}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // if the client is gone, only the write fails

	go func() { // this goroutine ends with standard input or with this program
		io.Copy(conn, w.stdin)
		conn.CloseWrite()
	}()
	ended := make(chan error, 1)
	go func() {
		if _, err := io.Copy(os.Stdout, conn); err != nil {
			conn.CloseWrite() // no one reads the output, so let kimi end
			io.Copy(io.Discard, conn)
		}
		ended <- conn.Wait()
	}()

	var asked os.Signal // the first signal that asked this program to end
	var late <-chan time.Time
	for {
		select {
		case s := <-caught:
			switch {
			case s == os.Interrupt:
				conn.Interrupt()
			case asked == nil:
				asked, late = s, time.After(wireGrace)
				conn.CloseWrite()
			default:
				return w.killed(conn, asked)
			}
		case <-late:
			return w.killed(conn, asked)
		case end := <-ended:
			conn.Close()
			return w.end(end, asked)
		}
	}
}

// killed kills a kimi that does not end by itself, or whose last output no one reads.
func (w *wire) killed(conn client.Conn, asked os.Signal) int {
	conn.Close()
	return w.end(nil, asked)
}

// end ends the program in the way in which kimi has ended or, like kimi-cli, by the signal that asked it to end.
func (w *wire) end(err error, asked os.Signal) int {
	var exit *client.ProcessError
	errors.As(err, &exit)
	if s, ok := asked.(syscall.Signal); ok {
		return endBy(s)
	}
	switch {
	case exit == nil && err != nil:
		return w.report(err)
	case exit == nil:
		return 0
	case exit.Signal != "":
		return endBy(signalNamed(exit.Signal))
	}
	return exit.ExitCode
}

// signalNamed finds a signal by the name that the system gives to it.
func signalNamed(name string) syscall.Signal {
	for s := syscall.Signal(1); s < 65; s++ {
		if s.String() == name {
			return s
		}
	}
	return syscall.SIGKILL
}

// endBy ends the program by a signal. If that fails, it returns the exit status that a shell shows for the signal: for
// the signals of a crash, Go prints a trace instead.
func endBy(s syscall.Signal) int {
	if slices.Contains([]syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL}, s) {
		dieBy(s)
	}
	return 128 + int(s)
}
