package webtest

import (
	"io"
	"strings"
	"sync"
)

// Child stands for the process of a server that is not a child of this process.
type Child struct {
	out  *strings.Reader
	done chan struct{}
	end  func(error)
	err  error
}

// NewChild returns a child that prints the address and the token of a server.
func NewChild(url, token string) *Child {
	c := &Child{done: make(chan struct{}), out: strings.NewReader("  Local:    " + url + "/#token=" + token + "\n")}
	var once sync.Once
	c.end = func(err error) {
		once.Do(func() {
			c.err = err
			close(c.done)
		})
	}
	return c
}

// End ends the child, as if its process had ended by itself.
func (c *Child) End(err error) { c.end(err) }

// Read reads the line with the address.
func (c *Child) Read(p []byte) (int, error) {
	if c.out.Len() > 0 {
		return c.out.Read(p)
	}
	<-c.done
	return 0, io.EOF
}

// Interrupt ends the child.
func (c *Child) Interrupt() error {
	c.end(nil)
	return nil
}

// Close ends the child.
func (c *Child) Close() error {
	c.end(nil)
	return nil
}

// Wait waits for the end of the child.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// PID returns 0: there is no process.
func (c *Child) PID() int { return 0 }

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }
