//go:build unix

package ask

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/creack/pty"

	"github.com/kimi-go/kimi-go/wireproto"
)

// keys is the keyboard of a terminal.
type keys struct {
	t      *testing.T
	master *os.File
	echo   bytes.Buffer
}

// typed types a text and waits until the echo shows that the terminal has the text.
func (k *keys) typed(text, echo string) {
	k.t.Helper()
	k.echo.Reset()
	if _, err := k.master.WriteString(text); err != nil {
		k.t.Error(err)
	}
	buf := make([]byte, 100)
	for !bytes.Contains(k.echo.Bytes(), []byte(echo)) {
		n, err := k.master.Read(buf)
		if err != nil {
			k.t.Error(err)
			return
		}
		k.echo.Write(buf[:n])
	}
}

func newKeys(t *testing.T) (*keys, *Input) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() }) // the reader of the other end outlives the test
	return &keys{t: t, master: master}, NewInput(slave, true)
}

// A line, or a part of a line, that was typed at a terminal before the question does not answer it. Enter alone does not
// approve anything.
func TestTerminalTypedTooEarly(t *testing.T) {
	for name, early := range map[string]struct{ text, echo string }{
		"lines":         {"y\ry\r", "y\r\ny\r\n"},
		"part":          {"y", "y"},
		"both":          {"a\ry", "a\r\ny"},
		"Ctrl-D":        {"y\x04", "y"},
		"Enter":         {"\r", "\r\n"},
		"part of a yes": {"ye", "ye"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, reads := range []bool{false, true} { // someone reads meanwhile, as a chat does
				k, in := newKeys(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				over := make(chan struct{})
				if reads {
					go func() {
						defer close(over)
						for {
							if _, err := in.Line(ctx); ctx.Err() != nil && err != nil {
								return
							}
						}
					}()
				} else {
					close(over)
				}
				k.typed(early.text, early.echo)
				asked := make(signal, 9)
				c := &Console{In: in, Out: asked}
				decided := make(chan Decision)
				go func() {
					d, err := c.Approval(t.Context(), all, session, "stops")
					if err != nil {
						t.Error(err)
					}
					decided <- d
				}()
				<-asked
				k.typed("\r", "\r\n")
				<-asked // the message about Enter alone
				<-asked
				k.typed("n\r", "n\r\n")
				<-asked
				k.typed("no\r", "no\r\n")
				if got := <-decided; got != (Decision{Response: wireproto.Reject, Feedback: "no"}) {
					t.Errorf("somebody reads %v: decided %+v", reads, got)
				}
				cancel(errOver)
				<-over
			}
		})
	}
}

// A line that was read just before the question does not answer it.
func TestTerminalTypedJustBefore(t *testing.T) {
	k, in := newKeys(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in.mu.Lock()
	in.start() // as if a caller had waited for a line
	in.mu.Unlock()
	asked := make(signal, 9)
	c := &Console{In: in, Out: asked}
	for range 300 {
		k.typed("y\r", "y\r\n")
		decided := make(chan Decision)
		go func() {
			d, _ := c.Approval(t.Context(), all, session, "stops")
			decided <- d
		}()
		<-asked
		select {
		case got := <-decided:
			t.Fatalf("decided %+v", got)
		default:
		}
		k.typed("n\r", "n\r\n")
		select {
		case <-asked:
		case got := <-decided:
			t.Fatalf("decided %+v", got)
		}
		k.typed("\r", "\r\n")
		if got := <-decided; got.Response != wireproto.Reject {
			t.Fatalf("decided %+v", got)
		}
	}
	if _, err := in.Line(ctx); err == nil {
		t.Error("a line is left over")
	}
}
