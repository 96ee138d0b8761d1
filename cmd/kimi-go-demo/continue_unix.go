//go:build unix

package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// onContinue calls do each time that the program goes on after it was stopped, as Ctrl-Z does.
func onContinue(do func()) (release func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGCONT)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-c:
				do()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(c)
		close(done)
	}
}
