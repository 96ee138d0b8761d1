package acpbridge

import (
	"bufio"
	"io"
	"math"
	"os"

	"github.com/kimi-go/kimi-go/internal/regular"
)

// tail reads what is appended to a file.
type tail struct {
	path   string
	offset int64 // of what has not been read
	f      *os.File
	rest   []byte // of a line that is not complete
}

// skip goes to the file's end.
func (t *tail) skip() {
	if info, err := os.Stat(t.path); err == nil {
		t.offset = info.Size()
	}
}

// read returns the lines that have been completed since.
func (t *tail) read() [][]byte {
	if t.f == nil {
		var err error
		if t.f, err = regular.Open(t.path); err != nil {
			t.f = nil
			return nil
		}
	}
	var lines [][]byte
	r := bufio.NewReader(io.NewSectionReader(t.f, t.offset, math.MaxInt64-t.offset))
	for {
		chunk, err := r.ReadBytes('\n')
		t.offset += int64(len(chunk))
		t.rest = append(t.rest, chunk...)
		if err != nil {
			return lines
		}
		lines = append(lines, t.rest)
		t.rest = nil
	}
}

func (t *tail) close() {
	if t.f != nil {
		t.f.Close()
		t.f = nil
	}
}
