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

// flush drops the lines that have been typed. A line that is still being typed belongs to the console.
func (t *tty) flush() { windows.FlushConsoleInputBuffer(windows.Handle(t.file.Fd())) }
