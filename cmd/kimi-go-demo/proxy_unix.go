//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// forwarded are the signals that this program passes on to kimi.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

// become replaces this program by another one.
func become(path string, args []string) error {
	return syscall.Exec(path, append([]string{path}, args...), os.Environ())
}

func signalName(s *os.ProcessState) string {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal().String()
	}
	return ""
}

// endLike ends this program by the same signal that has ended kimi, if a signal has.
func endLike(s *os.ProcessState) {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		dieBy(ws.Signal())
	}
}

// dieBy ends this program by a signal.
func dieBy(s syscall.Signal) {
	signal.Reset(s)
	syscall.Kill(os.Getpid(), s)
	select {} // wait for the signal
}
