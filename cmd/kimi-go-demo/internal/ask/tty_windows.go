package ask

import (
	"os"

	"golang.org/x/sys/windows"
)

// tty is a console that lines are typed at.
type tty struct{ file *os.File }

// canWait is false: a console reports keys, not lines, and a read waits for the rest of the line.
const canWait = false

func (t *tty) wait()       {}
func (t *tty) ready() bool { return true }

// flush forgets the lines that have been typed. One that is being typed is the console's own.
func (t *tty) flush() { windows.FlushConsoleInputBuffer(windows.Handle(t.file.Fd())) }
