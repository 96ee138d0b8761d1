package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/kimi-go/kimi-go/client"
)

// errInterrupted is the cause of a ctx that a signal has ended.
var errInterrupted = errors.New("interrupted")

// signals handles Ctrl-C. The first Ctrl-C ends the current turn or other action. A second one, and any termination
// signal, ends the session. A third one ends the program.
type signals struct {
	mu      sync.Mutex
	cancel  context.CancelCauseFunc // ends the current action; nil if there is none
	session *client.Session
	closing bool
	code    int // the exit status for the last signal; 0 if there was none
	caught  chan os.Signal
}

// release stops the handling of signals.
func (s *signals) release() { signal.Stop(s.caught) }

func catchSignals() *signals {
	s := new(signals)
	c := make(chan os.Signal, 4)
	s.caught = c
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for sig := range c {
			s.receive(sig)
		}
	}()
	return s
}

func (s *signals) receive(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = 130
	if n, ok := sig.(syscall.Signal); ok && sig != os.Interrupt {
		s.code = 128 + int(n)
	}
	cancel := s.cancel
	s.cancel = nil
	if cancel != nil {
		cancel(errInterrupted)
		if sig == os.Interrupt {
			return
		}
	}
	if s.session == nil || s.closing {
		if cancel == nil {
			os.Exit(s.code)
		}
		return
	}
	s.closing = true
	go s.session.Close()
}

// during returns a ctx that the next Ctrl-C ends. The caller must call release when the action has ended.
func (s *signals) during(parent context.Context) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(parent)
	s.mu.Lock()
	s.cancel = cancel
	s.mu.Unlock()
	return ctx, func() {
		s.mu.Lock()
		s.cancel = nil
		s.mu.Unlock()
		cancel(nil)
	}
}

// closes sets the session that a second signal closes.
func (s *signals) closes(session *client.Session) {
	s.mu.Lock()
	s.session = session
	s.mu.Unlock()
}

// typed handles a Ctrl-C that has come as a key, not as a signal.
func (s *signals) typed() {
	s.mu.Lock()
	s.code = 130
	s.mu.Unlock()
}

// forget resets the state after Ctrl-C has ended an action but not the program.
func (s *signals) forget() {
	s.mu.Lock()
	if !s.closing {
		s.code = 0
	}
	s.mu.Unlock()
}

// stopped returns the exit status for the last signal, 0 if there was none.
func (s *signals) stopped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.code
}

// closed reports whether a signal has closed the session.
func (s *signals) closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// lend leaves the signals of keys, which the terminal sends to every process in it, to a child in the terminal. A
// termination signal calls end. back handles signals as before.
func (s *signals) lend(end func()) (back func()) {
	signal.Stop(s.caught)
	lent := make(chan os.Signal, 4)
	// The signals are caught and not ignored, because the child would inherit ignored signals.
	signal.Notify(lent, os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-lent:
				if sig == os.Interrupt || sig == syscall.SIGQUIT {
					continue
				}
				s.mu.Lock()
				s.code = 128 + int(sig.(syscall.Signal))
				s.mu.Unlock()
				end()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(lent)
		close(done)
		signal.Notify(s.caught, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	}
}
