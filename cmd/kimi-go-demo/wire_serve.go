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

// wireGrace is how long kimi may take to end after this program was asked to end. Then it is killed. Wire clients kill
// this program three seconds or more after they have asked.
const wireGrace = 2 * time.Second

// serve connects the bridge to standard input and output until kimi ends. It returns how kimi ended.
func (w *wire) serve(kimi string) int {
	dir, err := os.Getwd()
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir) // as kimi does: sessions belong to the text of the path
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
		if !signal.Ignored(s) { // as nohup does; it stays so
			signal.Notify(caught, s)
		}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // if the client is gone, the write fails, and nothing else happens

	go func() { // ends with standard input, or with this program
		io.Copy(conn, w.stdin)
		conn.CloseWrite()
	}()
	ended := make(chan error, 1)
	go func() {
		if _, err := io.Copy(os.Stdout, conn); err != nil {
			conn.CloseWrite() // no one reads: let kimi end
			io.Copy(io.Discard, conn)
		}
		ended <- conn.Wait()
	}()

	var asked os.Signal // the first that asked this program to end
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

// end ends the program as kimi has ended or, as kimi-cli does, by the signal that asked for it.
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

// signalNamed finds a signal by what the system calls it.
func signalNamed(name string) syscall.Signal {
	for s := syscall.Signal(1); s < 65; s++ {
		if s.String() == name {
			return s
		}
	}
	return syscall.SIGKILL
}

// endBy ends the program by a signal, or returns the exit status that a shell shows for it: Go itself answers the
// signals of a crash with a trace.
func endBy(s syscall.Signal) int {
	if slices.Contains([]syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL}, s) {
		dieBy(s)
	}
	return 128 + int(s)
}
