package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

const (
	maxBatch      = 256       // entries that a reader takes at once
	maxBatchBytes = 256 << 10 // bytes of them, unless the first has more
)

// log is the entries, under the relay's mu. The oldest are in the file, if there is one, from the first on; the newest
// are in memory.
type log struct {
	keep      int
	keepBytes int64

	entries  []Entry       // in memory, the oldest first
	bytes    int64         // of their JSON
	last     int64         // number of the newest, 0 for none
	complete bool          // none is added any more
	changed  chan struct{} // closed with the next change; nil while no one waits

	file spill
}

// add appends an entry.
func (l *log) add(raw json.RawMessage) {
	if l.complete {
		return
	}
	l.last++
	l.entries = append(l.entries, Entry{l.last, raw})
	l.bytes += int64(len(raw))
	for len(l.entries) > l.keep || l.bytes > l.keepBytes && len(l.entries) > 1 {
		old := l.entries[0]
		l.entries[0] = Entry{}
		l.entries = l.entries[1:]
		l.bytes -= int64(len(old.JSON))
		l.file.add(old)
	}
	l.wake()
}

// end makes the log complete.
func (l *log) end() {
	l.complete = true
	l.wake()
}

func (l *log) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// oldest returns the number of the oldest entry in memory, or of the next one if there is none.
func (l *log) oldest() int64 { return l.last - int64(len(l.entries)) + 1 }

// oldestKept is oldest with the file.
func (l *log) oldestKept() int64 {
	if l.file.last() > 0 {
		return 1
	}
	return l.oldest()
}

// next appends to batch what comes after an entry: from memory, or from the file, whose part is then to be read without
// the lock. Where there is nothing yet, wait is closed with the next change, and nil for a log that is complete.
func (l *log) next(after int64, batch []Entry) (_ []Entry, part section, wait <-chan struct{}, gap *GapError) {
	oldest := l.oldest()
	switch {
	case after > l.last:
		return batch, part, nil, &GapError{After: after, Oldest: l.oldestKept()}
	case after == l.last:
		if l.complete {
			return batch, part, nil, nil
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		return batch, part, l.changed, nil
	case after+1 >= oldest:
		size := 0
		for _, e := range l.entries[after+1-oldest:] {
			if len(batch) == maxBatch || size > 0 && size+len(e.JSON) > maxBatchBytes {
				break
			}
			size += len(e.JSON)
			batch = append(batch, e)
		}
		return batch, part, nil, nil
	case after < l.file.last():
		return batch, l.file.section(after), nil, nil
	}
	return batch, part, nil, &GapError{After: after, Oldest: oldest, Err: l.file.err}
}

// spill is the file with the entries that are not in memory any more, from the first on, a line each. It is made with
// the first of them.
type spill struct {
	dir   string // "" for none
	file  *os.File
	named bool    // the file still has its name: it is to be removed
	ends  []int64 // where the line of each entry ends
	err   error   // why it takes no more
}

// add appends the entry that has left the memory. It follows the one before, or an error.
func (f *spill) add(e Entry) {
	if f.dir == "" || f.err != nil {
		return
	}
	if f.file == nil {
		file, err := os.CreateTemp(f.dir, "kimi-relay-*.jsonl") // 0600
		if err != nil {
			f.err = err
			return
		}
		f.file = file
		f.named = os.Remove(file.Name()) != nil // where a system lets it go at once, none stays when the program is killed
	}
	end := int64(0)
	if len(f.ends) > 0 {
		end = f.ends[len(f.ends)-1]
	}
	line := append(e.JSON[:len(e.JSON):len(e.JSON)], '\n')
	if _, err := f.file.WriteAt(line, end); err != nil {
		f.err = err
		return
	}
	f.ends = append(f.ends, end+int64(len(line)))
}

// last returns the number of the newest entry in the file, 0 for none.
func (f *spill) last() int64 { return int64(len(f.ends)) }

// section is a part of the file.
type section struct {
	file     *os.File
	first    int64 // number of its first entry
	from, to int64
}

// section returns the part after an entry that a reader takes at once.
func (f *spill) section(after int64) section {
	s := section{file: f.file, first: after + 1}
	if after > 0 {
		s.from = f.ends[after-1]
	}
	for _, end := range f.ends[after:min(after+maxBatch, f.last())] {
		if s.to > 0 && end-s.from > maxBatchBytes {
			break
		}
		s.to = end
	}
	return s
}

// read appends the entries of the section.
func (s section) read(batch []Entry) ([]Entry, error) {
	raw := make([]byte, s.to-s.from)
	if _, err := s.file.ReadAt(raw, s.from); err != nil {
		if errors.Is(err, os.ErrClosed) {
			return batch, ErrClosed
		}
		return batch, fmt.Errorf("relay: read: the file of Options.SpillDir: %w", err)
	}
	id := s.first
	for line := range bytes.Lines(raw) {
		batch = append(batch, Entry{id, bytes.TrimSuffix(line, []byte("\n"))})
		id++
	}
	return batch, nil
}

// close removes the file.
func (f *spill) close() error {
	f.dir = ""
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	if f.named {
		err = errors.Join(err, os.Remove(f.file.Name()))
	}
	return err
}
