package clienttest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
)

// TB has the methods of a test that this package needs. *testing.T and *testing.B have them. [Run] gives a TB to
// programs that are not tests.
type TB interface {
	Helper()
	Cleanup(func())
	TempDir() string
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Run calls f with a t, for a program that is not a test. It returns the failures and the skip that a test would have
// had, joined. It waits for f and then cleans up: it removes temporary folders and closes models. f runs in a goroutine
// of its own, which Fatalf and Skipf end, as in a test. f must return; it must not call os.Exit or log.Fatal.
func Run(f func(t TB)) error {
	p := new(program)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer p.cleanup()
		f(p)
	}()
	<-ended
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.errs...)
}

// program is the TB of Run.
type program struct {
	mu       sync.Mutex
	errs     []error
	cleanups []func()
}

func (p *program) Helper() {}

func (p *program) Cleanup(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cleanups = append(p.cleanups, f)
}

// cleanup runs the cleanup functions, the last first. A Fatalf in one of them ends only that one.
func (p *program) cleanup() {
	p.mu.Lock()
	n := len(p.cleanups) - 1
	if n < 0 {
		p.mu.Unlock()
		return
	}
	f := p.cleanups[n]
	p.cleanups = p.cleanups[:n]
	p.mu.Unlock()
	defer p.cleanup()
	f()
}

func (p *program) TempDir() string {
	dir, err := os.MkdirTemp("", "clienttest-")
	if err != nil {
		p.Fatalf("clienttest: %w", err)
	}
	p.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			p.Errorf("clienttest: %w", err)
		}
	})
	return dir
}

func (p *program) Errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, fmt.Errorf(format, args...))
}

func (p *program) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	runtime.Goexit()
}

func (p *program) Skipf(format string, args ...any) { p.Fatalf(format, args...) }

// panicker replaces a nil TB.
type panicker struct{}

func (panicker) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panicker) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panicker) Skipf(format string, args ...any)  { panic(fmt.Sprintf(format, args...)) }
func (panicker) Cleanup(func())                    {}
func (panicker) Helper()                           {}
func (panicker) TempDir() string {
	panic("clienttest: a nil TB has no temporary folder, because nothing would remove it; use Run")
}

func report(t TB) TB {
	if t == nil {
		return panicker{}
	}
	return t
}
