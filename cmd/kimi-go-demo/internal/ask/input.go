// Package ask shows the agent's requests to a person and reads the answers.
package ask

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Input passes on the lines of a reader: to the question that is being asked, if there is one, otherwise to the caller
// that waits for a prompt.
type Input struct {
	r *bufio.Reader
	// terminal says that the input is a terminal. After Ctrl-D, more input may come.
	terminal bool
	tty      *tty          // nil unless r is the file of a terminal
	taking   chan struct{} // holds a token while text of tty is read or discarded; filled before mu is locked
	part     []byte        // the part of a line that was read from tty; guarded by taking

	mu      sync.Mutex
	wanted  sync.Cond
	reading bool
	claims  int // questions being asked
	waiting []*waiter
	early   []answer // read before anyone asked
	age     int      // grows with each discard
}

type answer struct {
	line string
	err  error
	age  int // the age of the Input when the line was read
}

type waiter struct {
	question bool
	ch       chan answer // takes one without blocking
}

// NewInput reads from r. It reads nothing before the first line is requested.
func NewInput(r io.Reader, terminal bool) *Input {
	in := &Input{r: bufio.NewReader(r), terminal: terminal, taking: make(chan struct{}, 1)}
	in.wanted.L = &in.mu
	if f, ok := r.(*os.File); ok && terminal {
		in.tty = &tty{file: f}
	}
	return in
}

// Line returns the next line that is not the answer to a question. The line is without its end. The error is [io.EOF] at
// the end of the input, or the cause of ctx's end.
func (in *Input) Line(ctx context.Context) (string, error) { return in.line(ctx, false) }

// together is how long a line of a paste comes after the line before it, at most.
const together = 50 * time.Millisecond

// Lines is like [Input.Line], but at a terminal it returns the lines that come together, as those of a paste do, as one
// text. A paste can end within a line, and the rest of it comes only with the person's next Enter. So after several
// lines, Lines calls say with a notice, and the next Enter completes the text. If an error comes before this Enter, Lines
// returns it with the text so far, which a later call can take as pasted. A first line that begins with "/" stays alone,
// because it may be a command.
func (in *Input) Lines(ctx context.Context, pasted string, say func(notice string)) (string, error) {
	return in.lines(ctx, false, pasted, say)
}

func (in *Input) lines(ctx context.Context, question bool, text string, say func(notice string)) (string, error) {
	for {
		if text != "" {
			say(fmt.Sprintf("(%s pasted: Enter sends them)", lines(strings.Count(text, "\n")+1)))
		}
		line, err := in.line(ctx, question)
		if err != nil {
			return text, err
		}
		several := false
		for in.terminal && (question || text != "" || !strings.HasPrefix(line, "/")) {
			in.mu.Lock()
			age := in.age
			in.mu.Unlock()
			soon, stop := context.WithTimeout(ctx, together)
			more, err := in.line(soon, question)
			stop()
			if errors.Is(err, io.EOF) {
				in.putBack(answer{"", err, age})
			}
			if err != nil {
				break
			}
			line += "\n" + more
			several = true
		}
		blank := strings.TrimSpace(line) == ""
		switch {
		case text == "":
			text = line
		case !blank:
			text += "\n" + line
		}
		if !several || blank {
			return text, nil
		}
	}
}

// putBack gives what has come to the next caller, unless it was discarded in the meantime.
func (in *Input) putBack(a answer) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if a.age == in.age {
		in.early = slices.Insert(in.early, 0, a)
		in.deal()
	}
}

// claim gives everything that is typed from now on to a question.
func (in *Input) claim() (release func()) {
	in.mu.Lock()
	in.claims++
	in.mu.Unlock()
	return func() {
		in.mu.Lock()
		in.claims--
		in.deal()
		in.mu.Unlock()
	}
}

// discard drops what was typed at a terminal so far, also a half line, so that it does not answer a question that
// appears later. Its error is the cause of ctx's end.
func (in *Input) discard(ctx context.Context) error {
	if !in.terminal {
		return nil
	}
	select {
	case in.taking <- struct{}{}:
		defer func() { <-in.taking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if in.tty != nil {
		in.tty.flush()
		in.part = nil
	}
	in.mu.Lock()
	in.early = nil
	in.age++
	in.mu.Unlock()
	return nil
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
	} else if a := <-w.ch; a.age == in.age { // the line came at the same moment: it is for the next caller
		in.early = slices.Insert(in.early, 0, a)
		in.deal()
	}
	return "", context.Cause(ctx)
}

// start starts the goroutine that reads, unless it runs. in.mu is held.
func (in *Input) start() {
	if !in.reading {
		in.reading = true
		go in.read()
	}
}

// deal passes on what has been read. While there is a question, only the question gets it. in.mu is held.
func (in *Input) deal() {
	for len(in.early) > 0 {
		i := len(in.waiting) - 1
		for i >= 0 && in.claims > 0 && !in.waiting[i].question {
			i--
		}
		if i < 0 {
			return
		}
		w := in.waiting[i]
		in.waiting = slices.Delete(in.waiting, i, i+1)
		w.ch <- in.early[0]
		if in.early[0].err != nil && !in.terminal {
			continue // all later callers get the error, too
		}
		in.early = in.early[1:]
	}
}

// read reads as long as there is input. It goes on when no one needs the Input any more, because a read of a terminal
// cannot be cancelled.
func (in *Input) read() {
	for {
		var err error
		if in.tty != nil && canWait {
			err = in.take()
		} else {
			var line string
			line, err = in.r.ReadString('\n')
			err = in.add(line, err)
		}
		in.mu.Lock()
		for err != nil && len(in.waiting) == 0 && in.terminal { // after Ctrl-D, or if the terminal is gone, read again only for a caller
			in.wanted.Wait()
		}
		in.mu.Unlock()
		if err != nil && !in.terminal {
			return
		}
	}
}

// take reads what has been typed and passes it on. Nothing can be discarded between the two. So a line that was typed
// before a question is never taken for a line that was typed after it.
func (in *Input) take() error {
	in.tty.wait()
	in.taking <- struct{}{}
	defer func() { <-in.taking }()
	if !in.tty.ready() {
		return nil // the text was discarded
	}
	var buf [4096]byte // a line of a terminal is not longer
	n, err := in.tty.file.Read(buf[:])
	in.part = append(in.part, buf[:n]...)
	if err == nil && !bytes.HasSuffix(in.part, []byte("\n")) {
		return nil // Ctrl-D within a line
	}
	line := string(in.part)
	in.part = nil
	if err != nil {
		line = "" // only Enter sends a line
	}
	return in.add(line, err)
}

// add passes on a line. If err came instead of a line, it returns err.
func (in *Input) add(line string, err error) error {
	a := answer{line: strings.TrimRight(line, "\r\n")}
	if line == "" {
		a.err = err
	}
	in.mu.Lock()
	a.age = in.age
	in.early = append(in.early, a)
	in.deal()
	in.mu.Unlock()
	return a.err
}
