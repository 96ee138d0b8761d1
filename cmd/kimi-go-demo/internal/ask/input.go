// Package ask puts the agent's requests to a person and reads the answers.
package ask

import (
	"bufio"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
)

// Input deals out the lines of a reader: to the question that is being asked, if there is one, else
// to whoever waits for a prompt.
type Input struct {
	r *bufio.Reader
	// terminal: the end of the input is one Ctrl-D, after which more may come.
	terminal bool

	mu      sync.Mutex
	wanted  sync.Cond
	reading bool
	claims  int // questions being asked
	waiting []*waiter
	early   []answer // read before anyone asked
}

type answer struct {
	line string
	err  error
}

type waiter struct {
	question bool
	ch       chan answer // takes one without blocking
}

// NewInput reads from r. Nothing is read before the first line is asked for.
func NewInput(r io.Reader, terminal bool) *Input {
	in := &Input{r: bufio.NewReader(r), terminal: terminal}
	in.wanted.L = &in.mu
	return in
}

// Line returns the next line that answers no question, without its end; [io.EOF] at the end of the
// input, or the cause of ctx's end.
func (in *Input) Line(ctx context.Context) (string, error) { return in.line(ctx, false) }

// Watch reads on though nobody asks, so that a question knows what was typed before it.
func (in *Input) Watch() {
	in.mu.Lock()
	in.start()
	in.mu.Unlock()
}

// claim gives all that is typed from now on to a question. What was typed at a terminal before is no
// answer to it, and dropped.
func (in *Input) claim() (release func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.terminal {
		in.early = nil
	}
	in.claims++
	return func() {
		in.mu.Lock()
		in.claims--
		in.deal()
		in.mu.Unlock()
	}
}

func (in *Input) line(ctx context.Context, question bool) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	w := &waiter{question, make(chan answer, 1)}
	in.mu.Lock()
	in.waiting = append(in.waiting, w)
	in.deal()
	in.start()
	in.wanted.Signal()
	in.mu.Unlock()
	select {
	case a := <-w.ch:
		return a.line, a.err
	case <-ctx.Done():
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if i := slices.Index(in.waiting, w); i >= 0 {
		in.waiting = slices.Delete(in.waiting, i, i+1)
	} else { // the line came at the same moment: it is for the next who asks
		in.early = slices.Insert(in.early, 0, <-w.ch)
		in.deal()
	}
	return "", context.Cause(ctx)
}

// start begins to read. in.mu is held.
func (in *Input) start() {
	if !in.reading {
		in.reading = true
		go in.read()
	}
}

// deal hands out what has been read. in.mu is held.
func (in *Input) deal() {
	for len(in.early) > 0 && len(in.waiting) > 0 {
		last := len(in.waiting) - 1
		w := in.waiting[last]
		if in.claims > 0 && !w.question {
			return // the question will ask on
		}
		in.waiting = in.waiting[:last]
		w.ch <- in.early[0]
		if in.early[0].err != nil && !in.terminal {
			continue // for all who ask from now on
		}
		in.early = in.early[1:]
	}
}

// read reads as long as there is input. It outlives its Input: a read of a terminal cannot be
// called off.
func (in *Input) read() {
	for {
		line, err := in.r.ReadString('\n')
		a := answer{line: strings.TrimRight(line, "\r\n")}
		if line == "" {
			a.err = err
		}
		in.mu.Lock()
		in.early = append(in.early, a)
		in.deal()
		for a.err != nil && len(in.waiting) == 0 && in.terminal { // Ctrl-D, or the terminal is gone: not again unasked
			in.wanted.Wait()
		}
		in.mu.Unlock()
		if a.err != nil && !in.terminal {
			return
		}
	}
}
